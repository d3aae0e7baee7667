"""A host on which packages get installed by dpkg and apt, as ops do it, and what access to it looks like."""
import hashlib
import os
import pathlib
import re
import signal
import stat
import subprocess
import threading
import time

from ..system.lib.fleet import Fleet, keygen
from ..system.lib.host import Host, _die_with_parent, call
from ..system.lib.site import INBOX, Site

DEBS = "/srv/packages"
# Where logins and sudo are configured, and where lines for them could be put.
ACCESS = ("etc/pam.d", "etc/pam.conf", "etc/ssh", "etc/sudo.conf", "etc/sudoers", "etc/sudoers.d", "etc/nsswitch.conf", "etc/polkit-1",
          "etc/security", "etc/profile.d", "etc/systemd/system/session-.scope.d", "usr/lib/systemd/system/session-.scope.d",
          "usr/share/polkit-1/rules.d", "usr/share/pam-configs", "etc/ld.so.preload", "etc/ld.so.conf.d")
SUDOERS = """\
ops ALL=(ALL:ALL) NOPASSWD: ALL
alice ALL=(root) NOPASSWD: /usr/bin/id
"""


def looks(path: pathlib.Path):
    """What a file is: type, mode, owner, content."""
    try:
        s = path.lstat()
    except FileNotFoundError:
        return None
    what = (stat.filemode(s.st_mode), s.st_uid, s.st_gid)
    if stat.S_ISLNK(s.st_mode):
        return (*what, os.readlink(path))
    if stat.S_ISREG(s.st_mode):
        return (*what, hashlib.sha256(path.read_bytes()).hexdigest())
    return what


def tree(root: pathlib.Path, under) -> dict:
    out = {}
    for top in under:
        start = root / top
        for path in [start, *sorted(start.rglob("*"))] if start.is_dir() else [start]:
            out[str(path.relative_to(root))] = looks(path)
    return out


class Machine(Site):
    """ops: a member of the exempt group with all of sudo; alice: key file and one sudo rule; bob: key file; root: key file. The fleet's policy has
    runbooks for alice and bob. Nothing of hallpass is there but the group, unless `configured`."""

    def __init__(self, *, fleet=None, base="/", size="2G", configured=True, files=None, hostname="web-3", users=("alice", "bob", "carol")):
        self.fleet = fleet or Fleet()
        self._own_fleet = fleet is None
        self.keep, self.granted = set(), []
        self.rescue = self.ops = keygen(self.fleet.dir / f"ops-{os.urandom(4).hex()}")
        accounts = {u: [] for u in users} | {"deploy": [], "ops": ["hallpass-exempt"]}
        self.keys = {"ops": self.ops.path, "root": self.ops.path, "alice": self.fleet.path("alice"), "bob": self.fleet.path("bob")}
        pre = {"/home/ops/.ssh/authorized_keys": self.ops.line + "\n", "/root/.ssh/authorized_keys": self.ops.line + "\n",
               "/etc/sudoers.d/site": (0o440, SUDOERS)}
        for who in ("alice", "bob"):
            pre[f"/home/{who}/.ssh/authorized_keys"] = self.fleet.key(who).line + "\n"
        if configured:
            pre |= self.configuration(hostname)
        before = [["rm", "-rf", "/usr/sbin/policy-rc.d", "/var/lib/hallpass"], ["mkdir", "-p", "/var/cache/apt/archives/partial"],
                  ["touch", "/var/log/dpkg.log"]]
        if not configured:
            before.append(["rmdir", "/etc/hallpass"])
        self.host = Host(hostname=hostname, users=accounts, groups=["hallpass-exempt"], files=pre | (files or {}), before_boot=before, size=size, base=base)

    def configuration(self, hostname="web-3") -> dict:
        text = self.fleet.policy()
        return {"/etc/hallpass/host.toml": f'name = "{hostname}"\nlabels = {{ env = "prod", role = "web" }}\ndirectories = ["{INBOX}"]\n',
                "/etc/hallpass/trust.toml": self.fleet.trust(), f"{INBOX}/policy.toml": text,
                f"{INBOX}/policy.toml.sig": self.fleet.sign_policy(text)}

    def configure(self):
        for path, text in self.configuration(self.host.hostname).items():
            self.host.write(path, text)
        self.host.restart("hallpass-agent")
        self.host.await_journal(HALLPASS_EVENT="policy_accepted", within=20)

    # --- packages
    def bring(self, debs) -> list:
        """Copies packages onto the host; their paths there."""
        (self.host.path(DEBS)).mkdir(parents=True, exist_ok=True)
        out = []
        for deb in debs:
            self.host.path(f"{DEBS}/{deb.name}").write_bytes(deb.read_bytes())
            out.append(f"{DEBS}/{deb.name}")
        return out

    def apt(self, *args, check=True):
        return self.host.run("apt-get", "-y", "-q", "--no-install-recommends", "--allow-downgrades", "-o", "Dpkg::Use-Pty=0", "-o", "APT::Sandbox::User=root",
                             *args, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=240, check=check)

    def install(self, debs, check=True):
        return self.apt("install", *self.bring(debs), check=check)

    def dpkg(self, *args, check=True):
        return self.host.run("dpkg", *args, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=240, check=check)

    def repair(self, debs):
        """What an admin types after a crash: finish what can be finished, then the same packages again."""
        self.dpkg("--configure", "-a", check=False)
        self.install(debs.host())
        assert self.dpkg("--audit").out == ""
        assert (self.state(), self.version()) == ("installed", debs.version)

    def state(self, name="hallpass-host"):
        """dpkg's word for a package: installed, config-files, half-installed …; not-installed."""
        return self.host.run("dpkg-query", "-W", "-f=${db:Status-Status}", name).out.strip() or "not-installed"

    def version(self, name="hallpass-host"):
        return self.host.run("dpkg-query", "-W", "-f=${Version}", name).out.strip()

    # --- hallpass
    def hallpass(self, *args, check=True, timeout=240):
        return self.host.run("hallpass", "host", *args, check=check, timeout=timeout)

    def confirm(self):
        """From a new login of ops, with sudo."""
        r = self.ssh("ops", self.ops, "sudo -n hallpass host confirm")
        assert r.ok, repr(r)
        return r

    def agent_pid(self):
        return self.host.run("systemctl", "show", "-P", "MainPID", "hallpass-agent").out.strip()

    # --- what access is like
    def logs_in(self, who, key=None):
        r = self.host.ssh(who, key or self.keys[who], "echo in as $(id -un)")
        return r.code == 0 and r.out == f"in as {who}\n"

    def sudo_works(self):
        """sudo of ops from a login, and root's own."""
        by_ops = self.host.ssh("ops", self.ops.path, "sudo -n id -u")
        by_root = self.host.run("sudo", "-n", "id", "-u")
        return by_ops.out == "0\n" and by_root.out == "0\n"

    def people(self) -> dict:
        """Who gets in, and whether sudo works."""
        return {**{f"ssh {who}": self.logs_in(who) for who in ("alice", "bob", "ops")}, "a stranger's key": self.logs_in("alice", self.fleet.path("carol")),
                "sudo": self.sudo_works()}

    def doors(self) -> dict:
        """Everything that access consists of: files, what sshd makes of them, what people can really do."""
        h, out = self.host, {}
        out["files"] = tree(h.path("/"), ACCESS)
        for who in ("", "alice", "bob", "ops", "root"):
            r = h.run("sshd", "-T", *(["-C", f"user={who},host=x,addr=127.0.0.1"] if who else []))
            out[f"sshd -T {who}"] = (r.code, r.out)
        for who in ("alice", "bob", "ops", "root"):
            out[f"ssh {who}"] = self.logs_in(who)
        out["a stranger's key"] = self.logs_in("alice", self.fleet.path("carol"))
        for who, line in (("ops", "sudo -n id -u"), ("ops", "sudo -n -u bob id -un"), ("alice", "sudo -n id -u"), ("alice", "sudo -n true"), ("bob", "sudo -n id"),
                          ("ops", "sudo -l"), ("alice", "sudo -n -l")):
            r = h.ssh(who, self.keys[who], line)
            out[f"{who}: {line}"] = (r.code, r.out, r.err)
        out["root: sudo"] = h.run("sudo", "-n", "id", "-u").out
        out["sudo -V"] = h.run("sudo", "-V").out
        for service, who in (("su", "alice"), ("su", "root"), ("sshd", "alice"), ("sudo", "ops"), ("login", "bob"), ("cron", "alice")):
            r = h.run("pamtester", service, who, "acct_mgmt")
            out[f"pam {service} {who}"] = (r.code, r.out, r.err)
        return out

    def works(self):
        """What must be true at every moment, before and after: alice (key file, and a grant), ops, and sudo."""
        broken = [what for what, fine in (("ssh alice", lambda: self.logs_in("alice")), ("ssh ops", lambda: self.logs_in("ops")), ("sudo", self.sudo_works))
                  if not fine()]
        assert not broken, f"{broken} do not work; {self.host.sh('ls -la /etc/pam.d/ /etc/ssh/sshd_config.d /etc/sudo.conf; cat /etc/pam.d/sshd; systemctl status ssh --no-pager').out}"

    # --- the disk
    def fill(self, leave_kib=0):
        """Leaves so much room on the host's disk."""
        self.free()
        room = os.statvfs(self.host.path("/var"))
        with open(self.host.path("/var/full"), "wb") as f:
            os.posix_fallocate(f.fileno(), 0, max(room.f_bavail * room.f_frsize - leave_kib * 1024, 1))

    def free(self):
        self.host.path("/var/full").unlink(missing_ok=True)

    # --- the whole file system
    def changed_files(self) -> dict:
        """Every file that is not as in the tree the host was made from, as it looks now."""
        upper, root = self.host.upper(), self.host.path("/")
        return {str(p.relative_to(upper)): looks(root / p.relative_to(upper)) for p in upper.rglob("*")}

    def differences(self, before: dict, base=pathlib.Path("/")) -> list:
        """What looks other than in `before`, a changed_files() of then."""
        root, now = self.host.path("/"), self.changed_files()
        out = []
        for path in sorted(set(before) | set(now)):
            then = before[path] if path in before else looks(base / path)
            if looks(root / path) != then:
                out.append(path)
        return out


class Going:
    """A command that runs in the host while the test looks on, or kills it."""

    def __init__(self, machine, argv):
        environment = ["DEBIAN_FRONTEND=noninteractive", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        self.started, self.out = time.monotonic(), ""
        self.process = subprocess.Popen(["nsenter", "-t", str(machine.host.leader), "-a", "env", "-i", *environment, *map(str, argv)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_die_with_parent)

    def end(self) -> bool:
        """Waits for it; whether it succeeded."""
        self.out += self.process.communicate()[0].decode(errors="replace")
        self.seconds = time.monotonic() - self.started
        return self.process.returncode == 0

    def kill_after(self, seconds, family=True) -> bool:
        """SIGKILL to it, with all that it started unless `family` is false; whether it had succeeded before."""
        timer = threading.Timer(seconds, self.kill, [family])
        timer.start()
        done = self.end()
        timer.cancel()
        timer.join()
        return done

    def kill(self, family=True):
        children = _family(self.process.pid)
        for pid in children if family else children[:2]:   # nsenter and what it became in there
            _signal(pid, signal.SIGKILL)
        for pid in children:
            _signal(pid, signal.SIGCONT)


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _family(top) -> list:
    """A process and all it started, in whatever sessions, stopped, so that none escapes; parents first."""
    found, queue = [], [top]
    while queue:
        pid = queue.pop(0)
        try:
            os.kill(pid, signal.SIGSTOP)
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            continue
        found.append(pid)
        queue += [int(c) for c in children]
    return found
