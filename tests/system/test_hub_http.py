"""hallpass-hub's HTTP: long polls, files of the log, who may read, and what hostile clients get."""
import gzip
import hashlib
import itertools
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from .lib.hub import GET, POST, Hub, await_metric, await_words
from .lib.hub_fixtures import fleet, hub, new_hub  # noqa: F401 (fixtures)


@pytest.fixture(scope="module", autouse=True)
def slow_peers(hub):
    peers = SlowPeers(hub.port)
    yield peers
    peers.halt.set()
    peers.join()


# --- long polls

def test_long_poll_wakes(hub, fleet):
    size, got = hub.size(), []
    # Behind, the answer is there at once; also to a reader that has seen more: this hub's log was put back.
    for other in (size - 1, size + 1, 10**15):
        assert hub.get(f"/v1/checkpoint?after={other}", timeout=5).text.split("\n")[1] == str(size)

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


def test_long_poll_ends_by_itself_and_with_its_peer(new_hub):
    h = new_hub(limits='poll_wait = "2s"\n')
    begin, size = time.monotonic(), h.size()
    assert h.get(f"/v1/checkpoint?after={size}").text.split("\n")[1] == str(size)
    assert 1.9 < time.monotonic() - begin < 4
    connection = h.connect()
    connection.request("GET", f"/v1/checkpoint?after={size}", headers={"Authorization": f"Bearer {h.TOKEN}"})
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


# --- hostile HTTP

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
    """Strangers that hold connections are pushed out, readers are not; when all are readers, who comes too late is closed."""
    h = new_hub(limits="connections = 16\n")
    strangers = [socket.create_connection(("127.0.0.1", h.port)) for _ in range(16)]
    for s in strangers[:8]:
        s.sendall(GET + b"\r\n")
        assert s.recv(1000)
    size = h.size()
    readers = [h.connect() for _ in range(16)]
    for r in readers:
        r.request("GET", f"/v1/checkpoint?after={size}", headers={"Authorization": f"Bearer {h.TOKEN}"})
        time.sleep(0.01)     # the room that is made is there a moment later
    for s in strangers:
        s.settimeout(5)
        try:
            assert s.recv(10) == b""
        except ConnectionResetError:
            continue
    with socket.create_connection(("127.0.0.1", h.port), timeout=5) as over:
        assert over.recv(10) == b""
    readers.pop().close()
    until = time.monotonic() + 5
    while True:
        try:
            assert h.get("/healthz").status == 200
            break
        except (ConnectionError, OSError):
            assert time.monotonic() < until


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


def test_slow_peers_are_given_up(slow_peers):
    """Header and body each have 30 s, however steadily they drip. The last test: the peers have dripped since the first."""
    slow_peers.join(timeout=40)
    assert set(slow_peers.lasted) == {"header", "body"}
    assert all(28 < t < 36 for t in slow_peers.lasted.values()), slow_peers.lasted
