#!/usr/bin/python3
"""check_log_test.py MAKE_LOG: a verifier that shares no code with core/log finds its logs good, and every damage to them."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHECK = ROOT / "tests/support/check_log.py"


def run(*command) -> "tuple[int, str]":
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.stderr:
        print(done.stderr, file=sys.stderr)
    return done.returncode, done.stdout.strip()


def flip(path: pathlib.Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def replace(path: pathlib.Path, data: bytes) -> None:
    path.write_bytes(data)


# name, what is done to the files, what the answer begins with
DAMAGES = [
    ("nothing", lambda d: None, "OK 300 "),
    ("an older partial tile gone", lambda d: (d / "tile/0/001.p/1").unlink(), "OK 300 "),
    ("a byte of the checkpoint", lambda d: flip(d / "checkpoint", 20), "checkpoint: "),
    ("no checkpoint", lambda d: (d / "checkpoint").unlink(), "checkpoint: missing"),
    ("a byte of an entry", lambda d: flip(d / "tile/entries/001.p/44", 4), "tile/0/001.p/44: hash 0 does not fit"),
    ("a byte of a tile of leaves", lambda d: flip(d / "tile/0/000", 64), "tile/0/000: hash 2 does not fit"),
    ("a byte of a tile above", lambda d: flip(d / "tile/1/000.p/1", 0), "tile/1/000.p/1: hash 0 does not fit"),
    ("a missing bundle", lambda d: (d / "tile/entries/000").unlink(), "tile/entries/000: missing"),
    ("a missing tile", lambda d: (d / "tile/0/001.p/44").unlink(), "tile/0/001.p/44: missing"),
    ("bytes behind a tile", lambda d: replace(d / "tile/1/000.p/1", bytes(64)), "tile/1/000.p/1: 64 bytes"),
    ("a cut bundle", lambda d: replace(d / "tile/entries/000", b"\0"), "tile/entries/000: cut off"),
    ("an empty bundle", lambda d: replace(d / "tile/entries/000", b""), "tile/entries/000: 0 entries"),
    ("a hint that is true", lambda d: (d / "epoch").write_text('{"index":199,"live_from":1,"policy":0}'), "OK 300 "),
    ("a hint with another live_from", lambda d: (d / "epoch").write_text('{"index":199,"live_from":2,"policy":0}'), "epoch: entry 199"),
    ("a hint that is not true", lambda d: (d / "epoch").write_text('{"index":198,"live_from":1,"policy":0}'), "epoch: entry 198"),
]


def main() -> int:
    make, wrong = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as scratch:
        base = pathlib.Path(scratch)
        for sizes in ([0], [1], [255], [256], [257], [3, 300], [65536], [255, 66000]):
            directory = base / f"log{sizes[-1]}"
            _, keys = run(make, directory, *sizes)
            key, witness = keys.splitlines()
            code, said = run(CHECK, directory, "--key", key, "--witness", witness)
            if code != 0 or not said.startswith(f"OK {sizes[-1]} "):
                wrong += 1
                print(f"wrong: a log of {sizes}: {said}")
        _, keys = run(make, base / "log", 1, 257, 300)
        key, witness = keys.splitlines()
        for name, damage, expected in DAMAGES:
            shutil.copytree(base / "log", base / "copy")
            damage(base / "copy")
            code, said = run(CHECK, base / "copy", "--key", key, "--witness", witness)
            if not said.startswith(expected) or (code == 0) != expected.startswith("OK"):
                wrong += 1
                print(f"wrong: {name}: {said}")
            shutil.rmtree(base / "copy")
        _, other = run(make, base / "other", 300)
        code, said = run(CHECK, base / "log", "--key", other.splitlines()[0])
        if code == 0 or not said.startswith("checkpoint: "):
            wrong += 1
            print(f"wrong: another log's key: {said}")
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
