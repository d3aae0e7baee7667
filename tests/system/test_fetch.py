"""hallpass-fetch against carriers good and bad: what they may bring into the mirror, what is said of them, and who is asked next.

The logs are made by Python (lib/log_maker.py); what lies in the mirror is compared with what the maker meant.
"""
import os
import signal
import subprocess
import time

import pytest

from .lib import host
from .lib.file_server import FileServer, Nginx, certificate
from .lib.fleet import Fleet
from .lib.local_fetch import LocalFetch
from .lib.log_maker import DAY, LogMaker, tlog


@pytest.fixture(scope="module")
def fleet():
    made = Fleet()
    yield made
    made.close()


@pytest.fixture
def log(fleet):
    """700 entries: a policy, an epoch, three bundles, the last one partial."""
    fleet.version = 0
    made = LogMaker()
    policy = made.add_policy(fleet)
    made.add_epoch(policy=policy)
    made.fill(698)
    return made


@pytest.fixture
def serve():
    made = []

    def make(*args, **options):
        made.append(FileServer(*args, **options))
        return made[-1]
    yield make
    for server in made:
        server.close()


@pytest.fixture
def fetch(build, tmp_path, fleet, log):
    made = LocalFetch(build, tmp_path / "root", fleet, log)
    yield made
    made.stop(signal.SIGKILL)


def until(probe, **limits):
    return host.eventually("the fetcher", probe, **limits)


def flipped(content: bytes, at=None) -> bytes:
    at = len(content) // 2 if at is None else at
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


def complete(fetch, log, start=0):
    """The mirror holds the log's newest head and every entry from `start` on, byte for byte."""
    assert fetch.size() == len(log.entries)
    have, meant = fetch.everything(), log.files()
    for path, content in meant.items():
        if path.startswith("tile/entries/") and int(path.split("/")[2].split(".")[0]) >= start // 256:
            assert have[path] == content, path
    for path, content in have.items():
        if path.startswith("tile/") and path in meant:
            assert content == meant[path], path
    tlog.open_note(have["checkpoint"], [log.key.vkey, log.witness.vkey])


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
    long.add_epoch(live_from=0, policy=policy, at=time.time() - 16 * DAY)
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


# --- bad carriers: what each does to a log that has grown by 400, and what is said of it

def older(server, log):
    server.files["checkpoint"] = log.note(650)


def other_history_of_the_same_size(server, log):
    other = LogMaker(like=log)
    other.fill(699, word="other")
    other.add(log.entries[0])
    other.fill(len(log.entries) - 700, word="other")
    server.put(other.files())


def forked_at_the_size_known(server, log):
    other = LogMaker(like=log)
    other.fill(700, word="other")
    server.put(other.files())


def foreign_log(server, log):
    other = LogMaker()
    other.fill(len(log.entries))
    server.put(other.files())


def no_witness(server, log):
    server.files["checkpoint"] = log.note(witness=False)


def missing_bundle(server, _log):
    del server.files["tile/entries/003"]


def missing_entry(server, log):
    left = list(log.entries)
    del left[900]
    server.files.update(tlog.bundles(left + [b"filler"]))


def swapped_bundles(server, _log):
    files = server.files
    files["tile/entries/002"], files["tile/entries/003"] = files["tile/entries/003"], files["tile/entries/002"]


def changed_checkpoint(server, _log):
    server.files["checkpoint"] = flipped(server.files["checkpoint"], 20)


def changed_bundle(server, _log):
    server.files["tile/entries/003"] = flipped(server.files["tile/entries/003"], 100)


def changed_old_entry(server, _log):
    """Which the host has verified before, in a bundle that has grown."""
    server.files["tile/entries/002"] = flipped(server.files["tile/entries/002"], 100)


def changed_length(server, _log):
    server.files["tile/entries/003"] = flipped(server.files["tile/entries/003"], 1)


def changed_policy(server, log):
    path = f"policy/{log.policies[-1]['sha256']}.toml"
    server.files[path] = flipped(server.files[path])


def changed_signature(server, log):
    path = f"policy/{log.policies[-1]['sha256']}.sig"
    at = server.files[path].index(b'"sig":"') + 200
    server.files[path] = server.files[path][:at] + (b"A" if server.files[path][at:at + 1] != b"A" else b"B") + server.files[path][at + 1:]


def missing_policy(server, log):
    del server.files[f"policy/{log.policies[-1]['sha256']}.toml"]


def changed_tile_of_the_policy(server, log):
    path = f"tile/0/{log.policies[-1]['index'] // 256:03d}"
    server.files[path] = flipped(server.files[path], 32 * ((log.policies[-1]["index"] % 256) ^ 1))


def garbage_policies(server, _log):
    server.files["policies"] = b"\x7fELF" + b"\0" * 100


def garbage_hint(server, _log):
    server.files["epoch"] = b"{"


def lying_hint(server, _log):
    server.files["epoch"] = b'{"index":1000,"live_from":768,"policy":0}\n'


def garbage_head(server, _log):
    server.files["checkpoint"] = bytes(range(256)) * 4


def html_head(server, _log):
    server.files["checkpoint"] = b"<html>Please log in</html>"


def huge_head(server, _log):
    server.files["checkpoint"] += b"x" * 70000


def redirecting_head(server, _log):
    server.redirect("checkpoint", "http://elsewhere.example.org/checkpoint")


def redirecting_file(server, _log):
    server.redirect("tile/entries/003", "http://elsewhere.example.org/tile")


def bomb(server, _log):
    server.bomb("tile/entries/003")


def bomb_of_a_head(server, _log):
    server.bomb("checkpoint", "deflate")


def endless_file(server, _log):
    server.endless("tile/entries/003")


def endless_head(server, _log):
    server.endless("checkpoint")


def endless_headers(server, _log):
    server.endless_headers("checkpoint")


def dripping_file(server, _log):
    server.drip("tile/entries/003")


def cut_file(server, _log):
    server.cut("tile/entries/003")


def out_of_order(server, _log):
    server.status("checkpoint", 503)


HOSTILE = [
    (older, ["rollback", "checkpoint", "650", "700"]),
    (other_history_of_the_same_size, ["fork"]),
    (forked_at_the_size_known, ["fork", "checkpoint", "700"]),
    (foreign_log, ["untrusted", "checkpoint"]),
    (no_witness, ["untrusted", "checkpoint", "witness"]),
    (missing_bundle, ["missing", "tile/entries/003"]),
    (missing_entry, ["damaged", "tile/entries/003", "900"]),
    (swapped_bundles, ["tile/entries/00"]),
    (changed_checkpoint, ["untrusted", "checkpoint"]),
    (changed_bundle, ["damaged", "tile/entries/003"]),
    (changed_old_entry, ["damaged", "tile/entries/002", "what it was before"]),
    (changed_length, ["malformed", "tile/entries/003"]),
    (changed_policy, ["damaged", ".toml"]),
    (changed_signature, ["damaged", ".sig"]),
    (missing_policy, ["missing", ".toml"]),
    (changed_tile_of_the_policy, ["damaged", ".sig"]),
    (garbage_policies, ["malformed", "policies"]),
    (garbage_hint, ["malformed", "epoch"]),
    (lying_hint, ["epoch"]),
    (garbage_head, ["malformed", "checkpoint"]),
    (html_head, ["malformed", "checkpoint"]),
    (huge_head, ["checkpoint", "65536"]),
    (redirecting_head, ["checkpoint", "redirects to http://elsewhere.example.org/checkpoint"]),
    (redirecting_file, ["tile/entries/003", "redirects to http://elsewhere.example.org/tile"]),
    (bomb, ["too large", "tile/entries/003"]),
    (bomb_of_a_head, ["checkpoint", "65536"]),
    (endless_file, ["too large", "tile/entries/003"]),
    (endless_head, ["checkpoint", "65536"]),
    (endless_headers, ["checkpoint", "headers"]),
    (dripping_file, ["tile/entries/003", "within 2 s"]),
    (cut_file, ["tile/entries/003", "complete"]),
    (out_of_order, ["checkpoint", "503"]),
]


@pytest.mark.parametrize("do, words", HOSTILE, ids=[do.__name__ for do, _ in HOSTILE])
def test_a_hostile_carrier_is_named_and_the_next_one_asked(fetch, fleet, log, serve, do, words):
    good = serve(log.files())
    assert fetch.once(good.url).returncode == 0
    before = fetch.everything()
    log.add_policy(fleet)
    log.fill(399)
    bad = serve(log.files())
    do(bad, log)
    run = fetch.once(bad.url)
    assert run.returncode == 1
    assert fetch.everything() == before, "the mirror has changed"
    assert fetch.status()["fault"]["url"] == bad.url and fetch.status()["url"] is None
    good.put(log.files())
    run = fetch.once(bad.url, good.url)
    assert run.returncode == 0, run.stderr
    complete(fetch, log)
    named = [line for line in run.stderr.splitlines() if f">{bad.url}: " in line]
    assert len(named) == 1 and f"trying {good.url}" in named[0], run.stderr
    assert all(word in named[0] for word in words), named[0]
    assert bad.sent < 64 << 20
    if do not in (older,):
        assert not any("rollback" in line for line in run.stderr.splitlines())


NEW_HOST = [("tile/1/000.p/5", "damaged"), ("tile/entries/004", "damaged"), ("tile/entries/005.p/118", "damaged")]


@pytest.mark.parametrize("path, word", NEW_HOST)
def test_a_changed_byte_before_a_new_host(fetch, fleet, serve, log, path, word):
    long = LogMaker(like=log)
    policy = long.add_policy(fleet)
    long.fill(1023)
    long.add_epoch(live_from=0, policy=policy, at=time.time() - 16 * DAY)
    live = long.fill(372)
    long.add_epoch(live_from=live, policy=policy)
    assert path in long.files() and len(long.entries) == 1398
    bad = serve(long.files())
    bad.files[path] = flipped(bad.files[path], 5)
    run = fetch.once(bad.url)
    assert run.returncode == 1 and fetch.note() is None and fetch.files() == []
    assert word in run.stderr and path in run.stderr, run.stderr
    good = serve(long.files())
    assert fetch.once(bad.url, good.url).returncode == 0
    complete(fetch, long, live)


def test_a_bad_certificate(fetch, log, serve, tmp_path):
    ours, wrong = certificate(tmp_path), certificate(tmp_path, "hub.example.org")
    good, stranger = serve(log.files(), tls=ours), serve(log.files(), tls=wrong)
    run = fetch.once(stranger.url.replace("127.0.0.1", "localhost"), good.url, more=f'ca_file = "{tmp_path}/none.pem"\n')
    assert run.returncode == 1 and "ca_file" in run.stderr
    (fetch.root / "ca.pem").write_text(open(ours[0]).read() + open(wrong[0]).read())
    run = fetch.once(stranger.url, good.url, more='ca_file = "/ca.pem"\n')      # a believed one, of another name
    assert run.returncode == 0 and f"{stranger.url}: unavailable" in run.stderr and "certificate is not believed" in run.stderr
    complete(fetch, log)
    run = fetch.once(good.url)      # by the system's authorities
    assert run.returncode == 1 and "certificate is not believed" in run.stderr


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
    until(lambda: "trying again later" in fetch.said(), within=15)
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
    long.add_epoch(policy=policy, at=time.time() - 16 * DAY)
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
    long.add_epoch(policy=policy, at=time.time() - 40 * DAY)
    long.fill(698)
    server = serve(long.files())
    fetch.in_force(1, log=(700, long.root(700)))
    assert fetch.once(server.url).returncode == 0
    agent = LocalFetch(fetch.program.parents[2], fetch.root / "agent", fleet, long)
    for name in ("checkpoint", "position.json"):
        (agent.mirror / name).write_bytes((fetch.mirror / name).read_bytes())
    long.fill(1500)
    long.add_epoch(policy=policy, at=time.time() - 20 * DAY)
    server.put(long.files())
    assert fetch.once().returncode == 0
    live = long.fill(300)
    long.add_epoch(live_from=live, policy=policy)
    server.put(long.files())
    assert fetch.once().returncode == 0
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
