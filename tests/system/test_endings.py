"""When a grant ends or is revoked, everything that was started in its sessions is gone: seen from outside, by audit id, control group and logind."""
import itertools
import json
import os
import random
import time

import pytest

from .conftest import ROOT
from .lib import menu, remains
from .lib.host import eventually

PEOPLE = ("alice", "bob", "carol")
ITEMS = {**menu.MENU, **menu.PERSONAL}
GONE_WITHIN, P99 = 5.0, 1.0
ROUNDS = 3
SOAK_TIMES, HANDFUL = int(os.environ.get("HALLPASS_SOAK_TIMES", "200")), 6


@pytest.fixture(scope="module")
def site(stage):
    with menu.menu_site(stage) as s:
        menu.prepare(s)
        s.pace = 8.0        # seconds that starting everything takes; measured as it goes
        yield s
        s.echo.kill()
        s.echo.wait()


@pytest.fixture(scope="module")
def bystanders(site):
    """Sessions that nothing here ends: of another person, of one of the people on another account, of the exempt group."""
    for who, runbook in (("dave", "login"), ("bob", "deploy")):
        site.keep.add(site.grant(who, runbook, by="carol", duration=3000).id)
    plain = menu.MENU["command without a terminal"]
    items = [plain(site, "dave"), plain(site, "bob", account="deploy")]
    menu.start(items)
    rescue = site.host.background_ssh("rescue", site.rescue.path, "cat")
    try:
        yield items
        assert rescue.poll() is None, "the exempt group's session was ended"
    finally:
        rescue.kill()
        rescue.wait()
        for running in items:
            running.close()


class Round:
    """Items in sessions of several people, each person under a grant of his own."""

    def __init__(self, site, names, people=PEOPLE, duration=3000):
        self.site, self.items, self.ends = site, [], {}
        began = time.time()
        self.grants = {who: site.grant(who, "all", by="carol" if who == "bob" else "bob", duration=duration, at=began) for who in people}
        self.end = int(began) + duration
        turns = itertools.cycle(people)
        try:
            for name in names:
                self.items.append(ITEMS[name](site, next(turns)))
            menu.start(self.items)
        except BaseException:
            self.close()
            raise
        self.started = time.time() - began

    def revoke(self):
        revocations = {who: self.site.fleet.revoke(by="ana", request=grant) for who, grant in self.grants.items()}
        for who, revocation in revocations.items():
            self.ends[who] = time.time()
            self.site.put(revocation)
        self.site.granted = [g for g in self.site.granted if g[0] not in self.grants.values()]

    def expire(self):
        self.ends = dict.fromkeys(self.grants, self.end)
        assert time.time() < self.end - 0.5, f"starting took {self.started:.1f} s: the grants end before everything runs"

    def watch(self) -> dict:
        """item -> seconds after its end until nothing was left; fails when something still is after GONE_WITHIN."""
        marks = {running: running.mark for running in self.items}
        gone = remains.watch(marks, max(self.ends.values()) - time.time() + GONE_WITHIN)
        late = [running for running in self.items if running not in gone]
        assert not late, "\n".join(f"{r.name}: {line}" for r in late for line in remains.left(self.site.host, [r.mark])[:20])
        return {running: gone[running] - self.ends[running.who] for running in self.items}

    def assert_nothing_left(self):
        host = self.site.host
        assert remains.left(host, [running.mark for running in self.items]) == []
        table = remains.processes(host)
        assert [str(p) for running in self.items for p in running.mine(table)] == []
        for running in self.items:
            if running.stream:
                eventually("the stream is cut", lambda r=running: r.stream.process.poll() is not None, within=3)

    def assert_accounts_empty(self):
        """Not a process of theirs is left, whoever started it: user managers, at jobs."""
        uids = {int(self.site.host.run("id", "-u", who).out) for who in self.grants}

        def left():
            return [str(p) for p in remains.processes(self.site.host) if p.uid in uids or p.login in uids]
        try:
            eventually("the accounts are empty", lambda: not left(), within=GONE_WITHIN)
        except AssertionError:
            raise AssertionError("\n".join(left())) from None

    def close(self):
        for running in self.items:
            running.close()


def told(way, delays):
    slowest = max(delays, key=delays.get)
    print(f"  {way}: {len(delays)} sessions gone, median {remains.percentile(list(delays.values()), 50) * 1e3:.0f} ms, "
          f"slowest {delays[slowest] * 1e3:.0f} ms ({slowest.name})")


def finish(way, played, bystanders):
    delays = played.watch()
    told(way, delays)
    played.assert_nothing_left()
    early = {r.name: f"{s:+.3f} s" for r, s in delays.items() if s < -0.05}
    assert not early, f"ended before their time: {early}"
    played.assert_accounts_empty()
    table = remains.processes(played.site.host)
    for running in bystanders:
        assert running.runs(table), f"a session was ended that another grant admits: {running!r}"
    return delays


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_revoked(site, bystanders, turn):
    played = Round(site, ITEMS)
    try:
        site.pace = max(played.started, site.pace if turn == 0 else 0)
        played.revoke()
        finish("revoked", played, bystanders)
    finally:
        played.close()


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_at_the_end(site, bystanders, turn):
    played = Round(site, ITEMS, duration=int(site.pace * 1.5) + 3)
    try:
        played.expire()
        site.pace = played.started
        finish("at the end", played, bystanders)
    finally:
        played.close()


def summary(values):
    return {"count": len(values), **{f"p{p}_ms": round(remains.percentile(values, p) * 1e3, 1) for p in (50, 95, 99)}, "max_ms": round(max(values) * 1e3, 1)}


@pytest.mark.soak
def test_soak(site, bystanders):
    """A random handful at a time, ended by revocation and by the clock in turns, until each item was ended SOAK_TIMES times."""
    seed = int(os.environ.get("HALLPASS_SEED", time.time()))
    rng = random.Random(seed)
    print(f"\n  seed {seed}")
    found = []   # (way, item, seconds)
    times = dict.fromkeys(ITEMS, 0)
    ways = itertools.cycle(("revoked", "end"))
    site.pace = 4.0
    while min(times.values()) < SOAK_TIMES:
        way = next(ways)
        names = sorted(ITEMS, key=lambda name: (times[name], rng.random()))[:HANDFUL]
        played = Round(site, names, duration=int(site.pace * 2) + 4 if way == "end" else 3000)
        try:
            site.pace = played.started
            played.expire() if way == "end" else played.revoke()
            found += [(way, running.name, seconds) for running, seconds in finish(way, played, bystanders).items()]
        finally:
            played.close()
        for name in names:
            times[name] += 1
    results = {"seed": seed, "handful": HANDFUL, "all": summary([s for _, _, s in found])}
    for way in ("revoked", "end"):
        results[way] = summary([s for w, _, s in found if w == way])
    results["items"] = {name: summary([s for _, n, s in found if n == name]) for name in ITEMS}
    out = ROOT / "build/results/endings.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")
    for name, row in [("all", results["all"]), ("revoked", results["revoked"]), ("end", results["end"]), *results["items"].items()]:
        print(f"  {name:36} {row['count']:5} times  p50 {row['p50_ms']:6.0f}  p95 {row['p95_ms']:6.0f}  p99 {row['p99_ms']:6.0f}  max {row['max_ms']:6.0f} ms")
    assert results["all"]["p99_ms"] < P99 * 1e3, results["all"]
