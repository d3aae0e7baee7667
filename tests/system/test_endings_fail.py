"""An end that fails: a process that waits for a frozen disk cannot be killed."""
import os
import shutil
import signal
import subprocess
import time

import pytest

from .lib import menu, remains
from .lib.ends import assert_gone, brief, running, told
from .lib.host import call, eventually

PLAIN = menu.MENU["command without a terminal"]


@pytest.fixture
def frozen(tmp_path):
    """A file system that can be frozen: who writes to it then cannot be killed. Thawed however this ends."""
    image, where = tmp_path / "image", tmp_path / "frozen"
    where.mkdir()
    with image.open("wb") as f:
        f.truncate(64 << 20)
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("no mkfs.ext4")
    assert call(["mkfs.ext4", "-q", "-F", image]).ok
    assert (r := call(["mount", "-o", "loop", image, where])).ok, repr(r)
    where.chmod(0o777)
    quiet = subprocess.DEVNULL
    watchdog = subprocess.Popen(["sh", "-c", f"sleep 200; fsfreeze -u {where}"], start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet)
    yield where
    call(["fsfreeze", "-u", where])
    os.killpg(watchdog.pid, signal.SIGKILL)
    watchdog.wait()
    eventually("it is unmounted", lambda: call(["umount", where]).ok or call(["umount", "-l", where]).ok)


class Writer(menu.Running):
    name = "writer to a frozen file system"

    def line(self):
        return f"exec dd if=/dev/zero of=/media/frozen/{self.token} bs=4k count=1000000 oflag=sync status=none"

    def mine(self, processes):
        return [p for p in processes if f"/media/frozen/{self.token}" in p.command]


def cannot_be_ended(stage, frozen, seconds):
    with menu.menu_site(stage, binds={frozen: "/media/frozen"}) as site:
        host = site.host
        host.await_journal(HALLPASS_EVENT="policy_accepted")
        grant = brief(site, duration=600)
        with running(site, (Writer, "alice"), (PLAIN, "alice")) as (writer, plain):
            assert call(["fsfreeze", "-f", frozen]).ok
            try:
                eventually("it waits for the disk", lambda: [p for p in writer.mine(remains.processes(host)) if p.state == "D"], within=5)
                before, since = host.cursor(), time.time()
                site.cease(grant)
                assert_gone(site, [plain], since)
                entry = told(site, before, "session_not_ended", SESSION=writer.mark.audit)
                assert time.time() - since < 8
                assert "dd" in entry["HALLPASS_WHY"] and "disk" in entry["HALLPASS_WHY"] and entry["PRIORITY"] == "2", entry
                assert writer.mine(remains.processes(host)) and not host.journal(HALLPASS_EVENT="session_ended", HALLPASS_SESSION=writer.mark.audit, after=before)
                site.assert_refused("alice", "alice")
                time.sleep(max(0, since + seconds - time.time()))
                again = host.journal(HALLPASS_EVENT="session_not_ended", after=before)
                assert len(again) == 1 + int(seconds - 5) // 60, [e["MESSAGE"] for e in again]
            finally:
                assert call(["fsfreeze", "-u", frozen]).ok
            assert_gone(site, [writer], time.time())
            cleared = told(site, before, "session_not_ended_cleared", SESSION=writer.mark.audit)
            assert int(cleared["HALLPASS_DELAY"]) >= 5000
            told(site, before, "session_end_late", SESSION=writer.mark.audit)
            told(site, before, "session_ended", SESSION=writer.mark.audit)


def test_a_process_that_cannot_be_killed(stage, frozen):
    cannot_be_ended(stage, frozen, 6)


@pytest.mark.soak
def test_a_process_that_cannot_be_killed_for_minutes(stage, frozen):
    cannot_be_ended(stage, frozen, 130)
