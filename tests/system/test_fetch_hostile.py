"""hallpass-fetch and carriers that lie, err or dawdle: each is named, nothing that it sent is kept, and the next one is asked."""
import pytest

from .lib.fetch_fixtures import complete, days_ago, fetch, fleet, flipped, log, serve  # noqa: F401 (fixtures)
from .lib.file_server import certificate
from .lib.log_maker import LogMaker, tlog


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
    long.add_epoch(live_from=0, policy=policy, at=days_ago(16))
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
