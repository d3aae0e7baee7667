"""Another release of Debian, without booting it: its tree under an overlay, a bash of a person's in it that the registry of sessions
knows, and an agent's place taken by the test (a snapshot made by hand, the socket that takes the journal's entries)."""
import contextlib
import hashlib
import os
import pathlib
import secrets
import select
import shutil
import socket
import subprocess
import tempfile

from tests.system.lib.host import call, cgroup2_root
from tests.system.lib.shell import Shell
from tests.system.lib.sudo import sudo_conf

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build/sudo-versions"
PACKAGES = "sudo,g++,flatbuffers-compiler,libflatbuffers-dev,liblmdb-dev,libxxhash-dev"
MIRROR = os.environ.get("HALLPASS_MIRROR", "http://deb.debian.org/debian")
SUDOERS = """\
Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
dave ALL=(root) NOPASSWD: /usr/bin/id, /usr/bin/printenv
"""
DEFAULTS = "\n".join(line for line in SUDOERS.splitlines() if line.startswith("Defaults")) + "\n"


def tree(suite) -> pathlib.Path:
    """The release's files with a compiler; made once."""
    path = CACHE / suite
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        new = path.with_name(suite + ".new")
        shutil.rmtree(new, ignore_errors=True)
        made = call(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, new, MIRROR], timeout=1200)
        if not made.ok:
            raise RuntimeError(f"debootstrap {suite}: {made.both[-3000:]}")
        for deb in (new / "var/cache/apt/archives").glob("*.deb"):
            deb.unlink()
        new.rename(path)
    return path


def source_digest() -> str:
    digest = hashlib.sha256(pathlib.Path(__file__).with_name("build_plugin.sh").read_bytes())
    for folder in ("core/values", "host", "sudo_plugin"):
        for path in sorted((ROOT / folder).iterdir()):
            if path.is_file():
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


class Release:
    def __init__(self, suite, build, stage):
        self.suite, self.build, self.stage = suite, build, stage
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"hallpass-{suite}-"))
        self.root = self.dir / "root"
        self.cgroup = cgroup2_root() / f"hallpass-versions-{secrets.token_hex(4)}"
        self.shells = []

    def __enter__(self):
        lower = tree(self.suite)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "hallpass-test", self.dir], check=True)
        for name in ("upper", "work", "root"):
            (self.dir / name).mkdir()
        subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={self.dir}/upper,workdir={self.dir}/work", "overlay", self.root], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", self.root / "proc"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "run", self.root / "run"], check=True)
        subprocess.run(["mount", "--rbind", "/dev", self.root / "dev"], check=True)
        for left in cgroup2_root().glob("hallpass-versions-*"):   # of runs that were killed
            with contextlib.suppress(OSError):
                left.rmdir()
        self.cgroup.mkdir()
        for user in ("alice", "dave"):
            self.run("useradd", "-m", "-s", "/bin/bash", user)
        self.install()
        return self

    def __exit__(self, *_):
        for shell in self.shells:
            shell.close()
        (self.cgroup / "cgroup.kill").write_text("1")
        self.events.close()
        subprocess.run(["umount", "-R", "-l", self.dir], check=True)
        self.dir.rmdir()
        while True:
            try:
                return self.cgroup.rmdir()
            except OSError:
                select.select([], [], [], 0.05)

    # --- what it is made of
    def path(self, path) -> pathlib.Path:
        return self.root / str(path).lstrip("/")

    def write(self, path, content, mode=0o644):
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    def run(self, *argv, **kw):
        r = call(["chroot", self.root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", *argv], **kw)
        assert r.ok, repr(r)
        return r

    def plugin(self) -> pathlib.Path:
        """hallpass_sudo.so as this release's own tools build it; kept until a source changes."""
        kept = CACHE / f"{self.suite}-{source_digest()}.so"
        if not kept.exists():
            for old in CACHE.glob(f"{self.suite}-*.so"):
                old.unlink()
            src = self.path("/src")
            src.mkdir()
            for folder in ("core", "host", "sudo_plugin", "tests/sudo_versions"):
                shutil.copytree(ROOT / folder, src / folder)
            self.run("/src/tests/sudo_versions/build_plugin.sh", "/src", "/root/hallpass_sudo.so", timeout=1200)
            shutil.rmtree(src)
            shutil.copy(self.path("/root/hallpass_sudo.so"), kept.with_suffix(".new"))
            kept.with_suffix(".new").rename(kept)
        return kept

    def install(self):
        self.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self.write("/etc/hosts", "127.0.0.1 localhost\n127.0.0.1 " + os.uname().nodename + "\n")
        self.write("/etc/sudoers", SUDOERS, 0o440)
        self.write("/etc/sudo.conf", sudo_conf(self.stage))
        self.write("/usr/lib/hallpass/hallpass_sudo.so", self.plugin().read_bytes())
        sealed = call([self.build / "tests/support/make_snapshot", "--seal-defaults"], stdin=DEFAULTS).out
        self.write("/var/lib/hallpass/sudoers.defaults", sealed, 0o400)
        self.path("/var/lib/hallpass").chmod(0o700)
        self.path("/run/hallpass").mkdir(mode=0o755)
        self.path("/run/hallpass/sessions").mkdir(mode=0o700)
        self.events = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.events.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        at = os.open(self.path("/run/hallpass"), os.O_PATH)   # a socket's path must be short
        self.events.bind(f"/proc/self/fd/{at}/events")
        os.close(at)

    # --- what the agent would do
    def snapshot(self, *records):
        argv = [self.build / "tests/support/make_snapshot", self.path("/var/lib/hallpass/admissions.mdb"), "--machine-id-file",
                self.path("/etc/machine-id"), *records]
        made = call(argv)
        assert made.ok, repr(made)

    def told(self) -> list:
        """The journal's entries since the last call."""
        entries = []
        while select.select([self.events], [], [], 0.2)[0]:
            entries.append(fields(self.events.recv(1 << 20)))
        return entries

    # --- people
    def shell(self, who) -> Shell:
        """who's bash, in an audit session that the registry knows."""
        def enter():
            (self.cgroup / "cgroup.procs").write_text("0")
            pathlib.Path("/proc/self/loginuid").write_text(uid)
            os.chroot(self.root)
            os.chdir("/")
        uid = self.run("id", "-u", who).out.strip()
        process = subprocess.Popen(["setpriv", "--reuid", who, "--regid", who, "--init-groups", "--reset-env", "bash", "--norc"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=enter,
                                   start_new_session=True)
        shell = Shell.of(process)
        self.shells.append(shell)
        made = call([self.build / "tests/support/make_session", self.path("/run/hallpass/sessions"), process.pid, who, uid, who])
        assert made.ok and made.out.strip() == shell.audit, repr(made)
        return shell


def fields(datagram: bytes) -> dict:
    """docs/formats.md, the journal's native form."""
    out = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, rest = rest[8:8 + size], rest[9 + size:]
        out[name.decode()] = value.decode("utf-8", "replace")
        datagram = rest
    return out
