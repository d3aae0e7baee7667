"""`ssh host true` with hallpass and without, in turns on one booted host: two sshds that differ in nothing else."""
import time

from tests.system.lib.host import eventually

from .conftest import median, quartiles

LIMIT = 1.05
ROUNDS, WARM_UP = 100, 5
PLAIN_PORT = 2222


def add_plain_sshd(host, key):
    """Another sshd with the distribution's own PAM stack: sshd's service is called as its program is."""
    host.run("cp", "/usr/sbin/sshd", "/usr/sbin/plainsshd", check=True)
    host.sh("grep -v pam_hallpass /etc/pam.d/sshd > /etc/pam.d/plainsshd", check=True)
    host.sh(f"(echo Port {PLAIN_PORT}; echo PidFile none; cat /etc/ssh/sshd_config.d/00-test.conf; grep -v ^Include /etc/ssh/sshd_config) "
            "> /etc/ssh/plainsshd_config", check=True)
    host.run("install", "-d", "-m700", "-o", "alice", "-g", "alice", "/home/alice/.ssh", check=True)
    host.write("/home/alice/.ssh/authorized_keys", key.line + "\n", mode=0o600, owner="alice:alice")
    host.write("/etc/systemd/system/plainsshd.service",
               "[Service]\nExecStart=/usr/sbin/plainsshd -D -f /etc/ssh/plainsshd_config\nKillMode=process\n")
    host.run("systemctl", "daemon-reload", check=True)
    host.run("systemctl", "start", "plainsshd", check=True)


def test_ssh(new_site, figures):
    site = new_site()
    site.grant("alice", duration=3600)
    key = site.fleet.key("alice")
    add_plain_sshd(site.host, key)

    def login(options):
        start = time.perf_counter()
        result = site.ssh("alice", "alice", "true", options=options)
        taken = time.perf_counter() - start
        assert result.code == 0, repr(result)
        return taken

    ways = {"with": [], "without": ["Port=%d" % PLAIN_PORT]}
    eventually("the plain sshd answers", lambda: site.ssh("alice", "alice", "true", options=ways["without"]).code == 0)
    taken = {way: [] for way in ways}
    for n in range(ROUNDS + WARM_UP):
        for way in sorted(ways, reverse=n % 2 == 0):
            seconds = login(ways[way])
            if n >= WARM_UP:
                taken[way].append(seconds)
    admitted = [e for e in site.host.journal(HALLPASS_EVENT="login_admitted")]
    assert len(admitted) >= ROUNDS, "the sshd on port 22 does not ask hallpass"
    assert len(admitted) <= ROUNDS + WARM_UP + 2, "the plain sshd asks hallpass too"
    pairs = [w - o for w, o in zip(taken["with"], taken["without"])]
    for way, values in taken.items():
        low, high = quartiles(values)
        print(f"  {way:8} hallpass: median {median(values) * 1e3:.1f} ms, quartiles {low * 1e3:.1f} to {high * 1e3:.1f}, least {min(values) * 1e3:.1f}")
    print(f"  difference of a pair: median {median(pairs) * 1e3:+.2f} ms")
    figures.ratio("ssh", median(taken["with"]) / median(taken["without"]), LIMIT, f"{ROUNDS} pairs")
