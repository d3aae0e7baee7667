"""Who has no grant for sudo finds sudo as it always was: the same words, exit status, environment and log, wrapped or not."""
import re

import pytest

from .lib.sudo import SudoSite

SUDOERS = """\
Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults env_keep += "SITE_KEPT"
Defaults:carol !use_pty, badpass_message="the site's own words"
Defaults!/usr/bin/printenv env_keep += "FOR_PRINTENV"
Defaults timestamp_timeout=0
Cmnd_Alias LOGGED = /usr/bin/seq
Defaults!LOGGED log_output, iolog_dir=/var/log/sudo-io, iolog_file=one
root ALL=(ALL:ALL) ALL
carol ALL=(ALL:ALL) NOPASSWD: ALL, SETENV: /usr/bin/env
dave ALL=(ALL:ALL) ALL
%deploy ALL=(bob : deploy) NOPASSWD: /usr/bin/id
"""
ASKPASS = "#!/bin/sh\necho secret\n"
EDITOR = "#!/bin/sh\nfor f; do echo edited >> \"$f\"; done\n"


@pytest.fixture(scope="module")
def site(stage):
    files = {"/usr/local/bin/askpass": (0o755, ASKPASS), "/usr/local/bin/append": (0o755, EDITOR), "/etc/edited": "start\n",
             "/etc/security/pam_env.conf": "FROM_PAM DEFAULT=yes\n",
             "/etc/pam.d/sudo": "session required pam_env.so\n@include common-auth\n@include common-account\n@include common-session-noninteractive\n"}
    with SudoSite(stage, sudoers=SUDOERS, files=files) as s:
        s.host.sh("echo dave:secret | chpasswd && usermod -aG deploy carol && usermod -aG deploy dave", check=True)
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        for who in ("bob", "carol", "dave"):
            s.keep.add(s.grant(who, "quick", by="ana", duration=3000).id)
        yield s


def plain(text):
    """Without what differs from one login to the next."""
    text = re.sub(r"hallpass: \w+ may use .*\n", "", text)
    text = text.replace("audit plugin hallpass_audit", "audit plugin sudoers_audit")
    text = re.sub(r"\x1b\[[0-9;]*m|\r", "", text)
    text = re.sub(r"/tmp/\S+|/var/tmp/\S+", "TEMP", text)
    return re.sub(r"\b(SSH_[A-Z]+|SUDO_COMMAND|XDG_\w+|DBUS_\w+)=.*\n", r"\1\n", text)


def syslog(site, after):
    return [re.sub(r"PWD=\S+|pts/\d+|TSID=\S+", "", e["MESSAGE"]) for e in site.host.journal("SYSLOG_IDENTIFIER=sudo", after=after)
            if "pam_unix" not in e["MESSAGE"]]


def both(site, who, line, **kw):
    """(stock, wrapped): result and sudo's own log lines of the same line typed twice."""
    answers = []
    for wrapped in (False, True):
        conf = site.host.path("/etc/sudo.conf")
        hidden = conf.with_name("sudo.conf.off")
        if not wrapped:
            conf.rename(hidden)
        try:
            before = site.host.cursor()
            r = site.type(who, line, **kw)
            answers.append((r, syslog(site, before)))
        finally:
            if not wrapped:
                hidden.rename(conf)
    return answers


LINES = {
    "run": ("carol", "sudo id"),
    "exit status": ("carol", "sudo sh -c 'exit 7'"),
    "signal": ("carol", "sudo sh -c 'kill -TERM $$'"),
    "run, no such command": ("carol", "sudo no-such-command"),
    "run, not allowed": ("bob", "sudo -n id"),
    "list": ("carol", "sudo -l"),
    "list, long": ("carol", "sudo -ll"),
    "list a command": ("carol", "sudo -l id -u"),
    "list a command, none": ("carol", "sudo -l no-such-command"),
    "list another's": ("carol", "sudo -l -U dave"),
    "list, not without password": ("dave", "sudo -n -l"),
    "validate": ("carol", "sudo -v"),
    "validate without password": ("dave", "sudo -n -v"),
    "invalidate": ("carol", "sudo -k"),
    "invalidate and run": ("carol", "sudo -k id -u"),
    "forget": ("carol", "sudo -K"),
    "login shell": ("carol", "sudo -i 'echo $0 $HOME $PWD'"),
    "shell": ("carol", "sudo -s 'echo $0 $HOME'"),
    "user": ("carol", "sudo -u bob id"),
    "user by number": ("carol", "sudo -u '#0' id -u"),
    "no such user": ("carol", "sudo -u nobody-here id"),
    "group": ("carol", "sudo -g deploy id"),
    "user and group": ("carol", "sudo -u bob -g deploy id"),
    "no password to type": ("dave", "sudo -n id"),
    "password from a program": ("dave", "SUDO_ASKPASS=/usr/local/bin/askpass sudo -A id"),
    "password on stdin": ("dave", "echo secret | sudo -S -p '' id"),
    "wrong password": ("dave", "printf 'x\\ny\\nz\\n' | sudo -S -p '' id"),
    "keep the environment": ("carol", "A=1 sudo -E env | sort"),
    "keep the environment, allowed": ("carol", "A=1 sudo -E /usr/bin/env | sort"),
    "keep a variable": ("carol", "A=1 sudo --preserve-env=A /usr/bin/env | sort"),
    "set a variable": ("carol", "sudo A=1 /usr/bin/env | sort"),
    "set a variable, not allowed": ("carol", "sudo A=1 /usr/bin/printenv A"),
    "variable that the site keeps": ("carol", "SITE_KEPT=1 sudo printenv SITE_KEPT"),
    "variable kept for a command": ("carol", "FOR_PRINTENV=1 sudo printenv FOR_PRINTENV"),
    "LD_PRELOAD": ("carol", "LD_PRELOAD=/nowhere.so sudo printenv LD_PRELOAD"),
    "variable set by PAM": ("carol", "sudo printenv FROM_PAM"),
    "environment": ("carol", "sudo env | sort"),
    "in the background": ("carol", "sudo -b sh -c 'echo there'; sleep 0.3"),
    "directory": ("carol", "sudo -D / pwd"),
    "root directory": ("carol", "sudo -R / pwd"),
    "time limit": ("carol", "sudo -T 1 sleep 5"),
    "closed descriptors": ("carol", "sudo -C 5 id"),
    "keep groups": ("carol", "sudo -P id"),
    "edit": ("carol", "EDITOR=/usr/local/bin/append sudoedit /etc/edited; cat /etc/edited; sudo sh -c 'echo start > /etc/edited'"),
    "output logged": ("carol", "sudo seq 3; sudo find /var/log/sudo-io -name '*out*' | wc -l; sudo rm -r /var/log/sudo-io"),
    "usage": ("carol", "sudo -u"),
    "version": ("carol", "sudo -V | head -1"),
}


@pytest.mark.parametrize("case", LINES)
def test_as_stock(site, case):
    who, line = LINES[case]
    (stock, stock_log), (wrapped, log) = both(site, who, line)
    hint = "hallpass: no grant of yours covers"
    ours = plain(wrapped.err).split(hint)[0]   # a refusal has one more sentence
    assert (wrapped.code, plain(wrapped.out), ours) == (stock.code, plain(stock.out), plain(stock.err))
    assert log == stock_log
    assert stock.code != 0 or hint not in wrapped.err


def test_root_without_a_session(site):
    for argv in (["sudo", "id"], ["sudo", "-l"], ["sudo", "-u", "bob", "id", "-un"]):
        r = site.host.run(*argv)
        assert r.ok, repr(r)


def test_folders_that_people_cannot_enter(site):
    """In sudo the real user is still the caller."""
    site.host.sh("chmod 700 /usr/libexec/sudo /run/hallpass", check=True)
    try:
        r = site.type("carol", "sudo id -u")
        assert r.ok and r.out == "0\n" and "hallpass: grants" not in r.err, repr(r)
    finally:
        site.host.sh("chmod 755 /usr/libexec/sudo /run/hallpass", check=True)


def test_standing_use_is_in_the_journal(site):
    before = site.host.cursor()
    site.type("carol", "sudo id -u")
    entry = site.host.await_journal(HALLPASS_EVENT="sudo_allowed", after=before)
    assert entry["HALLPASS_COMMAND"] == '["id","-u"]' and entry["HALLPASS_PATH"] == "/usr/bin/id"
    assert entry["HALLPASS_WHY"] == "standing" and "HALLPASS_GRANT" not in entry and entry["HALLPASS_SUBJECT"] == "carol"
    ended = site.host.await_journal(HALLPASS_EVENT="sudo_ended", after=before)
    assert ended["HALLPASS_EXIT"] == "0"
