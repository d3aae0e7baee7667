"""`hallpass host self-test`: real logins and real sudo with the changed files, of which nobody else sees anything and nothing is left."""
import contextlib
import re
import signal

import pytest

from .lib.host import eventually
from .lib.site import Site

SSH = ["sshd accepts its configuration", "sshd asks PAM about every login"]
KEYS = ["sshd takes keys from hallpass alone", "sshd leaves the exempt group its key files"]
START = ["PAM's account lines for sshd let an account pass", "a second sshd starts with these files"]
ENFORCED = ["a login under a grant is admitted", "a login without a grant is refused, with a sentence",
            "with a damaged store the exempt group gets in", "with a damaged store nobody else gets in"]
OBSERVED = ["a login without a grant is let in", "a login is let in when the store is damaged"]
SUDO = ["sudo of root works as before", "sudo loads hallpass's plugin", "sudo lists what a grant allows", "sudo runs what a grant allows",
        "sudo refuses what no grant allows"]
ENFORCE = SSH + KEYS + START + ENFORCED
OBSERVE = SSH + START + OBSERVED

DROP_INS = "/etc/ssh/sshd_config.d"
MODULE = "/usr/lib/x86_64-linux-gnu/security/pam_hallpass.so"
PLUGIN = "/usr/lib/hallpass/hallpass_sudo.so"
KEYS_PROGRAM = "/usr/libexec/hallpass/hallpass-keys"
PAM = "/etc/pam.d/sshd"
# Succeeds while the store of admissions is the damaged one.
DAMAGED = "#!/bin/sh\n[ \"$(head -c1 /var/lib/hallpass/admissions.mdb)\" = x ]\n"
# Keeps the first store that it sees, and puts it back when that is damaged.
RESTORING = f"""#!/bin/sh
cd /run/hallpass-selftest && {{ [ -e first ] || cp lib/admissions.mdb first; }}
[ "$(head -c1 lib/admissions.mdb)" != x ] || cp first lib/admissions.mdb
exec {KEYS_PROGRAM}.kept "$@"
"""


@pytest.fixture(scope="module")
def host(stage):
    with Site(stage, enforce=False) as site:
        site.host.await_journal(HALLPASS_EVENT="policy_accepted")
        yield site.host


class Trials:
    def __init__(self, result):
        self.result = result
        self.by_name, self.details = {}, {}
        name = None
        for line in result.out.splitlines():
            if m := re.match(r"  (ok|skipped|FAILED) +([\d.]+) s  (.+)$", line):
                name = m[3]
                self.by_name[name] = m[1]
            elif name:
                self.details[name] = self.details.get(name, "") + line + "\n"

    def those(self, outcome):
        return [name for name, found in self.by_name.items() if found == outcome]


def flags_of(trials):
    return (["--observe"] if OBSERVED[0] in trials else []) + (["--sudo"] if SUDO[0] in trials else [])


def self_test(host, *flags):
    return Trials(host.run("hallpass", "host", "self-test", *flags, timeout=120))


def remains(host):
    """Whatever a self-test makes, and the files in whose place it puts others."""
    # The name is put together, so that the shell that looks is not found.
    return host.sh("""name=hallpass-self; name=${name}test
                   sha256sum /etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/subuid /etc/subgid
                   find /etc/ssh /etc/pam.d /etc/sudo.conf /etc/security -type f | sort | xargs sha256sum
                   find /run /var /tmp /etc /home /root -name "*$name*" ! -path '/run/log/*'
                   ls -A /run/systemd/sessions /run/user /run/sudo/ts /var/lib/sudo/lectured
                   systemctl list-units --all --no-legend "$name*" 'session-*' 'user-*' 'user@*'
                   grep -h $name /proc/[0-9]*/mountinfo /etc/passwd /etc/group
                   running=$(for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; done); grep -o $name <<<"$running"
                   ls /var/lib/hallpass /run/hallpass /run/hallpass/sessions""").out


@contextlib.contextmanager
def nothing_left(host):
    before = remains(host)
    yield
    assert remains(host) == before


@contextlib.contextmanager
def changed(host, *steps):
    """Takes the steps, (path, shell) or {path: text or (mode, text)}, and puts back every file that they name. The file as it was is
    PATH.kept meanwhile."""
    kept = []

    def keep(path):
        if path in kept:
            return
        host.sh(f"rm -rf {path}.kept; [ ! -e {path} ] || cp -a {path} {path}.kept", check=True)
        kept.append(path)
    try:
        for step in steps:
            if isinstance(step, dict):
                for path, text in step.items():
                    keep(path)
                    mode, text = text if isinstance(text, tuple) else (0o644, text)
                    host.write(path, text, mode)
            else:
                path, script = step
                keep(path)
                host.sh(script, check=True)
        yield
    finally:
        for path in reversed(kept):
            host.sh(f"rm -rf {path}; [ ! -e {path}.kept ] || mv {path}.kept {path}", check=True)


@pytest.mark.parametrize("wanted", [OBSERVE, ENFORCE, ENFORCE + SUDO], ids=["observe", "enforce", "with sudo"])
def test_every_trial_passes(host, wanted):
    with nothing_left(host):
        after = host.cursor()
        trials = self_test(host, *flags_of(wanted))
        assert trials.by_name == {name: "ok" for name in wanted}, repr(trials.result)
        assert trials.result.code == 0 and trials.result.seconds < 10
    # Nothing but journal entries that say whose they are: the agent saw no login, and nobody is alerted.
    events = host.journal(after=after, SYSLOG_IDENTIFIER="hallpass")
    assert events and all(e["HALLPASS_ACCOUNT"].startswith("hallpass-selftest-") for e in events if e["HALLPASS_ACCOUNT"] != "root")
    assert {e["HALLPASS_EVENT"] for e in events if e["HALLPASS_ACCOUNT"] == "root"} <= {"sudo_allowed", "sudo_ended"}
    assert not [e for e in host.journal("_COMM=hallpass-agent", after=after) if "HALLPASS_EVENT" in e]
    assert host.run("hallpass", "host", "sessions").out == ""


def pam(host, first_account="", first_session=""):
    text = host.path(PAM).read_text()
    return {PAM: f"{first_account}\n{first_session}\n{text}"}


# trial, flags' trials, what to spoil, what must be told
SPOILED = {
    "a drop-in that sshd does not understand":
        (SSH[0], ENFORCE + SUDO, lambda h: [{f"{DROP_INS}/90-site.conf": "NoSuchKeyword yes\n"}],
         ["90-site.conf", "NoSuchKeyword", "Correct"]),
    "UsePAM no, in a file that sorts first":
        (SSH[1], ENFORCE, lambda h: [{f"{DROP_INS}/01-site.conf": "# ours\nUsePAM no\n"}], ["01-site.conf:2: usepam no", "usepam no"]),
    "key files, in a file that sorts first":
        (KEYS[0], ENFORCE, lambda h: [{f"{DROP_INS}/01-site.conf": "AuthorizedKeysFile .ssh/authorized_keys\n"}],
         ["01-site.conf:1: authorizedkeysfile .ssh/authorized_keys", "sort after hallpass.conf"]),
    "no key files for the exempt group":
        (KEYS[1], ENFORCE, lambda h: [{f"{DROP_INS}/01-site.conf": "Match Group hallpass-exempt\n    AuthorizedKeysFile none\n"}],
         ["01-site.conf:2: authorizedkeysfile none", "hallpass-exempt"]),
    "no PAM module":
        (START[0], ENFORCE + SUDO, lambda h: [(MODULE, f"rm {MODULE}")], ["pamtester", "Module is unknown", "pam_hallpass.so"]),
    "no key can be made":
        (START[1], ENFORCE, lambda h: [{"/usr/bin/ssh-keygen": (0o755, "#!/bin/sh\necho no entropy >&2; exit 3\n")}],
         ["ssh-keygen ended with 3: no entropy"]),
    "hallpass-keys that cannot be executed":
        (ENFORCED[0], ENFORCE + SUDO, lambda h: [(KEYS_PROGRAM, f"chmod 0644 {KEYS_PROGRAM}")], ["Permission denied", KEYS_PROGRAM]),
    "a PAM module that lets everybody in":
        (ENFORCED[1], ENFORCE, lambda h: [(MODULE, f"cp $(dirname {MODULE})/pam_permit.so {MODULE}")], ["should be refused"]),
    "an exempt group that something else refuses":
        (ENFORCED[2], ENFORCE, lambda h: [pam(h, "account required pam_succeed_if.so user notingroup hallpass-exempt")],
         ["hallpass-exempt", "pam_succeed_if"]),
    "a store that comes back behind hallpass's back":
        (ENFORCED[3], ENFORCE, lambda h: [{KEYS_PROGRAM: (0o755, RESTORING)}], ["should be refused while the store of admissions is damaged"]),
    "a session that PAM refuses":
        (OBSERVED[0], OBSERVE, lambda h: [pam(h, "", "session requisite pam_deny.so")], ["mode=observe"]),
    "a login that needs the store although it only observes":
        (OBSERVED[1], OBSERVE + SUDO, lambda h: [
            {"/usr/sbin/whole": (0o755, DAMAGED.replace("[", "! ["))}, pam(h, "", "session requisite pam_exec.so quiet /usr/sbin/whole")],
         ["must refuse nobody"]),
    "no sudo plugin":
        (SUDO[0], OBSERVE + SUDO, lambda h: [(PLUGIN, f"rm {PLUGIN}")], ["root neither", "hallpass_sudo.so", "Before: it ended with 0"]),
    "a sudo that does not name its plugins":
        (SUDO[1], OBSERVE + SUDO, lambda h: [
            {"/usr/bin/sudo": (0o755, "#!/bin/sh\n[ \"$1\" = -V ] || exec sudo.kept \"$@\"\nsudo.kept -V | grep -v hallpass\n")}],
         ["sudo -V does not name it"]),
    "a sudo plugin that everybody can write":
        (SUDO[2], OBSERVE + SUDO, lambda h: [(PLUGIN, f"chmod 0666 {PLUGIN}")],
         ["grants do not count here: hallpass_sudo.so or its folder has the wrong owner or mode"]),
    "a sudo that lists nothing":
        (SUDO[2], OBSERVE + SUDO, lambda h: [{"/usr/bin/sudo": (0o755, "#!/bin/sh\n[ \"$2\" = -l ] || exec sudo.kept \"$@\"\necho no >&2\n")}],
         ["does not show the grant", "\n  no\n"]),
    "a command that its user could change":
        (SUDO[3], OBSERVE + SUDO, lambda h: [("/usr/bin/id", "chmod 0777 /usr/bin/id")], ["sudo id -u", "/usr/bin/id"]),
    "a sudo that runs anything":
        (SUDO[4], OBSERVE + SUDO, lambda h: [
            {"/usr/bin/sudo": (0o755, "#!/bin/sh\n[ \"$3\" = -g ] || exec sudo.kept \"$@\"\nexec id -g\n")}],
         ["was to be refused"]),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_host_fails_one_trial(host, name):
    trial, wanted, steps, words = SPOILED[name]
    with changed(host, *steps(host)), nothing_left(host):
        trials = self_test(host, *flags_of(wanted))
    assert trials.result.code == 1 and trials.those("FAILED") == [trial], repr(trials.result)
    assert set(trials.by_name) == set(wanted)
    before = wanted[:wanted.index(trial)]
    assert all(trials.by_name[t] == "ok" for t in before), repr(trials.result)
    for word in words:
        assert word in trials.details[trial], f"{word!r} is not in: {trials.details[trial]}"


DOORS = """\
Port 22
ListenAddress 127.0.0.1
AllowUsers rescue
AllowGroups rescue nobody
DenyUsers hallpass-*
AuthenticationMethods {methods}
Match User hallpass-*
    ForceCommand /bin/false
    ChrootDirectory /var/empty
"""


@pytest.mark.thorough
@pytest.mark.parametrize("wanted", [ENFORCE, OBSERVE], ids=["enforce", "observe"])
def test_the_sites_own_rules_about_who_may_knock_are_set_aside(host, wanted):
    """Whom the site lets in is not what is tried: the throw-away account must not need to be named in AllowUsers or access.conf."""
    doors = DOORS.format(methods="publickey,password")
    if wanted is OBSERVE:
        doors = "PubkeyAuthentication no\nAuthorizedKeysFile none\n" + DOORS.format(methods="password")
    pam_access = {PAM: host.path(PAM).read_text().replace("account    required     pam_nologin.so",
                                                         "account required pam_access.so\naccount required pam_nologin.so")}
    assert "pam_access.so\n" in pam_access[PAM]
    with changed(host, {f"{DROP_INS}/01-site.conf": doors, "/etc/security/access.conf": "-:ALL EXCEPT rescue:ALL\n"}, pam_access):
        assert not host.run("pamtester", "sshd", "alice", "acct_mgmt").ok
        with nothing_left(host):
            trials = self_test(host, *flags_of(wanted))
    assert trials.by_name == {name: "ok" for name in wanted}, repr(trials.result)
    for told in ("AllowUsers rescue", "DenyUsers hallpass-*", "AuthenticationMethods", "ForceCommand /bin/false"):
        assert told.lower() in trials.details[START[1]].lower()
    assert "port 22" not in trials.details[START[1]]


@pytest.mark.thorough
def test_a_site_that_accepts_only_security_keys(host):
    """The self-test has none: its sshd alone accepts another."""
    with changed(host, {f"{DROP_INS}/01-site.conf": "PubkeyAcceptedAlgorithms sk-ssh-ed25519@openssh.com\n"}):
        trials = self_test(host, "--observe")
    assert trials.by_name == {name: "ok" for name in OBSERVE}, repr(trials.result)


def test_a_file_that_does_not_exist_yet(host):
    """Its directory is built anew, for the self-test alone."""
    with changed(host, ("/etc/sudo.conf", "rm -f /etc/sudo.conf")), nothing_left(host):
        trials = self_test(host, "--observe", "--sudo")
        assert trials.by_name == {name: "ok" for name in OBSERVE + SUDO}, repr(trials.result)
        assert not host.path("/etc/sudo.conf").exists()


def test_pamtester_is_not_needed(host):
    with changed(host, ("/usr/bin/pamtester", "rm /usr/bin/pamtester")):
        trials = self_test(host, "--observe")
    assert trials.result.code == 0 and trials.those("skipped") == [START[0]], repr(trials.result)
    assert "pamtester is not installed" in trials.details[START[0]]


def accounts(host):
    return re.findall(r"^hallpass-selftest-\w+", host.path("/etc/passwd").read_text(), re.M)


def started(host, *flags):
    """A self-test that is in the middle of its logins, as a unit of its own."""
    host.run("systemd-run", "--quiet", "--collect", "--unit=trying", "-p", "KillMode=process", "hallpass", "host", "self-test", *flags, check=True)
    eventually("a login of the self-test", lambda: host.sh("ls /run/systemd/sessions").out.strip(), within=20)
    return int(host.run("systemctl", "show", "-P", "MainPID", "trying").out)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_who_is_interrupted_leaves_nothing(host, number):
    with nothing_left(host):
        pid = started(host)
        assert accounts(host)
        host.run("kill", f"-{int(number)}", pid, check=True)
        eventually("the self-test has gone", lambda: not host.sh("ls -d /run/hallpass-selftest; systemctl is-active trying").out.strip("inactive\n"),
                   within=20)
        assert not accounts(host)


@pytest.mark.thorough
def test_what_is_left_when_all_of_it_is_killed_is_removed(host):
    with nothing_left(host):
        started(host)
        # The one that cleans up, too; what systemd keeps runs on.
        host.run("systemctl", "kill", "--kill-whom=all", "-s", "KILL", "trying", check=True)
        eventually("all of it is killed", lambda: host.sh("systemctl is-active trying").out.strip() != "active")
        assert accounts(host) and host.sh("systemctl list-units --no-legend 'hallpass-selftest-*'").out
        trials = self_test(host, "--observe")
        assert trials.by_name == {name: "ok" for name in OBSERVE}, repr(trials.result)
        assert not accounts(host)


@pytest.mark.thorough
def test_two_at_once_wait_for_each_other(host):
    with nothing_left(host):
        started(host, "--observe")
        trials = self_test(host, "--observe")
        assert trials.by_name == {name: "ok" for name in OBSERVE}, repr(trials.result)
        eventually("the first has gone", lambda: host.sh("systemctl is-active trying").out.strip() == "inactive", within=20)
