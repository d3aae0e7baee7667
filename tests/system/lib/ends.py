"""Grants that end soon, and what becomes of sessions then."""
import contextlib
import time

from . import menu, remains
from .host import eventually


@contextlib.contextmanager
def running(site, *items):
    """items: (class, who) or (class, who, account)."""
    made = []
    try:
        made += [cls(site, *rest) for cls, *rest in items]
        menu.start(made)
        yield made
    finally:
        for r in made:
            r.close()


def brief(site, who="alice", runbook="login", duration=8, **kw):
    """A grant and its end."""
    at = time.time()
    grant = site.grant(who, runbook, by="carol" if who == "bob" else "bob", duration=duration, at=at, **kw)
    grant.end = int(at) + duration
    return grant


def assert_gone(site, items, since, within=5.0, not_before=None):
    """Everything of these sessions; seconds after `since` for each."""
    gone = remains.watch({r: r.mark for r in items}, since + within - time.time())
    late = [line for r in items if r not in gone for line in remains.left(site.host, [r.mark])]
    assert not late, "\n".join(late)
    assert remains.left(site.host, [r.mark for r in items]) == []
    delays = [gone[r] - since for r in items]
    if not_before is not None:
        assert min(gone.values()) >= not_before - 0.05, f"{not_before - min(gone.values()):.2f} s too early"
    return delays


def lives(site, *items, seconds=0.0):
    """Still, all the time for so long."""
    end = time.monotonic() + seconds
    while True:
        table = remains.processes(site.host)
        for r in items:
            assert r.runs(table), f"ended: {r!r}"
        if time.monotonic() >= end:
            return
        time.sleep(0.1)


@contextlib.contextmanager
def dead_agent(host):
    host.run("systemctl", "mask", "--runtime", "hallpass-agent", check=True)
    host.run("systemctl", "kill", "-s", "KILL", "hallpass-agent", check=True)
    eventually("the agent is dead", lambda: host.run("systemctl", "show", "-P", "MainPID", "hallpass-agent").out.strip() == "0", within=5)
    try:
        yield
        assert host.run("systemctl", "show", "-P", "MainPID", "hallpass-agent").out.strip() == "0", "it was not dead all the time"
    finally:
        host.run("systemctl", "unmask", "--runtime", "hallpass-agent", check=True)
        host.restart("hallpass-agent")


def told(site, after, event, **fields):
    return site.host.await_journal(after=after, HALLPASS_EVENT=event, **{f"HALLPASS_{k}": v for k, v in fields.items()})
