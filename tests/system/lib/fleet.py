"""A fleet's people, policies and statements, made by hand: Python writes the JSON, `ssh-keygen -Y sign` signs it.

Nothing here uses hallpass's own code, so a test that feeds a host from here also shows that the formats are what docs/formats.md says.
"""
import base64
import datetime
import hashlib
import json
import os
import pathlib
import re
import secrets
import subprocess
import tempfile
import time
import tomllib

NAMESPACE = {"request": "request@hallpass", "decision": "decision@hallpass", "revocation": "revocation@hallpass",
             "policy": "policy@hallpass"}
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
SK_SOURCE = pathlib.Path(__file__).resolve().parents[2] / "vectors/tools/sk_soft.c"


def utc(t: float) -> str:
    return datetime.datetime.fromtimestamp(int(t), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def keygen(path, kind="ed25519", env=None, comment=None) -> "Key":
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment or pathlib.Path(path).name, "-f", str(path)]
    subprocess.run(argv, check=True, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return Key(path, env)


class Key:
    def __init__(self, path, env=None):
        self.path = pathlib.Path(path)
        self.env = env or {}
        self.line = self.path.with_name(self.path.name + ".pub").read_text().strip()
        self.bare = " ".join(self.line.split()[:2])
        blob = base64.b64decode(self.line.split()[1])
        self.fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")

    def sign(self, namespace: str, message: bytes, **env) -> bytes:
        """The raw SSHSIG blob."""
        run = subprocess.run(["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(self.path)], input=message,
                             capture_output=True, env={**os.environ, **self.env, **env}, check=False)
        if run.returncode:
            raise RuntimeError(f"ssh-keygen -Y sign: {run.stderr.decode()}")
        armor = run.stdout.decode().splitlines()
        return base64.b64decode("".join(armor[1:-1]))


def build_sk(directory) -> str:
    """OpenSSH's middleware interface to a FIDO key made of software."""
    out = pathlib.Path(directory) / "sk_soft.so"
    if not out.exists():
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", out, SK_SOURCE, "-lcrypto"], check=True)
    return str(out)


def pae(kind: str, body: bytes) -> bytes:
    t = payload_type(kind).encode()
    return b"DSSEv1 %d %s %d %s" % (len(t), t, len(body), body)


def payload_type(kind: str) -> str:
    return f"application/vnd.hallpass.{kind}.v1+json"


def envelope(kind: str, payload: bytes, keys, **env) -> str:
    signatures = [{"keyid": k.fingerprint, "sig": base64.b64encode(k.sign(NAMESPACE[kind], pae(kind, payload), **env)).decode()}
                  for k in keys]
    return json.dumps({"payload": base64.b64encode(payload).decode(), "payloadType": payload_type(kind), "signatures": signatures},
                      separators=(",", ":"))


class Statement:
    def __init__(self, kind, members, key, **env):
        self.kind, self.members = kind, members
        self.payload = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
        digest = hashlib.sha256(self.payload)
        self.digest = "sha256:" + digest.hexdigest()
        bits = int.from_bytes(digest.digest()[:8], "big")
        text = "".join(CROCKFORD[(bits >> (59 - 5 * i)) & 31] for i in range(12))
        self.id = f"{text[:4]}-{text[4:8]}-{text[8:]}"
        self.line = envelope(kind, self.payload, [key], **env)
        self.file = f"{self.id}-{kind}-{digest.hexdigest()[:8]}.grant"


class Fleet:
    def __init__(self, name="acme-prod", people=("alice", "bob", "carol", "ana", "ben"), directory=None):
        self._temp = None if directory else tempfile.TemporaryDirectory(prefix="hallpass-fleet-")
        self.dir = pathlib.Path(directory or self._temp.name)
        self.name = name
        self.keys = {}          # person -> [Key]
        self.version = 0
        self.admins, self.threshold = ["ana", "ben"], 2
        self.accounts = {}
        self.groups = {"sre": ["alice", "bob"], "leads": ["bob", "carol"]}
        self.presence = "none"
        self.extra = ""         # more policy text
        # name -> lines of TOML
        self.runbooks = {"login": self.runbook("self"), "quick": self.runbook("self"), "deploy": self.runbook("deploy")}
        self.rules = [self.rule(["login", "deploy"], ["sre", "leads"], gates=[("leads", 1)]), self.rule(["quick"], ["sre", "leads"])]
        for person in people:
            self.add_person(person)

    def close(self):
        if self._temp:
            self._temp.cleanup()

    # --- people
    def add_person(self, name, kind="ed25519") -> Key:
        key = keygen(self.dir / f"{name}-{len(self.keys.get(name, []))}-{kind}", kind)
        self.keys.setdefault(name, []).append(key)
        return key

    def add_fido(self, name) -> Key:
        provider = build_sk(self.dir)
        key = keygen(self.dir / f"{name}-{len(self.keys.get(name, []))}-sk", "ed25519-sk", {"SSH_SK_PROVIDER": provider})
        self.keys.setdefault(name, []).append(key)
        return key

    def key(self, name, n=0) -> Key:
        return self.keys[name][n]

    def path(self, name, n=0) -> pathlib.Path:
        return self.keys[name][n].path

    # --- policy
    @staticmethod
    def runbook(account, default="5m", longest="1h", more=""):
        return f'account = "{account}"\ndefault_duration = "{default}"\nmax_duration = "{longest}"\n{more}'

    @staticmethod
    def rule(runbooks, requesters, targets=("env=prod",), gates=(), more=""):
        listed = ", ".join(f'{{ from = {json.dumps([f] if isinstance(f, str) else f)}, count = {n} }}' for f, n in gates)
        return (f"runbooks = {json.dumps(runbooks)}\nrequesters = {json.dumps(list(requesters))}\ntargets = {json.dumps(list(targets))}\n"
                + (f"gates = [ {listed} ]\n" if gates else "") + more)

    def policy(self, version=None, valid_for=400 * 86400, now=None) -> str:
        self.version = version or self.version + 1
        out = [f'format = 1\nfleet = "{self.name}"\nversion = {self.version}\n'
               f'valid_until = {utc((now or time.time()) + valid_for)}\npresence = "{self.presence}"\n{self.extra}\n'
               f"[admins]\npeople = {json.dumps(self.admins)}\nthreshold = {self.threshold}\n"]
        for name, keys in self.keys.items():
            account = f'account = "{self.accounts[name]}"\n' if name in self.accounts else ""
            out.append(f"[people.{name}]\n{account}keys = {json.dumps([k.line for k in keys])}\n")
        out.append("[groups]\n" + "".join(f"{g} = {json.dumps(m)}\n" for g, m in self.groups.items()))
        out += [f"[runbooks.{name}]\n{text}" for name, text in self.runbooks.items()]
        out += [f"[[rules]]\n{text}" for text in self.rules]
        return "\n".join(out)

    def sign_policy(self, text: str, signers=("ana", "ben")) -> str:
        payload = json.dumps({"hallpass": "policy/1", "fleet": self.name, "version": self.version,
                              "sha256": hashlib.sha256(text.encode()).hexdigest()}, separators=(",", ":"))
        return envelope("policy", payload.encode(), [s if isinstance(s, Key) else self.key(s) for s in signers]) + "\n"

    def trust(self) -> str:
        listed = "".join(f"{a} = {json.dumps([k.line for k in self.keys[a]])}\n" for a in self.admins)
        return f'fleet = "{self.name}"\n\n[admins]\nthreshold = {self.threshold}\n\n[admins.people]\n{listed}'

    # --- statements
    def _runbook_digest(self, runbook) -> str:
        return runbook_digest(self.runbooks[runbook])

    def request(self, subject="alice", runbook="login", *, targets=("host=web-3",), duration=300, reason="502s on checkout", at=None,
                respond_by=None, not_before=None, key=None, parameters=None, env=None, **members) -> Statement:
        at = time.time() if at is None else at
        payload = {"hallpass": "request/1", "fleet": self.name, "subject": subject, "runbook": runbook,
                   "runbook_digest": self._runbook_digest(runbook), "parameters": parameters or {}, "targets": list(targets),
                   "duration": duration, "reason": reason, "ticket": "", "requested_at": utc(at),
                   "respond_by": utc(respond_by or at + 8 * 3600), "not_before": utc(not_before) if not_before else None,
                   "nonce": base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")}
        payload.update(members)
        return Statement("request", payload, key or self.key(subject), **(env or {}))

    def decide(self, request, by="bob", decision="approve", *, at=None, duration=None, targets=None, key=None, env=None, comment=""):
        payload = {"hallpass": "decision/1", "fleet": self.name, "request": request.digest, "by": by, "decision": decision,
                   "duration": duration, "targets": targets, "decided_at": utc(time.time() if at is None else at), "comment": comment}
        return Statement("decision", payload, key or self.key(by), **(env or {}))

    def approve(self, request, by="bob", **kw):
        return self.decide(request, by, "approve", **kw)

    def deny(self, request, by="bob", **kw):
        return self.decide(request, by, "deny", **kw)

    def revoke(self, *, by="ana", request=None, subject=None, revoked_key=None, at=None, reason="test", key=None):
        payload = {"hallpass": "revocation/1", "fleet": self.name}
        if request:
            payload["request"] = request.digest
        if subject:
            payload["subject"] = subject
        if revoked_key:
            payload["key"] = revoked_key
        payload.update(by=by, revoked_at=utc(time.time() if at is None else at), reason=reason)
        return Statement("revocation", payload, key or self.key(by))


def runbook_digest(toml_text: str) -> str:
    """docs/formats.md, "Runbook digest"."""
    r = tomllib.loads(toml_text)

    def seconds(text):
        units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
        return sum(int(n) * units[u] for n, u in re.findall(r"(\d+)([smhd])", text))

    def command(c):
        user, _, group = c["as"].partition(":")
        run = c.get("run", [])
        kind = "edit" if "edit" in c else run if isinstance(run, str) else "run"
        program = run[:1] if kind == "run" else []
        return {"arguments": c["edit"] if kind == "edit" else run[1:] if kind == "run" else [], "as_group": group, "as_user": user,
                "env_keep": sorted(c.get("env_keep", [])), "executables": sorted(program[0]) if program and isinstance(program[0], list) else program,
                "kind": kind, "password": c.get("password", False), "sha256": c.get("sha256", ""),
                "subcommands": c.get("subcommands", "allow"), "unbounded": c.get("unbounded", False)}
    form = {"account": r["account"], "default_duration": seconds(r["default_duration"]), "hallpass": "runbook/1",
            "max_duration": seconds(r["max_duration"]), "parameters": {k: sorted(v) for k, v in r.get("parameters", {}).items()},
            "sudo": [command(c) for c in r.get("sudo", [])]}
    return "sha256:" + hashlib.sha256(json.dumps(form, separators=(",", ":"), sort_keys=True).encode()).hexdigest()
