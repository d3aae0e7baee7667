"""A fleet in a temporary directory: people with keys, a policy, and the hallpass command run as one of them."""
import base64
import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

BIN = os.environ["HALLPASS_BIN"]
SK_SOURCE = os.path.join(os.path.dirname(__file__), "..", "vectors", "tools", "sk_soft.c")

POLICY = """\
format      = 1
fleet       = "acme-prod"
version     = {version}
valid_until = 2099-01-01T00:00:00Z
presence    = "{presence}"

[admins]
people    = ["ana", "ben"]
threshold = 2

{people}
[groups]
sre   = ["alice", "bob"]
leads = ["bob", "ana", "ben"]

[runbooks.login]
title        = "Log in"
max_duration = "2h"

[runbooks.restart-web]
title            = "Restart a web service"
default_duration = "20m"
max_duration     = "1h"
parameters       = {{ service = ["nginx", "php8.2-fpm"] }}
sudo = [ {{ as = "root", run = ["/usr/bin/systemctl", "{{restart,reload}}", "${{service}}"] }} ]

[runbooks.careful]
max_duration = "1h"

[[rules]]
runbooks   = ["login"]
requesters = ["sre"]
targets    = ["env=prod,role=web"]

[[rules]]
runbooks   = ["login", "restart-web"]
requesters = ["sre"]
targets    = ["env=prod"]
gates      = [ {{ from = ["leads"], count = 1 }} ]

[[rules]]
runbooks   = ["careful"]
requesters = ["sre"]
targets    = ["env=prod"]
presence   = "{careful}"
gates      = [ {{ from = ["leads"], count = 2 }} ]
{extra}"""

HOSTS = """\
[hosts.web-3]
env = "prod"
role = "web"
[hosts.db-1]
env = "prod"
role = "db"
[hosts.test-1]
env = "test"
"""


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def id(self):
        return re.search(r"[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4}", self.out).group()


class Fleet:
    people = ["alice", "bob", "ana", "ben", "mallory"]

    def __init__(self, root, presence="none", careful="none", key_type="ed25519", sk=None):
        self.root = str(root)
        self.dir = os.path.join(self.root, "shared")
        self.keys = os.path.join(self.root, "keys")
        self.home = os.path.join(self.root, "home")
        for d in (self.dir, self.keys, self.home):
            os.mkdir(d)
        self.presence, self.careful = presence, careful
        self.env = {"HOME": self.home, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "Europe/Berlin"}
        if sk:
            self.env["SSH_SK_PROVIDER"] = sk
        for name in self.people:
            self.keygen(name, key_type)
        self.write_policy()
        self.write("hosts.toml", HOSTS)
        self.sign_policy()

    def keygen(self, name, key_type="ed25519", *options, passphrase=""):
        subprocess.run(["ssh-keygen", "-q", "-t", key_type, "-N", passphrase, "-C", name, "-f", self.key(name), *options], check=True,
                       env=self.env, stdin=subprocess.DEVNULL, capture_output=True)

    def key(self, name):
        return os.path.join(self.keys, name)

    def public(self, name):
        with open(self.key(name) + ".pub") as f:
            return f.read().strip()

    def fingerprint(self, name):
        return "SHA256:" + base64.b64encode(hashlib.sha256(base64.b64decode(self.public(name).split()[1])).digest()).decode().rstrip("=")

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(text)

    def read(self, name):
        with open(os.path.join(self.dir, name)) as f:
            return f.read()

    def write_policy(self, version=1, people=None, extra="", change=lambda text: text):
        people = people or [p for p in self.people if p != "mallory"]
        entries = "".join(f'[people.{p}]\nkeys = ["{self.public(p)}"]\n' for p in people)
        text = POLICY.format(version=version, presence=self.presence, careful=self.careful, people=entries, extra=extra)
        self.write("policy.toml", change(text))

    def sign_policy(self):
        for admin in ("ana", "ben"):
            done = self.run(admin, "policy", "sign", "--yes")
            assert done.code == 0, done

    def command(self, who, *args):
        return [BIN, "--dir", self.dir] + (["--key", self.key(who)] if who else []) + list(args)

    def start(self, who, *args, **env):
        return subprocess.Popen(self.command(who, *args), env={**self.env, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def run(self, who, *args, stdin="", **env):
        p = subprocess.run(self.command(who, *args), env={**self.env, **env}, input=stdin, capture_output=True, text=True, timeout=60)
        return Result(p.returncode, p.stdout, p.stderr)

    def request(self, who="alice", runbook="login", target="db-1", *more, **env):
        return self.run(who, "request", runbook, "--target", target, "--reason", "502s on checkout", *more, **env)

    def state(self, grant):
        return self.run(None, "show", grant, "--json").json["state"]

    def files(self):
        """Every name in the directory with its bytes (or kind), to see that nothing changed."""
        out = {}
        for name in sorted(os.listdir(self.dir)):
            path = os.path.join(self.dir, name)
            out[name] = open(path, "rb").read() if os.path.isfile(path) else "special"
        return out

    def grants(self):
        return [n for n in os.listdir(self.dir) if n.endswith(".grant")]

    def refused(self, code, words, who, *args, **options):
        """Runs it, expects this exit code and words on stderr, and nothing written."""
        before = self.files()
        r = self.run(who, *args, **options)
        assert r.code == code, r
        for w in [words] if isinstance(words, str) else words:
            assert w in r.err, r
        assert "hallpass: " in r.err, r
        assert self.files() == before, "the directory changed"
        return r

    def on_terminal(self, who, *args, answers=(), columns=100, **env):
        """Runs it on a pseudo terminal; answers: (what to wait for, what to type). Returns exit code and everything shown."""
        pid, fd = pty.fork()
        if pid == 0:
            command = self.command(who, *args)
            os.execve(command[0], command, {**self.env, "TERM": "xterm", **env})
        import fcntl
        import struct
        import termios
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        seen, waiting, deadline = b"", list(answers), time.time() + 30
        while time.time() < deadline:
            if select.select([fd], [], [], 0.1)[0]:
                try:
                    data = os.read(fd, 4096)
                except OSError:
                    data = b""
                if not data:
                    break
                seen += data
            if waiting and waiting[0][0].encode() in seen:
                os.write(fd, waiting.pop(0)[1].encode())
        else:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        return os.waitstatus_to_exitcode(status), seen.decode().replace("\r\n", "\n")


# --- statements by hand, without a line of hallpass ---

def pae(kind, payload):
    kind = f"application/vnd.hallpass.{kind}.v1+json".encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign_by_hand(fleet, who, kind, payload, namespace=None):
    """One line of a grant file, signed with ssh-keygen alone."""
    body = json.dumps(payload, ensure_ascii=False).encode()
    signed = subprocess.run(["ssh-keygen", "-Y", "sign", "-n", namespace or f"{kind}@hallpass", "-f", fleet.key(who), "-O", "hashalg=sha512"],
                            input=pae(kind, body), env=fleet.env, capture_output=True, check=True).stdout.decode()
    blob = "".join(line for line in signed.splitlines() if "SSH SIGNATURE" not in line)
    return json.dumps({"payload": base64.b64encode(body).decode(), "payloadType": f"application/vnd.hallpass.{kind}.v1+json",
                       "signatures": [{"keyid": fleet.fingerprint(who), "sig": blob}]}), "sha256:" + hashlib.sha256(body).hexdigest()


def utc(offset=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset))


def verify_by_hand(fleet, who, line, kind):
    """ssh-keygen -Y verify of one line; raises when it says no."""
    envelope = json.loads(line)
    payload = base64.b64decode(envelope["payload"])
    assert envelope["payloadType"] == f"application/vnd.hallpass.{kind}.v1+json"
    sig = envelope["signatures"][0]["sig"]
    wrapped = "\n".join(sig[i:i + 70] for i in range(0, len(sig), 70))
    armor = os.path.join(fleet.root, "one.sig")
    signers = os.path.join(fleet.root, "allowed_signers")
    with open(armor, "w") as f:
        f.write(f"-----BEGIN SSH SIGNATURE-----\n{wrapped}\n-----END SSH SIGNATURE-----\n")
    with open(signers, "w") as f:
        f.write(f"{who} {fleet.public(who)}\n")
    subprocess.run(["ssh-keygen", "-Y", "verify", "-f", signers, "-I", who, "-n", f"{kind}@hallpass", "-s", armor], input=pae(kind, payload),
                   env=fleet.env, check=True, capture_output=True)
    return json.loads(payload)
