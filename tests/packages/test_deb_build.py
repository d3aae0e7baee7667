"""The Debian packages themselves: what is in them, lintian's opinion, and that two builds are one."""
import os
import re

import pytest

from tests.system.lib.host import call

from .conftest import ROOT, build_debs

NAMES = ("hallpass", "hallpass-host", "hallpass-hub")


def listed(deb):
    """[(mode, owner, path)] of a package."""
    lines = call(["dpkg-deb", "-c", deb]).out.splitlines()
    return [(mode, owner, path.lstrip(".")) for mode, owner, *_, path in (re.sub(r" -> .*", "", line).split() for line in lines)]


def test_lintian_has_nothing_to_say(debs):
    r = call(["lintian", "--fail-on", "error,warning", "--show-overrides", *debs.folder.glob("*.changes")], timeout=300)
    assert r.ok and not re.search(r"^[EW]:", r.out, re.M), r


def test_versions_agree(debs):
    cmake = re.search(r"project\(hallpass VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    for name in NAMES:
        assert re.fullmatch(re.escape(cmake) + r"\+deb\d+", call(["dpkg-deb", "-f", debs[name], "Version"]).out.strip())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_it_configures_a_login(debs, name):
    for mode, owner, path in listed(debs[name]):
        assert owner == "root/root" and mode[0] in "-dl", path
        assert mode[0] == "l" or re.fullmatch(r".rw[x-]r-[x-]r-[x-]", mode), f"{path}: {mode}"
        assert not path.startswith("/etc/") or path in ("/etc/", "/etc/hallpass/"), path
        assert not re.search(r"/(pam-configs|pam\.d|sshd_config\.d|sudoers\.d|polkit-1|session-\.scope\.d)/", path), path


def test_every_file_is_in_one_package(debs):
    seen = {}
    for name in NAMES:
        for mode, _, path in listed(debs[name]):
            if mode[0] != "d":
                assert path not in seen, f"{path} is in {name} and {seen[path]}"
                seen[path] = name
    assert seen["/usr/bin/hallpass"] == seen["/usr/sbin/hallpass-notify"] == "hallpass"
    assert seen["/usr/lib/hallpass/hallpass_sudo.so"] == "hallpass-host" and seen["/usr/sbin/hallpass-hub"] == "hallpass-hub"


def test_the_command_needs_neither_systemd_nor_pam(debs):
    depends = call(["dpkg-deb", "-f", debs["hallpass"], "Depends"]).out
    assert not re.search(r"systemd|pam|sudo|lmdb|openssh-server", depends), depends


def test_two_builds_are_equal_to_the_bit(debs, tmp_path, monkeypatch):
    if os.environ.get("HALLPASS_DEBS"):
        pytest.skip("HALLPASS_DEBS names packages that may be built otherwise")
    elsewhere = tmp_path / "a-folder-with-a-longer-name"
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "C")
    build_debs(tmp_path / "again")
    for deb in sorted(debs.folder.glob("*.deb")):
        again = tmp_path / "again" / deb.name
        assert again.exists() and again.read_bytes() == deb.read_bytes(), f"{deb.name} differs: diffoscope {deb} {again}"
