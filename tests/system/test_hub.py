"""hallpass-hub as others see it: HTTP in and out, with the real program on loopback. No booted host is needed."""
import gzip
import hashlib
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from .lib.hub import Hub, client_context, server_certificate

ROOT = pathlib.Path(__file__).resolve().parents[2]
WIDE = "statements_per_minute = 1000000\nstatements_burst = 1000000\nlive_requests = 100000\n"


@pytest.fixture(scope="module")
def fleet():
    from .lib.fleet import Fleet
    f = Fleet(people=("alice", "bob", "carol", "dave", "ana", "ben"))
    f.groups["sre"].append("dave")
    yield f
    f.close()


@pytest.fixture(scope="module")
def hub(build, fleet):
    """Shared by tests that neither stop it nor change its policy."""
    with Hub(build, fleet, limits=WIDE) as h:
        yield h


@pytest.fixture(scope="module", autouse=True)
def slow_peers(hub):
    peers = SlowPeers(hub.port)
    yield peers
    peers.halt.set()
    peers.join()


@pytest.fixture
def new_hub(build):
    from .lib.fleet import Fleet
    made = []

    def make(**options):
        f = options.pop("fleet", None)
        if f is None:
            f = Fleet()
            made.append(f)
        made.append(Hub(build, f, **options))
        return made[-1]
    yield make
    for m in reversed(made):
        m.close()


def result(answer, line=0):
    return answer.json["results"][line]


# --- statements

def test_one_many_and_again(hub, fleet):
    r = fleet.request()
    first = hub.post(r)
    assert first.status == 200 and result(first)["status"] == "taken" and result(first)["grant"] == r.id
    approval, quick = fleet.approve(r), fleet.request("bob", "quick")
    # In any order: the approval stands before what it approves.
    other = fleet.request("alice", "deploy")
    many = hub.post(fleet.approve(other), approval, quick, other)
    assert many.status == 200, many.text
    assert [x["status"] for x in many.json["results"]] == ["taken"] * 4
    assert sorted(x["index"] for x in many.json["results"]) == list(range(result(first)["index"] + 1, result(first)["index"] + 5))
    size = hub.size()
    again = hub.post(r, approval, quick)
    assert [x["status"] for x in again.json["results"]] == ["known"] * 3 and again.status == 200
    assert result(again)["index"] == result(first)["index"]
    assert hub.size() == size
    assert [g["state"] for g in hub.get(f"/v1/grants?grant={r.id}").json["grants"]] == ["active"]


def test_same_statement_at_once(hub, fleet):
    """Sent by many at the same time it is one entry, and all are told its index."""
    r = fleet.request()
    before, answers = hub.size(), []
    threads = [threading.Thread(target=lambda: answers.append(hub.post(r))) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [a.status for a in answers] == [200] * 12
    assert len({result(a)["index"] for a in answers}) == 1
    assert sorted(result(a)["status"] for a in answers) == ["known"] * 11 + ["taken"]
    assert hub.size() == before + 1


def refused_lines(fleet):
    from .lib.fleet import Fleet, keygen
    r = fleet.request()
    good = fleet.request().line

    def flipped(line, member):
        envelope = json.loads(line)
        where = envelope if member == "payload" else envelope["signatures"][0]
        text = where[member]
        at = len(text) - 12 if member == "sig" else len(text) // 2
        where[member] = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]
        return json.dumps(envelope, separators=(",", ":"))
    stranger = keygen(fleet.dir / "stranger")
    other = Fleet("other-fleet", people=("alice", "bob", "carol", "ana", "ben"))
    other.keys = fleet.keys
    return [
        ("no JSON", "hello", 400, "malformed"),
        ("half a line", good[:200], 400, "malformed"),
        ("a member twice", good.replace('{"payload"', '{"payloadType":"x","payload"', 1), 400, "malformed"),
        ("a carriage return", good + "\r", 400, "malformed"),
        ("another payload", flipped(good, "payload"), 403, "bad_signature"),
        ("another signature", flipped(good, "sig"), 403, "bad_signature"),
        ("a policy", fleet.sign_policy(fleet.policy(version=fleet.version)).strip(), 400, "unsupported"),
        ("a stranger's key", fleet.request(key=stranger).line, 403, "unknown_key"),
        ("bob speaks for alice", fleet.request(key=fleet.key("bob")).line, 403, "mismatch"),
        ("another fleet", other.request().line, 403, "mismatch"),
        ("a decision about nothing", fleet.approve(r).line, 404, "unknown_request"),
        ("a revocation of nothing", fleet.revoke(request=r).line, 404, "unknown_request"),
        ("an unknown runbook", fleet.request(runbook_digest="sha256:" + "0" * 64).line, 422, "void"),
        ("long over", fleet.request(at=time.time() - 86400).line, 422, "over"),
        ("over 64 KiB as an entry", good[:-1] + " " * 99000 + "}", 413, "too_large"),
    ]


def test_refusals(hub, fleet):
    rows = refused_lines(fleet)
    before = hub.size()
    for name, line, status, code in rows:
        answer = hub.post(line + "\n")
        assert (answer.status, result(answer)["code"]) == (status, code), (name, answer.text)
        assert len(result(answer)["error"]) > 10, name
    assert hub.size() == before
    # One bad line stops no other.
    good = fleet.request()
    mixed = hub.post(rows[0][1] + "\n\n" + good.line + "\n" + rows[5][1] + "\n")
    assert mixed.status == 207
    assert [(x["line"], x["status"]) for x in mixed.json["results"]] == [(1, "refused"), (3, "taken"), (4, "refused")]
    assert [x.get("code") for x in mixed.json["results"]] == ["malformed", None, "bad_signature"]
    assert hub.size() == before + 1


@pytest.mark.parametrize("body, status, code", [
    (b"", 400, "empty"), (b"\n\n", 400, "empty"), (b"x\n" * 257, 413, "too_many_lines"), (b"x" * (2 << 20) + b"y", 413, "too_large")])
def test_bodies_refused_whole(hub, body, status, code):
    answer = hub.ask("POST", "/v1/statements", body)
    assert (answer.status, answer.json["code"]) == (status, code)


def test_clocks(hub, fleet):
    for ahead, words in ((0, None), (60, "ahead of the hub's"), (-60, "behind the hub's"), (-400, None)):
        answer = hub.post(fleet.request("bob", "quick", at=time.time() + ahead))
        assert answer.status == 200, answer.text
        assert (words is None and answer.json["warnings"] == []) or words in answer.json["warnings"][0], ahead
    at = time.time() + 200
    answer = hub.post(fleet.request("bob", "quick", at=at))
    assert answer.status == 422 and result(answer)["code"] == "clock_ahead"
    assert len(re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result(answer)["error"])) == 2
    behind = fleet.request()
    hub.post(behind)
    answer = hub.post(fleet.approve(behind, at=time.time() - 30))
    assert answer.status == 422 and result(answer)["code"] == "clock_behind"


def test_caps_leave_room_to_narrow(new_hub):
    h = new_hub(limits="statements_per_minute = 1\nstatements_burst = 12\nlive_requests = 5\n")
    f = h.fleet
    asked = [f.request("alice", "login") for _ in range(9)]
    answers = [result(h.post(r)) for r in asked]
    assert [a["status"] for a in answers] == ["taken"] * 5 + ["refused"] * 4
    assert {a["code"] for a in answers[5:]} == {"too_many_live"}
    codes = {result(h.post(f.request("alice", "login"))).get("code") for _ in range(5)}
    assert codes == {"too_many_live", "too_many"}
    # Neither she nor anybody else is kept from narrowing, nor others from asking.
    assert result(h.post(f.revoke(by="alice", request=asked[0])))["status"] == "taken"
    assert result(h.post(f.deny(asked[1], by="alice")))["status"] == "taken"
    assert result(h.post(f.revoke(by="alice", subject="alice")))["status"] == "taken"
    assert result(h.post(f.request("bob", "login")))["status"] == "taken"
    assert h.ask("POST", "/v1/statements", f.request("alice").line.encode()).headers["retry-after"]


def test_flood_delays_nobodys_revocation(new_hub):
    """alice sends valid statements as fast as she can, over many connections; bob's revocations are durable within a second."""
    h = new_hub(limits=WIDE)
    f = h.fleet
    target = f.request("bob", "login")
    h.post(target)
    # What is valid and verified again and again: the same requests, ten times each, which cost the hub all but the disk.
    lines = [f.request("alice", "login") for _ in range(24)]
    body = "".join((r.line + "\n") * 10 for r in lines).encode()
    stop, rounds = threading.Event(), [0]

    def flood():
        connection = h.connect()
        while not stop.is_set():
            # Beyond what one person may have waiting, lines are refused.
            assert h.ask("POST", "/v1/statements", body, connection=connection).status in (200, 207, 429)
            rounds[0] += 1
    threads = [threading.Thread(target=flood) for _ in range(48)]
    for t in threads:
        t.start()
    try:
        until = time.monotonic() + 10
        while rounds[0] < 20 and time.monotonic() < until:
            time.sleep(0.01)
        took = []
        for i in range(5):
            s = f.revoke(by="bob", request=target) if i == 0 else f.revoke(by=("ana", "ben", "carol", "bob")[i - 1], subject="bob") \
                if i in (1, 2) else f.deny(target, by=("carol", "bob")[i - 3])
            begin = time.monotonic()
            answer = h.post(s)
            took.append(time.monotonic() - begin)
            assert answer.status == 200, answer.text
        assert rounds[0] >= 20
        print(f"flood: {rounds[0]} bodies of 240 lines; narrowing took {[round(t * 1000) for t in took]} ms")
        assert max(took) < 1
    finally:
        stop.set()
        for t in threads:
            t.join()


# --- long polls

def test_long_poll_wakes(hub, fleet):
    size, got = hub.size(), []
    # Behind, the answer is there at once.
    assert hub.get(f"/v1/checkpoint?after={size - 1}").text.split("\n")[1] == str(size)

    def poll():
        answer = hub.get(f"/v1/checkpoint?after={size}", timeout=30)
        got.append((time.monotonic(), int(answer.text.split("\n")[1])))
    threads = [threading.Thread(target=poll) for _ in range(20)]
    for t in threads:
        t.start()
    await_metric(hub, "hallpass_hub_long_polls", 20)
    sent = time.monotonic()
    hub.post(fleet.request())
    for t in threads:
        t.join()
    assert {n for _, n in got} == {size + 1}
    assert max(at for at, _ in got) - sent < 1


def await_metric(hub, name, value, within=10):
    until = time.monotonic() + within
    while True:
        now = int(re.search(rf"^{name} (\d+)$", hub.get("/metrics").text, re.M)[1])
        if now == value:
            return
        assert time.monotonic() < until, (name, now)
        time.sleep(0.02)


def test_long_poll_ends_by_itself_and_with_its_peer(new_hub):
    h = new_hub(limits='poll_wait = "2s"\n')
    begin, size = time.monotonic(), h.size()
    assert h.get(f"/v1/checkpoint?after={size}").text.split("\n")[1] == str(size)
    assert 1.9 < time.monotonic() - begin < 4
    connection = h.connect()
    connection.request("GET", "/v1/checkpoint?after=100000", headers={"Authorization": f"Bearer {h.TOKEN}"})
    await_metric(h, "hallpass_hub_long_polls", 1)
    connection.close()
    await_metric(h, "hallpass_hub_long_polls", 0, within=1)   # not only when its time is over
    for bad in ("after=", "after=-1", "after=x", "after=1&x=2", "before=1", "after=99999999999999999999999"):
        assert h.get(f"/v1/checkpoint?{bad}").status == 400, bad


def test_ten_thousand_long_polls(new_hub):
    """Held under 300 MiB, and all told of a statement within a second."""
    h = new_hub(limits="connections = 20000\n", read="anyone")
    size = h.size()
    request = f"GET /v1/checkpoint?after={size} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    count = 10000
    code = POLLERS % (h.port, count, request)
    pollers = subprocess.Popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert pollers.stdout.readline().strip() == "connected"
        await_metric(h, "hallpass_hub_long_polls", count, within=30)
        rss = h.rss()
        pollers.stdin.write("go\n")
        pollers.stdin.flush()
        sent = time.time()
        assert h.post(h.fleet.request()).status == 200
        last = float(pollers.stdout.readline())
        print(f"{count} long polls: {rss >> 20} MiB, {rss // count} bytes each; all told {last - sent:.3f} s after the statement was sent")
        assert rss < 300 << 20
        assert last - sent < 1
    finally:
        pollers.kill()
        pollers.wait()


POLLERS = """
import resource, select, socket, sys, time
port, count, request = %d, %d, %r
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
poll, open_ = select.epoll(), {}
for i in range(count):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(request)
    s.setblocking(False)
    open_[s.fileno()] = s
    poll.register(s, select.EPOLLIN)
print("connected", flush=True)
sys.stdin.readline()
told = 0
while told < count:
    for fd, _ in poll.poll(10):
        assert open_[fd].recv(4096).startswith(b"HTTP/1.1 200")
        poll.unregister(fd)
        told += 1
        last = time.time()
print(last, flush=True)
sys.stdin.readline()
"""


# --- reading

READ_PATHS = ["/checkpoint", "/v1/checkpoint", "/v1/grants", "/epoch", "/policies", "/tile/0/000.p/1", "/metrics", "/openapi.json", "/nothing"]


def test_who_may_read(hub):
    for path in READ_PATHS:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {hub.TOKEN}"}, {"Authorization": hub.TOKEN}):
            answer = hub.get(path, token=None, headers=headers)
            assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer"), (path, headers)
        assert hub.get(path).status != 401
    assert hub.get("/healthz", token=None).json == {"status": "ok"}
    # Even whether a file exists is nobody's business.
    assert hub.get("/hosts.toml", token=None).status == 401


def test_anyone_may_read(new_hub):
    h = new_hub(read="anyone")
    assert h.get("/v1/grants", token=None).status == 200


def test_tokens_are_reloaded_and_never_logged(new_hub):
    h = new_hub(options="access_log = true")
    h.TOKEN = "another-secret"     # of this hub alone
    assert h.get("/v1/grants", token="another-secret").status == 401
    h.write_config("access_log = true")
    h.process.send_signal(signal.SIGHUP)
    await_words(h, "were read again")
    assert h.get("/v1/grants", token="another-secret").status == 200
    assert h.get("/v1/grants", token=Hub.TOKEN).status == 401
    h.config.write_text("listen = 7\n")
    h.process.send_signal(signal.SIGHUP)
    await_words(h, "not reloaded")
    assert h.get("/v1/grants", token="another-secret").status == 200
    assert "GET /v1/grants 200" in h.said()
    assert "another-secret" not in h.said() and Hub.TOKEN not in h.said()


def await_words(hub, words, within=10):
    until = time.monotonic() + within
    while words not in hub.said():
        assert time.monotonic() < until, hub.said()
        time.sleep(0.01)


def test_files_of_the_log(hub, fleet):
    while hub.size() < 300:
        hub.post(*[fleet.request("bob", "quick") for _ in range(20)])
    size = hub.size()
    note = hub.get("/checkpoint")
    assert note.headers["content-type"] == "text/plain; charset=utf-8" and note.headers["cache-control"] == "no-cache"
    full, partial = hub.get("/tile/entries/000"), hub.get(f"/tile/entries/001.p/{size - 256}")
    assert "immutable" in full.headers["cache-control"] and "immutable" not in partial.headers["cache-control"]
    for name, answer in (("tile/entries/000", full), (f"tile/entries/001.p/{size - 256}", partial), ("tile/0/000", hub.get("/tile/0/000"))):
        assert answer.status == 200 and answer.body == (hub.log / name).read_bytes(), name
        assert answer.headers["content-type"] == "application/octet-stream"
    packed = hub.get("/tile/entries/000", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and len(packed.body) < len(full.body)
    assert gzip.decompress(packed.body) == full.body
    assert hub.get("/tile/entries/000", headers={"Accept-Encoding": "gzip"}).body == packed.body
    policy = hub.get("/policies").json[-1]
    text = hub.get(f"/policy/{policy['sha256']}.toml")
    assert hashlib.sha256(text.body).hexdigest() == policy["sha256"] and "immutable" in text.headers["cache-control"]
    assert json.loads(hub.get(f"/policy/{policy['sha256']}.sig").body)["payloadType"].endswith("policy.v1+json")
    head = hub.ask("HEAD", "/tile/0/000")
    assert head.status == 200 and head.body == b"" and head.headers["content-length"] == str(32 * 256)


@pytest.mark.parametrize("path", [
    "/../state/committed", "/tile/../../state/committed", "/tile/entries/../../../trust.toml", "//etc/passwd", "/%2e%2e/state/committed",
    "/tile/entries/000%00", "/.", "/..", "/policy/..%2f..%2ftrust.toml", "/checkpoint/", "/hosts.toml/..", "/tile/0/000/../../../checkpoint",
    "/state/committed", "/tile/0/x999", "/tile/64/000", "/tile/entries/999", "/policy/" + "0" * 64 + ".toml", "/policy/", "/tile/"])
def test_paths_that_lead_nowhere(hub, path):
    # http.client sends paths as they are.
    answer = hub.get(path)
    assert answer.status == 404 and answer.json["code"] == "not_found"


def test_methods(hub):
    for method, path, allow in (("PUT", "/v1/statements", "POST"), ("GET", "/v1/policies", "POST"), ("POST", "/v1/grants", "GET, HEAD"),
                                ("DELETE", "/checkpoint", "GET, HEAD"), ("OPTIONS", "/", "GET, HEAD")):
        answer = hub.ask(method, path)
        assert answer.status == 405 and answer.headers["allow"] == allow, (method, path)


def test_nginx_before_it(new_hub, tmp_path):
    """The example in packaging/nginx serves what the hub serves, and goes on with the files when the hub is gone."""
    h = new_hub()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    example = (ROOT / "packaging/nginx/hallpass-hub.conf").read_text()
    readers = tmp_path / "readers.map"
    readers.write_text(f'"Bearer {h.TOKEN}" 1;\n')
    for old, new in (("  listen 443 ssl http2;\n", f"  listen 127.0.0.1:{port};\n"), ("  listen [::]:443 ssl http2;\n", ""),
                     ("/etc/nginx/hallpass-readers*.map", str(readers)), ("127.0.0.1:8480", f"127.0.0.1:{h.port}"),
                     ("/var/lib/hallpass-hub/log", str(h.log))):
        assert old in example
        example = example.replace(old, new)
    example = re.sub(r"  ssl_[^\n]*\n", "", example)
    (tmp_path / "nginx.conf").write_text(
        f"user root;\nworker_processes 1;\ndaemon off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{ }}\nhttp {{\n"
        f"access_log off;\nclient_body_temp_path {tmp_path}/b;\nproxy_temp_path {tmp_path}/p;\nfastcgi_temp_path {tmp_path}/f;\n"
        f"uwsgi_temp_path {tmp_path}/u;\nscgi_temp_path {tmp_path}/s;\n{example}\n}}\n")
    nginx = subprocess.Popen(["nginx", "-c", tmp_path / "nginx.conf"], stderr=subprocess.PIPE)
    direct = h.port
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert nginx.poll() is None and time.monotonic() < until, nginx.stderr.read()
        h.port = port
        r = h.fleet.request()
        assert h.post(r).status == 200
        digest = h.get("/policies").json[0]["sha256"]
        files = ["/checkpoint", "/epoch", "/policies", f"/policy/{digest}.toml", f"/policy/{digest}.sig", "/tile/0/000.p/3", "/tile/entries/000.p/3"]
        for path in files:
            answers = []
            for h.port in (port, direct):
                answers.append(h.get(path))
                assert h.get(path, token=None).status == 401
            ours, theirs = answers
            assert ours.status == theirs.status == 200 and ours.body == theirs.body, path
            for name in ("content-type", "cache-control"):
                assert ours.headers[name] == theirs.headers[name], (path, name)
        h.port = port
        for path in ("/../state/committed", "/state/committed", "/tile/../../state/committed", "/.x", "/tile/", "/"):
            assert h.get(path).status in (400, 404), path
        assert h.get("/v1/grants?state=pending").json["grants"][0]["id"] == r.id
        h.stop()
        assert h.get("/checkpoint").status == 200 and h.get("/v1/grants").status == 502
    finally:
        nginx.terminate()
        nginx.wait()


# --- hostile HTTP

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/statements HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("data, status", ids=map(str, itertools.count()), argvalues=[
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),                                 # a TLS hello
    (b"GET /healthz\r\n\r\n", 400),
    (b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n\r\n", 400),                                        # no Host
    (GET + b"Host: y\r\n\r\n", 400),
    (GET + b"X : y\r\n\r\n", 400),
    (GET + b"X: a\0b\r\n\r\n", 400),
    (GET + b"X: " + b"y" * 9000 + b"\r\n\r\n", 431),
    (GET + b"Content-Length: 5\r\n\r\nhello", 400),
    (GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    (POST + b"Content-Length: -1\r\n\r\n", 400),
    (POST + b"Content-Length: +5\r\n\r\nhello", 400),
    (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    (POST + b"Content-Length: 3000000\r\n\r\n", 413),
    (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    (POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 400),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 40000, 400),
    (POST + b"Authorization: a\r\nAuthorization: b\r\nContent-Length: 0\r\n\r\n", 400),
])
def test_garbage_is_answered_once_and_closed(hub, data, status):
    got = hub.raw(data + b"GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n", timeout=5)
    assert re.match(rb"HTTP/1\.1 (\d+) ", got) and int(got.split()[1]) in (status, 413 if status == 400 else status), got[:200]
    assert len(re.findall(rb"HTTP/1\.1 \d", got)) == 1 and b"Connection: close" in got, got[:300]
    assert hub.get("/healthz").status == 200


def test_pipelining_and_chunks(hub, fleet):
    got = hub.raw(GET + b"\r\n" + GET + b"\r\n" + GET + b"Connection: close\r\n\r\n")
    assert got.count(b"HTTP/1.1 200") == 3
    line = fleet.request().line.encode() + b"\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(line[i:i + 100]), line[i:i + 100]) for i in range(0, len(line), 100))
    got = hub.raw(POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert b"HTTP/1.1 200" in got and b'"taken"' in got
    # A client that asks first is told to go on.
    with socket.create_connection(("127.0.0.1", hub.port)) as s:
        s.sendall(POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(line))
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(line)
        assert b'"known"' in s.recv(65536)


def test_too_many_connections(new_hub):
    h = new_hub(limits="connections = 16\n")
    held = [socket.create_connection(("127.0.0.1", h.port)) for _ in range(16)]
    for s in held:
        s.sendall(GET + b"\r\n")
        assert s.recv(1000)
    with socket.create_connection(("127.0.0.1", h.port), timeout=5) as over:
        assert over.recv(10) == b""
    held.pop().close()
    until = time.monotonic() + 5
    while True:
        try:
            assert h.get("/healthz").status == 200
            break
        except (ConnectionError, OSError):
            assert time.monotonic() < until


def test_forged_flood_in_ones_own_name(new_hub):
    """Somebody without any key floods with revocations that say they are bob's; bob's own is durable within a second."""
    h = new_hub(limits=WIDE)
    f = h.fleet
    target = f.request("bob", "login")
    h.post(target)
    forged = json.loads(f.revoke(by="bob", subject="bob").line)
    forged["payload"] = forged["payload"][:-8] + "AAAA" + forged["payload"][-4:]
    body = ((json.dumps(forged, separators=(",", ":")) + "\n") * 256).encode()
    stop, rounds = threading.Event(), []

    def flood():
        connection = h.connect()
        while not stop.is_set():
            rounds.append(h.ask("POST", "/v1/statements", body, connection=connection).status)
    threads = [threading.Thread(target=flood) for _ in range(24)]
    for t in threads:
        t.start()
    try:
        until = time.monotonic() + 10
        while len(rounds) < 12 and time.monotonic() < until:
            time.sleep(0.01)
        begin = time.monotonic()
        assert h.post(f.revoke(by="bob", request=target)).status == 200
        took = time.monotonic() - begin
        assert took < 1 and len(rounds) >= 12 and set(rounds) == {403}
    finally:
        stop.set()
        for t in threads:
            t.join()


# --- policies

def test_policies(new_hub):
    h = new_hub(policy=False)
    f = h.fleet
    empty = h.post(f.request())
    assert empty.status == 503 and empty.json["code"] == "no_policy"
    text = f.policy()
    h.post_policy(text, f.sign_policy(text, ("ana",)), expect=403)
    h.post_policy(text, f.sign_policy(text, ("ana", "alice")), expect=403)
    h.post_policy("format = 1\n", f.sign_policy(text), expect=422)
    h.post_policy(text + "\n", f.sign_policy(text), expect=409)
    assert h.ask("POST", "/v1/policies", b"{}").status == 400
    taken = h.post_policy(text)
    assert taken.json == {"status": "taken", "version": 1, "index": 0}
    assert h.post_policy(text).json == {"status": "known", "version": 1, "index": 0}
    assert f.add_person("frank")
    frank = f.request("frank", "quick")
    assert result(h.post(frank))["code"] == "unknown_key"
    f.groups["sre"].append("frank")
    h.post_policy()
    assert result(h.post(frank))["status"] == "taken"
    h.post_policy(text, expect=409)              # never back
    f.version = 1
    other = f.policy(version=2) + "# the same version, other words\n"
    h.post_policy(other, expect=409)
    assert [p["version"] for p in h.get("/policies").json] == [1, 2]
    f.version = 2
    # The admins of the policy in force decide about the next, and about their successors.
    f.admins = ["carol", "ben"]
    third = f.policy()
    h.post_policy(third, f.sign_policy(third, ("carol", "ben")), expect=403)
    h.post_policy(third, f.sign_policy(third, ("ana", "ben", "carol")))
    h.restart()
    fourth = f.policy()
    h.post_policy(fourth, f.sign_policy(fourth, ("ana", "ben")), expect=403)
    h.post_policy(fourth, f.sign_policy(fourth, ("carol", "ben")))


# --- TLS

@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return server_certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_and_client_certificates(new_hub, certificates):
    certificate, key = certificates["server"]
    h = new_hub(policy=False, tables=f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\nclient_ca = "{certificates["ca"][0]}"\n')
    h.tls = client_context(certificates)
    h.post_policy()
    assert h.post(h.fleet.request()).status == 200
    assert h.get("/v1/grants", token=None).status == 401 and h.get("/v1/grants").status == 200
    assert h.get("/v1/grants", token=None, context=client_context(certificates, "client")).status == 200
    stranger = client_context(certificates)
    stranger.load_cert_chain(*certificates["stranger"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        h.get("/healthz", token=None, context=stranger)
    old = client_context(certificates)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        h.get("/healthz", context=old)
    assert h.raw(GET + b"\r\n", timeout=5)[:5] != b"HTTP/"
    hold_tls_polls(h)
    size, got = h.size(), []
    poll = threading.Thread(target=lambda: got.append(h.get(f"/v1/checkpoint?after={size}").text.split("\n")[1]))
    poll.start()
    await_metric(h, "hallpass_hub_long_polls", 1)
    h.post(h.fleet.request())
    poll.join()
    assert got == [str(size + 1)]
    assert h.stop() == 0


def hold_tls_polls(hub, count=300):
    before, held = hub.rss(), []
    for _ in range(count):
        held.append(hub.connect())
        held[-1].request("GET", "/v1/checkpoint?after=100000", headers={"Authorization": f"Bearer {hub.TOKEN}"})
    await_metric(hub, "hallpass_hub_long_polls", count)
    print(f"{count} long polls over TLS: {(hub.rss() - before) // count} bytes each")
    for connection in held:
        connection.close()
    await_metric(hub, "hallpass_hub_long_polls", 0)


# --- ends

def test_stop_under_load_loses_nothing(new_hub):
    """Every statement that was acknowledged is in the log after SIGTERM and a new start, and the same is served."""
    h = new_hub(limits=WIDE)
    f = h.fleet
    waiting = [f.request("alice", "login") for _ in range(240)]
    taken, lock = {}, threading.Lock()

    def send():
        connection = h.connect()
        while True:
            with lock:
                if not waiting:
                    return
                mine = [waiting.pop() for _ in range(min(4, len(waiting)))]
            try:
                answer = h.ask("POST", "/v1/statements", "".join(s.line + "\n" for s in mine).encode(), connection=connection)
            except (OSError, http_client_errors()):
                return
            with lock:
                taken.update({s.id: r["index"] for s, r in zip(mine, answer.json["results"]) if r["status"] == "taken"})
    threads = [threading.Thread(target=send) for _ in range(8)]
    for t in threads:
        t.start()
    until = time.monotonic() + 20
    while len(taken) < 40 and time.monotonic() < until:
        time.sleep(0.002)
    assert h.stop() == 0
    for t in threads:
        t.join()
    print(f"stopped after {len(taken)} acknowledged of 240")
    size = h.start()
    served = {g["id"]: g["statements"][0]["index"] for g in h.get("/v1/grants?subject=alice").json["grants"]}
    assert len(taken) >= 40 and taken.items() <= served.items()
    assert size >= len(served) + 2
    again = h.post(*[f.request("alice", "quick")])
    assert result(again)["index"] == size


def http_client_errors():
    import http.client
    return http.client.HTTPException


def test_stop_answers_polls_and_closes_the_idle(new_hub):
    h = new_hub()
    idle = h.connect()
    assert h.ask("GET", "/healthz", connection=idle).status == 200
    got = []
    poll = threading.Thread(target=lambda: got.append(h.get("/v1/checkpoint?after=1000")))
    poll.start()
    await_metric(h, "hallpass_hub_long_polls", 1)
    begin = time.monotonic()
    assert h.stop() == 0
    poll.join()
    assert got[0].status == 200 and got[0].headers["connection"] == "close"
    assert time.monotonic() - begin < 5


def test_command_line(new_hub):
    h = new_hub()
    assert h.run("check").stdout.startswith("the log log.test/hallpass has 2 entries")
    assert h.run("init", "--origin", "log.test/hallpass", check=False).returncode == 1
    h.stop()
    assert h.run("--version").stdout.startswith("hallpass-hub 0.")
    assert h.run("walk", check=False).returncode == 2
    (h.state / "committed").unlink()
    damaged = h.run("check", check=False)
    assert damaged.returncode == 1 and damaged.stderr
    refused = h.run("run", check=False)
    assert refused.returncode == 1 and "the log cannot be written" in refused.stderr


class SlowPeers(threading.Thread):
    """Two connections that drip: a header and a body. How long the hub bore each, while the other tests run."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.begin, self.lasted, self.halt = time.monotonic(), {}, threading.Event()
        self.open = {"header": socket.create_connection(("127.0.0.1", port)), "body": socket.create_connection(("127.0.0.1", port))}
        self.open["header"].sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        self.open["body"].sendall(POST + b"Content-Length: 1000\r\n\r\n")
        self.start()

    def run(self):
        while self.open and not self.halt.wait(0.5):
            for name, s in list(self.open.items()):
                try:
                    s.sendall(b"x")
                    s.setblocking(False)
                    ended = s.recv(100) == b""
                except BlockingIOError:
                    ended = False
                except ConnectionError:
                    ended = True
                s.setblocking(True)
                if ended:
                    self.lasted[name] = time.monotonic() - self.begin
                    del self.open[name]


# --- what it says of itself

class Shapes:
    """Does a value have the shape that the document gives it?"""

    def __init__(self, document):
        self.document = document

    def faults(self, schema, value, at="answer"):
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            return self.faults(self.document["components"]["schemas"][name], value, at)
        if "oneOf" in schema:
            tried = [self.faults(s, value, at) for s in schema["oneOf"]]
            return [] if sum(not t for t in tried) == 1 else [f"{at}: not one of {len(tried)} shapes: {tried}"]
        if value is None:
            return [] if schema.get("nullable") else [f"{at}: null"]
        types = {"object": dict, "array": list, "string": str, "integer": int}
        if not isinstance(value, types[schema["type"]]) or isinstance(value, bool):
            return [f"{at}: {value!r} is no {schema['type']}"]
        return getattr(self, schema["type"] + "_faults")(schema, value, at)

    def object_faults(self, schema, value, at):
        known = schema.get("properties", {})
        out = [f"{at}: {n} is missing" for n in schema.get("required", []) if n not in value]
        if schema.get("additionalProperties") is False:
            out += [f"{at}: {n} is not described" for n in value if n not in known]
        return out + [f for n, v in value.items() if n in known for f in self.faults(known[n], v, f"{at}.{n}")]

    def array_faults(self, schema, value, at):
        return [f for i, v in enumerate(value) for f in self.faults(schema["items"], v, f"{at}[{i}]")]

    @staticmethod
    def string_faults(schema, value, at):
        bad = ("enum" in schema and value not in schema["enum"]) or ("pattern" in schema and not re.search(schema["pattern"], value))
        return [f"{at}: {value!r}"] if bad else []

    @staticmethod
    def integer_faults(schema, value, at):
        return [f"{at}: {value}"] if value < schema.get("minimum", value) else []


def test_openapi_is_what_the_server_does(hub, fleet):
    document = hub.get("/openapi.json").json
    assert document["openapi"].startswith("3.0.") and Shapes(document).faults({"type": "integer"}, "x")
    r = fleet.request()
    hub.post(r, fleet.approve(r))
    digest = hub.get("/policies").json[-1]["sha256"]
    text = fleet.policy(version=fleet.version)
    values = {"{sha256}": [digest, "0" * 64], "{level}/{index}": ["0/000" if hub.size() >= 256 else f"0/000.p/{hub.size()}", "0/999"],
              "{index}": [f"000.p/{hub.size()}" if hub.size() < 256 else "000", "999"]}
    bodies = {"/v1/statements": [r.line, "x", "", r.line + "\nx", fleet.approve(fleet.request()).line, fleet.request(at=0).line],
              "/v1/policies": ["{}", json.dumps({"toml": text, "sig": fleet.sign_policy(text)}), json.dumps({"toml": "x", "sig": "{}"})]}
    asked, seen = 0, set()
    for path, methods in document["paths"].items():
        placeholder = next((p for p in values if p in path), None)
        paths = [path.replace(placeholder, v) for v in values[placeholder]] if placeholder else [path]
        if path == "/v1/grants":
            paths += ["/v1/grants?state=active,pending&subject=alice", "/v1/grants?state=nonsense"]
        if path == "/v1/checkpoint":
            paths += ["/v1/checkpoint?after=0", "/v1/checkpoint?after=x"]
        assert set(methods) <= {"get", "post"}
        for method, operation in methods.items():
            for p in paths:
                for body in bodies.get(path, [None]):
                    for token in (hub.TOKEN, None) if operation["security"] else (None,):
                        answer = hub.ask(method.upper(), p, body, token=token)
                        asked += 1
                        seen.add((path, answer.status))
                        assert str(answer.status) in operation["responses"], (p, answer.status, answer.text)
                        content = operation["responses"][str(answer.status)]["content"]
                        kind = answer.headers["content-type"].split(";")[0]
                        assert kind in content, (p, kind)
                        if kind == "application/json":
                            faults = Shapes(document).faults(content[kind]["schema"], answer.json)
                            assert not faults, (p, faults)
    assert asked > 40 and {s for _, s in seen} >= {200, 207, 400, 401, 404, 409, 422}


def test_metrics(hub, fleet):
    hub.post(fleet.request())
    hub.post("x\n")
    text = hub.get("/metrics").text
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \S+ .+|[a-z_]+(\{[a-z]+=\"[^\"]+\"\})? [0-9.e+-]+", line), line
    values = dict(re.findall(r"^([^#\s]\S*) (\S+)$", text, re.M))
    assert int(values["hallpass_hub_log_size"]) == hub.size()
    assert int(values["hallpass_hub_statements_taken_total"]) >= 1
    assert int(values['hallpass_hub_statements_refused_total{code="malformed"}']) >= 1
    assert int(values["hallpass_hub_durable_seconds_count"]) == int(values['hallpass_hub_durable_seconds_bucket{le="+Inf"}']) >= 1
    assert abs(int(values["hallpass_hub_cosigned_timestamp_seconds"]) - time.time()) < 70
    assert os.path.exists(hub.log / "checkpoint")


def test_slow_peers_are_given_up(slow_peers):
    """Header and body each have 30 s, however steadily they drip. The last test: the peers have dripped since the first."""
    slow_peers.join(timeout=40)
    assert set(slow_peers.lasted) == {"header", "body"}
    assert all(28 < t < 36 for t in slow_peers.lasted.values()), slow_peers.lasted
