"""Whatever is broken: no command runs by a grant that should not, the site's own rules and root at the console keep what sudo itself
leaves them, and somebody hears of it."""
import datetime

import pytest

from .lib.shell import Shell
from .lib.sudo import DEFAULTS, SO, SudoSite, sudo_conf

SNAPSHOT = "/var/lib/hallpass/admissions.mdb"
SESSIONS = "/run/hallpass/sessions"
INNER = "/usr/libexec/sudo/sudoers.so"
SHIM = "/usr/local/lib/nth_failure.so"
KEPT = f"/usr/lib/hallpass /etc/sudo.conf /etc/machine-id {SNAPSHOT} {DEFAULTS} {INNER}"

# dave's standing rules allow id and printenv; his grant covers one of them, and one that they do not.
COMMANDS = [{"as": "root", "run": ["/usr/bin/id", "-u"]}, {"as": "root", "run": ["/usr/bin/whoami"]}]


@pytest.fixture(scope="module")
def site(stage, build):
    with SudoSite(stage, {"ops": COMMANDS, "brief": [{"as": "root", "run": ["/usr/bin/hostname"]}]}) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        for who in ("alice", "dave", "bob"):
            s.keep.add(s.grant(who, "ops", by="carol", duration=3000).id)
        s.host.await_journal(HALLPASS_EVENT="sudoers_prepared")
        s.host.write(SHIM, (build / "tests/support/nth_failure.so").read_bytes(), 0o755)
        s.host.sh(f"tar -P -cf /root/kept.tar {KEPT}", check=True)
        yield s


@pytest.fixture(scope="module")
def people(site):
    shells = {who: Shell(site, who) for who in ("alice", "dave", "bob")}
    yield shells
    for shell in shells.values():
        shell.close()


@pytest.fixture(autouse=True)
def _mended(site, people):
    """Each test begins and ends with everything whole: a grant works, and nothing else does."""
    yield
    site.host.sh(f"""rm -rf /run/hallpass/withdrawn {SESSIONS} /etc/ld.so.preload
        rm -rf {KEPT} && tar -P -xpf /root/kept.tar && if test -e /run/sessions.kept; then mv /run/sessions.kept {SESSIONS}; fi""", check=True)
    site.host.run("systemctl", "start", "hallpass-agent", check=True)
    assert people["alice"]("sudo -n whoami").out == "root\n"


@pytest.fixture(autouse=True)
def _sessions_kept(site, people):
    site.host.sh(f"rm -rf /run/sessions.kept; cp -a {SESSIONS} /run/sessions.kept", check=True)


def granted(people):
    """Whether alice's grant works; what it does not name must never."""
    r = people["alice"]("sudo -n whoami")
    for line in ("sudo -n id -g", "sudo -n whoami --version", "sudo -n -u bob whoami"):
        other = people["alice"](line)
        assert other.code != 0 and "gid" not in other.out and "bob" not in other.out.splitlines(), repr(other)
    assert (r.out == "root\n") == (r.code == 0), repr(r)
    return r.code == 0


def standing(people):
    """Whether dave's own rules work, beside a grant and for the very command that the grant covers too."""
    plain, covered = people["dave"]("sudo -n id -g"), people["dave"]("sudo -n id -u")
    refused = people["dave"]("sudo -n cat /etc/shadow")
    assert refused.code != 0 and "root:" not in refused.out, repr(refused)
    assert (plain.code == 0) == (covered.code == 0), f"{plain!r}\n{covered!r}"
    assert plain.code != 0 or (plain.out, covered.out) == ("0\n", "0\n")
    return plain.code == 0


def console(site):
    r = site.host.run("sudo", "-n", "id", "-u")
    assert (r.out == "0\n") == r.ok, repr(r)
    return r.ok


# name: (what breaks it, who keeps sudo, the journal's event)
ALL, NOBODY = {"standing", "console"}, set()
BREAK = {
    "plugin missing": (f"rm {SO}", NOBODY, None),
    "plugin empty": (f": >{SO}", NOBODY, None),
    "plugin cut short": (f"truncate -s 4096 {SO}", NOBODY, None),
    "plugin cut to 64 KiB": (f"truncate -s 65536 {SO}", NOBODY, None),
    "plugin of random bytes": (f"head -c 100000 /dev/urandom >{SO}", NOBODY, None),
    "plugin of another's make": (f"cp /lib/x86_64-linux-gnu/libm.so.6 {SO}", NOBODY, None),
    "plugin of another owner": (f"chown alice {SO}", ALL, "sudo_degraded"),
    "plugin that others can write": (f"chmod 666 {SO}", ALL, "sudo_degraded"),
    "plugin that its group can write": (f"chmod 775 {SO}", ALL, "sudo_degraded"),
    "plugin's folder of another owner": ("chown alice /usr/lib/hallpass", ALL, "sudo_degraded"),
    "plugin's folder that others can write": ("chmod 777 /usr/lib/hallpass", ALL, "sudo_degraded"),
    "snapshot missing": (f"rm {SNAPSHOT}", ALL, "sudo_degraded"),
    "snapshot empty": (f": >{SNAPSHOT}", ALL, "sudo_degraded"),
    "snapshot cut short": (f"truncate -s 8192 {SNAPSHOT}", ALL, "sudo_degraded"),
    "snapshot of random bytes": (f"head -c 40960 /dev/urandom >{SNAPSHOT}", ALL, "sudo_degraded"),
    "snapshot that others can write": (f"chmod 666 {SNAPSHOT}", ALL, "sudo_degraded"),
    "snapshot of another owner": (f"chown alice {SNAPSHOT}", ALL, "sudo_degraded"),
    "snapshot with two names": (f"ln {SNAPSHOT} /var/lib/hallpass/other", ALL, "sudo_degraded"),
    "snapshot that is a link": (f"mv {SNAPSHOT} /root/s; ln -s /root/s {SNAPSHOT}", ALL, "sudo_degraded"),
    "snapshot that is a pipe": (f"rm {SNAPSHOT}; mkfifo -m 600 {SNAPSHOT}", ALL, "sudo_degraded"),
    "snapshot of another machine": ("sed -i 's/./0/g' /etc/machine-id", ALL, None),   # journalctl reads another's then
    "snapshot withdrawn": ("touch /run/hallpass/withdrawn", ALL, "sudo_degraded"),
    "Defaults missing": (f"rm {DEFAULTS}", ALL, "sudo_degraded"),
    "Defaults that others can write": (f"chmod 666 {DEFAULTS}", ALL, "sudo_degraded"),
    "Defaults of another owner": (f"chown alice {DEFAULTS}", ALL, "sudo_degraded"),
    "Defaults that are a link": (f"mv {DEFAULTS} /root/d; ln -s /root/d {DEFAULTS}", ALL, "sudo_degraded"),
    "Defaults damaged": (f"echo 'Defaults {{{{ ='>{DEFAULTS}", ALL, "sudo_degraded"),
    "Defaults cut short": (f"truncate -s 10 {DEFAULTS}", ALL, "sudo_degraded"),
    "Defaults empty": (f": >{DEFAULTS}", ALL, "sudo_degraded"),
    "Defaults of random bytes": (f"head -c 5000 /dev/urandom >{DEFAULTS}", ALL, "sudo_degraded"),
    "sudoers.so missing": (f"rm {INNER}", NOBODY, None),
    "sudoers.so damaged": (f"truncate -s 4096 {INNER}", NOBODY, None),
    "sudo.conf missing": ("rm /etc/sudo.conf", ALL, None),
    "sudoers_audit before ours": ("sed -i '/hallpass_policy/i Plugin sudoers_audit sudoers.so' /etc/sudo.conf", ALL, "sudo_degraded"),
    "no audit line of ours": ("sed -i /hallpass_audit/d /etc/sudo.conf", ALL, "sudo_degraded"),
    "no policy line of ours": ("sed -i /hallpass_policy/d /etc/sudo.conf", ALL, "sudo_degraded"),
    "stock policy beside ours": ("echo Plugin sudoers_policy sudoers.so >>/etc/sudo.conf", NOBODY, None),
    "registry missing": (f"rm -r {SESSIONS}", ALL, None),
    "registry that others can read": (f"chmod 755 {SESSIONS}", ALL, "sudo_degraded"),
    "registry that others can write": (f"chmod 777 {SESSIONS}", ALL, "sudo_degraded"),
    "registry of another owner": (f"chown alice {SESSIONS}", ALL, "sudo_degraded"),
    "registry that is a link": (f"mv {SESSIONS} /run/s; ln -s /run/s {SESSIONS}", ALL, "sudo_degraded"),
    "record cut short": (f"truncate -s 40 {SESSIONS}/$ALICE {SESSIONS}/$DAVE", ALL, "sudo_degraded"),
    "record empty": (f": >{SESSIONS}/$ALICE; : >{SESSIONS}/$DAVE", ALL, "sudo_degraded"),
    "record of random bytes": (f"head -c 300 /dev/urandom >{SESSIONS}/$ALICE", ALL, "sudo_degraded"),
    "record that others can write": (f"chmod 666 {SESSIONS}/$ALICE", ALL, "sudo_degraded"),
    "record of another owner": (f"chown alice {SESSIONS}/$ALICE", ALL, "sudo_degraded"),
    "record with two names": (f"ln {SESSIONS}/$ALICE {SESSIONS}/99999", ALL, "sudo_degraded"),
    "record of another session": (f"cat {SESSIONS}/$BOB >{SESSIONS}/$ALICE", ALL, "sudo_degraded"),
    "record gone": (f"rm {SESSIONS}/$ALICE", ALL, None),
}


@pytest.mark.parametrize("case", BREAK)
def test_nothing_runs_by_a_grant(site, people, case):
    script, keeps, event = BREAK[case]
    site.host.run("systemctl", "stop", "hallpass-agent", check=True)   # it would mend some of it
    env = {who.upper(): people[who].audit for who in people}
    before = site.host.cursor()
    r = site.host.sh(script, env=env)
    assert r.ok, repr(r)
    assert not granted(people)
    if case.startswith("plugin") and keeps == ALL:   # it does not promise what it then refuses
        listed = people["alice"]("sudo -n -l")
        assert "whoami" not in listed.out and "grants do not count here" in listed.both, repr(listed)
    found = {name for name, works in (("standing", standing(people)), ("console", console(site))) if works}
    assert found == keeps
    told = [e["HALLPASS_EVENT"] for e in site.host.journal("SYSLOG_IDENTIFIER=hallpass", after=before)]
    assert event is None or event in told, told
    whole = {"dave"} if "$ALICE" in script and "$DAVE" not in script else set()
    assert not [e for e in site.records(before, "sudo_allowed") if "HALLPASS_GRANT" in e and e["HALLPASS_ACCOUNT"] not in whole]


def nth_failure(site, what):
    site.host.write("/etc/nth-failure", what + "\n")


def answer(people, who, line, may_abort=False):
    r = people[who](line)
    assert r.code < 128 or (may_abort and r.code == 134), f"killed by signal {r.code - 128}: {r!r}"
    return r


@pytest.mark.parametrize("kind", ["memory", "files"])
@pytest.mark.parametrize("from_there_on", [False, True], ids=["one fails", "all fail from there on"])
def test_every_allocation_and_descriptor_of_the_plugin(site, people, kind, from_there_on):
    """At each of them in turn: an error or stock sudo, never a crash and never more."""
    nth_failure(site, f"{kind} 0")
    site.host.write("/etc/ld.so.preload", SHIM + "\n")
    people["alice"]("sudo -n whoami")
    words = site.host.path("/run/nth-failure").read_text().split()
    total = int(words[words.index(kind) + 1])
    assert total > {"memory": 50, "files": 5}[kind], words
    # Without memory for its reserve the C++ runtime cannot throw: it aborts, and nothing has run.
    may_abort = kind == "memory" and from_there_on
    worked = {"alice": 0, "dave": 0}
    steps = range(1, total + 1, max(1, total // 60))
    for n in steps:
        nth_failure(site, f"{kind} {-n if from_there_on else n}")
        ours = answer(people, "alice", "sudo -n whoami", may_abort)
        assert (ours.code == 0) == ("root" in ours.out.splitlines()), f"{kind} {n}: {ours!r}"
        other = answer(people, "alice", "sudo -n id -g", may_abort)
        assert other.code != 0 and "\n0\n" not in f"\n{other.out}", f"{kind} {n}: {other!r}"
        stock = answer(people, "dave", "sudo -n id -g", may_abort)
        assert (stock.code == 0) == ("0" in stock.out.splitlines()), f"{kind} {n}: {stock!r}"
        worked["alice"] += ours.code == 0
        worked["dave"] += stock.code == 0
    assert worked["alice"] < len(steps), "no failure did anything"
    if kind == "files":   # without memory the answer may be an error, without descriptors the site's rules go on
        assert worked["dave"] == len(steps)


@pytest.mark.parametrize("limit", [f"-n {n}" for n in (0, 3, 4, 5, 6, 7, 8, 10, 12)] +
                         [f"-v {n}" for n in (4000, 8000, 12000, 20000, 40000)] +
                         ["-d 100", "-d 2000", "-s 64", "-f 0", "-l 0", "-u 1", "-c 0", "-t 1"])
def test_limits_that_a_user_sets(site, people, limit):
    """sudo lifts most of them before it loads us; whatever is left must not give more."""
    def under(who, line):
        return people[who](f"(ulimit {limit}; exec {line})")
    ours, other = under("alice", "sudo -n whoami"), under("alice", "sudo -n id -g")
    assert (ours.code == 0) == ours.out.endswith("root\n"), repr(ours)
    assert other.code != 0 and "\n0\n" not in f"\n{other.out}", repr(other)
    stock, refused = under("dave", "sudo -n id -g"), under("dave", "sudo -n cat /etc/shadow")
    assert (stock.code == 0) == stock.out.endswith("0\n"), repr(stock)
    assert refused.code != 0 and "root:" not in refused.out, repr(refused)


def test_without_the_agent_it_decides_and_expires(site, people):
    before = site.host.cursor()
    grant = site.grant("bob", "brief", by="carol", duration=7)
    site.host.run("systemctl", "stop", "hallpass-agent", check=True)
    assert people["bob"]("sudo -n /usr/bin/hostname").out.strip() == "web-3"
    entry = site.host.await_journal(HALLPASS_EVENT="sudo_allowed", after=before)
    assert entry["HALLPASS_GRANT"] == grant.id and entry["_COMM"] == "sudo"   # to journald itself
    end = int(datetime.datetime.fromisoformat(entry["HALLPASS_EXPIRES"].replace("Z", "+00:00")).timestamp())
    r = people["bob"]("while sudo -n /usr/bin/hostname; do date +%s; sleep 0.2; done; date +%s")
    times = [int(line) for line in r.out.splitlines() if line.isdigit()]
    assert len(times) > 2 and times[-2] < end <= times[-1] + 2, (times, end)   # not in the last second: sudo counts in whole ones
