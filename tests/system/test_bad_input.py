"""What others can put into a watched directory. Everything bad is named with its reason; good files beside it count at once."""
import base64
import json
import os
import time

import pytest

from .lib.fleet import Statement, envelope
from .lib.host import eventually
from .lib.site import INBOX


def refusal(site, name, *words, within=20):
    entry = site.host.await_journal(HALLPASS_EVENT="statement_refused", within=within,
                                    where=lambda e: str(e.get("HALLPASS_FILE", "")).endswith(f"/{name}"))
    why = entry["HALLPASS_WHY"]
    for word in words:
        assert word in why.lower(), f"{name}: {word!r} is not in {why!r}"
    return why


def good_files_count_at_once(site):
    grant = site.grant("alice")
    site.assert_in("alice", "alice")
    site.cease(grant)
    site.await_refused("alice", site.fleet.key("alice"))


NO_FILES = ("fifo.grant", "out.grant", "directory.grant", "device.grant", "zero.grant")


@pytest.fixture(scope="module")
def silent(site):
    """Things that are no files, and a good file, put so that nobody wrote and closed them: no event tells the agent."""
    request = site.fleet.request("carol", "quick")
    site.host.write("/root/secret.grant", site.fleet.request("alice").line + "\n")
    site.host.write("/root/linked.grant", request.line + "\n")
    site.host.sh(f"cd {INBOX}; mkfifo fifo.grant; ln -s /root/secret.grant out.grant; mkdir directory.grant; mknod device.grant c 1 5; "
                 "ln -s /dev/zero zero.grant; ln /root/linked.grant linked.grant", check=True)
    return request


def test_ten_megabytes(site, silent):
    site.host.write(f"{INBOX}/big.grant", b"x" * (10 << 20))
    refusal(site, "big.grant")
    good_files_count_at_once(site)


def signed(site, payload: bytes, kind="request", person="alice") -> str:
    return envelope(kind, payload, [site.fleet.key(person)])


def test_payloads_that_are_wrong_though_signed(site):
    good = site.fleet.request("alice")
    members = good.members
    compact = {"separators": (",", ":")}

    def changed(**kw):
        return json.dumps({**members, **kw}, **compact).encode()
    cases = {
        "repeated": good.payload[:-1] + b',"duration":1}',
        "unknown-member": changed(colour="red"),
        "unknown-version": changed(hallpass="request/2"),
        "deep": b'{"hallpass":"request/1","parameters":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}",
        "control": changed(reason="bell \a here"),
        "newline": changed(reason="x\nHALLPASS_GRANT=FORGED"),
        "bidirectional": changed(reason="x‮y"),
        "not-utf8": good.payload.replace(b"502s", b"\xff\xfe12"),
        "long-reason": changed(reason="x" * 501),
        "trailing": good.payload + b" {}",
        "wrong-type": changed(duration="300"),
        "negative": changed(duration=-1),
        "no-time": changed(requested_at="2026-13-01T00:00:00Z"),
        "no-name": changed(subject="../alice"),
        "not-hers": changed(subject="bob"),
        "array": b"[]",
        "empty": b"",
        "no-json": b"hello",
    }
    for name, payload in cases.items():
        site.host.write(f"{INBOX}/payload-{name}.grant", signed(site, payload) + "\n")
    for name in cases:
        refusal(site, f"payload-{name}.grant")
    good_files_count_at_once(site)
    assert not any("FORGED" in str(e) for e in site.host.journal(HALLPASS_GRANT="FORGED"))


def test_envelopes_that_are_wrong(site):
    good = site.fleet.request("alice")
    e = json.loads(good.line)

    def put(name, content):
        data = content if isinstance(content, bytes) else content.encode()
        site.host.write(f"{INBOX}/envelope-{name}.grant", data)
    sig = e["signatures"][0]["sig"]
    flipped = bytearray(base64.b64decode(sig))
    flipped[-1] ^= 1
    cases = {
        "wrong-signature": json.dumps({**e, "signatures": [{**e["signatures"][0], "sig": base64.b64encode(bytes(flipped)).decode()}]}),
        "of-another-payload": json.dumps({**e, "payload": json.loads(site.fleet.request("alice").line)["payload"]}),
        "base64": json.dumps({**e, "payload": e["payload"][:-2] + "!!"}),
        "loose-base64": json.dumps({**e, "payload": e["payload"] + "\n"}),
        "type": json.dumps({**e, "payloadType": "application/vnd.hallpass.decision.v1+json"}),
        "extra-member": json.dumps({**e, "x": 1}),
        "repeated-member": good.line[:-1] + ',"payload":"e30="}',
        "two-signatures": json.dumps({**e, "signatures": e["signatures"] * 2}),
        "no-signature": json.dumps({**e, "signatures": []}),
        "deep": "[" * 1000 + "]" * 1000,
        "not-utf8": b"\xff\xfe\x00\x01",
        "half": good.line[: len(good.line) // 2],
        "namespace": json.dumps({**e, "signatures": [{"keyid": "", "sig": base64.b64encode(
            site.fleet.key("alice").sign("file", b"DSSEv1")).decode()}]}),
        "stranger": Statement("request", good.members, stranger(site)).line,
    }
    for name, content in cases.items():
        put(name, content if isinstance(content, bytes) else content + "\n")
    for name in cases:
        refusal(site, f"envelope-{name}.grant")
    # The very same request, untouched, is good.
    site.put(good, site.fleet.approve(good))
    site.await_admitted("alice", site.fleet.key("alice"))
    site.cease(good)
    site.await_refused("alice", site.fleet.key("alice"))


def stranger(site):
    from .lib.fleet import keygen
    return keygen(site.fleet.dir / f"stranger-{time.monotonic_ns()}")


def test_a_bad_line_in_a_file_of_good_ones(site):
    request = site.fleet.request("alice")
    site.host.write(f"{INBOX}/mixed.grant", "\n".join([request.line, "rubbish", site.fleet.approve(request).line]) + "\n")
    site.await_admitted("alice", site.fleet.key("alice"))
    refusal(site, "mixed.grant")
    site.cease(request)
    site.await_refused("alice", site.fleet.key("alice"))


def rss_anon(site) -> int:
    pid = site.host.run("systemctl", "show", "-p", "MainPID", "--value", "hallpass-agent").out.strip()
    line = next(x for x in site.host.path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("RssAnon"))
    return int(line.split()[1])


def test_a_hundred_thousand_junk_files(new_site):
    site = new_site()
    inbox = site.host.path(INBOX)
    for n in range(100_000):
        fd = os.open(inbox / f"junk-{n:06}.grant", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"junk %d\n" % n)
        os.close(fd)
    started = time.monotonic()
    site.grant("alice", wait=False)
    site.await_admitted("alice", site.fleet.key("alice"), within=90)
    took = time.monotonic() - started
    site.assert_in("alice", "alice")
    eventually("the rest is counted", lambda: site.host.journal(HALLPASS_EVENT="inputs_suppressed"), within=60)
    named = site.host.journal(HALLPASS_EVENT="statement_refused")
    assert 0 < len(named) <= 110, len(named)
    memory = rss_anon(site)
    print(f"admitted {took:.1f} s after the last of 100 000 junk files; RssAnon {memory} KiB")
    assert memory < 64 * 1024
    # Still alive to what comes: narrowing too.
    grant = site.grant("bob", by="carol", wait=False)
    site.await_admitted("bob", site.fleet.key("bob"), within=60)
    site.cease(grant)
    site.await_refused("bob", site.fleet.key("bob"), within=60)


def test_things_that_are_no_files(site, silent):
    """Last, because the look at everything comes once a minute only."""
    good_files_count_at_once(site)
    for name in NO_FILES:
        refusal(site, name, within=75)
    site.await_admitted("carol", site.fleet.key("carol"))
    good_files_count_at_once(site)
    site.cease(silent)
