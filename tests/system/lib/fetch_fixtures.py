"""What the tests of hallpass-fetch share: a log, servers of its files, and the program."""
import signal
import time

import pytest

from . import host
from .file_server import FileServer
from .fleet import Fleet
from .local_fetch import LocalFetch
from .log_maker import LogMaker, tlog


@pytest.fixture(scope="module")
def fleet():
    made = Fleet()
    yield made
    made.close()


@pytest.fixture
def log(fleet):
    """700 entries: a policy, an epoch, three bundles, the last one partial."""
    fleet.version = 0
    made = LogMaker()
    policy = made.add_policy(fleet)
    made.add_epoch(policy=policy)
    made.fill(698)
    return made


@pytest.fixture
def serve():
    made = []

    def make(*args, **options):
        made.append(FileServer(*args, **options))
        return made[-1]
    yield make
    for server in made:
        server.close()


@pytest.fixture
def fetch(build, tmp_path, fleet, log):
    made = LocalFetch(build, tmp_path / "root", fleet, log)
    yield made
    made.stop(signal.SIGKILL)


def until(probe, **limits):
    return host.eventually("the fetcher", probe, **limits)


def flipped(content: bytes, at=None) -> bytes:
    at = len(content) // 2 if at is None else at
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


def complete(fetch, log, start=0):
    """The mirror holds the log's newest head and every entry from `start` on, byte for byte."""
    assert fetch.size() == len(log.entries)
    have, meant = fetch.everything(), log.files()
    for path, content in meant.items():
        if path.startswith("tile/entries/") and int(path.split("/")[2].split(".")[0]) >= start // 256:
            assert have[path] == content, path
    for path, content in have.items():
        if path.startswith("tile/") and path in meant:
            assert content == meant[path], path
    tlog.open_note(have["checkpoint"], [log.key.vkey, log.witness.vkey])


def days_ago(days):
    return time.time() - days * 86400
