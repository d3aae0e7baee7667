"""`sudo -n true` with hallpass and without, in turns within one login session on one booted host."""
import subprocess

from tests.system.lib.host import eventually
from tests.system.lib.site import SNAPSHOT
from tests.system.lib.sudo import SudoSite

from .conftest import median, quartiles

ROUNDS, OF_EACH, WARM_UP = 40, 5, 2
SUDOERS = """\
Defaults env_reset, secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", !use_pty
root ALL=(ALL:ALL) ALL
alice ALL=(root) NOPASSWD: /usr/bin/true
"""
# Runs what a line of its input says and answers with the seconds that each run took.
DRIVER = r"""
import os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
print("ready", flush=True)
for line in sys.stdin:
    count, *argv = line.split()
    times = []
    for _ in range(int(count)):
        start = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=quiet)
        status = os.waitpid(pid, 0)[1]
        times.append(time.perf_counter() - start)
        if status: times = ["failed", status]; break
    print(*times, flush=True)
"""


class Session:
    """alice's login, in which commands run one after the other."""
    def __init__(self, site):
        site.host.write("/usr/local/bin/driver.py", DRIVER)
        self._ssh = site.host.background_ssh("alice", site.fleet.path("alice"), "python3 -u /usr/local/bin/driver.py")
        while (line := self._ssh.stdout.readline()) != b"ready\n":
            assert line, "no session"

    def times(self, *argv):
        self._ssh.stdin.write(f"{OF_EACH} {' '.join(argv)}\n".encode())
        self._ssh.stdin.flush()
        answer = self._ssh.stdout.readline().decode().split()
        assert len(answer) == OF_EACH and answer[0] != "failed", f"{argv}: {answer}"
        return [float(t) for t in answer]

    def close(self):
        self._ssh.stdin.close()
        self._ssh.wait(20)
        self._ssh.stdout.close()


def unwrap(host):
    conf = host.path("/etc/sudo.conf")
    conf.rename(conf.with_name("sudo.conf.off"))


def wrap(host):
    conf = host.path("/etc/sudo.conf")
    conf.with_name("sudo.conf.off").rename(conf)


def compare(host, session, wrapped, stock, sudoers=None):
    """Median seconds of the wrapped and of stock sudo, whose sudoers may be another."""
    own = host.path("/etc/sudoers").read_bytes()
    taken = {"hallpass": [], "stock": []}
    for n in range(ROUNDS + WARM_UP):
        values = {"hallpass": session.times(*wrapped)}
        unwrap(host)
        if sudoers:
            host.write("/etc/sudoers", sudoers, mode=0o440)
        values["stock"] = session.times(*stock)
        if sudoers:
            host.write("/etc/sudoers", own, mode=0o440)
        wrap(host)
        if n >= WARM_UP:
            for way in values:
                taken[way] += values[way]
    for way, all_of in taken.items():
        low, high = quartiles(all_of)
        print(f"  {way:8}: median {median(all_of) * 1e3:.2f} ms, quartiles {low * 1e3:.2f} to {high * 1e3:.2f}, least {min(all_of) * 1e3:.2f}")
    return median(taken["hallpass"]), median(taken["stock"])


def make_snapshot(build, site, records):
    """By hand, with the agent stopped: it would write its own."""
    arguments = site.host.dir / "records"
    arguments.write_text("\n".join(records) + "\n")
    made = site.host.dir / "made.mdb"
    subprocess.run([str(build / "tests/support/make_snapshot"), str(made), "--machine-id", site.host.machine_id, f"@{arguments}"], check=True)
    site.host.write(SNAPSHOT, made.read_bytes(), mode=0o600)


def alices_login(site):
    return ["--admit", "alice", "alice", "id=aaaa-bbbb-cccc", "number=1", "end=+7200", "--key", "alice", "alice", site.fleet.key("alice").bare]


def grants_of_alice(grants, commands):
    records = []
    for g in range(grants):
        records += ["--admit", "alice", "alice", f"id=aaaa-bbbb-{g:04}", f"number={g + 2}", "end=+7200"]
        for c in range(commands):
            records += ["--command", "root", f"run=/usr/bin/systemctl restart service-{g * commands + c}"]
    return records + ["--admit", "alice", "alice", "id=dddd-dddd-dddd", f"number={grants + 2}", "end=+7200", "--command", "root", "run=/usr/bin/true last"]


def rules_of_alice(count):
    lines = [f"alice ALL=(root) NOPASSWD: /usr/bin/systemctl restart service-{n}" for n in range(count)]
    return SUDOERS + "\n".join(lines) + "\nalice ALL=(root) NOPASSWD: /usr/bin/true last\n"


def test_sudo(stage, build, figures):
    with SudoSite(stage, sudoers=SUDOERS) as site:
        host = site.host
        host.await_journal(HALLPASS_EVENT="policy_accepted")
        eventually("the site's Defaults are prepared", lambda: host.path("/var/lib/hallpass/sudoers.defaults").exists())
        site.grant("alice", "login", duration=3600)
        session = Session(site)
        standing = ("/usr/bin/sudo", "-n", "/usr/bin/true")
        print(" without a grant for sudo")
        ours, stock = compare(host, session, standing, standing)
        figures.ratio("sudo, no grant", ours / stock, 1.25, f"{ROUNDS * OF_EACH} of each")
        host.run("systemctl", "stop", "hallpass-agent", check=True)
        host.run("systemctl", "mask", "--runtime", "hallpass-agent")
        others = []
        for n in range(10_000):
            others += ["--admit", f"user{n % 1000}", f"user{n % 1000}", f"number={n + 9}", f"id=bbbb-cccc-{n:04}", "--command", "root", "run=/usr/bin/id"]
        make_snapshot(build, site, alices_login(site) + others)
        print(" without a grant for sudo, 10 000 admissions of others in the store")
        ours, stock = compare(host, session, standing, standing)
        figures.ratio("sudo, 10 000 admissions", ours / stock, 1.30, f"{ROUNDS * OF_EACH} of each")
        make_snapshot(build, site, alices_login(site) + grants_of_alice(1000, 10))
        last = ("/usr/bin/sudo", "-n", "/usr/bin/true", "last")
        print(" 10 000 commands in 1 000 grants, stock sudo with 10 000 rules")
        ours, stock = compare(host, session, last, last, rules_of_alice(10_000))
        figures.ratio("sudo, 10 000 commands", ours / stock, 1.0, f"{ROUNDS * OF_EACH} of each")
        used = [e for e in host.journal(HALLPASS_EVENT="sudo_allowed") if e.get("HALLPASS_GRANT") == "dddd-dddd-dddd"]
        assert len(used) >= ROUNDS * OF_EACH, "the commands did not run under the grant"
        session.close()
