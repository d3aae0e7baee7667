"""sudo under a grant on a booted host: what each option does, several grants at once, the journal, and the end."""
import datetime
import json
import re
import time

import pytest

from .lib.host import eventually
from .lib.shell import Shell
from .lib.sudo import SudoSite, runbook

SUDOERS = """\
Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults env_keep += "SITE_KEPT"
Defaults!/usr/bin/printenv env_keep += "FOR_PRINTENV"
Defaults:alice passprompt="the site asks %p: "
Defaults targetpw
Defaults setenv
Defaults timestamp_timeout=5
Cmnd_Alias LOGGED = /usr/bin/seq
Defaults!LOGGED log_output, iolog_dir=/var/log/sudo-io, iolog_file=%{seq}
root ALL=(ALL:ALL) ALL
dave ALL=(root) NOPASSWD: /usr/bin/id, /usr/bin/whoami
carol ALL=(ALL:ALL) NOPASSWD: ALL
"""


def run(*argv, user="root", **kw):
    return {"as": user, "run": list(argv), **kw}


RUNBOOKS = {
    "ops": [run("/usr/bin/id"), run("/usr/bin/id", "-u"), run("/usr/bin/id", "-un", user="bob"), run("/usr/bin/id", "-gn", user="bob:deploy"),
            run("/usr/bin/seq", "<int:1..9>"), run("/usr/bin/printenv", "*", env_keep=["KEPT"]), run("/usr/bin/env"),
            run(["/bin/sh", "/usr/bin/sh"], "-c", "*"), run("/usr/bin/sleep", "*"), run("/usr/bin/printf", "**", unbounded=True),
            run("/usr/bin/hostname", password=True), {"as": "root", "edit": ["<path:/etc/site/>"]}],
    "web": [run("/usr/bin/uname", "-s"), run("/usr/bin/whoami")],
    "db": [run("/usr/bin/uname", "-r"), run("/usr/bin/whoami")],
    "shell": [{"as": "root", "run": "shell"}],
    "bobs": [{"as": "bob", "run": "shell"}],
    "brief": [run("/usr/bin/sleep", "*"), run(["/bin/sh", "/usr/bin/sh"], "-c", "*")],
    "team": runbook([run("/usr/bin/id", "-u")], account="deploy", shared_sudo=True),
}


@pytest.fixture(scope="module")
def site(stage):
    files = {"/usr/local/bin/askpass": (0o755, "#!/bin/sh\necho rootsecret\n"), "/usr/local/bin/append": (0o755, "#!/bin/sh\nfor f; do echo edited >> \"$f\"; done\n"),
             "/etc/site/file": "start\n", "/etc/security/pam_env.conf": "FROM_PAM DEFAULT=yes\n",
             "/etc/pam.d/sudo": "session required pam_env.so\n@include common-auth\n@include common-account\n@include common-session-noninteractive\n",
             "/etc/systemd/journald.conf.d/limit.conf": "[Journal]\nRateLimitIntervalSec=60s\nRateLimitBurst=50\n"}
    with SudoSite(stage, RUNBOOKS, sudoers=SUDOERS, files=files) as s:
        s.host.sh("echo alice:secret | chpasswd; echo root:rootsecret | chpasswd", check=True)
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        s.host.await_journal(HALLPASS_EVENT="sudoers_prepared")
        s.ops = s.grant("alice", "ops", by="carol", duration=3000)
        s.keep.add(s.ops.id)
        for who in ("bob", "dave"):
            s.keep.add(s.grant(who, "login", by="carol", duration=3000).id)
        yield s


@pytest.fixture(scope="module")
def alice(site):
    with Shell(site, "alice") as shell:
        yield shell


def entries(site, before, event, count=1, **fields):
    return eventually(f"{count} of {event}", lambda: (lambda found: found if len(found) >= count else None)(site.records(before, event, **fields)))


def over(shell) -> bool:
    try:
        shell("true", timeout=5)
        return False
    except (AssertionError, BrokenPipeError):
        return True


# --- what each option does: exit status 0 and the output, or None for refused
OPTIONS = {
    "run": ("sudo id -u", "0"),
    "run by path": ("sudo /usr/bin/id -u", "0"),
    "never asks": ("sudo -n id -u", "0"),
    "password on stdin, none needed": ("echo x | sudo -S id -u", "0"),
    "askpass, none needed": ("SUDO_ASKPASS=/bin/false sudo -A id -u", "0"),
    "forget, with a command": ("sudo -k id -u", "0"),
    "forget": ("sudo -k", ""),
    "forget for good": ("sudo -K", ""),
    "in the background": ("sudo -b sh -c 'echo there'; sleep 0.4", "there"),
    "another user": ("sudo -u bob id -un", "bob"),
    "user and group": ("sudo -u bob -g deploy id -gn", "deploy"),
    "user by number": ("sudo -u '#0' id -u", None),
    "the group alone": ("sudo -g deploy id -u", None),
    "the user without the group": ("sudo -u bob id -gn", None),
    "another user's command": ("sudo -u bob id -u", None),
    "its own group added": ("sudo -u root -g root id -u", None),
    "shell": ("sudo -n -s id -u", None),
    "login shell": ("sudo -n -i id -u", None),
    "edit": ("EDITOR=/usr/local/bin/append sudo -n -e /etc/site/file && cat /etc/site/file && echo start >/tmp/s", "start\nedited"),
    "edit another": ("EDITOR=/usr/local/bin/append sudo -n -e /etc/passwd", None),
    "list a command": ("sudo -n -l id -u", "/usr/bin/id -u"),
    "list a command as a user": ("sudo -n -l -u bob id -un", "/usr/bin/id -un"),
    "list what is not granted": ("sudo -n -l id -g", None),
    "validate": ("sudo -n -v", None),
    "keep everything": ("A=1 sudo -n -E id -u", None),
    "keep one that is named": ("KEPT=1 sudo -n --preserve-env=KEPT printenv KEPT", "1"),
    "keep one that is not": ("A=1 sudo -n --preserve-env=A printenv A", None),
    "set one that is named": ("sudo -n KEPT=2 printenv KEPT", "2"),
    "set one that is not": ("sudo -n A=1 printenv A", None),
    "named, kept by itself": ("KEPT=3 sudo -n printenv KEPT", "3"),
    "kept by the site": ("SITE_KEPT=1 sudo -n printenv SITE_KEPT", "1"),
    "kept by the site for the command": ("FOR_PRINTENV=1 sudo -n printenv FOR_PRINTENV", "1"),
    "set by PAM": ("sudo -n printenv FROM_PAM", "yes"),
    "kept by nobody": ("A=1 sudo -n printenv A; test $? = 1", ""),
    "PATH": ("PATH=/tmp:$PATH sudo -n printenv PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    "directory": ("sudo -n -D / id -u", None),
    "root directory": ("sudo -n -R / id -u", None),
    "time limit": ("sudo -n -T 100 id -u", None),
    "closed descriptors": ("sudo -n -C 5 id -u", None),
    "its own groups": ("sudo -n -P id -u", None),
    "another host": ("sudo -n -h web-4 id -u", None),
    "exit status": ("sudo -n sh -c 'exit 7'; test $? = 7", ""),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(site, alice, case):
    line, wanted = OPTIONS[case]
    r = alice(line)
    if wanted is None:
        assert r.code != 0 and not re.search(r"^(0|1|there|/usr/bin/id.*)$", r.out, re.M), repr(r)
    else:
        assert (r.code, r.out.strip()) == (0, wanted), repr(r)


def test_list(site, alice):
    for option in ("-l", "-ll"):
        r = alice(f"sudo -n {option}")
        assert f"grant {site.ops.id} (ops)" in r.out and "49m" in r.out and "approved by carol" in r.out and "502s on checkout" in r.out, repr(r)
        assert "(bob : deploy) /usr/bin/id -gn" in r.out and "PASSWD: /usr/bin/hostname" in r.out and "sudoedit" in r.out, repr(r)


def test_a_password_where_the_runbook_wants_one(site, alice):
    """Whose, say the site's Defaults: here the target's."""
    alice("sudo -K")
    assert alice("sudo -n hostname").code != 0
    assert alice("echo secret | sudo -S -k hostname").code != 0
    for line in ("echo rootsecret | sudo -S -k -p '' hostname", "SUDO_ASKPASS=/usr/local/bin/askpass sudo -A -k hostname"):
        r = alice(line)
        assert r.code == 0 and r.out.strip().endswith("web-3"), repr(r)
    asked = alice("echo x | sudo -S -k hostname")
    assert "the site asks root: " in asked.out, repr(asked)


def test_output_is_logged_under_a_grant(site, alice):
    site.host.sh("rm -rf /var/log/sudo-io")
    assert alice("sudo -n seq 3").out == "1\n2\n3\n"
    logged = eventually("the log", lambda: site.host.sh("find /var/log/sudo-io -name 'log*' | head -1; find /var/log/sudo-io -name ttyout -o -name stdout | xargs -r zcat -f").out)
    assert "1\n2\n3\n" in logged.replace("\r", "")


# --- several grants
def test_two_grants_are_a_union_and_each_use_its_own(site):
    web, db = site.grant("alice", "web", by="carol", duration=600), site.grant("alice", "db", by="carol", duration=900)
    with Shell(site, "alice") as alice:
        for line, grant in (("uname -s", web), ("uname -r", db), ("id -u", site.ops), ("whoami", db)):   # both name whoami: the one that ends last
            before = site.host.cursor()
            r = eventually(f"{line} is granted", lambda: (lambda r: r if r.code == 0 else None)(alice(f"sudo -n {line}")))
            assert r.out.strip()
            entry = entries(site, before, "sudo_allowed")[-1]
            assert (entry["HALLPASS_GRANT"], entry["HALLPASS_SUBJECT"]) == (grant.id, "alice"), line
        assert alice("sudo -n uname -m").code != 0
        digest = {g.digest.removeprefix("sha256:") for g in (web, db, site.ops)}
        notes = set(site.host.sh(f"ls /run/hallpass/sessions | grep '^{alice.audit}\\.' | cut -d. -f2").out.split())
        assert notes == digest
        site.cease(db)   # the end of what was used ends the session, though others admit her
        eventually("her session ends", lambda: over(alice), within=10)
    with Shell(site, "alice") as alice:
        assert alice("sudo -n whoami").code == 0 and alice("sudo -n uname -r").code != 0
        before = site.host.cursor()
        alice("sudo -n whoami")
        assert entries(site, before, "sudo_allowed")[-1]["HALLPASS_GRANT"] == web.id


def test_a_standing_rule_beside_grants(site):
    web = site.grant("dave", "web", by="carol", duration=600)
    with Shell(site, "dave") as dave:
        for line, grant in (("uname -s", web.id), ("id -u", None), ("whoami", web.id)):
            before = site.host.cursor()
            assert dave(f"sudo -n {line}").code == 0, line
            entry = entries(site, before, "sudo_allowed")[-1]
            assert (entry.get("HALLPASS_GRANT"), entry["HALLPASS_WHY"]) == (grant, "grant" if grant else "standing"), line
        assert dave("sudo -n uname -r").code != 0
        listed = dave("sudo -n -l").out
        assert listed.index(f"grant {web.id}") < listed.index("NOPASSWD: /usr/bin/id")


def test_shells(site):
    grants = [site.grant("bob", "shell", by="carol", duration=600), site.grant("bob", "bobs", by="carol", duration=600)]
    with Shell(site, "bob") as bob:
        for line, out in (("sudo -n -s id -u", "0"), ("sudo -n -i id -u", "0"), ("sudo -n -u bob -s id -un", "bob"), ("sudo -n -i -u bob printenv HOME", "/home/bob"),
                          ("echo id -u | sudo -n -s", "0"), ("echo id -u | sudo -n bash", "0"), ("echo id -u | sudo -n", None), ("sudo -n id -u", None), ("sudo -n -u alice -s id -un", None)):
            r = bob(f"({line})")
            assert (r.code, r.out.strip()) == (0, out) if out else r.code != 0 and "alice" not in r.out.split()[-1:], f"{line}: {r!r}"
    assert grants


def test_two_engineers_on_one_account(site):
    grants = {who: site.grant(who, "team", by="carol", duration=600) for who in ("alice", "bob")}
    with Shell(site, "alice", account="deploy") as one, Shell(site, "bob", account="deploy") as two:
        for who, shell in (("alice", one), ("bob", two)):
            before = site.host.cursor()
            assert shell("sudo -n id -u").out == "0\n"
            entry = entries(site, before, "sudo_allowed")[-1]
            assert (entry["HALLPASS_SUBJECT"], entry["HALLPASS_ACCOUNT"], entry["HALLPASS_GRANT"]) == (who, "deploy", grants[who].id)
        site.cease(grants["alice"])
        eventually("hers has ended, his has not", lambda: over(one), within=10)
        assert two("sudo -n id -u").out == "0\n"


# --- the journal
ARGUMENTS = {
    "blanks": ("'a b  c'", ["a b  c"]),
    "quotes": ("'\"' \"'\" '\\'", ['"', "'", "\\"]),
    "newlines": ("$'one\\ntwo'", ["one\ntwo"]),
    "empty": ("'' x ''", ["", "x", ""]),
    "control": ("$'\\e[31m\\t\\x7f'", ["\x1b[31m\t\x7f"]),
    "UTF-8": ("'grüße €'", ["grüße €"]),
    "not UTF-8": ("$'a\\xff\\xc3'", ["a\udcff\udcc3"]),
    "a field of its own": ("$'x\\nHALLPASS_GRANT=forged'", ["x\nHALLPASS_GRANT=forged"]),
    "long": ("$(printf '%05000d' 0)", ["0" * 5000]),
}


@pytest.fixture(scope="module")
def carol(site):
    site.keep.add(site.grant("carol", "login", by="bob", duration=3000).id)
    with Shell(site, "carol") as shell:
        yield shell


@pytest.mark.parametrize("case", ARGUMENTS)
def test_argument_vector_in_the_journal(site, alice, carol, case):
    """By a grant, where ** takes it, by a standing rule, and refused."""
    typed, wanted = ARGUMENTS[case]
    before = site.host.cursor()
    by_grant = alice(f"sudo -n printf x {typed}")
    assert carol(f"sudo -n printf x {typed}").code == 0
    alice(f"sudo -n touch x {typed}")
    entries(site, before, "sudo_ended", 1 + (by_grant.code == 0))
    told = {(e["HALLPASS_EVENT"], e["HALLPASS_ACCOUNT"], json.loads(e["HALLPASS_COMMAND"])[0]): e for e in site.records(before) if "HALLPASS_COMMAND" in e}
    assert (by_grant.code == 0) == (case not in ("newlines", "control", "a field of its own", "long")), repr(by_grant)
    keys = [("sudo_allowed", "carol", "printf"), ("sudo_ended", "carol", "printf"), ("sudo_failed", "alice", "touch")]
    keys.append(("sudo_allowed" if by_grant.code == 0 else "sudo_failed", "alice", "printf"))
    for key in keys:
        assert json.loads(told[key]["HALLPASS_COMMAND"])[1:] == ["x", *wanted], key
    if by_grant.code == 0:
        accept = told["sudo_allowed", "alice", "printf"]
        assert accept["HALLPASS_PATH"] == "/usr/bin/printf" and accept["HALLPASS_GRANT"] == site.ops.id and accept["HALLPASS_TARGET"] == "root"
        assert told["sudo_ended", "alice", "printf"]["HALLPASS_EXIT"] == "0"
    assert not [e for e in site.records(before) if e.get("HALLPASS_GRANT") == "forged"]


def test_accept_refusal_error_and_exit(site, alice):
    before = site.host.cursor()
    alice("sudo -n sh -c 'exit 7'")
    alice("sudo -n sh -c 'kill -TERM $$'")
    alice("sudo -n -u bob id -un")
    alice("echo rootsecret | sudo -S -k id -g")
    alice("sudo -n id -g")
    allowed, ended, refused, failed = (entries(site, before, f"sudo_{what}", n) for what, n in (("allowed", 3), ("ended", 3), ("refused", 1), ("failed", 1)))
    assert [e["HALLPASS_EXIT"] for e in ended] == ["7", "signal 15", "0"]
    assert [e["HALLPASS_TARGET"] for e in allowed] == ["root", "root", "bob"]
    for e in allowed:
        assert (e["HALLPASS_SUBJECT"], e["HALLPASS_ACCOUNT"], e["HALLPASS_RUNBOOK"], e["HALLPASS_DECISION"], e["HALLPASS_APPROVERS"], e["HALLPASS_SESSION"]) == (
            "alice", "alice", "ops", "admit", "carol", alice.audit)
        assert datetime.datetime.fromisoformat(e["HALLPASS_EXPIRES"].replace("Z", "+00:00")).timestamp() > time.time()
    for e in (*refused, *failed):
        assert json.loads(e["HALLPASS_COMMAND"]) == ["id", "-g"] and (e["HALLPASS_DECISION"], e["HALLPASS_SUBJECT"]) == ("deny", "alice")
        assert e["HALLPASS_WHY"] and "HALLPASS_GRANT" not in e
    own = [e["MESSAGE"] for e in site.host.journal("SYSLOG_IDENTIFIER=sudo", after=before) if "COMMAND=" in e["MESSAGE"]]
    assert [m.split("COMMAND=")[1] for m in own] == ["/usr/bin/sh -c 'exit 7'", "/usr/bin/sh -c 'kill -TERM $$'", "/usr/bin/id -un", "/usr/bin/id -g"]
    assert "USER=bob" in own[2] and "NOT in sudoers" in own[3], own


def test_a_flood_of_the_user_s_own_loses_nothing(site, alice):
    before = site.host.cursor()
    alice("for i in $(seq 2000); do echo noise $i; done | logger")
    for _ in range(5):
        assert alice("sudo -n id -u").code == 0
    assert alice("sudo -n id -g").code != 0
    assert len(site.host.journal("SYSLOG_IDENTIFIER=alice", after=before)) < 1000, "the limit was not reached: nothing was shown"
    assert len(entries(site, before, "sudo_allowed", 5)) == 5 and len(entries(site, before, "sudo_ended", 5)) == 5
    assert entries(site, before, "sudo_failed")   # no password: an error, not a refusal


# --- the end
@pytest.mark.parametrize("line", ["sudo -n sleep 60", "sudo -n sh -c 'trap \"\" TERM HUP; exec sleep 60'"], ids=["plain", "ignores signals"])
def test_the_end_stops_what_runs(site, alice, line):
    with Shell(site, "bob") as bob:
        before = site.host.cursor()
        grant = site.grant("bob", "brief", by="carol", duration=6)
        try:
            r = bob(line)
        except AssertionError as e:   # the session ends with the grant whose sudo it used; sudo's own KILL comes later
            r = str(e)
        stopped = time.time()
        accept = entries(site, before, "sudo_allowed")[-1]
        end = datetime.datetime.fromisoformat(accept["HALLPASS_EXPIRES"].replace("Z", "+00:00")).timestamp()
        assert accept["HALLPASS_GRANT"] == grant.id
        assert stopped <= end + 1.5, f"{stopped - end:+.1f} s: {r!r}"
        if "trap" in line:
            assert "the session ended" in r, repr(r)
        else:
            assert r.code != 0 and f"hallpass: grant {grant.id} (brief) ends at" in r.out and "the command was stopped" in r.out, repr(r)
            assert entries(site, before, "sudo_ended")[-1]["HALLPASS_EXIT"] in ("signal 1", "signal 15", "signal 9")
        eventually("his session ends with the grant that it used", lambda: over(bob), within=5)
        eventually("nothing of it is left", lambda: not site.host.run("pgrep", "-x", "sleep").ok, within=3)


# --- standing_sudo = "deny"
def test_standing_rules_denied_to_sessions(site):
    toml = site.host.path("/etc/hallpass/host.toml").read_text()
    grant = site.grant("dave", "web", by="carol", duration=600)
    with Shell(site, "dave") as dave:
        assert dave("sudo -n id -u").out == "0\n"
        site.host.write("/etc/hallpass/host.toml", toml + 'standing_sudo = "deny"\n')
        try:
            site.host.run("systemctl", "reload", "hallpass-agent", check=True)
            r = eventually("it counts", lambda: (lambda r: r if r.code else None)(dave("sudo -n id -u")))
            assert "0" not in r.out.split() and "no grant of yours covers id -u" in r.out, repr(r)
            assert dave("sudo -n uname -s").out == "Linux\n"
            listed = dave("sudo -n -l").out
            assert f"grant {grant.id}" in listed and "NOPASSWD" not in listed and "/usr/bin/id" not in listed, listed
            assert dave("sudo -n -l id -u").code != 0 and dave("sudo -n -l uname -s").code == 0
            for line in ("sudo -n -u root id", "sudo -n -k id -u", "sudo -n -E id -u", "sudo -n -l -U carol", "sudo -n -l -U dave"):
                r = dave(line)
                assert "NOPASSWD" not in r.out and not re.search(r"^(0|uid=0.*)$", r.out, re.M), repr(r)
            for argv in (["sudo", "-n", "id", "-u"], ["sudo", "-n", "-l"]):   # the console
                assert site.host.run(*argv).ok
            assert site.host.run("sudo", "-n", "id", "-u", user="dave").out == "0\n"   # as from cron
        finally:
            site.host.write("/etc/hallpass/host.toml", toml)
            site.host.run("systemctl", "reload", "hallpass-agent", check=True)
        eventually("the site's rules are back", lambda: dave("sudo -n id -u").out == "0\n")
