"""The hub's log is killed at every call that changes the disk, in turn, and at random moments under load; its disk fills up and breaks.
What was acknowledged stays at its index, every head that was ever published is borne out by the files, and the log goes on."""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from .lib.log_files import LogFiles, Witnessed

ENOSPC, EIO = 28, 5
# Across the first full tile; a policy and the first epoch; partial tiles removed.
STEPS = ("1", "3", "policy", "249", "5", "1")


class Log:
    def __init__(self, build, directory):
        self.build, self.directory = build, pathlib.Path(directory)
        made = subprocess.run([*self.argv("init")], capture_output=True, text=True, check=True)
        self.vkeys = [line.split()[1] for line in made.stdout.splitlines()]
        self.files = LogFiles(self.directory / "log", self.vkeys)

    def argv(self, *more):
        return [str(self.build / "tests/support/hub_writer"), str(self.directory), *more]

    def shim(self, **members):
        return {**os.environ, "LD_PRELOAD": str(self.build / "tests/support/crashpoint.so"), "CRASHPOINT_DISK": "1",
                **{f"CRASHPOINT_{k}": str(v) for k, v in members.items()}}

    def run(self, *steps, env=None):
        return subprocess.run(self.argv("run", *steps), env=env, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def memory():
    """A directory in memory: what a killed process leaves does not depend on the disk."""
    path = tempfile.mkdtemp(prefix="hallpass-hub-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    yield pathlib.Path(path)
    shutil.rmtree(path)


@pytest.fixture
def log(build, memory):
    return Log(build, memory / "hub")


def each_call(log, memory, steps):
    """How many calls the steps make; then for each its number, with the log as it was before the steps."""
    saved = memory / "saved"
    shutil.copytree(log.directory, saved)
    counted = log.run(*steps, env=log.shim(COUNT=memory / "count"))
    assert counted.returncode == 0, counted.stderr
    for n in range(1, int((memory / "count").read_text()) + 1):
        shutil.rmtree(log.directory)
        shutil.copytree(saved, log.directory)
        yield n


def goes_on(log, seen, what):
    """What lies there now is true; after a restart all is there, and more can be added."""
    seen.saw_head(log.files.head())
    log.files.verify()
    again = log.run("1", "2")
    assert again.returncode == 0, f"{what}: {again.stderr}"
    seen.saw_output(again.stdout)
    assert len(again.stdout.split("ack ")) == 4, f"{what}: {again.stdout}"
    _, _, leaves = log.files.verify()
    seen.check(leaves)


# The disk is the same after a call as before the next one: what differs is only what was answered in between.
@pytest.mark.parametrize("after", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["before the call", "after the call"])
def test_killed_at_every_call(log, memory, after):
    total = acked = 0
    for n in each_call(log, memory, STEPS):
        killed = log.run(*STEPS, env=log.shim(AT=n, **({"AFTER": 1} if after else {})))
        assert killed.returncode == -9, f"call {n}: {killed.returncode} {killed.stderr}"
        seen = Witnessed(log.vkeys)
        seen.saw_output(killed.stdout)
        total, acked = total + 1, max(acked, len(seen.acks))
        goes_on(log, seen, f"killed at call {n}")
    assert total > 150 and acked > 250, f"{total} calls, {acked} acknowledged: too few to mean anything"


@pytest.mark.parametrize("error,once", [(ENOSPC, False), (EIO, True)], ids=["the disk is full", "one call fails"])
def test_disk_fails_at_every_call(log, memory, error, once):
    steps = ("1", "policy", "253", "2")
    stopped = 0
    for n in each_call(log, memory, steps):
        failed = log.run(*steps, env=log.shim(AT=n, FAIL=error, **({"ONCE": 1} if once else {})))
        seen = Witnessed(log.vkeys)
        seen.saw_output(failed.stdout)
        what = f"call {n} failed: {failed.returncode} {failed.stderr}"
        # Old partial tiles that cannot be removed hurt nobody; after anything else the log takes nothing more.
        assert failed.returncode in (2, 3) or len(seen.acks) == 257, what
        assert failed.returncode == 0 or os.strerror(error) in failed.stderr, what
        stopped += failed.returncode == 3
        goes_on(log, seen, what)
    assert stopped > 80


def test_two_writers(log):
    first = subprocess.Popen(log.argv("load", "1"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        first.stdout.readline()   # it has begun
        second = log.run("1")
        assert second.returncode == 2 and "locked" in second.stderr
    finally:
        first.kill()
        first.communicate()
    assert log.run("1").returncode == 0


class Reader(threading.Thread):
    """Reads what is published, over and over: the files must bear it out at that moment."""

    def __init__(self, log, seen):
        super().__init__()
        self.log, self.seen, self.ended, self.fault, self.heads = log, seen, threading.Event(), None, 0
        self.start()

    def run(self):
        try:
            while not self.ended.wait(0.002):
                head = self.log.files.head()
                assert self.log.files.edge_root(head.size) == head.root, f"{head.size} entries are published, not there"
                self.seen.saw_head(head)
                self.heads += 1
        except Exception as e:   # pylint: disable=broad-except
            self.fault = e

    def end(self):
        self.ended.set()
        self.join()
        if self.fault:
            raise self.fault


def killed_at_random(build, memory, kills, kills_a_log=50):
    chance = random.Random(time.time_ns())
    figures = {"kills": 0, "acknowledged": 0, "published": 0, "read": 0}
    while figures["kills"] < kills:
        log = Log(build, memory / f"hub{figures['kills']}")
        assert log.run("policy").returncode == 0
        seen = Witnessed(log.vkeys)
        for _ in range(min(kills_a_log, kills - figures["kills"])):
            reader = Reader(log, Witnessed(log.vkeys))
            with (memory / "out").open("wb") as out, (memory / "err").open("wb") as err:
                writer = subprocess.Popen(log.argv("load", "8"), stdout=out, stderr=err)
                time.sleep(chance.uniform(0.002, 0.25))
                writer.send_signal(signal.SIGKILL)
                assert writer.wait() == -9, (memory / "err").read_text()
            reader.end()
            for size, root in reader.seen.heads.items():
                assert seen.heads.setdefault(size, root) == root
            seen.saw_output((memory / "out").read_text())
            head = log.files.head()
            assert log.files.edge_root(head.size) == head.root
            seen.saw_head(head)
            assert not seen.acks or max(seen.acks) < head.size
            figures["kills"] += 1
            figures["read"] += reader.heads
        last = log.run("1")
        assert last.returncode == 0, last.stderr
        seen.saw_output(last.stdout)
        _, _, leaves = log.files.verify()
        seen.check(leaves)
        figures["acknowledged"] += len(seen.acks)
        figures["published"] += len(seen.heads)
        shutil.rmtree(log.directory)
    print(", ".join(f"{n} {name}" for name, n in figures.items()))
    assert figures["acknowledged"] > kills


def test_killed_at_random(build, memory):
    killed_at_random(build, memory, 10)


@pytest.mark.soak
def test_killed_at_random_500_times(build, memory):
    killed_at_random(build, memory, 500)
