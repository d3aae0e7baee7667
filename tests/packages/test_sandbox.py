"""What confines hallpass's programs on a host: systemd's units, counted by systemd itself, and policies for AppArmor and SELinux, which compile."""
import pathlib
import re
import shutil

import pytest

from tests.system.lib.host import call

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/sandbox.md"
ON_THE_NETWORK = ("hallpass-fetch", "hallpass-hub", "hallpass-notify", "hallpass-hub-notify")


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The units as a root of their own: systemd-analyze reads no others."""
    root = tmp_path_factory.mktemp("units")
    folder = root / "usr/lib/systemd/system"
    folder.mkdir(parents=True)
    for unit in (ROOT / "packaging/systemd").glob("*.service"):
        shutil.copy(unit, folder)
    return root


def exposure(units, name, *more):
    r = call(["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--root={units}", *more, f"{name}.service"])
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", r.out)
    assert found, repr(r)
    return float(found[1]), r


@pytest.mark.parametrize("name", ON_THE_NETWORK)
def test_what_talks_to_the_network_is_confined(units, name):
    score, r = exposure(units, name, "--threshold=20")
    assert r.ok and score < 2.0, r.out
    assert "CAP_SYS_ADMIN" not in (units / f"usr/lib/systemd/system/{name}.service").read_text()


def test_the_guide_tells_each_score(units):
    told = dict(re.findall(r"^\| `(hallpass-[a-z-]+)` \| [^|]+ \| (\d+\.\d+) \|$", GUIDE.read_text(), re.M))
    assert set(told) == {*ON_THE_NETWORK, "hallpass-agent"}
    assert {name: float(score) for name, score in told.items()} == {name: exposure(units, name)[0] for name in told}


def test_the_guide_explains_the_agent(units):
    """Everything that systemd-analyze counts against it."""
    _, r = exposure(units, "hallpass-agent")
    text = GUIDE.read_text()
    for line in r.out.splitlines():
        if "✗" not in line:
            continue
        what = line.split("✗")[1].split()[0]
        names = re.findall(r"CAP_[A-Z_]+|@[a-z]+|[A-Z][A-Za-z]+", what)
        # Of every service: that it lies in the host's own file system, and that it writes to the journal.
        if what.startswith(("RootDirectory", "RestrictAddressFamilies=~AF_UNIX", "User=", "CapabilityBoundingSet=~CAP_(DAC_*")):
            continue
        assert any(n in text for n in names if n not in ("SystemCallFilter", "CapabilityBoundingSet")), f"docs/sandbox.md does not explain {what}"


def program(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed: ./test packages installs it")
    return path


@pytest.mark.parametrize("name", ["hallpass-fetch", "hallpass-hub"])
def test_apparmor_profiles_compile(name, tmp_path):
    parser, profile = program("apparmor_parser"), ROOT / "packaging/apparmor" / name
    r = call([parser, "-Q", "-K", profile])
    assert r.ok, repr(r)
    assert call([parser, "-N", profile]).out.split() == [name]
    broken = tmp_path / "broken"
    broken.write_text(profile.read_text().replace("network inet stream,", "network inet stream"))
    assert not call([parser, "-Q", "-K", broken]).ok


def test_the_selinux_module_compiles(tmp_path):
    r = call([program("checkmodule"), "-M", "-m", "-o", tmp_path / "hallpass.mod", ROOT / "packaging/selinux/hallpass.te"])
    assert r.ok, repr(r)
    packed = call([program("semodule_package"), "-o", tmp_path / "hallpass.pp", "-m", tmp_path / "hallpass.mod", "-f", ROOT / "packaging/selinux/hallpass.fc"])
    assert packed.ok and (tmp_path / "hallpass.pp").stat().st_size > 0, repr(packed)
    assert re.findall(r"^(\S+?)\(/\.\*\)\?", (ROOT / "packaging/selinux/hallpass.fc").read_text(), re.M) == ["/var/lib/hallpass", "/run/hallpass", "/var/run/hallpass"]
