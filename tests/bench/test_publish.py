"""From a grant file's arrival to the snapshot that admits it, beside 1 000 admissions, against making one file of the snapshot's size
durable. On a disk: both are about how often it is synced."""
import ctypes
import os
import select
import struct
import subprocess
import time

from tests.system.lib.local_agent import LocalAgent

from .conftest import FleetOfMany, equip, median, quartiles

LIMIT = 3.0
ADMISSIONS, ROUNDS = 1000, 60
IN_MOVED_TO = 0x80


class Renames:
    """Tells when a file is renamed into a directory."""
    def __init__(self, directory):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.fd >= 0 and self.libc.inotify_add_watch(self.fd, os.fsencode(directory), IN_MOVED_TO) >= 0

    def drain(self):
        while select.select([self.fd], [], [], 0)[0]:
            os.read(self.fd, 65536)

    def wait_for(self, name, seconds=30):
        end = time.monotonic() + seconds
        while select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
            data, at = os.read(self.fd, 65536), 0
            while at < len(data):
                _, _, _, length = struct.unpack_from("iIII", data, at)
                if data[at + 16:at + 16 + length].rstrip(b"\0") == name.encode():
                    return
                at += 16 + length
        raise AssertionError(f"{name} was not renamed within {seconds} s")


def sync_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def make_durable(directory, content):
    """What publishing cannot do without."""
    beside = directory / "plain.new"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view):]
    os.fsync(fd)
    os.close(fd)
    os.rename(beside, directory / "plain")
    sync_directory(directory)


def test_publish(build, disk, figures, tmpfs):
    fleet = FleetOfMany(build, disk / "fleet", ADMISSIONS + ROUNDS)
    files = fleet.files()
    pairs = {}
    for f in files:
        pairs.setdefault(int(f.name.split("-")[0]), []).append(f.read_text())
    agent = LocalAgent(build, disk / "host", fleet)
    tmpfs(agent.run_dir)  # as on a host
    equip(agent, fleet)
    for i in range(ADMISSIONS):
        agent.put_file(f"{i}.grant", "".join(pairs[i]))
    plain = disk / "plain"
    plain.mkdir()
    undisturbed()
    agent.start()
    try:
        agent.until(lambda: len(agent.admitted()) == ADMISSIONS, 120, "1 000 admissions")
        renames = Renames(agent.state)
        published, durable, ran, waited = [], [], [], []
        for i in range(ADMISSIONS, ADMISSIONS + ROUNDS):
            content = (agent.state / "admissions.mdb").read_bytes()
            quiet(agent)
            start = time.perf_counter()
            make_durable(plain, content)
            durable.append(time.perf_counter() - start)
            beside = agent.inbox / ".new"
            beside.write_text("".join(pairs[i]))
            os.sync()
            renames.drain()
            before = processor(agent)
            start = time.perf_counter()
            beside.rename(agent.inbox / f"{i}.grant")
            renames.wait_for("admissions.mdb")
            after = processor(agent)
            # Readers see it now; it counts when it is durable too.
            sync_directory(agent.state)
            published.append(time.perf_counter() - start)
            ran.append(after[0] - before[0])
            waited.append(after[1] - before[1])
        assert len(agent.admitted()) == ADMISSIONS + ROUNDS
    finally:
        agent.stop()
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(disk)], check=True, capture_output=True, text=True).stdout.strip()
    (d1, d3), (p1, p3) = quartiles(durable), quartiles(published)
    print(f"  {len(content)} bytes on {kind}; median (quartiles) in ms: one durable file {median(durable) * 1e3:.2f} "
          f"({d1 * 1e3:.2f} to {d3 * 1e3:.2f}), grant to snapshot {median(published) * 1e3:.2f} ({p1 * 1e3:.2f} to {p3 * 1e3:.2f})")
    print(f"  the agent computed {median(ran) * 1e3:.2f} ms of that, and waited {median(waited) * 1e3:.2f} ms for a processor")
    figures.ratio("publish", median(published) / median(durable), LIMIT, f"{ROUNDS} rounds")


def undisturbed():
    """Before everything that runs on this machine by chance, the agent too when it is started from here: what others compile at the same
    time would be most of what is measured."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError as e:
        print(f"  not before others: {e}")


def processor(agent):
    """Seconds that the agent ran, and that it could have run but had no processor."""
    with open(f"/proc/{agent.process.pid}/schedstat", encoding="ascii") as f:
        ran, waited, _ = f.read().split()
    return int(ran) / 1e9, int(waited) / 1e9


def quiet(agent):
    """Waits until the agent has finished with the round before: it sets space aside after it published."""
    before = processor(agent)
    while True:
        time.sleep(0.03)
        now = processor(agent)
        if now == before:
            return
        before = now
