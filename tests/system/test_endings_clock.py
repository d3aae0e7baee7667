"""Live sessions and a clock that is wrong: nobody stays longer than his grant, and each anomaly is told."""
import time

import pytest

from .lib import menu
from .lib.ends import assert_gone, brief, dead_agent, lives, running, told
from .lib.host import eventually

PLAIN, IGNORING = menu.MENU["command without a terminal"], menu.MENU["ignores TERM and HUP"]
DAY = 86400


@pytest.fixture(scope="module")
def site(stage):
    """The clock of this host stays usable: no test here leaves a floor ahead of the true time."""
    with menu.menu_site(stage, clock=True) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        yield s


@pytest.fixture(autouse=True)
def right_again(request):
    yield
    if "site" in request.fixturenames:
        s = request.getfixturevalue("site")
        s.host.set_clock(0)
        s.settle()


def test_set_back_a_day(site):
    """The session ends when it was to end, by the time since boot."""
    grant = brief(site, duration=8)
    with running(site, (IGNORING, "alice"), (PLAIN, "alice")) as items:
        before = site.host.cursor()
        site.host.set_clock(-DAY)
        site.settle()
        entry = told(site, before, "clock_set_back")
        assert entry["PRIORITY"] == "3" and entry["HALLPASS_WHY"] in ("1d", "1d1s", "23h59m59s"), entry
        lives(site, *items)
        assert_gone(site, items, grant.end, not_before=grant.end - 1)   # the time since the floor is counted in whole seconds
        site.assert_refused("alice", "alice")
        site.host.restart("hallpass-agent")
        site.settle()
        site.assert_refused("alice", "alice")


def test_set_back_a_day_with_the_agent_dead(site):
    """PID 1 counts by a clock that nobody sets."""
    grant = brief(site, duration=8)
    with running(site, (IGNORING, "alice")) as items, dead_agent(site.host):
        site.host.set_clock(-DAY)
        assert_gone(site, items, grant.end, not_before=grant.end)
        site.assert_refused("alice", "alice")


def test_logged_in_while_the_clock_is_a_day_behind(site):
    """The limit of a session that begins then is reckoned by the time that counts."""
    grant = brief(site, duration=9)
    site.host.set_clock(-DAY)
    with running(site, (IGNORING, "alice")) as items:
        assert_gone(site, items, grant.end, not_before=grant.end - 1)


def test_set_forward_a_day(site):
    """What is over by the new time ends at once; when the clock is right again, who is admitted by the true time gets in again."""
    brief(site, duration=1800)
    brief(site, "carol", duration=1800)
    with running(site, (IGNORING, "alice"), (PLAIN, "carol")) as items:
        before, since = site.host.cursor(), time.time()
        site.host.set_clock(DAY, synchronised=False)
        site.settle()
        assert_gone(site, items, since)
        told(site, before, "clock_set_forward")
        site.assert_refused("alice", "alice")
    site.host.set_clock(0)
    site.settle()
    site.await_admitted("alice", site.fleet.key("alice"))
    with running(site, (PLAIN, "alice")) as items:
        lives(site, *items, seconds=1)


def test_reboot_with_the_clock_in_the_past_and_a_suspend(new_site):
    site = new_site(clock=True)
    host = site.host
    ended = brief(site, duration=3)
    running_on = brief(site, "carol", duration=1200)
    host.await_journal(HALLPASS_EVENT="grant_ended", HALLPASS_GRANT=ended.id, within=10)
    site.settle()
    host.set_clock(-DAY, synchronised=False)
    host.reboot()
    site.settle()
    told(site, None, "clock_in_the_past")
    site.assert_refused("alice", "alice", "ended")
    with running(site, (IGNORING, "carol")) as items:
        scope = f"session-{items[0].mark.logind}.scope"
        limit = eventually("a limit", lambda: host.run("systemctl", "show", "-P", "RuntimeMaxUSec", scope).out.strip())
        assert limit.startswith(("19min", "20min")), limit
        # Corrected: and by the right time her grant is over.
        since = time.time()
        host.set_clock(running_on.end - time.time() + 1)
        site.settle()
        assert_gone(site, items, since)
        site.assert_refused("carol", "carol", "ended")

    # A suspend: the wall clock and the time since boot leap, the monotonic clock by which PID 1 counts does not.
    site.cease_all()
    ahead = running_on.end - time.time() + 1
    now = time.time() + ahead
    short, long = ({"duration": 1800}, {"duration": 3600})
    for who, kw in (("bob", short), ("carol", long)):
        site.grant(who, by="carol" if who == "bob" else "bob", at=now, **kw)
    with running(site, (IGNORING, "bob"), (PLAIN, "bob"), (PLAIN, "carol")) as (*over, kept):
        before, since = host.cursor(), time.time()
        host.set_clock(ahead + 2400, slept=2400)
        site.settle()
        assert_gone(site, over, since)
        entry = told(site, before, "clock_suspended")
        assert "40" in entry["HALLPASS_WHY"], entry
        assert not host.journal(HALLPASS_EVENT="clock_set_forward", after=before), "a suspend is not taken for a clock that was set"
        site.assert_refused("bob", "bob", "ended")
        lives(site, kept, seconds=1)
