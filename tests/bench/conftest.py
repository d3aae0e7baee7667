"""Benchmarks that need daemons and hosts. Each prints its figures and fails when one is over its limit (docs/performance.md)."""
import pathlib
import shutil
import subprocess

import pytest

from tests.system.conftest import build, new_site, pytest_configure, stage  # noqa: F401
from tests.system.lib.local_agent import LocalAgent

ROOT = pathlib.Path(__file__).resolve().parents[2]


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quartiles(values):
    half = len(values) // 2
    ordered = sorted(values)
    return median(ordered[:half]), median(ordered[-half:])


class Figures:
    """Prints lines for people and scripts, and remembers what was over its limit."""
    def __init__(self):
        self.over = []

    def _line(self, kind, name, value, limit, note):
        over = not value <= limit
        print(f"{kind} {name} {value:.2f} (limit {limit:.2f}){'  OVER' if over else ''}{'  [' + note + ']' if note else ''}", flush=True)
        if over:
            self.over.append(f"{name}: {value:.2f}, limit {limit:.2f}")

    def ratio(self, name, value, limit, note=""):
        self._line("ratio", name, value, limit, note)

    def figure(self, name, value, limit, note=""):
        self._line("figure", name, value, limit, note)


@pytest.fixture
def figures():
    print()
    f = Figures()
    yield f
    assert not f.over, "; ".join(f.over)


class FleetOfMany:
    """What tests/bench/make_grants writes, with the members that LocalAgent asks a fleet for."""
    def __init__(self, build, directory, grants, first=0):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True)
        subprocess.run([str(build / "tests/bench/make_grants"), str(grants), str(self.dir), str(first)], check=True)
        self.name, self.admins, self.threshold, self.keys = "", [], 0, {}

    def files(self):
        return sorted(p for p in self.dir.iterdir() if p.name.endswith(".grant"))


def equip(agent: LocalAgent, fleet: FleetOfMany):
    """Gives the agent the fleet's trust and policy."""
    shutil.copy(fleet.dir / "trust.toml", agent.root / "etc/hallpass/trust.toml")
    for name in ("policy.toml.sig", "policy.toml"):
        agent.put_file(name, (fleet.dir / name).read_bytes())


@pytest.fixture
def tmpfs(tmp_path):
    """make(path): an empty memory file system there, until the test ends."""
    made = []

    def make(path):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", str(path)], check=True)
        made.append(path)
        return pathlib.Path(path)
    yield make
    for path in reversed(made):
        subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def disk():
    """A directory in the source tree, which must be on a disk: on a memory file system a sync costs nothing."""
    where = ROOT / "build/bench"
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(where)], check=True, capture_output=True, text=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        pytest.skip(f"{where} is on {kind}, and this needs a disk")
    yield where
    shutil.rmtree(where, ignore_errors=True)
