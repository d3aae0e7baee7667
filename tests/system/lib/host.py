"""Real throw-away hosts for tests: systemd as PID 1, journald, logind and sshd, up in about three seconds, gone without a trace.

A host is an overlay of this machine's / without its /home, /root and whatever else does not belong on a server (boot_host.py).
Needs root, systemd-container and openssh-server; it does not need systemd as PID 1 here. Hosts are independent of each other, so
several test runs may share a machine.
"""
import atexit
import ctypes
import json
import os
import pathlib
import queue
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

LIB = pathlib.Path(__file__).resolve().parent
BOOT_SECONDS = 60
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_live: "set[Host]" = set()


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def cgroup2_root() -> pathlib.Path:
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] == "cgroup2":
            return pathlib.Path(before.split()[4])
    raise RuntimeError("no cgroup2 file system is mounted; a host's systemd needs one")


class Result:
    """What a command did. `out` and `err` are text; `ok` is exit status 0."""

    def __init__(self, argv, code, out, err, seconds):
        self.argv, self.code, self.seconds = argv, code, seconds
        self.out, self.err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    @property
    def ok(self):
        return self.code == 0

    @property
    def both(self):
        return self.out + self.err

    def __repr__(self):
        return (f"exit {self.code} after {self.seconds:.2f} s: {' '.join(map(str, self.argv))}\n"
                f"--- stdout\n{self.out}\n--- stderr\n{self.err}")


def call(argv, *, stdin=None, timeout=60, env=None, cwd=None) -> Result:
    argv = [str(a) for a in argv]
    data = stdin.encode() if isinstance(stdin, str) else stdin
    started = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=env, cwd=cwd, start_new_session=True, preexec_fn=_die_with_parent)
    try:
        out, err = process.communicate(data, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout} s: {' '.join(argv)}\n{out!r}\n{err!r}") from None
    return Result(argv, process.returncode, out, err, time.monotonic() - started)


def eventually(what, probe, *, within=10.0, every=0.05):
    """The first true value of probe(); fails, naming what was awaited, when there is none in time."""
    deadline = time.monotonic() + within
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within} s: {what} (last seen: {value!r})")
        time.sleep(every)


class Host:
    def __init__(self, *, hostname="web-3", users=None, groups=(), trees=(), files=None, links=None, before_boot=(), binds=None,
                 clock=False, size="2G", base="/"):
        """users: {name: [groups]}; trees: directories copied over /; files: {path: text or (mode, text)};
        binds: {directory here: path there}; clock: the whole host obeys set_clock(); base: another release's tree in place of this
        machine's /."""
        self.hostname = hostname
        self.machine = f"hallpass-{os.getpid()}-{secrets.token_hex(3)}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"hallpass-{os.getpid()}-host-"))
        self.users = dict(users or {})
        self._files = {p: (t if isinstance(t, tuple) else (0o644, t)) for p, t in (files or {}).items()}
        self._trees, self._links = list(trees), dict(links or {})
        self._groups, self._before_boot = list(groups), list(before_boot)
        self._binds = {str(k): v for k, v in (binds or {}).items()}
        self._size, self._base = size, str(base)
        self.clock = clock
        self._process = self._notify = None
        self.leader = None
        self.boot_seconds = None

    # --- life
    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def start(self) -> "Host":
        _install_cleanup()
        _sweep_stale()
        started = time.monotonic()
        _live.add(self)
        call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.hostname, "-f", self.dir / "host_key"])
        pub = (self.dir / "host_key.pub").read_text()
        (self.dir / "known_hosts").write_text(f"* {pub}")
        self.cgroup = cgroup2_root() / self.machine
        self.cgroup.mkdir()
        if self.clock:
            self._add_clock()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"\0{self.machine}")
        self._notify.settimeout(0.2)
        self._ready = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(self._notify,), daemon=True).start()
        config = {"hostname": self.hostname, "machine": self.machine, "machine_id": secrets.token_hex(16), "size": self._size, "base": self._base,
                  "cgroup": str(self.cgroup), "host_key": (self.dir / "host_key").read_text(), "host_key_pub": pub,
                  "users": self.users, "groups": self._groups, "trees": [str(t) for t in self._trees], "files": self._files,
                  "links": self._links, "before_boot": self._before_boot, "binds": self._binds}
        self.machine_id = config["machine_id"]
        self._console = open(self.dir / "console", "wb")
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "NOTIFY_SOCKET": f"@{self.machine}"}
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "/usr/bin/python3", str(LIB / "boot_host.py")],
            stdin=subprocess.PIPE, stdout=self._console, stderr=self._console, env=env, cwd="/", start_new_session=True,
            preexec_fn=_die_with_parent)
        self._process.stdin.write(json.dumps(config).encode())
        self._process.stdin.close()
        self._wait_ready()
        self.boot_seconds = time.monotonic() - started
        return self

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the host did not boot (exit {self._process.returncode}):\n{self.console()}")
            try:
                self._ready.get(timeout=0.2)
            except queue.Empty:
                continue
            self.leader = self._find_leader()
            return
        raise RuntimeError(f"the host was not up after {BOOT_SECONDS} s:\n{self.console()}")

    def _listen(self, notify) -> None:
        """As long as the host lives: its PID 1 also tells each time it reads its files again, and would wait for us to listen."""
        while self._notify is notify:
            try:
                message = notify.recv(4096).decode()
            except TimeoutError:
                continue
            except OSError:   # closed
                return
            if "READY=1" in message.splitlines():
                self._ready.put(message)

    def _find_leader(self) -> int:
        """The host's PID 1, by the number it has here: nspawn knows another one, for it runs in a PID namespace of its own."""
        for procs in self.cgroup.rglob("cgroup.procs"):
            for pid in procs.read_text().split():
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
                if len(numbers) >= 3 and numbers[-1] == "1":
                    return int(pid)
        raise RuntimeError(f"no process of {self.machine} is a PID 1")

    def reboot(self, by=None) -> None:
        """`by`: what makes it reboot, other than root's systemctl."""
        while not self._ready.empty():
            self._ready.get()
        old = self.leader
        if by is not None:
            by()
        else:
            call(["nsenter", "-t", old, "-a", "systemctl", "reboot", "--no-wall", "--no-block"])
        self.leader = None
        self._wait_ready()
        assert self.leader != old

    def stop(self) -> None:
        """Ends every process of the host at once, then waits until nothing of it is left."""
        _live.discard(self)
        if self._process is not None:
            try:
                (self.cgroup / "cgroup.kill").write_text("1")
            except OSError:
                pass
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process = None
        cgroup = getattr(self, "cgroup", None)
        if cgroup is not None and cgroup.is_dir():
            _remove_cgroup(cgroup)
        if getattr(self, "_notify", None) is not None:
            self._notify.close()
            self._console.close()
            self._notify = None
        shutil.rmtree(self.dir, ignore_errors=True)

    def console(self) -> str:
        return (self.dir / "console").read_text(errors="replace")[-6000:]

    def connect(self, other: "Host", mine: str, theirs: str) -> None:
        """A cable between two hosts, with an address (a.b.c.d/n) at each end."""
        def there(host, *argv):
            r = call(["nsenter", "-t", host.leader, "-n", *argv])
            if not r.ok:
                raise RuntimeError(repr(r))
        there(self, "ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable0", "netns", str(other.leader))
        for host, address in ((self, mine), (other, theirs)):
            there(host, "ip", "address", "add", address, "dev", "cable0")
            there(host, "ip", "link", "set", "cable0", "up")

    # --- inside
    def path(self, path) -> pathlib.Path:
        """The host's file as seen from here. Follows no absolute symlink of the host's."""
        return pathlib.Path(f"/proc/{self.leader}/root") / str(path).lstrip("/")

    def upper(self) -> pathlib.Path:
        """The overlay's upper layer: every file that is not as in the tree the host is made from."""
        return pathlib.Path(f"/proc/{self._process.pid}/root/run/host/upper")

    def write(self, path, content, mode=0o644, owner="root:root") -> None:
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        temp = target.with_name(target.name + ".test-new")
        temp.write_bytes(data)
        temp.chmod(mode)
        if owner != "root:root":
            self.run("chown", owner, str(path) + ".test-new", check=True)
        temp.rename(target)

    def run(self, *argv, user=None, stdin=None, timeout=60, check=False, env=None, cwd=None) -> Result:
        """Runs a command in the host, as root or `user` (with that user's HOME, no session)."""
        command = ["nsenter", "-t", self.leader, "-a"]
        if user:
            command += ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--reset-env"]
        environment = {"HOME": f"/home/{user}" if user else "/root", "USER": user or "root", "LANG": "C.UTF-8",
                       "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})}
        command += ["env", "-C", cwd or (environment["HOME"]), "-i", *[f"{k}={v}" for k, v in environment.items()], *argv]
        result = call(command, stdin=stdin, timeout=timeout)
        if check and not result.ok:
            raise AssertionError(repr(result))
        return result

    def sh(self, script, **kw) -> Result:
        return self.run("bash", "-c", script, **kw)

    def restart(self, unit) -> None:
        self.run("systemctl", "reset-failed", unit)
        self.run("systemctl", "restart", unit, check=True)

    # --- from outside, over the host's network
    def ssh_argv(self, user, key, *args, options=(), program="ssh"):
        target = [f"{user}@127.0.0.1"] if user and program == "ssh" else []
        argv = ["nsenter", "-t", str(self.leader), "-n", program, "-F", "/dev/null"]
        for option in options:   # the first value that ssh sees counts
            argv += ["-o", option]
        argv += ["-o", f"UserKnownHostsFile={self.dir}/known_hosts",
                "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "ConnectTimeout=10",
                "-o", "LogLevel=INFO"]
        keys = [key] if isinstance(key, (str, os.PathLike)) else (key or [])
        if not any(str(o).startswith("PreferredAuthentications") for o in options):
            argv += ["-o", "BatchMode=yes", "-o", "PreferredAuthentications=publickey"]
        for k in keys:
            argv += ["-i", str(k)]
        return argv + target + [str(a) for a in args]

    def ssh(self, user, key, *args, options=(), stdin=None, timeout=60) -> Result:
        """Real OpenSSH against the real sshd. `key`: a private key file, or several. The exit status is ssh's own."""
        return call(self.ssh_argv(user, key, *(args or ("true",)), options=options), stdin=stdin, timeout=timeout)

    def background_ssh(self, user, key, *args, options=()) -> subprocess.Popen:
        return subprocess.Popen(self.ssh_argv(user, key, *args, options=options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)

    # --- journal
    def journal(self, *matches, after=None, unit=None, **fields):
        """Entries as dicts, oldest first: journal("_COMM=sshd"), journal(HALLPASS_EVENT="login_admitted")."""
        argv = ["journalctl", "-o", "json", "--all", "--no-pager", "-q"]
        if after:
            argv.append(f"--cursor={after}")   # --after-cursor drops a match when the cursor's own entry matches nothing
        if unit:
            argv += ["-u", unit]
        argv += [*matches, *[f"{k}={v}" for k, v in fields.items()]]
        result = self.run(*argv, check=False)
        entries = [json.loads(line) for line in result.out.splitlines() if line.startswith("{")]
        return [e for e in entries if e["__CURSOR"] != after]

    def cursor(self) -> str:
        """The newest entry there is: journal(after=...) gives what comes later."""
        self.run("journalctl", "--sync")
        return json.loads(self.run("journalctl", "-n1", "-o", "json", "-q", "--no-pager", check=True).out)["__CURSOR"]

    def await_journal(self, *matches, after=None, within=10, where=None, **fields):
        wanted = " ".join([*matches, *[f"{k}={v}" for k, v in fields.items()]])

        def probe():
            found = self.journal(*matches, after=after, **fields)
            return [e for e in found if where is None or where(e)]
        return eventually(f"a journal entry {wanted}", probe, within=within, every=0.1)[-1]

    def journal_tail(self, lines=40) -> str:
        if self.leader is None:
            return self.console()
        out = call(["nsenter", "-t", self.leader, "-a", "journalctl", "-n", lines, "--no-pager", "-o", "short-precise"]).out
        return f"--- journal of {self.hostname}\n{out}"

    # --- clock
    def _add_clock(self) -> None:
        from . import clock
        self._clock = clock.Clock(self)

    def set_clock(self, offset=0.0, frozen_at=None, synchronised=True, slept=0.0) -> None:
        """The host's wall clock, for all its processes: `offset` seconds from the true one, or standing still at `frozen_at`.
        Monotonic clocks go on. `synchronised` is what adjtimex(2) says. `slept`: CLOCK_BOOTTIME is so many seconds ahead of CLOCK_MONOTONIC,
        as after a suspend (which moves the wall clock, too: say so). The agent hears of it as the kernel would tell it; other timers that were
        set before do not."""
        self._clock.set(offset, frozen_at, synchronised, slept)


def _remove_cgroup(root: pathlib.Path) -> None:
    def attempt():
        for current, dirs, _ in os.walk(root, topdown=False):
            try:
                os.rmdir(current)
            except OSError:
                return False
        return not root.exists()
    eventually(f"{root} is empty", attempt, within=10, every=0.02)


def stop_all() -> None:
    for host in list(_live):
        try:
            host.stop()
        except Exception as e:  # the others must still go
            print(f"stopping {host.machine}: {e}", file=sys.stderr)


_installed = False


def _install_cleanup() -> None:
    global _installed
    if _installed:
        return
    _installed = True
    atexit.register(stop_all)
    if threading.current_thread() is threading.main_thread():
        def on_signal(number, _frame):
            stop_all()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, on_signal)


def _sweep_stale() -> None:
    """Empty cgroups and directories of runs that were killed outright."""
    def dead(name):
        pid = name.split("-")[1]
        return pid.isdigit() and not os.path.exists(f"/proc/{pid}")
    for cgroup in cgroup2_root().glob("hallpass-*-*"):
        if dead(cgroup.name):
            try:
                (cgroup / "cgroup.kill").write_text("1")
                _remove_cgroup(cgroup)
            except (OSError, AssertionError):
                pass
    for left in pathlib.Path(tempfile.gettempdir()).glob("hallpass-*-host-*"):
        if dead(left.name):
            shutil.rmtree(left, ignore_errors=True)
