"""A hallpass-hub of its own on loopback, and the little HTTP that tests need to speak with it."""
import hashlib
import http.client
import json
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import subprocess
import tempfile
import time


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/statements HTTP/1.1\r\nHost: x\r\n"


class Answer:
    def __init__(self, response, body: bytes):
        self.status, self.body = response.status, body
        self.headers = {k.lower(): v for k, v in response.getheaders()}

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()


class Hub:
    """`options` are more lines of hub.toml, before its tables; `limits` and `tables` go into those."""

    TOKEN = "a-token-that-reads"

    def __init__(self, build, fleet, *, options="", limits="", tables="", read="token", policy=True, env=None, log_dir=None):
        self.program = pathlib.Path(build) / "hub/hallpass-hub"
        self.fleet, self.env = fleet, env or {}
        self._temp = tempfile.TemporaryDirectory(prefix="hallpass-hub-")
        self.dir = pathlib.Path(self._temp.name)
        self.log = pathlib.Path(log_dir) if log_dir else self.dir / "log"
        self.state = self.dir / "state"
        self.tls = None            # an ssl context of clients
        self.process, self.port = None, None
        self.output = self.dir / "output"
        (self.dir / "trust.toml").write_text(fleet.trust())
        self.write_config(options, limits, tables, read)
        self.keys = self.run("init", "--name", "log.test/hallpass").stdout
        self.start()
        if policy:
            self.post_policy()

    def write_config(self, options="", limits="", tables="", read="token"):
        digest = hashlib.sha256(self.TOKEN.encode()).hexdigest()
        self.config = self.dir / "hub.toml"
        self.config.write_text(
            f'listen = ["127.0.0.1:{self.port or 0}"]\nread = "{read}"\nlog = "{self.log}"\nstate = "{self.state}"\n'
            f'log_key = "{self.dir}/log.key"\nwitness_key = "{self.dir}/witness.key"\ntrust = "{self.dir}/trust.toml"\n{options}\n'
            f'[tokens]\nreader = "sha256:{digest}"\n[limits]\n{limits}\n{tables}\n')

    def run(self, *argv, check=True):
        done = subprocess.run([self.program, *argv, "--config", self.config], capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def start(self):
        with open(self.output, "ab") as output:
            begin = output.tell()
            self.process = subprocess.Popen([self.program, "--config", self.config], stderr=output, stdout=output,
                                            stdin=subprocess.DEVNULL, env={**os.environ, **self.env})
        until = time.monotonic() + 20
        while True:
            said = self.output.read_bytes()[begin:].decode()
            ready = re.search(r"serving a log of (\d+) entries on 127\.0\.0\.1:(\d+)", said)
            if ready:
                self.port = int(ready[2])
                return int(ready[1])
            assert self.process.poll() is None and time.monotonic() < until, said
            time.sleep(0.01)

    def stop(self, sig=signal.SIGTERM, timeout=20):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            return self.process.wait(timeout)
        return None

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._temp.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def said(self) -> str:
        return self.output.read_text()

    def rss(self) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    # --- HTTP
    def connect(self, timeout=20, context=None):
        if self.tls or context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context or self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, *, token=TOKEN, headers=None, timeout=20, connection=None, context=None) -> Answer:
        headers = dict(headers or {})
        if token:
            headers.setdefault("Authorization", f"Bearer {token}")
        own = connection or self.connect(timeout, context)
        own.request(method, path, body=body, headers=headers)
        response = own.getresponse()
        answer = Answer(response, response.read())
        if not connection:
            own.close()
        return answer

    def get(self, path, **options) -> Answer:
        return self.ask("GET", path, **options)

    def post(self, *statements, **options) -> Answer:
        lines = "".join(s if isinstance(s, str) else s.line + "\n" for s in statements)
        return self.ask("POST", "/v1/statements", lines.encode(), token=None, **options)

    def post_policy(self, text=None, sig=None, expect=200) -> Answer:
        text = text or self.fleet.policy()
        sig = sig or self.fleet.sign_policy(text)
        answer = self.ask("POST", "/v1/policies", json.dumps({"toml": text, "sig": sig}).encode(), token=None)
        assert answer.status == expect, answer.text
        return answer

    def size(self) -> int:
        return int(self.get("/v1/checkpoint").text.split("\n")[1])

    def raw(self, data: bytes, *, timeout=10, wait=True) -> bytes:
        """Bytes as they are; everything that comes back until the hub closes or is silent for `timeout`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            s.sendall(data)
            got = b""
            while wait and select.select([s], [], [], timeout)[0]:
                try:
                    part = s.recv(65536)
                except ConnectionError:
                    break
                if not part:
                    break
                got += part
            return got


def result(answer, line=0):
    return answer.json["results"][line]


def await_metric(hub, name, value, within=10):
    until = time.monotonic() + within
    while True:
        now = int(re.search(rf"^{name} (\d+)$", hub.get("/metrics").text, re.M)[1])
        if now == value:
            return
        assert time.monotonic() < until, (name, now)
        time.sleep(0.02)


def await_words(hub, words, within=10):
    until = time.monotonic() + within
    while words not in hub.said():
        assert time.monotonic() < until, hub.said()
        time.sleep(0.01)


def server_certificate(directory):
    """A CA, a certificate of 127.0.0.1 and one of a client, as PEM files: {name: (certificate, key)}."""
    import datetime
    import ipaddress
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    directory = pathlib.Path(directory)
    now = datetime.datetime.utcnow()
    made = {}

    def write(name, key, certificate):
        paths = directory / f"{name}.pem", directory / f"{name}-key.pem"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        made[name] = tuple(str(p) for p in paths)

    def build(subject, issuer, key, signer, ca=False, names=()):
        b = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
             .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
             .not_valid_after(now + datetime.timedelta(days=2)).add_extension(x509.BasicConstraints(ca, None), True))
        if names:
            b = b.add_extension(x509.SubjectAlternativeName(list(names)), False)
        return b.sign(signer, hashes.SHA256())

    def name(text):
        return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])
    for authority, leaves in (("ca", ("server", "client")), ("other-ca", ("stranger",))):
        ca_key = ec.generate_private_key(ec.SECP256R1())
        write(authority, ca_key, build(name(authority), name(authority), ca_key, ca_key, ca=True))
        for leaf in leaves:
            key = ec.generate_private_key(ec.SECP256R1())
            names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))] if leaf == "server" else []
            write(leaf, key, build(name(leaf), name(authority), key, ca_key, names=names))
    return made


def client_context(certificates, client=None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates["ca"][0])
    if client:
        context.load_cert_chain(*certificates[client])
    return context
