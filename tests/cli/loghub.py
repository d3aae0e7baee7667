"""A hub in a thread, without a line of hallpass: serves a log made with tests/vectors/tlog.py, takes what is posted unseen, and lies when told to."""
import base64
import hashlib
import http.server
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fleet import sign_by_hand

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "vectors"))
import tlog  # noqa: E402

BIN = os.environ["HALLPASS_BIN"]


def raw(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Hub:
    def __init__(self, fleet="acme-prod", tls=None, token=None, client_ca=None):
        self.fleet, self.token = fleet, token
        self.origin, self.witness = f"{fleet}.log", f"{fleet}.witness"
        self.log_key, self.witness_key = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
        self.entries, self.policies, self.hosts, self.hint = [], [], None, None
        self.files = {}         # path -> bytes or None (not there), instead of the truth
        self.warnings, self.refuse, self.seen = [], {}, []
        self.posts = True       # False: serves files only
        self.age = 0            # of cosignatures, seconds
        self.news = threading.Condition()
        self.server, self.connections = None, []
        self.tls, self.client_ca = tls, client_ca
        self.port = 0
        self.start()

    # --- the log ---

    def vkeys(self):
        return tlog.vkey(self.origin, 1, raw(self.log_key)), tlog.vkey(self.witness, 4, raw(self.witness_key))

    def note(self, entries=None, size=None):
        entries = self.entries if entries is None else entries
        leaves = [tlog.leaf(e) for e in entries][:size]
        text = f"{self.origin}\n{len(leaves)}\n{tlog.b64(tlog.mth(leaves))}\n"
        note = text + "\n" + self.sign(text)
        at = int(time.time()) - self.age
        signed = struct.pack(">Q", at) + self.witness_key.sign(f"cosignature/v1\ntime {at}\n".encode() + text.encode())
        return note + tlog.sigline(self.witness, tlog.keyid(self.witness, 4, raw(self.witness_key)), signed)

    def sign(self, text):
        return tlog.sigline(self.origin, tlog.keyid(self.origin, 1, raw(self.log_key)), self.log_key.sign(text.encode()))

    def add(self, *entries):
        with self.news:
            self.entries += [e if isinstance(e, bytes) else e.encode() for e in entries]
            self.news.notify_all()

    def add_policy(self, toml, sig):
        digest = hashlib.sha256(toml.encode()).hexdigest()
        version = json.loads(base64.b64decode(json.loads(sig)["payload"]))["version"]
        self.policies.append({"version": version, "sha256": digest, "index": len(self.entries), "toml": toml, "sig": sig})
        self.add(sig)

    def add_epoch(self, live_from, at=None):
        """An epoch over everything before it, and the hint that leads there."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at or time.time()))
        policy = self.policies[-1]["index"]
        payload = json.dumps({"hallpass": "epoch/1", "fleet": self.fleet, "log": self.origin, "live_from": live_from, "policy": policy,
                              "at": stamp}, separators=(",", ":")).encode()
        kind = b"application/vnd.hallpass.epoch.v1+json"
        sig = self.log_key.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
        self.hint = {"index": len(self.entries), "live_from": live_from, "policy": policy}
        self.add(json.dumps({"payload": base64.b64encode(payload).decode(), "payloadType": kind.decode(),
                             "signatures": [{"keyid": self.origin, "sig": base64.b64encode(sig).decode()}]}, separators=(",", ":")))

    def truth(self, path):
        if path == "checkpoint":
            return self.note().encode()
        if path == "epoch":
            return json.dumps(self.hint).encode() if self.hint else None
        if path == "policies":
            return json.dumps([{k: p[k] for k in ("version", "sha256", "index")} for p in self.policies]).encode()
        if path == "hosts.toml":
            return self.hosts.encode() if self.hosts else None
        for p in self.policies:
            for kind in ("toml", "sig"):
                if path == f"policy/{p['sha256']}.{kind}":
                    return p[kind].encode()
        with self.news:
            entries = list(self.entries)
        return {**tlog.tiles([tlog.leaf(e) for e in entries]), **tlog.bundles(entries)}.get(path)

    # --- HTTP ---

    def start(self):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                hub.connections.append(self.connection)

            def handle(self):
                try:
                    super().handle()
                except OSError:  # the peer has gone, or stop() was called
                    pass

            def log_message(self, *_):
                pass

            def answer(self, status, body=b"", kind="text/plain"):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                hub.seen.append(self.path)
                if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                    return self.answer(401, json.dumps({"error": "no"}).encode())
                url = urllib.parse.urlsplit(self.path)
                path = url.path.lstrip("/")
                if path == "v1/checkpoint" and hub.posts:
                    after = int(urllib.parse.parse_qs(url.query)["after"][0])
                    with hub.news:
                        hub.news.wait_for(lambda: len(hub.entries) > after or hub.server is None, timeout=5)
                    path = "checkpoint"
                body = hub.files[path] if path in hub.files else hub.truth(path)
                self.answer(404 if body is None else 200, body or b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                hub.seen.append(self.path)
                if not hub.posts:
                    return self.answer(405)
                if self.path == "/v1/policies":
                    given = json.loads(body)
                    hub.add_policy(given["toml"], given["sig"])
                    return self.answer(200, json.dumps({"results": [{"status": "taken", "index": len(hub.entries) - 1}], "warnings": []}).encode())
                results = []
                for number, line in enumerate(body.splitlines(), 1):
                    known = line.encode() in hub.entries
                    if number in hub.refuse:
                        results.append({"line": number, "status": "refused", **hub.refuse[number]})
                        continue
                    if not known:
                        hub.add(line)
                    results.append({"line": number, "status": "known" if known else "taken", "index": hub.entries.index(line.encode())})
                self.answer(207 if hub.refuse else 200, json.dumps({"results": results, "warnings": hub.warnings}).encode(), "application/json")

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            if self.client_ca:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self.client_ca)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        server, self.server = self.server, None
        with self.news:
            self.news.notify_all()
        if server:
            server.shutdown()
            server.server_close()
            for connection in self.connections:   # kept ones would be served on
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.connections.clear()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{'localhost' if self.tls else '127.0.0.1'}:{self.port}"


def make_certificate(where):
    """An authority of our own and a certificate for localhost: (certificate, key), authority."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=where)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=our own")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "hub.key", "-out", "hub.csr", "-subj", "/CN=localhost")
    with open(os.path.join(where, "ext"), "w") as f:
        f.write("subjectAltName=DNS:localhost\n")
    openssl("x509", "-req", "-in", "hub.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "hub.pem", "-days", "2", "-extfile", "ext")
    return (os.path.join(where, "hub.pem"), os.path.join(where, "hub.key")), os.path.join(where, "ca.pem")


def verify_proof(text, vkeys):
    """A tlog-proof file, checked with RFC 9162's own steps: (index, size, entry)."""
    head, note = text.split("\n\n", 1)
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1", lines[0]
    assert lines[1].startswith("extra "), lines[1]
    entry = base64.b64decode(lines[1][6:], validate=True)
    assert lines[2].startswith("index "), lines[2]
    index = int(lines[2][6:])
    hashes = [base64.b64decode(h, validate=True) for h in lines[3:]]
    signed, signatures = tlog.open_note(note.encode(), vkeys)
    assert {kind for _, kind, _ in signatures} == {1, 4}, signatures
    _, size, root, extensions = tlog.parse_checkpoint(signed)
    assert not extensions
    assert tlog.verify_inclusion(index, size, tlog.leaf(entry), hashes, root), "the proof does not lead to the root"
    return index, size, entry


def entry_by_hand(fleet, who, kind, payload):
    """A statement signed with ssh-keygen alone, spelled as the log has it."""
    return json.dumps(json.loads(sign_by_hand(fleet, who, kind, payload)[0]), separators=(",", ":"))


class Person:
    """One person at a machine of their own: a home with configuration and keys, and the hallpass command."""

    def __init__(self, fleet, name, hub, trust="log", token=None, **config):
        self.fleet, self.name, self.hub = fleet, name, hub
        self.home = os.path.join(fleet.root, "home-" + name)
        self.config = os.path.join(self.home, ".config", "hallpass")
        os.makedirs(self.config)
        settings = {"hub": hub.url, "me": name, "key": fleet.key(name), **config}
        if token:
            settings["hub_token_file"] = self.write("token", token + "\n")
        self.write("config.toml", "".join(f"{k} = {json.dumps(v)}\n" for k, v in settings.items()))
        if trust:
            self.trust(log=trust == "log")
        self.env = {**fleet.env, "HOME": self.home}

    def write(self, name, text):
        path = os.path.join(self.config, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def trust(self, log=True, **more):
        key, witness = self.hub.vkeys()
        text = 'fleet = "acme-prod"\n[admins]\nthreshold = 2\n[admins.people]\n'
        text += "".join(f'{a} = ["{self.fleet.public(a)}"]\n' for a in ("ana", "ben"))
        if log:
            text += f'[log]\nkey = "{key}"\nwitnesses = ["{witness}"]\n' + "".join(f"{k} = {json.dumps(v)}\n" for k, v in more.items())
        self.write("trust.toml", text)

    @property
    def cache(self):
        root = os.path.join(self.home, ".cache", "hallpass")
        (name,) = os.listdir(root)
        return os.path.join(root, name)

    def start(self, *args):
        return subprocess.Popen([BIN, *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *args, stdin="", code=0):
        from fleet import Result
        p = subprocess.run([BIN, *args], env=self.env, input=stdin, capture_output=True, text=True, timeout=60)
        r = Result(p.returncode, p.stdout, p.stderr)
        assert r.code == code, r
        return r

    def request(self, target="db-1", *more):
        return self.run("request", "login", "--target", target, "--reason", "502s on checkout", *more)

    def state(self, grant):
        return self.run("show", grant, "--json").json["state"]
