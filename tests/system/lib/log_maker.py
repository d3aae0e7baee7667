"""A log of grants made by hand (tests/vectors/tlog.py and Ed25519 of python3-cryptography): shares no code with hallpass's."""
import base64
import hashlib
import importlib.util
import json
import pathlib
import struct
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from .fleet import pae, utc

_SPEC = importlib.util.spec_from_file_location("tlog", pathlib.Path(__file__).resolve().parents[2] / "vectors/tlog.py")
tlog = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tlog)

EPOCH_TYPE = "application/vnd.hallpass.epoch.v1+json"
DAY = 86400


class NoteKey:
    """A key that signs notes: of the log (1) or of a witness (4)."""

    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        self._private = ed25519.Ed25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self._id = tlog.keyid(name, kind, self.public)
        self.vkey = tlog.vkey(name, kind, self.public)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def line(self, text: str, at=None) -> str:
        if self.kind == 1:
            return tlog.sigline(self.name, self._id, self.sign(text.encode()))
        signed = f"cosignature/v1\ntime {int(at)}\n".encode() + text.encode()
        return tlog.sigline(self.name, self._id, struct.pack(">Q", int(at)) + self.sign(signed))


class LogMaker:
    def __init__(self, fleet="acme-prod", origin="acme-prod.log", like=None):
        """`like`: another log whose keys this one has stolen."""
        self.fleet, self.origin = fleet, origin
        self.key = like.key if like else NoteKey(origin, 1)
        self.witness = like.witness if like else NoteKey("hub-witness", 4)
        self.entries, self.epoch_hint, self.policies = [], None, []
        self._rows = [[]]   # hashes of complete subtrees of 256^level entries

    def trust(self) -> str:
        return f'[log]\nkey = {json.dumps(self.key.vkey)}\nwitnesses = [{json.dumps(self.witness.vkey)}]\n'

    # --- entries
    def add(self, *entries: bytes) -> int:
        """The index of the first."""
        first = len(self.entries)
        self.entries += entries
        return first

    def fill(self, count, size=300, word="entry") -> int:
        n = len(self.entries)
        return self.add(*[f"{word} {n + i} ".encode().ljust(size, b".") for i in range(count)])

    def add_epoch(self, live_from=0, policy=0, at=None) -> int:
        payload = json.dumps({"hallpass": "epoch/1", "fleet": self.fleet, "log": self.origin, "live_from": live_from, "policy": policy,
                              "at": utc(at or time.time())}, separators=(",", ":")).encode()
        sig = base64.b64encode(self.key.sign(pae("epoch", payload))).decode()
        envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": EPOCH_TYPE,
                    "signatures": [{"keyid": self.key.name, "sig": sig}]}
        index = self.add(json.dumps(envelope, separators=(",", ":")).encode())
        self.epoch_hint = {"index": index, "live_from": live_from, "policy": policy}
        return index

    def add_policy(self, fleet) -> int:
        """The fleet's next policy, signed by its admins."""
        text = fleet.policy()
        sig = fleet.sign_policy(text).strip()
        index = self.add(sig.encode())
        self.policies.append({"version": fleet.version, "sha256": hashlib.sha256(text.encode()).hexdigest(), "index": index,
                              "text": text, "sig": sig})
        return index

    # --- files
    def note(self, size=None, at=None, witness=True) -> bytes:
        size = len(self.entries) if size is None else size
        text = f"{self.origin}\n{size}\n{tlog.b64(self.root(size))}\n"
        note = text + "\n" + self.key.line(text)
        return (note + (self.witness.line(text, at or time.time()) if witness else "")).encode()

    def root(self, size) -> bytes:
        return tlog.mth([tlog.leaf(e) for e in self.entries[:size]])

    def files(self, at=None) -> "dict[str, bytes]":
        """All that lies below the log's prefix."""
        out = {**tlog.tiles([tlog.leaf(e) for e in self.entries]), **tlog.bundles(self.entries), "checkpoint": self.note(at=at)}
        if self.epoch_hint:
            out["epoch"] = (json.dumps(self.epoch_hint, separators=(",", ":")) + "\n").encode()
        listed = [{k: p[k] for k in ("version", "sha256", "index")} for p in self.policies]
        out["policies"] = (json.dumps(listed, separators=(",", ":")) + "\n").encode()
        for p in self.policies:
            out[f"policy/{p['sha256']}.toml"] = p["text"].encode()
            out[f"policy/{p['sha256']}.sig"] = p["sig"].encode()
        return out

    def write(self, directory):
        directory = pathlib.Path(directory)
        for name, content in self.files().items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
