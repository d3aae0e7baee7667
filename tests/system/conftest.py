import ctypes
import os
import pathlib
import subprocess

import pytest

from .lib import host as hosts
from .lib.fleet import Fleet
from .lib.site import Site

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: takes long; run by ./test soak")
    config.addinivalue_line("markers", "thorough: more of the same than every run has time for; run by ./test packages")
    if os.getuid() != 0:
        raise pytest.UsageError("booting hosts needs root: sudo ./test system")
    private_mounts()


def private_mounts():
    """What tests mount is seen by them alone and goes with them, however they end."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise pytest.UsageError(f"no mount namespace: {os.strerror(ctypes.get_errno())}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for host in list(hosts._live):
            report.sections.append((f"journal of {host.hostname}", host.journal_tail(60)))


@pytest.fixture(scope="session")
def build():
    path = pathlib.Path(os.environ.get("HALLPASS_BUILD", ROOT / "build/dev"))
    assert (path / "CMakeCache.txt").exists(), f"no build in {path}: run ./test system, or set HALLPASS_BUILD"
    return path


@pytest.fixture(scope="session")
def stage(build, tmp_path_factory):
    """What `cmake --install` puts on a host."""
    if os.environ.get("HALLPASS_STAGE"):   # already installed somewhere
        return pathlib.Path(os.environ["HALLPASS_STAGE"])
    tree = tmp_path_factory.mktemp("stage")
    subprocess.run(["cmake", "--install", str(build), "--prefix", "/usr", "--strip"], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "DESTDIR": str(tree)})
    return tree


@pytest.fixture(scope="module")
def site(stage):
    """A host with the usual policy, shared by a module's tests. Each test revokes what it granted or uses its own people."""
    with Site(stage) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        yield s


@pytest.fixture(autouse=True)
def _no_grants_left(request):
    yield
    if "site" in request.fixturenames:
        request.getfixturevalue("site").cease_all()


@pytest.fixture
def new_site(stage):
    """new_site(**options): a host of its own for one test, ready to be asked."""
    made = []

    def make(**options):
        s = Site(stage, **options)
        made.append(s)
        s.__enter__()
        if options.get("policy", True):
            s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        return s
    yield make
    for s in made:
        s.__exit__()


@pytest.fixture
def new_fleet():
    made = []

    def make(*args, **options):
        made.append(Fleet(*args, **options))
        return made[-1]
    yield make
    for f in made:
        f.close()
