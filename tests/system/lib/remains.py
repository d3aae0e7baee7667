"""What is left of a session, looked at from outside: the kernel's process table, the control groups, logind's files. Nothing here asks hallpass."""
import contextlib
import dataclasses
import os
import pathlib
import time

from .host import cgroup2_root, eventually

UNSET = 0xffffffff


def _read(path) -> str:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(fd, 65536).decode("utf-8", "replace")
    except OSError:   # it ended meanwhile
        return ""
    finally:
        os.close(fd)


def pids():
    return [p for p in os.listdir("/proc") if p.isdigit()]


def stat(pid) -> list:
    """Fields of /proc/<pid>/stat from the third on (state, parent, ...); empty: gone."""
    return _read(f"/proc/{pid}/stat").rpartition(") ")[2].split()


def start_of(pid) -> str:
    fields = stat(pid)
    return fields[19] if len(fields) > 19 else ""


def audits() -> dict:
    """audit session id -> pids. One look at every process of the machine, the dead that nobody has waited for included."""
    found = {}
    for pid in pids():
        text = _read(f"/proc/{pid}/sessionid")
        if text and text != "4294967295":
            found.setdefault(int(text), []).append(pid)
    return found


@dataclasses.dataclass
class Process:
    pid: str
    group: str        # below the host's own
    command: str
    audit: int
    login: int        # loginuid
    uid: int
    state: str
    terminal: int

    def __str__(self):
        return (f"pid {self.pid} ({self.command[:60] or 'no command line'}) state {self.state}, uid {self.uid}, loginuid {self.login}, "
                f"audit {self.audit}, in {self.group}")


def host_group(host) -> str:
    """The control group that is the host's root, as this machine names it."""
    return _read(f"/proc/{host.leader}/cgroup").strip().partition("::")[2].removesuffix("/init.scope")


def processes(host) -> "list[Process]":
    """Everything that runs in the host, seen from this machine."""
    root, found = host_group(host), []
    for pid in pids():
        group = _read(f"/proc/{pid}/cgroup").strip().partition("::")[2]
        if not group.startswith(root + "/"):
            continue
        fields = stat(pid)
        status = _read(f"/proc/{pid}/status")
        if not fields or not status:
            continue
        uid = int(status.partition("\nUid:")[2].split()[0])
        found.append(Process(pid, group.removeprefix(root), _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip(), int(_read(f"/proc/{pid}/sessionid") or UNSET),
                             int(_read(f"/proc/{pid}/loginuid") or UNSET), uid, fields[0], int(fields[4])))
    return found


@dataclasses.dataclass
class Mark:
    """What a session is known by, read while it lives. `pins`: processes that belong to it but have another audit id."""
    audit: int
    logind: str
    group: str
    scope: pathlib.Path
    logind_file: pathlib.Path
    pins: list = dataclasses.field(default_factory=list)   # (pid, start)

    def pin(self, process: Process):
        self.pins.append((process.pid, start_of(process.pid)))

    def pinned(self) -> list:
        return [pid for pid, start in self.pins if start and start_of(pid) == start]

    def stands(self) -> bool:
        """The cheap questions of the poller: all but the audit id."""
        return os.path.exists(self.scope) or os.path.exists(self.logind_file) or bool(self.pinned())


def scope_of(host, pid) -> "Mark | None":
    """The session that this process is in; None: in none."""
    text = _read(f"/proc/{pid}/sessionid")
    root = host_group(host)
    group = _read(f"/proc/{pid}/cgroup").strip().partition("::")[2].removeprefix(root)
    name = group.rpartition("/")[2]
    if not text or int(text) == UNSET or not name.startswith("session-"):
        return None
    logind = name.removeprefix("session-").removesuffix(".scope")
    return Mark(int(text), logind, group, cgroup2_root() / (root + group).lstrip("/"), host.path(f"/run/systemd/sessions/{logind}"))


def _sockets(pid) -> set:
    found = set()
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                to = os.readlink(f"/proc/{pid}/fd/{fd}")
                if to.startswith("socket:["):
                    found.add(to[8:-1])
    return found


def _children(pid) -> list:
    out, table = [str(pid)], {}
    for p in pids():
        fields = stat(p)
        if fields:
            table.setdefault(fields[1], []).append(p)
    for parent in out:
        out += table.get(parent, [])
    return out


def mark_of(host, client, port=22, within=20) -> Mark:
    """The session at the other end of an ssh client's connection: by the two ends of the TCP connection, so it needs no word from the session."""
    def probe():
        for pid in _children(client):
            mine = _sockets(pid)
            rows = [line.split() for line in _read_all(f"/proc/{pid}/net/tcp").splitlines()[1:]]
            for row in rows:
                if row[9] in mine and row[3] == "01" and row[2].endswith(f":{port:04X}"):
                    far = [r[9] for r in rows if r[1] == row[2] and r[2] == row[1]]
                    for p in pids() if far else []:
                        if _read(f"/proc/{p}/comm") == "sshd\n" and far[0] in _sockets(p) and (mark := scope_of(host, p)):
                            return mark
        return None
    return eventually("the session of an ssh client", probe, within=within)


def _read_all(path) -> str:
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def left(host, marks) -> list:
    """What is left of the sessions, in words. Looks at everything, groups below the session's own too."""
    found = []
    all_processes = processes(host)
    listed = {line.split()[0] for line in host.run("loginctl", "list-sessions", "--no-legend").out.splitlines() if line.split()}
    for mark in marks:
        pinned = mark.pinned()
        found += [str(p) for p in all_processes if p.audit == mark.audit or p.pid in pinned or p.group == mark.group or p.group.startswith(mark.group + "/")]
        if mark.scope.exists():
            events = _read(mark.scope / "cgroup.events").split()
            found.append(f"control group {mark.group} ({' '.join(events)})")
            found += [f"control group {g.relative_to(mark.scope.parent)}" for g in mark.scope.rglob("*") if g.is_dir()]
        if mark.logind in listed or mark.logind_file.exists():
            found.append(f"logind session {mark.logind}: {' '.join(_read(mark.logind_file).split()[1:])}")
    return found


def watch(marks: dict, within: float) -> dict:
    """Polls until nothing is left: name -> wall time at which that was first seen. Who is not gone in time is not in it.

    A process can fork between the list of processes and the look at it, so only two empty looks in a row are believed."""
    gone, once = {}, {}
    deadline = time.monotonic() + within
    while len(gone) < len(marks) and time.monotonic() < deadline:
        waiting = {name: mark for name, mark in marks.items() if name not in gone}
        fallen = {name for name, mark in waiting.items() if not mark.stands()}
        table = audits() if fallen else {}   # thousands of processes may run: no more looks than needed
        for name, mark in waiting.items():
            if name not in fallen or mark.audit in table:
                once.pop(name, None)
            elif name in once:
                gone[name] = once[name]
            else:
                once[name] = time.time()
        time.sleep(0.002)
    return gone


def percentile(values, percent) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
