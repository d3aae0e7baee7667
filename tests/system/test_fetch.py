"""hallpass-fetch and servers that do what they should: what it brings into the mirror, how much it reads, how it goes on.

The logs are made by Python (lib/log_maker.py); what lies in the mirror is compared with what the maker meant.
"""
import os
import signal
import subprocess
import time

from .lib.fetch_fixtures import complete, days_ago, fetch, fleet, log, serve, until  # noqa: F401 (fixtures)
from .lib.file_server import Nginx
from .lib.hub import Hub
from .lib.local_fetch import LocalFetch
from .lib.log_maker import LogMaker, tlog


# --- good carriers

def test_a_plain_file_server(fetch, log, serve):
    server = serve(log.files())
    run = fetch.once(server.url)
    assert run.returncode == 0, run.stderr
    complete(fetch, log)
    policies = fetch.everything()
    text = log.policies[0]
    for name in ("policy-1.toml", "policy.toml"):
        assert policies[f"policies/{name}"] == text["text"].encode() and policies[f"policies/{name}.sig"] == text["sig"].encode()
    assert (fetch.mirror / "checkpoint").stat().st_mode & 0o777 == 0o644
    # The same again: nothing is downloaded but the checkpoint, nothing changes.
    before, asked = fetch.everything(), len(server.asked)
    assert fetch.once().returncode == 0 and fetch.everything() == before
    assert set(server.asked[asked:]) <= {"/checkpoint", "/policies"}


def test_newer_cosignatures_of_the_same_head(fetch, log, serve):
    server = serve(log.files(at=time.time() - 100))
    assert fetch.once(server.url).returncode == 0
    old = fetch.note()
    server.files["checkpoint"] = log.note(at=time.time())
    assert fetch.once().returncode == 0
    new = fetch.note()
    assert new == server.files["checkpoint"] != old
    server.files["checkpoint"] = old        # an older cosignature is no fault, and no news
    assert fetch.once().returncode == 0 and fetch.note() == new


def test_growth_reads_only_what_is_new(fetch, log, serve):
    server = serve(log.files())
    assert fetch.once(server.url).returncode == 0
    for count in (1, 67, 1, 300):       # within a bundle, to its end, over its end, a whole one
        log.fill(count)
        server.put(log.files())
        asked = len(server.asked)
        assert fetch.once().returncode == 0
        complete(fetch, log)
        assert not any("entries/000" in path or "entries/001" in path for path in server.asked[asked:])


def test_compressed_answers(fetch, log, serve):
    server = serve(log.files())
    for path in server.files:
        if path.startswith("tile/entries"):
            server.packed(path)
    assert fetch.once(server.url).returncode == 0
    complete(fetch, log)


def test_a_new_host_begins_at_the_epoch(fetch, fleet, serve, log):
    long = LogMaker(like=log)
    policy = long.add_policy(fleet)
    start = long.fill(256 * 80, size=400)
    long.add_epoch(live_from=0, policy=policy, at=days_ago(16))
    live = long.fill(500, size=400)
    long.add_epoch(live_from=live, policy=policy)
    long.fill(20, size=400)
    server = serve(long.files())
    run = fetch.once(server.url)
    assert run.returncode == 0, run.stderr
    complete(fetch, long, live)
    assert f"tile/entries/{start // 256:03d}" not in fetch.files()
    wire = fetch.status()["received"]
    assert wire < 450_000, wire      # of over 8 MB
    assert fetch.everything()["epoch"] == long.files()["epoch"]
    # Another host may now be filled from this mirror alone.
    other = LocalFetch(fetch.program.parents[2], fetch.root / "other", fleet, long)
    mirror = serve({**fetch.everything(), **{k: v for k, v in long.files().items() if k.startswith(("polic", "tile/0/"))}})
    assert other.once(mirror.url).returncode == 0
    complete(other, long, live)


def test_nginx(fetch, log, tmp_path):
    log.write(tmp_path / "www")
    nginx = Nginx(tmp_path / "www", tmp_path / "nginx")
    try:
        fetch.start(nginx.url)
        until(lambda: fetch.size() == 700)
        log.fill(3)
        log.write(tmp_path / "www")
        until(lambda: fetch.size() == 703)
        complete(fetch, log)
    finally:
        nginx.close()


def test_token(fetch, log, serve):
    server = serve(log.files())
    server.token = "s3cret-word"
    run = fetch.once(server.url)
    assert run.returncode == 1 and "401" in run.stderr and "token_file" in run.stderr
    (fetch.root / "etc/hallpass/fetch.token").write_text("s3cret-word\n")
    run = fetch.once(server.url, more='token_file = "/etc/hallpass/fetch.token"\n')
    assert run.returncode == 0 and "s3cret-word" not in run.stderr
    complete(fetch, log)


# --- over time

def test_a_hub_that_waits_tells_at_once(fetch, log, serve):
    hub = serve(log.files(), waits=True)
    fetch.start(hub.url)
    until(lambda: fetch.size() == 700)
    for _ in range(5):
        log.fill(1)
        files, started = log.files(), time.monotonic()
        hub.put(files)
        until(lambda: fetch.size() == len(log.entries), within=5, every=0.005)
        assert time.monotonic() - started < 1
    assert len([p for p in hub.asked if p.startswith("/v1/")]) < 12
    assert fetch.stop() == 0
    # A restart goes on: it asks for what comes after, and reads no bundle again.
    asked = len(hub.asked)
    fetch.start(hub.url)
    until(lambda: f"/v1/checkpoint?after={len(log.entries)}" in hub.asked[asked:])
    assert not any("tile/entries" in p for p in hub.asked[asked:])


def test_killed_at_any_time_the_mirror_bears_out_its_checkpoint(fetch, log, serve):
    hub = serve(log.files(), waits=True)
    for n in range(12):
        fetch.start(hub.url)
        log.fill(40)
        hub.put(log.files())
        time.sleep(0.01 * n)
        fetch.stop(signal.SIGKILL)
        if fetch.note():
            size, have = fetch.size(), fetch.everything()
            meant = tlog.bundles(log.entries[:size])
            assert all(have.get(path) == content for path, content in meant.items()), size
    assert fetch.once(hub.url).returncode == 0
    complete(fetch, log)


def test_fail_over_and_back_off(fetch, log, serve):
    first, second = serve(log.files(), waits=True), serve(log.files(), waits=True)
    fetch.start(first.url, second.url)
    until(lambda: fetch.size() == 700)
    assert not second.asked
    log.fill(1)
    first.status("v1/checkpoint", 500)
    first.status("checkpoint", 500)
    with first._change:
        first.waits = False
        first._change.notify_all()      # what waits is answered with the old head; then it is out of order
    second.put(log.files())
    until(lambda: fetch.size() == 701, within=15)
    assert f"trying {second.url}" in fetch.said()
    # Both are down: neither is hammered.
    with second._change:
        second.special.update(first.special)
        second.waits = False
        second._change.notify_all()
    until(lambda: "trying again later" in fetch.said(), within=40)
    asked = len(first.asked) + len(second.asked)
    time.sleep(4)
    assert len(first.asked) + len(second.asked) - asked < 20
    log.fill(1)
    second.special.clear()
    second.put(log.files())
    second.waits = True
    until(lambda: fetch.size() == 702, within=30)


def test_a_carrier_that_answers_at_once_with_nothing_new_is_not_hammered(fetch, log, serve):
    server = serve(log.files())
    server.special["v1/checkpoint"] = lambda h: server.send(h, server.files["checkpoint"])
    fetch.start(server.url)
    until(lambda: fetch.size() == 700)
    time.sleep(3)
    assert len([p for p in server.asked if "checkpoint" in p]) < 8


def test_a_damaged_mirror_is_mended_and_nobody_blamed(fetch, log, serve):
    server = serve(log.files())
    assert fetch.once(server.url).returncode == 0
    path = fetch.mirror / "tile/entries/001"
    path.write_bytes(b"")      # as a power cut may leave it
    (fetch.mirror / "position.json").write_bytes(b"")
    log.fill(10)
    server.put(log.files())
    run = fetch.once()
    assert run.returncode == 0 and f">{server.url}: serves" in run.stderr, run.stderr
    complete(fetch, log)


def test_an_older_head_is_refused_though_the_position_is_lost(fetch, log, serve):
    server = serve(log.files())
    assert fetch.once(server.url).returncode == 0
    (fetch.mirror / "position.json").unlink()
    server.files["checkpoint"] = log.note(650)
    run = fetch.once()
    assert run.returncode == 1 and "rollback" in run.stderr
    assert fetch.size() == 700


def test_what_nobody_needs_goes(fetch, fleet, log, serve):
    long = LogMaker(like=log)
    policy = long.add_policy(fleet)
    long.add_epoch(policy=policy, at=days_ago(16))
    long.fill(600)
    server = serve(long.files())
    assert fetch.once(server.url).returncode == 0
    long.add_epoch(live_from=520, policy=policy)
    long.fill(20)
    server.put(long.files())
    assert fetch.once().returncode == 0
    assert "tile/entries/000" in fetch.files()      # younger than a minute: an agent may be reading it
    assert fetch.everything()["epoch"] == long.files()["epoch"]
    for p in (fetch.mirror / "tile").rglob("*"):
        if p.is_file():
            os.utime(p, (time.time() - 300, time.time() - 300))
    assert fetch.once().returncode == 0
    left = fetch.files()
    assert [p for p in left if "entries" in p] == [f"tile/entries/002.p/{len(long.entries) - 512}"], left
    complete(fetch, long, 520)
    assert any(p.startswith("tile/1/") for p in left)       # the way to where reading begins


def test_an_agent_that_was_off_for_weeks_finds_its_way(fetch, fleet, log, serve):
    """It begins at the newest epoch, and wants proof that the log still contains what it knows."""
    long = LogMaker(like=log)
    policy = long.add_policy(fleet)
    long.add_epoch(policy=policy, at=days_ago(40))
    long.fill(698)
    server = serve(long.files())
    fetch.in_force(1, log=(700, long.root(700)))
    assert fetch.once(server.url).returncode == 0
    agent = LocalFetch(fetch.program.parents[2], fetch.root / "agent", fleet, long)
    for name in ("checkpoint", "position.json"):
        (agent.mirror / name).write_bytes((fetch.mirror / name).read_bytes())
    long.fill(1500)
    long.add_epoch(policy=policy, at=days_ago(20))
    server.put(long.files())
    assert fetch.once().returncode == 0
    live = long.fill(300)
    long.add_epoch(live_from=live, policy=policy)
    server.put(long.files())
    assert fetch.once().returncode == 0
    assert "tile/0/002" in fetch.files()       # which it does not need itself
    mirror = serve({**fetch.everything(), "policies": long.files()["policies"]})
    agent.in_force(2)
    run = agent.once(mirror.url)
    assert run.returncode == 0, run.stderr
    complete(agent, long, live)
    assert "tile/entries/003" in fetch.files() and "tile/entries/003" not in agent.files()


# --- policies

def test_policies_by_what_is_in_force(fetch, fleet, log, serve):
    for _ in range(4):
        log.add_policy(fleet)
    server = serve(log.files(), waits=True)
    kept = lambda: [p for p in fetch.files("policies") if p.endswith("toml")]
    fetch.in_force(3)
    fetch.start(server.url)
    until(lambda: fetch.size() == len(log.entries))
    assert kept() == ["policies/policy-4.toml", "policies/policy-5.toml", "policies/policy.toml"]
    # The agent's ledger was given up: the others are needed too, though nothing new is in the log.
    fetch.in_force(0)
    until(lambda: len(kept()) == 6, within=15)
    # A new one is there before the checkpoint that holds it.
    fetch.in_force(5)
    log.add_policy(fleet)
    log.fill(2)
    server.put(log.files())
    until(lambda: fetch.size() == len(log.entries), every=0.002)
    assert (fetch.mirror / "policies/policy-6.toml").exists()
    assert (fetch.mirror / "policies/policy.toml").read_bytes() == log.policies[-1]["text"].encode()


def test_a_host_without_a_policy_gets_the_newest_first(fetch, fleet, log, serve):
    for _ in range(4):
        log.add_policy(fleet)
    server = serve(log.files(), waits=True)
    fetch.start(server.url)
    until(lambda: fetch.size() == len(log.entries))
    assert fetch.files("policies") == ["policies/policy-5.toml", "policies/policy-5.toml.sig", "policies/policy.toml",
                                       "policies/policy.toml.sig"]
    until(lambda: (fetch.mirror / "policies/policy-1.toml").exists(), within=15)


# --- configuration

def test_configuration(fetch, log):
    fetch.configure("https://hub.example.org", more='pol = "3s"\n')
    run = subprocess.run(fetch.argv("--check"), capture_output=True, text=True, check=False)
    assert run.returncode == 78 and "pol" in run.stderr and "poll" in run.stderr
    fetch.configure("https://hub.example.org")
    assert subprocess.run(fetch.argv("--check"), capture_output=True, text=True, check=False).stderr == ""
    (fetch.root / "etc/hallpass/trust.toml").write_text((fetch.root / "etc/hallpass/trust.toml").read_text().split("[log]")[0])
    run = subprocess.run(fetch.argv("--check"), capture_output=True, text=True, check=False)
    assert run.returncode == 78 and "[log]" in run.stderr


# --- the real hub

class NotOurs:
    """The table that hallpass-hub prints, where LocalFetch expects a log's maker."""

    def __init__(self, keys):
        self.table = keys[keys.index("[log]"):]

    def trust(self):
        return self.table


def test_with_a_hub(build, fleet, tmp_path):
    fleet.version = 0
    with Hub(build, fleet) as hub:
        (tmp_path / "token").write_text(hub.TOKEN)
        mine = LocalFetch(build, tmp_path / "root", fleet, NotOurs(hub.keys))
        (mine.root / "token").write_text(hub.TOKEN)
        files = Nginx(hub.log, tmp_path / "nginx")
        try:
            mine.start(f"http://127.0.0.1:{hub.port}", files.url, more='token_file = "/token"\n')
            until(lambda: mine.size() == hub.size())
            assert (mine.mirror / "policies/policy-1.toml").exists()
            slowest = 0
            for _ in range(5):
                hub.post(fleet.request())
                posted, size = time.monotonic(), hub.size()
                until(lambda size=size: mine.size() >= size, every=0.002)
                slowest = max(slowest, time.monotonic() - posted)
            assert slowest < 1
            print(f"in the mirror {slowest * 1000:.0f} ms after it was taken, at most")
            # The hub dies: its files are as good. It comes back: news come from it again.
            hub.stop(signal.SIGKILL)
            until(lambda: mine.status()["url"] == files.url, within=15)
            hub.start()
            hub.post(fleet.request())
            until(lambda: mine.size() == hub.size(), within=20)
        finally:
            files.close()
            mine.stop(signal.SIGKILL)


def finished(fetch):
    """The mirror without what is just being written."""
    return {name: content for name, content in fetch.everything().items() if not name.startswith(".")}


def test_a_hub_put_back_to_an_older_copy_is_noticed_at_once(build, fleet, tmp_path):
    fleet.version = 0
    with Hub(build, fleet) as hub:
        mine = LocalFetch(build, tmp_path / "root", fleet, NotOurs(hub.keys))
        (mine.root / "token").write_text(hub.TOKEN)
        hub.stop()
        for name in ("log", "state"):
            subprocess.run(["cp", "-a", hub.dir / name, tmp_path / name], check=True)
        hub.start()
        hub.post(fleet.request())
        mine.start(f"http://127.0.0.1:{hub.port}", more='token_file = "/token"\n')
        until(lambda: mine.size() == hub.size())
        before = finished(mine)
        hub.stop(signal.SIGKILL)
        for name in ("log", "state"):
            subprocess.run(["rm", "-rf", hub.dir / name], check=True)
            subprocess.run(["cp", "-a", tmp_path / name, hub.dir / name], check=True)
        hub.write_config()      # on the same port
        hub.start()
        until(lambda: "rollback" in mine.said(), within=15)
        hub.post(fleet.request("bob", "quick"))
        hub.post(fleet.request("bob", "quick"))
        until(lambda: "fork" in mine.said(), within=60)
        assert finished(mine) == before
        mine.stop(signal.SIGKILL)
