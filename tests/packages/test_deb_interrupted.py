"""Every step in the life of the packages, cut off in the middle: by SIGKILL at moments spread over it, and by a disk that is full. Logins and sudo are then
as before or as after, at once and without anybody's help, and the usual repair leads to the end."""
import json
import re

import pytest

from .machine import Going, Machine

MOMENTS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95)
ROOM_KIB = (0, 64, 4096)


class Patient(Machine):
    """A host that goes back to one state after each cut; alice has a grant all the time."""

    def begin(self, debs):
        self.debs = debs
        self.bare = self.doors()
        self.install(debs.host())
        self.host.await_journal(HALLPASS_EVENT="policy_accepted", within=20)
        self.keep.add(self.grant("alice", "login", duration=3600).id)
        return self

    def mode(self):
        return json.loads(self.hallpass("activation", "--json").out)["mode"]

    def enforce(self):
        self.hallpass("enable", "--sudo")
        self.confirm()
        assert self.enforcing()

    def enforcing(self) -> bool:
        """Whether access is as when enforced, or else as before hallpass; anything else fails."""
        people = self.people()
        bob = people.pop("ssh bob")
        assert people == {"ssh alice": True, "ssh ops": True, "a stranger's key": False, "sudo": True}, self.look()
        return not bob

    def look(self):
        return self.host.sh("ls -la /etc/pam.d/ /etc/ssh/sshd_config.d /etc/sudo.conf; cat /etc/pam.d/sshd /etc/ssh/sshd_config.d/hallpass*; "
                            "systemctl status ssh hallpass-agent --no-pager").out

    def is_bare(self):
        now = self.doors()
        assert [what for what in now if now[what] != self.bare[what]] == []


@pytest.fixture(scope="module")
def patient(debs):
    with Patient() as m:
        yield m.begin(debs)


@pytest.fixture(scope="module")
def small_host(debs):
    with Patient(size="300M") as m:
        yield m.begin(debs)


@pytest.fixture
def small(small_host, debs):
    """A host with a small disk, hallpass installed and switched off, however the last test ended."""
    yield small_host
    small_host.free()
    if (small_host.state(), small_host.version()) != ("installed", debs.version):
        small_host.repair(debs)
    if small_host.mode() != "off":
        small_host.hallpass("disable")


def how_long(machine, argv):
    going = Going(machine, argv)
    assert going.end(), going.out
    return going.seconds


def dpkg_install(machine, debs):
    return ["dpkg", "-i", *machine.bring(debs.host())]


# --- SIGKILL
def test_install_killed(patient, debs):
    remove = ["dpkg", "--purge", "hallpass-host", "hallpass"]
    how_long(patient, remove)
    patient.is_bare()
    seconds = how_long(patient, dpkg_install(patient, debs))
    how_long(patient, remove)
    finished = 0
    for n, moment in enumerate(MOMENTS):
        going = Going(patient, dpkg_install(patient, debs))
        finished += going.kill_after(moment * seconds, family=n % 2 == 0)
        assert not patient.enforcing()
        patient.repair(debs)
        patient.is_bare()
        how_long(patient, remove)
        patient.is_bare()
    assert finished < len(MOMENTS) / 2, "hardly a moment was in the middle"
    patient.install(debs.host())
    patient.host.run("systemctl", "is-active", "hallpass-agent", check=True)


def test_enable_killed(patient):
    enable = ["hallpass", "host", "enable", "--sudo"]
    patient.enforce()
    patient.hallpass("disable")
    seconds = how_long(patient, enable)
    patient.hallpass("disable")
    patient.is_bare()
    seen = set()
    for n, moment in enumerate((*MOMENTS, 0.98)):
        going = Going(patient, enable)
        going.kill_after(moment * seconds, family=n % 2 == 0)
        seen.add(patient.enforcing())
        patient.hallpass("disable")
        patient.is_bare()
    assert False in seen
    left = patient.host.sh("getent passwd | grep selftest; mount | grep -i selftest").out
    assert left == "", "the next step cleans up after a killed self-test"


def test_disable_killed(patient):
    patient.enforce()
    seconds = how_long(patient, ["hallpass", "host", "disable"])
    for moment in MOMENTS[1::2]:
        patient.enforce()
        Going(patient, ["hallpass", "host", "disable"]).kill_after(moment * seconds)
        patient.enforcing()
        patient.hallpass("disable")
        patient.is_bare()


def test_upgrade_killed(patient, debs, newer):
    patient.enforce()
    seconds = how_long(patient, dpkg_install(patient, newer))
    how_long(patient, dpkg_install(patient, debs))
    finished = 0
    for n, moment in enumerate(MOMENTS):
        finished += Going(patient, dpkg_install(patient, newer)).kill_after(moment * seconds, family=n % 2 == 0)
        assert patient.enforcing(), "an upgrade frees nobody"
        patient.repair(newer)
        assert patient.enforcing()
        patient.install(debs.host())
        assert patient.enforcing() and patient.version() == debs.version
    assert finished < len(MOMENTS) / 2, "hardly a moment was in the middle"


def test_remove_killed(patient, debs):
    remove = ["dpkg", "--remove", "hallpass-host", "hallpass"]
    seconds = how_long(patient, remove)
    patient.is_bare()
    for moment in MOMENTS[1::2]:
        patient.install(debs.host())
        patient.enforce()
        Going(patient, remove).kill_after(moment * seconds)
        patient.enforcing()
        patient.dpkg("--configure", "-a", check=False)
        patient.enforcing()
        how_long(patient, remove)
        patient.is_bare()


# --- a full disk
@pytest.mark.parametrize("room", ROOM_KIB)
def test_install_on_a_full_disk(small, debs, room):
    argv = dpkg_install(small, debs)
    how_long(small, ["dpkg", "--purge", "hallpass-host", "hallpass"])
    small.fill(room)
    assert not Going(small, argv).end(), "there was room"
    assert not small.enforcing()
    small.free()
    small.repair(debs)
    small.is_bare()


@pytest.mark.parametrize("room", ROOM_KIB)
def test_enable_and_disable_on_a_full_disk(small, room):
    small.fill(room)
    enabled = small.hallpass("enable", "--sudo", check=False).ok
    assert small.enforcing() == enabled, "it says what it did"
    small.free()
    if enabled:
        small.hallpass("disable")
    small.enforce()
    small.fill(room)
    disabled = small.hallpass("disable", check=False)
    assert disabled.ok and not small.enforcing(), "going back needs no room"
    small.free()
    small.hallpass("disable")
    small.is_bare()


@pytest.mark.parametrize("room", ROOM_KIB)
def test_upgrade_on_a_full_disk(small, debs, newer, room):
    small.enforce()
    argv = dpkg_install(small, newer)
    small.fill(room)
    Going(small, argv).end()
    assert small.enforcing(), "an upgrade frees nobody"
    small.free()
    small.repair(newer)
    assert small.enforcing()
    small.install(debs.host())
    small.hallpass("disable")


@pytest.mark.parametrize("room", ROOM_KIB)
def test_remove_on_a_full_disk(small, debs, room):
    small.enforce()
    small.fill(room)
    Going(small, ["dpkg", "--remove", "hallpass-host", "hallpass"]).end()
    small.enforcing()
    small.free()
    small.dpkg("--configure", "-a", check=False)
    small.dpkg("--remove", "hallpass-host", "hallpass")
    small.is_bare()
    small.install(debs.host())
    small.host.run("systemctl", "restart", "hallpass-agent", check=True)


# --- what stands in the way of removal
def test_removal_refuses_when_logins_still_need_it(patient, debs):
    patient.install(debs.host())
    su = patient.host.path("/etc/pam.d/su").read_text()
    patient.host.write("/etc/pam.d/su", f"account optional pam_hallpass.so\n{su}")
    r = patient.dpkg("--remove", "hallpass-host", check=False)
    assert not r.ok and "/etc/pam.d/su" in r.both and re.search("hallpass-host is not removed: .* still need it", r.both), r
    assert patient.state() == "installed" and patient.host.path("/usr/libexec/hallpass/ctl").exists()
    patient.works()
    patient.host.write("/etc/pam.d/su", su)
    patient.dpkg("--remove", "hallpass-host")
    patient.is_bare()
