"""Windows to the second, an agent that does not run, and clocks that are wrong."""
import time

from .lib.fleet import utc
from .lib.host import eventually
from .lib.site import SNAPSHOT


def test_one_second_before_and_after_each_end_of_the_window(new_site):
    site = new_site(clock=True)
    start = int(time.time()) + 1800
    site.grant("alice", duration=300, not_before=start, wait=False)
    site.settle()
    site.assert_refused("alice", "alice", "starts at")
    for second, admitted in ((start - 1, False), (start, True), (start + 1, True), (start + 298, True), (start + 299, True),
                             (start + 300, False), (start + 301, False)):
        site.host.set_clock(frozen_at=second)
        if admitted:
            site.assert_in("alice", "alice")
        else:
            site.assert_refused("alice", "alice")


def test_a_grant_without_gates_starts_when_it_is_asked_for(new_site):
    site = new_site()
    request = site.grant("alice", "quick", duration=6)
    site.assert_in("alice", "alice")
    site.host.await_journal(HALLPASS_EVENT="grant_ended", HALLPASS_GRANT=request.id, within=12)
    end = time.time()
    asked = time.mktime(time.strptime(request.members["requested_at"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert asked + 6 <= end < asked + 9, "the agent wakes when a window ends"
    site.assert_refused("alice", "alice", "ended")


def test_the_agent_wakes_when_a_window_starts(new_site):
    site = new_site()
    start = int(time.time()) + 5
    site.grant("alice", not_before=start, wait=False)
    site.settle()
    assert not site.admits("alice", site.fleet.key("alice"))
    site.await_admitted("alice", site.fleet.key("alice"), within=10)
    assert start <= time.time() < start + 4
    site.host.await_journal(HALLPASS_EVENT="grant_active", HALLPASS_SUBJECT="alice", within=5)


def test_later_approval_neither_reopens_nor_lengthens(new_site):
    site = new_site()
    request = site.grant("alice", duration=4)
    site.host.await_journal(HALLPASS_EVENT="grant_ended", HALLPASS_GRANT=request.id, within=12)
    site.put(site.fleet.approve(request, "carol"))
    site.settle()
    site.assert_refused("alice", "alice", "ended")


def test_an_approval_may_shorten(new_site):
    site = new_site()
    request = site.fleet.request("alice", duration=600)
    site.put(request, site.fleet.approve(request, duration=4))
    site.await_admitted("alice", site.fleet.key("alice"))
    site.host.await_journal(HALLPASS_EVENT="grant_ended", HALLPASS_GRANT=request.id, within=12)
    site.assert_refused("alice", "alice", "ended")


def test_agent_stopped_still_admits_and_still_expires(new_site):
    site = new_site(clock=True)
    site.grant("alice", duration=60)
    future = int(time.time()) + 120
    site.grant("carol", by="bob", duration=60, not_before=future, wait=False)
    site.settle()
    site.host.run("systemctl", "stop", "hallpass-agent", check=True)
    assert site.host.run("systemctl", "is-active", "hallpass-agent").out.strip() != "active"
    before = site.host.cursor()
    site.assert_in("alice", "alice")
    # Nobody takes the event, so the module tells journald itself.
    assert site.host.await_journal(HALLPASS_EVENT="login_admitted", after=before)["HALLPASS_SUBJECT"] == "alice"
    site.assert_refused("carol", "carol")
    site.host.set_clock(65)
    site.assert_refused("alice", "alice")
    site.host.set_clock(frozen_at=future)
    site.assert_in("carol", "carol")
    site.host.set_clock(frozen_at=future + 60)
    site.assert_refused("carol", "carol")


def test_agent_killed_comes_back_with_what_it_knew(new_site):
    site = new_site()
    grant = site.grant("alice")
    revoked = site.grant("carol", by="bob")
    site.cease(revoked)
    site.await_refused("carol", site.fleet.key("carol"))
    for name in (grant.file, revoked.file):
        site.host.path(f"/srv/hallpass/{name}").unlink()
    before = site.host.cursor()
    site.host.run("systemctl", "kill", "-s", "KILL", "hallpass-agent", check=True)
    site.host.await_journal(HALLPASS_EVENT="agent_started", after=before, within=20)
    site.settle()
    site.assert_in("alice", "alice")
    site.assert_refused("carol", "carol", "revoked")


def test_after_a_reboot(new_site):
    site = new_site()
    site.grant("alice", duration=600)
    ended = site.grant("carol", by="bob", duration=3)
    site.host.await_journal(HALLPASS_EVENT="grant_ended", HALLPASS_GRANT=ended.id, within=10)
    site.host.reboot()
    site.await_admitted("alice", site.fleet.key("alice"))
    site.assert_in("alice", "alice")
    site.assert_refused("carol", "carol", "ended")


def test_clock_set_back_a_day_revives_nothing(new_site):
    site = new_site(clock=True)
    ended = site.grant("alice", duration=3)
    site.host.await_journal(HALLPASS_EVENT="grant_ended", HALLPASS_GRANT=ended.id, within=10)
    site.assert_refused("alice", "alice", "ended")
    for synchronised in (False, True):
        site.host.set_clock(-86400, synchronised=synchronised)
        site.assert_refused("alice", "alice")
        site.settle()
        site.assert_refused("alice", "alice")
        site.host.restart("hallpass-agent")
        site.settle()
        site.assert_refused("alice", "alice")
    site.host.run("systemctl", "stop", "hallpass-agent", check=True)
    site.assert_refused("alice", "alice")
    site.host.reboot()
    site.assert_refused("alice", "alice")
    site.settle()
    site.assert_refused("alice", "alice")


def test_another_boot_goes_on_from_the_floor(new_site):
    """How long a host was off nobody can tell it. With a clock that is behind, time stands at the floor: what had ended stays ended."""
    site = new_site(clock=True)

    def boot():
        return site.host.run("cat", "/proc/sys/kernel/random/boot_id").out
    first = boot()
    ended = site.grant("alice", duration=2)
    site.host.await_journal(HALLPASS_EVENT="grant_ended", HALLPASS_GRANT=ended.id, within=10)
    running = site.grant("carol", by="bob", duration=8)
    future = int(time.time()) + 1800
    site.grant("bob", by="carol", duration=600, not_before=future, wait=False)
    site.settle()
    # Readers alone decide, by the snapshot that lies there.
    site.host.run("systemctl", "disable", "--now", "hallpass-agent", check=True)
    site.host.set_clock(-86400, synchronised=False)
    site.host.reboot()
    assert boot() != first
    end = running.members["requested_at"]
    eventually("carol's end has passed", lambda: utc(time.time() - 9) > end)
    site.assert_refused("alice", "alice", "ended")
    site.assert_in("carol", "carol")   # in the boot of the floor she would be refused: the time since then would count
    site.assert_refused("bob", "bob", "starts at")
    # The agent takes nothing back, and with the right clock everything is as if nothing had been.
    site.host.run("systemctl", "start", "hallpass-agent", check=True)
    site.settle()
    site.assert_refused("alice", "alice", "ended")
    site.host.set_clock(0)
    site.assert_refused("carol", "carol")
    site.settle()
    site.assert_refused("carol", "carol", "ended")
    site.host.set_clock(frozen_at=future)
    site.assert_in("bob", "bob")


def test_clock_set_back_while_a_grant_runs_lengthens_nothing(new_site):
    site = new_site(clock=True)
    grant = site.grant("alice", duration=8)
    site.assert_in("alice", "alice")
    site.host.run("systemctl", "stop", "hallpass-agent", check=True)
    site.host.set_clock(-86400)
    eventually("alice's end has passed", lambda: utc(time.time() - 9) > grant.members["requested_at"])
    site.assert_refused("alice", "alice")


def test_clock_wrongly_forward_a_day_and_right_again(new_site):
    """Nobody is locked out for good: the floor follows no wrong clock for more than ten minutes."""
    site = new_site(clock=True)
    site.grant("carol", by="bob", duration=3600)
    site.host.set_clock(86400)
    site.settle()
    site.assert_refused("carol", "carol")
    site.assert_in("rescue", site.rescue)
    site.host.restart("hallpass-agent")
    site.settle()
    site.host.set_clock(0)
    site.host.restart("hallpass-agent")
    site.settle()
    site.grant("alice", duration=3600)
    site.assert_in("alice", "alice")
    site.await_admitted("carol", site.fleet.key("carol"))   # an end by a wrong clock is not final
    site.assert_in("carol", "carol")


def test_strict_clock_admits_nobody_until_synchronised_after_a_boot(new_site):
    site = new_site(clock=True, host_toml='clock = "strict"\n')
    site.grant("alice", duration=3600)
    site.assert_in("alice", "alice")
    site.host.set_clock(0, synchronised=False)
    site.host.reboot()
    site.settle()
    site.assert_refused("alice", "alice")
    site.assert_in("rescue", site.rescue)
    site.host.set_clock(0, synchronised=True)
    site.settle()
    site.await_admitted("alice", site.fleet.key("alice"))
    site.assert_in("alice", "alice")


def test_login_needs_no_agent_no_network_and_no_log(new_site):
    site = new_site()
    site.grant("alice")
    site.host.run("systemctl", "stop", "hallpass-agent", check=True)
    site.host.run("systemctl", "stop", "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald.service")
    site.assert_in("alice", "alice")
    assert site.host.path(SNAPSHOT).exists()
