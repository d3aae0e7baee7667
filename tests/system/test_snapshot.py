"""A snapshot that is missing, damaged, foreign or not root's: never a wrong admission, and the exempt group still comes in."""
import hashlib
import json
import os
import pathlib
import time

import pytest

from .lib.fleet import Fleet
from .lib.site import SNAPSHOT, Site, pam_sshd

FLIPS = int(os.environ.get("HALLPASS_FLIPS", "1000"))
STORE = "this host cannot tell who may log in"


@pytest.fixture(scope="module")
def quiet(stage, build):
    """A host without the agent and with a snapshot made by hand: alice may use her account and deploy; bob may not, or not yet."""
    fleet = Fleet()
    # The flips ask PAM thousands of times: a stack of our two lines alone.
    stack = {"/etc/pam.d/sshd-flip": "account required pam_hallpass.so services=sshd-flip\n"
             "session required pam_hallpass.so services=sshd-flip\n"}
    with Site(stage, fleet, files=stack) as site:
        site.host.run("systemctl", "disable", "--now", "hallpass-agent")
        maker = build / "tests/support/make_snapshot"
        site.host.write("/usr/local/bin/make_snapshot", pathlib.Path(maker).read_bytes(), 0o755)
        site.fleet.snapshot = [
            "--admit", "alice", "alice", "number=1", "--admit", "deploy", "alice", "number=2", "shared=1",
            "--admit", "bob", "bob", "number=3", "start=+3600", "end=+7200", "--admit", "carol", "carol", "number=4", "start=-7200", "end=-1",
            "--key", "alice", "alice", fleet.key("alice").bare, "--key", "deploy", "alice", fleet.key("alice").bare, "shared=1",
            "--key", "deploy", "bob", fleet.key("bob").bare, "shared=1", "--key", "bob", "bob", fleet.key("bob").bare,
            "--key", "carol", "carol", fleet.key("carol").bare,
            "--wait", "bob", "bob", "pending", "id=aaaa-bbbb-cccc", "at=+3600", "--wait", "carol", "carol", "ended", "at=-1", "runbooks=login",
            "--wait", "deploy", "bob", "none", "runbooks=deploy"]
        yield site
    fleet.close()


@pytest.fixture(autouse=True)
def fresh(quiet):
    make(quiet)
    yield


def make(site, *options):
    site.host.run("rm", "-rf", SNAPSHOT)
    site.host.run("/usr/local/bin/make_snapshot", SNAPSHOT, *options, *site.fleet.snapshot, check=True)


def nobody_but_the_exempt(site, *words):
    for account, person in (("alice", "alice"), ("deploy", "alice"), ("bob", "bob"), ("carol", "carol"), ("alice", "bob")):
        site.assert_refused(account, person, *(words if account == person == "alice" else ()))
    site.assert_in("rescue", site.rescue)


def test_whole(quiet):
    quiet.assert_in("alice", "alice")
    quiet.assert_in("deploy", "alice")
    quiet.assert_refused("bob", "bob", "starts at")
    quiet.assert_refused("carol", "carol", "ended")
    quiet.assert_refused("deploy", "bob", "hallpass request deploy")
    quiet.assert_in("rescue", quiet.rescue)


def test_missing(quiet):
    before = quiet.host.cursor()
    quiet.host.path(SNAPSHOT).unlink()
    nobody_but_the_exempt(quiet)
    assert quiet.host.await_journal(HALLPASS_EVENT="snapshot_unusable", after=before)["HALLPASS_WHY"]


@pytest.mark.parametrize("left", [0, 1, 100, 4096, 8192, 0.5, 0.9])
def test_truncated(quiet, left):
    data = quiet.host.path(SNAPSHOT).read_bytes()
    size = int(len(data) * left) if isinstance(left, float) else left
    quiet.host.write(SNAPSHOT, data[:size], 0o600)
    for account, person in (("bob", "bob"), ("carol", "carol"), ("alice", "bob"), ("deploy", "bob")):
        quiet.assert_refused(account, person)
    if size < 3 * 4096:
        quiet.assert_refused("alice", "alice")
    quiet.assert_in("rescue", quiet.rescue)


def test_bytes_of_something_else(quiet):
    quiet.host.write(SNAPSHOT, os.urandom(65536), 0o600)
    nobody_but_the_exempt(quiet)


def test_of_another_machine(quiet):
    make(quiet, "--machine-id", hashlib.md5(b"other").hexdigest())
    nobody_but_the_exempt(quiet)


@pytest.mark.parametrize("mode,owner", [(0o620, "root:root"), (0o602, "root:root"), (0o666, "root:root"), (0o600, "alice:alice")],
                         ids=["group writable", "writable by others", "writable by all", "a user's"])
def test_wrong_mode_or_owner(quiet, mode, owner):
    data = quiet.host.path(SNAPSHOT).read_bytes()
    quiet.host.write(SNAPSHOT, data, mode, owner)
    nobody_but_the_exempt(quiet)
    quiet.host.write(SNAPSHOT, data, 0o600)
    quiet.assert_in("alice", "alice")


@pytest.mark.parametrize("kind", ["directory", "fifo", "symlink"])
def test_not_a_regular_file(quiet, kind):
    commands = {"directory": f"mkdir {SNAPSHOT}", "fifo": f"mkfifo {SNAPSHOT}", "symlink": f"ln -s {SNAPSHOT}.real {SNAPSHOT}"}
    quiet.host.sh(f"mv {SNAPSHOT} {SNAPSHOT}.real; {commands[kind]}", check=True)
    nobody_but_the_exempt(quiet)


def test_withdrawn(quiet):
    quiet.host.sh("mkdir -p /run/hallpass; touch /run/hallpass/withdrawn", check=True)
    try:
        nobody_but_the_exempt(quiet)
    finally:
        quiet.host.sh("rm /run/hallpass/withdrawn", check=True)
    quiet.assert_in("alice", "alice")


def test_words_tell_a_broken_store_from_no_grant(quiet):
    quiet.host.write(SNAPSHOT, b"", 0o600)
    # sshd gets no key out of a broken store, so publickey cannot even begin; PAM's words come where a key is accepted otherwise.
    r = quiet.host.sh("pamtester sshd alice acct_mgmt")
    assert not r.ok and STORE in r.both and "hallpass request" not in r.both, repr(r)


def test_one_bit_flipped_in_a_thousand_places(quiet):
    fleet = quiet.fleet
    quiet.host.write("/root/flip.py", (pathlib.Path(__file__).parent / "lib/flip.py").read_bytes())
    alice, bob, carol = (fleet.key(p) for p in ("alice", "bob", "carol"))

    def row(account, key, may):
        return [account, key.fingerprint, key.bare, may]
    attempts = [row("alice", alice, True), row("alice", bob, False), row("bob", bob, False), row("carol", carol, False),
                row("deploy", bob, False)]
    config = {"snapshot": SNAPSHOT, "count": FLIPS, "seed": 20261121, "attempts": attempts,
              "near": ["alice", "bob", "carol", "deploy", bob.fingerprint[7:], alice.fingerprint[7:], quiet.host.machine_id]}
    quiet.host.write("/root/flip.json", json.dumps(config))
    started = time.monotonic()
    r = quiet.host.run("python3", "/root/flip.py", "/root/flip.json", timeout=600, check=True)
    print(f"{FLIPS} flips in {time.monotonic() - started:.0f} s: {r.out}")
    result = json.loads(r.out.splitlines()[-1])
    assert result["wrong"] == []
    assert result["admitted"] > FLIPS / 4, "so few admissions that the check says nothing"
    assert result["refused"] > 4 * FLIPS


def test_flipped_bits_over_real_ssh(quiet):
    data = quiet.host.path(SNAPSHOT).read_bytes()
    start = data.find(quiet.fleet.key("bob").fingerprint[7:].encode())
    for n in range(12):
        damaged = bytearray(data)
        damaged[start + 37 * n] ^= 1 << (n % 8)
        quiet.host.write(SNAPSHOT, bytes(damaged), 0o600)
        quiet.assert_refused("alice", "bob")
        quiet.assert_refused("deploy", "bob")
        if n % 4 == 0:
            quiet.assert_in("rescue", quiet.rescue)


def test_pam_stack_is_as_documented():
    text = pam_sshd()
    lines = [line.split()[:3] for line in text.splitlines()]
    assert lines.index(["account", "required", "pam_hallpass.so"]) == lines.index(["@include", "common-account"]) - 1
    assert lines.index(["session", "requisite", "pam_hallpass.so"]) == lines.index(["@include", "common-session"]) - 1
    assert lines.index(["session", "required", "pam_hallpass.so"]) == lines.index(["@include", "common-session"]) + 1
    assert "pam_hallpass.so post" in text
