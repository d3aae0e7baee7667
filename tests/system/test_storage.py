"""A disk that is full or read-only: what is new waits and comes by itself later; what ends someone's access takes effect all the same."""
import pathlib
import signal
import subprocess

import pytest

from .lib.fleet import Fleet
from .lib.local_agent import LocalAgent

EROFS, EIO = 30, 5


@pytest.fixture
def fleet():
    f = Fleet()
    yield f
    f.close()


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request, tmp_path):
    """A small file system at host/var/lib/hallpass."""
    where = tmp_path / "host/var/lib/hallpass"
    where.mkdir(parents=True)
    if request.param == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=40m,mode=700", "none", where]
    else:
        image = tmp_path / "image"
        with image.open("wb") as f:
            f.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        mount = ["mount", "-o", "loop", image, where]
    subprocess.run([str(a) for a in mount], check=True)
    yield where
    subprocess.run(["umount", where], check=True)


@pytest.fixture
def agent(build, tmp_path, fleet, disk):
    a = LocalAgent(build, tmp_path / "host", fleet)
    a.put_policy()
    yield a
    a.stop(signal.SIGKILL)


def fill(where) -> pathlib.Path:
    ballast = pathlib.Path(where) / "ballast"
    with ballast.open("wb", buffering=0) as f:
        for size in (1 << 20, 4096, 512):
            try:
                while f.write(b"x" * size) == size:
                    pass
            except OSError:
                pass
    return ballast


def test_full_disk(agent, fleet, disk):
    first = agent.put(fleet.request("bob", "quick", duration=3600))
    other = agent.put(fleet.request("carol", "quick", duration=3600))
    agent.start()
    agent.until(lambda: agent.admitted() == {first.id, other.id}, what="both admitted")
    ballast = fill(disk)

    # Something to admit: the old snapshot stays, and it is told once.
    new = agent.put(fleet.request("alice", "quick", duration=3600))
    agent.until(lambda: agent.events("storage_failed"), what="the alert")
    assert agent.admitted() == {first.id, other.id}
    agent.until(lambda: agent.status()["storage"] == "failing", 5, "the status says so, too")

    # A revocation: from the space set aside, or by taking the snapshot away.
    agent.put(fleet.revoke(request=first))
    agent.until(lambda: first.id not in agent.admitted(), what="the revocation takes effect on a full disk")
    agent.put(fleet.revoke(request=other))
    agent.until(lambda: other.id not in agent.admitted(), what="a second one, too")
    assert len(agent.events("storage_failed")) == 1

    ballast.unlink()
    agent.until(lambda: agent.admitted() == {new.id}, 70, "recovers by itself")
    agent.until(lambda: agent.events("storage_recovered"), 70, "and says so")
    agent.until(lambda: agent.status()["storage"] == "ok", 5, "and the status says so")
    assert not agent.withdrawn()


def test_full_disk_across_a_restart(agent, fleet, disk):
    first = agent.put(fleet.request("bob", "quick", duration=3600))
    agent.start()
    agent.until(lambda: agent.admitted() == {first.id}, what="admitted")
    agent.stop()
    fill(disk)
    agent.start()
    assert agent.admitted() == {first.id}
    agent.put(fleet.revoke(request=first))
    agent.until(lambda: agent.admitted() == set(), what="the revocation takes effect")


@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
def test_read_only_disk(agent, fleet, disk):
    """As ext4 does by itself after an I/O error: writers stay, every write fails."""
    first = agent.put(fleet.request("bob", "quick", duration=3600))
    agent.start()
    agent.until(lambda: agent.admitted() == {first.id}, what="admitted")
    subprocess.run(["mount", "-o", "remount,abort", str(disk)], check=False)
    agent.put(fleet.request("alice", "quick", duration=3600))
    agent.until(lambda: agent.events("storage_failed"), what="the alert")
    assert agent.admitted() == {first.id}
    agent.put(fleet.revoke(request=first))
    agent.until(lambda: agent.admitted() == set(), what="the revocation takes effect")
    assert agent.withdrawn()
    # A restart on the same disk: the mark stays, and the revocation is still there to be read.
    agent.stop()
    agent.start()
    assert agent.admitted() == set()


@pytest.mark.parametrize("disk", ["tmpfs"], indirect=True)
@pytest.mark.parametrize("error", [EROFS, EIO], ids=["EROFS", "EIO"])
def test_every_write_fails_from_the_start(agent, fleet, disk, error):
    """A restart with nothing to end: who was admitted stays admitted."""
    first = agent.put(fleet.request("bob", "quick", duration=3600))
    assert agent.once().returncode == 0
    run = agent.once(**agent.crash_env(AT=1, FAIL=error))
    assert agent.admitted() == {first.id}, run.stderr
    # The same with a revocation: nobody is.
    agent.put(fleet.revoke(request=first))
    run = agent.once(**agent.crash_env(AT=1, FAIL=error))
    assert agent.admitted() == set(), (run.returncode, run.stderr)
    assert agent.once().returncode == 0
    assert not agent.withdrawn()
