"""The same source on sudo 1.9.5 to 1.9.16: what a runbook names runs, its neighbour does not, and it ends."""
import os
import pathlib
import re
import signal
import time

import pytest

from tests.system.lib.host import eventually

from .release import Release

OPS = ["--command", "root", "run=/usr/bin/id -u",
       "--command", "root", "run=/usr/bin/seq <int:1..9>",
       "--command", "daemon", "run=/usr/bin/id -un",
       "--command", "root", "run=/usr/bin/env sh -c *", "subcommands=deny",
       "--command", "root", "run=/usr/bin/nice id {-u,-g}", "subcommands=check",
       "--command", "root", "run=/usr/bin/sleep *",
       "--command", "root", "run=/usr/bin/printenv *", "env_keep=KEPT",
       "--command", "root", "edit=<path:/etc/edited/>"]
SUDO = {"bullseye": "1.9.5", "bookworm": "1.9.13", "trixie": "1.9.16"}


@pytest.fixture(scope="module", params=SUDO)
def release(request, build, stage):
    with Release(request.param, build, stage) as r:
        assert SUDO[r.suite] in r.run("sudo", "-V").out
        r.write("/etc/edited/file", "start\n")
        r.write("/usr/local/bin/append", "#!/bin/sh\nfor f; do echo edited >> \"$f\"; done\n", 0o755)
        yield r


@pytest.fixture(autouse=True)
def _granted(release):
    release.snapshot("--admit", "alice", "alice", "runbook=ops", "end=+600", *OPS, "--admit", "dave", "dave", "runbook=none", "id=aaaa-bbbb-cccc")
    release.told()


@pytest.fixture(scope="module")
def alice(release):
    return release.shell("alice")


@pytest.fixture(scope="module")
def dave(release):
    return release.shell("dave")


def has_intercept(release):
    return release.suite != "bullseye"


@pytest.mark.parametrize("line, out", [
    ("sudo -n id -u", "0"), ("sudo -n /usr/bin/id -u", "0"), ("sudo -n seq 2", "1\n2"), ("sudo -n -u daemon id -un", "daemon"),
    ("KEPT=1 sudo -n printenv KEPT", "1"), ("sudo -n KEPT=2 printenv KEPT", "2"), ("sudo -n -k id -u", "0"), ("sudo -n -b id -u; sleep 0.3", "0"),
])
def test_what_the_grant_names_runs(release, alice, line, out):
    r = alice(line)
    assert (r.code, r.out.strip()) == (0, out)
    told = release.told()
    assert [e["HALLPASS_EVENT"] for e in told] == ["sudo_allowed", "sudo_ended"], told
    assert all(e["HALLPASS_GRANT"] == "k7m3-9x2d-q4fh" and e["HALLPASS_SUBJECT"] == "alice" for e in told)
    assert told[0]["HALLPASS_WHY"] == "grant" and told[1]["HALLPASS_EXIT"] == "0"


@pytest.mark.parametrize("line", [
    "sudo -n id -g", "sudo -n id", "sudo -n id -u -n", "sudo -n seq 10", "sudo -n -u root -g daemon id -u", "sudo -n -u daemon id -u",
    "sudo -n OTHER=1 printenv OTHER", "sudo -n -E id -u", "sudo -n -D / id -u", "sudo -n -R / id -u", "sudo -n -T 5 id -u",
    "sudo -n -C 5 id -u", "sudo -n -P id -u", "sudo -n -h localhost id -u", "sudo -n -s", "sudo -n -i", "sudo -n -s id -u", "cp /usr/bin/id /tmp/id; sudo -n /tmp/id -u",
    "sudo -n sh -c 'id -u'", "sudo -n -u daemon /usr/bin/seq 2", "sudo -n -u nobody id -un",
])
def test_its_neighbours_do_not(release, alice, line):
    r = alice(line)
    assert r.code != 0 and not re.search(r"^(0|1|uid=0.*)$", r.out, re.M), repr(r)
    told = [e["HALLPASS_EVENT"] for e in release.told()]
    assert "sudo_allowed" not in told and ("sudo_refused" in told or "sudo_failed" in told), (told, r)


def test_a_refusal_says_what_does_not_fit(alice):
    r = alice("sudo -n seq 10")
    assert "k7m3-9x2d-q4fh" in r.out and "argument 1, 10, does not match" in r.out, repr(r)


def test_list(release, alice, dave):
    r = alice("sudo -n -l")
    assert "by grants" in r.out and "/usr/bin/seq '<int:1..9>'" in r.out.replace("<int:1..9>", "'<int:1..9>'").replace("''", "'"), repr(r)
    assert ("not on this host: its sudo (before 1.9.8)" in r.out) == (not has_intercept(release))
    assert alice("sudo -n -l id -u").code == 0 and alice("sudo -n -l id -g").code != 0
    assert "NOPASSWD: /usr/bin/id" in dave("sudo -n -l").out


def test_standing_rule_as_stock(release, dave):
    wrapped = [dave(line) for line in ("sudo -n id -u", "sudo -n cat /etc/shadow", "sudo -n sh -c 'exit 3'", "sudo -n -v")]
    told = release.told()
    assert told[0]["HALLPASS_EVENT"] == "sudo_allowed" and told[0]["HALLPASS_WHY"] == "standing" and "HALLPASS_GRANT" not in told[0]
    conf = release.path("/etc/sudo.conf").read_text()
    release.path("/etc/sudo.conf").unlink()
    try:
        stock = [dave(r.argv[0]) for r in wrapped]
    finally:
        release.write("/etc/sudo.conf", conf)
    assert [(r.code, r.out.split("hallpass:")[0]) for r in wrapped] == [(r.code, r.out) for r in stock]
    assert wrapped[0].out == "0\n"


def test_edit(release, alice):
    r = alice("EDITOR=/usr/local/bin/append sudoedit -n /etc/edited/file")
    assert r.code == 0 and release.path("/etc/edited/file").read_text() == "start\nedited\n", repr(r)
    for path in ("/etc/passwd", "/etc/edited/../passwd", "/etc/edited/file /etc/passwd"):
        before = release.path("/etc/passwd").read_bytes()
        assert alice(f"EDITOR=/usr/local/bin/append sudoedit -n {path}").code != 0
        assert release.path("/etc/passwd").read_bytes() == before


def test_subcommands_deny(alice):
    r = alice("sudo -n env sh -c 'id -u'")
    assert r.code != 0 and "0" not in r.out.split(), repr(r)


def test_subcommands_check(release, alice):
    allowed, refused = alice("sudo -n nice id -u"), alice("sudo -n nice id -g")
    assert (allowed.out.strip() == "0") == has_intercept(release), repr(allowed)
    assert refused.code != 0 and "0" not in refused.out.split(), repr(refused)
    if not has_intercept(release):
        assert "cannot do" in allowed.out, repr(allowed)


def test_exit_and_signal(release, alice):
    assert alice("sudo -n printenv NOT_THERE").code == 1
    assert [e.get("HALLPASS_EXIT") for e in release.told() if e["HALLPASS_EVENT"] == "sudo_ended"] == ["1"]
    alice("sudo -n sleep 30 >/dev/null 2>&1 &")

    def sleeping():
        pids = (release.cgroup / "cgroup.procs").read_text().split()
        return [int(p) for p in pids if pathlib.Path(f"/proc/{p}/comm").read_text() == "sleep\n"]
    os.kill(eventually("it sleeps", sleeping)[0], signal.SIGTERM)
    alice("wait")
    assert [e.get("HALLPASS_EXIT") for e in release.told() if e["HALLPASS_EVENT"] == "sudo_ended"] == ["signal 15"]


def test_the_end_stops_it(release, alice):
    release.snapshot("--admit", "alice", "alice", "runbook=ops", "end=+4", *OPS)
    end = time.time() + 4
    r = alice("sudo -n sleep 30")
    assert time.time() <= end + 2.5 and r.code != 0, repr(r)
    assert "the command was stopped" in r.out and "k7m3-9x2d-q4fh" in r.out, repr(r)
    ended = [e for e in release.told() if e["HALLPASS_EVENT"] == "sudo_ended"]
    assert ended and ended[0]["HALLPASS_EXIT"].startswith("signal")
    time.sleep(max(0, end - time.time()))
    r = alice("sudo -n id -u")
    assert r.code != 0 and "0" not in r.out.split()


def test_broken_plugin_and_snapshot(release, alice, dave):
    snapshot = release.path("/var/lib/hallpass/admissions.mdb")
    snapshot.write_bytes(snapshot.read_bytes()[:8192])
    assert alice("sudo -n id -u").code != 0 and dave("sudo -n id -u").out == "0\n"
    assert "sudo_degraded" in [e["HALLPASS_EVENT"] for e in release.told()]
    so = release.path("/usr/lib/hallpass/hallpass_sudo.so")
    whole = so.read_bytes()
    so.write_bytes(whole[:4096])
    try:
        assert alice("sudo -n id -u").code != 0 and dave("sudo -n id -u").code != 0
    finally:
        so.write_bytes(whole)
