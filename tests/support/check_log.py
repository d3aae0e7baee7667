#!/usr/bin/python3
"""Reads a whole log from its static files and says whether they bear out its signed head. Shares no code with core/log: hashing,
notes and the layout are those of tests/vectors/tlog.py, the reference of the test vectors.

    check_log.py DIR --key VKEY [--witness VKEY]... [--quorum N]

Prints "OK SIZE ROOT" and returns 0, or one line that names the first fault and returns 1."""
import argparse
import base64
import hashlib
import json
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vectors"))
import tlog  # noqa: E402

EPOCH = "application/vnd.hallpass.epoch.v1+json"


class Fault(Exception):
    pass


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise Fault(what)


def read_part(root: pathlib.Path, path: str) -> "tuple[bytes, bool]":
    """The file, or the full one in place of a partial one; and whether it is the full one."""
    full = path.partition(".p/")[0]
    for name in dict.fromkeys((path, full)):
        if (root / name).is_file():
            return (root / name).read_bytes(), name == full
    raise Fault(f"{path}: missing")


def split_bundle(path: str, data: bytes) -> "list[bytes]":
    entries, at = [], 0
    while at < len(data):
        demand(at + 2 <= len(data), f"{path}: cut off")
        (length,) = struct.unpack_from(">H", data, at)
        at += 2 + length
        demand(at <= len(data), f"{path}: cut off")
        entries.append(data[at - length:at])
    return entries


def read_entries(root: pathlib.Path, size: int) -> "list[bytes]":
    entries = []
    for n in range((size + 255) // 256):
        width = min(256, size - n * 256)
        path = f"tile/entries/{tlog.npath(n)}" + ("" if width == 256 else f".p/{width}")
        data, full = read_part(root, path)
        here = split_bundle(path, data)
        demand(len(here) == (256 if full else width), f"{path}: {len(here)} entries")
        entries += here[:width]
    return entries


def check_tiles(root: pathlib.Path, leaves: "list[bytes]") -> None:
    for path, expected in tlog.tiles(leaves).items():
        data, full = read_part(root, path)
        demand(len(data) == (8192 if full else len(expected)), f"{path}: {len(data)} bytes")
        if data[:len(expected)] == expected:
            continue
        wrong = next(i for i in range(0, len(expected), 32) if data[i:i + 32] != expected[i:i + 32])
        raise Fault(f"{path}: hash {wrong // 32} does not fit the entries")


def check_epochs(entries: "list[bytes]", key) -> int:
    """Each epoch's signature, and that it claims what can be. Returns how many there are."""
    name, _, _, public = key
    last, count = None, 0
    for index, entry in enumerate(entries):
        if EPOCH.encode() not in entry:
            continue
        envelope = json.loads(entry)
        if envelope.get("payloadType") != EPOCH:
            continue
        payload = base64.b64decode(envelope["payload"], validate=True)
        pae = b"DSSEv1 %d %s %d %s" % (len(EPOCH), EPOCH.encode(), len(payload), payload)
        (signature,) = envelope["signatures"]
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(signature["sig"]), pae)
        except InvalidSignature:
            raise Fault(f"entry {index}: an epoch that the log's key has not signed") from None
        epoch = json.loads(payload)
        demand(epoch["log"] == name and signature["keyid"] == name, f"entry {index}: an epoch of another log")
        demand(epoch["live_from"] <= index and epoch["policy"] < index, f"entry {index}: an epoch that points ahead")
        if last:
            back = epoch["live_from"] < last["live_from"] or epoch["at"] < last["at"] or epoch["fleet"] != last["fleet"]
            demand(not back, f"entry {index}: an epoch that goes back behind the one before it")
        last, count = epoch, count + 1
    return count


def check_hints(root: pathlib.Path, entries: "list[bytes]") -> None:
    """The two files that nobody signs: what they say must be so all the same."""
    if (root / "epoch").is_file():
        hint = json.loads((root / "epoch").read_text())
        entry = entries[hint["index"]] if hint["index"] < len(entries) else b""
        demand(EPOCH.encode() in entry, f"epoch: entry {hint['index']} is none")
        epoch = json.loads(base64.b64decode(json.loads(entry)["payload"]))
        demand(all(epoch[k] == hint[k] for k in ("live_from", "policy")), f"epoch: entry {hint['index']} says otherwise")
    if (root / "policies").is_file():
        for hint in json.loads((root / "policies").read_text()):
            path = f"policy/{hint['sha256']}"
            demand((root / f"{path}.toml").is_file() and (root / f"{path}.sig").is_file(), f"{path}: missing")
            text, signed = (root / f"{path}.toml").read_bytes(), (root / f"{path}.sig").read_bytes()
            demand(hashlib.sha256(text).hexdigest() == hint["sha256"], f"{path}.toml: not of its name")
            demand(hint["index"] < len(entries), f"policies: entry {hint['index']} is not in the log")
            demand(entries[hint["index"]] == signed.rstrip(b"\n"), f"{path}.sig: not entry {hint['index']}")


def check(root: pathlib.Path, key: str, witnesses: "list[str]", quorum: int) -> "tuple[int, bytes, int]":
    demand((root / "checkpoint").is_file(), "checkpoint: missing")
    try:
        text, signed_by = tlog.open_note((root / "checkpoint").read_bytes(), [key, *witnesses])
        origin, size, signed_root, more = tlog.parse_checkpoint(text)
    except tlog.Bad as bad:
        raise Fault(f"checkpoint: {bad}") from None
    log_key = tlog.parse_vkey(key)
    demand(any(name == log_key[0] and type_ == 1 for name, type_, _ in signed_by), "checkpoint: not signed by the log")
    demand(sum(type_ == 4 for _, type_, _ in signed_by) >= quorum, "checkpoint: too few witnesses")
    demand(origin == log_key[0] and not more, "checkpoint: of another log, or with more lines than three")
    entries = read_entries(root, size)
    leaves = [tlog.leaf(entry) for entry in entries]
    check_tiles(root, leaves)
    demand(tlog.mth(leaves) == signed_root, "checkpoint: another root than the entries'")
    epochs = check_epochs(entries, log_key)
    check_hints(root, entries)
    return size, signed_root, epochs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--key", required=True)
    parser.add_argument("--witness", action="append", default=[])
    parser.add_argument("--quorum", type=int)
    options = parser.parse_args()
    quorum = len(options.witness) if options.quorum is None else options.quorum
    try:
        size, root, epochs = check(options.directory, options.key, options.witness, quorum)
    except Fault as fault:
        print(fault)
        return 1
    print(f"OK {size} {tlog.b64(root)} ({epochs} epochs)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
