"""./test packages: what is installed from packages, and what people do with it."""
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.system.conftest import build, pytest_configure, pytest_runtest_makereport, stage  # noqa: F401
from tests.system.lib.host import call

from .machine import Machine

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build/packages"
HOST = ("hallpass", "hallpass-host")


class Debs:
    """Packages of one version: debs["hallpass-host"] is a file; debs.host() what a production host needs."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.files = {p.name.split("_")[0]: p for p in sorted(self.folder.glob("*.deb"))}
        assert {"hallpass", "hallpass-host", "hallpass-hub"} <= set(self.files), f"no packages in {folder}: packaging/build deb {folder}"
        self.version = call(["dpkg-deb", "-f", self.files["hallpass"], "Version"]).out.strip()

    def __getitem__(self, name):
        return self.files[name]

    def host(self):
        return [self.files[name] for name in HOST]


def tracked_files() -> list:
    listed = call(["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z"])
    if listed.ok:
        return sorted(p for p in listed.out.split("\0") if p and (ROOT / p).is_file())
    return sorted(str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file() and not p.relative_to(ROOT).parts[0].startswith(("build", ".")))


def source_digest() -> str:
    """Of what packages are made from."""
    digest = hashlib.sha256()
    for path in tracked_files():
        if not path.startswith(("tests/", "demo", ".ci/")) and path != "test":
            digest.update(path.encode() + b"\0" + hashlib.sha256((ROOT / path).read_bytes()).digest())
    return digest.hexdigest()


def built(folder: pathlib.Path, make) -> Debs:
    """Packages in `folder`, made by make(folder) unless they are of this source; once, however many ask."""
    mark, digest = folder / "source", source_digest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            make(folder)
            mark.write_text(digest)
    return Debs(folder)


def build_debs(out: pathlib.Path) -> None:
    made = call([ROOT / "packaging/build", "deb", out], timeout=3600, env={**os.environ, "DEB_BUILD_OPTIONS": ""})
    assert made.ok, repr(made)


@pytest.fixture(scope="session")
def debs() -> Debs:
    """The packages of this tree; HALLPASS_DEBS: built already."""
    if os.environ.get("HALLPASS_DEBS"):
        return Debs(os.environ["HALLPASS_DEBS"])
    return built(CACHE / "deb", build_debs)


@pytest.fixture(scope="session")
def newer(debs, tmp_path_factory) -> Debs:
    """The same content under the next version's number: unpacked, renumbered, packed again."""
    out, work = tmp_path_factory.mktemp("newer"), tmp_path_factory.mktemp("newer-work")
    version = re.sub(r"^(\d+\.\d+)\.(\d+)", lambda m: f"{m[1]}.{int(m[2]) + 1}", debs.version)
    assert version != debs.version
    for name in ("hallpass", "hallpass-host", "hallpass-hub"):
        subprocess.run(["dpkg-deb", "-R", debs[name], work / name], check=True)
        control = work / name / "DEBIAN/control"
        control.write_text(control.read_text().replace(debs.version, version))
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", work / name, out], check=True, stdout=subprocess.DEVNULL)
    return Debs(out)


@pytest.fixture
def new_machine():
    """new_machine(**options): a host of its own for one test."""
    made = []

    def make(**options):
        made.append(Machine(**options))
        return made[-1].__enter__()
    yield make
    for m in made:
        m.__exit__()
