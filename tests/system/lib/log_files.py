"""A log's files, verified without any of our code: by tests/vectors/tlog.py and the published formats."""
import importlib.util
import json
import pathlib
import struct

_path = pathlib.Path(__file__).resolve().parents[2] / "vectors/tlog.py"
_spec = importlib.util.spec_from_file_location("tlog", _path)
tlog = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tlog)


class Head:
    def __init__(self, note: bytes, vkeys):
        text, signatures = tlog.open_note(note, vkeys)
        assert any(kind == 1 for _, kind, _ in signatures), "the log has not signed it"
        self.origin, self.size, self.root, extra = tlog.parse_checkpoint(text)
        assert not extra
        self.cosigned_at = max((at for _, kind, at in signatures if kind == 4), default=None)


class Roots:
    """The tree as it grows: the root at every size that is asked for, in one pass."""

    def __init__(self):
        self.nodes, self.size = [], 0

    def add(self, leaf, height=0):
        self.nodes.append((height, leaf))
        while len(self.nodes) > 1 and self.nodes[-1][0] == self.nodes[-2][0]:
            (h, left), (_, right) = self.nodes[-2:]
            self.nodes[-2:] = [(h + 1, tlog.node(left, right))]
        self.size += 1 << height

    def root(self):
        if not self.nodes:
            return tlog.EMPTY
        root = self.nodes[-1][1]
        for _, left in reversed(self.nodes[:-1]):
            root = tlog.node(left, root)
        return root


class LogFiles:
    def __init__(self, directory, vkeys):
        self.directory, self.vkeys = pathlib.Path(directory), vkeys

    def head(self):
        return Head((self.directory / "checkpoint").read_bytes(), self.vkeys)

    def tile(self, level, index, width):
        """A tile or bundle as a reader gets it: the partial file, else (it may go at any time) the full one."""
        for w in (width, 256):
            try:
                return (self.directory / tlog.tile_path(level, index, w)).read_bytes(), w
            except FileNotFoundError:
                pass
        raise AssertionError(f"the head promises {tlog.tile_path(level, index, width)}")

    def hashes(self, level, index, width):
        got, w = self.tile(level, index, width)
        assert len(got) == 32 * w, f"tile {level}/{index} of {w} has {len(got)} bytes"
        return [got[i * 32:i * 32 + 32] for i in range(width)]

    def bundle(self, index, width):
        got, w = self.tile("entries", index, width)
        entries = []
        while got:
            (n,) = struct.unpack(">H", got[:2])
            assert len(got) >= 2 + n
            entries.append(got[2:2 + n])
            got = got[2 + n:]
        assert len(entries) == w
        return entries[:width]

    def edge_root(self, size):
        """From the partial tiles of the right edge alone."""
        roots, levels, n = Roots(), [], size
        while n:
            levels.append(n)
            n //= 256
        for level in reversed(range(len(levels))):
            if levels[level] % 256:
                for h in self.hashes(level, levels[level] // 256, levels[level] % 256):
                    roots.add(h, 8 * level)
        assert roots.size == size
        return roots.root()

    def verify(self):
        """Every file that the published head promises, byte for byte; all entries."""
        head = self.head()
        entries = []
        for index in range((head.size + 255) // 256):
            entries += self.bundle(index, min(256, head.size - index * 256))
        assert len(entries) == head.size
        leaves = [tlog.leaf(e) for e in entries]
        for path, content in tlog.tiles(leaves).items():
            full = self.directory / path.split(".p/")[0]
            there = self.directory / path
            assert (there if there.exists() else full).read_bytes()[:len(content)] == content, path
        assert tlog.mth(leaves) == head.root, f"the entries do not give the root of {head.size}"
        self.verify_hints(entries)
        return head, entries, leaves

    def verify_hints(self, entries):
        if (self.directory / "epoch").exists():
            hint = json.loads((self.directory / "epoch").read_text())
            assert hint["live_from"] <= hint["index"] < len(entries) and hint["policy"] < hint["index"]
            assert b"hallpass.epoch" in entries[hint["index"]]
        if (self.directory / "policies").exists():
            for policy in json.loads((self.directory / "policies").read_text()):
                beside = self.directory / "policy" / policy["sha256"]
                assert tlog.hashlib.sha256(beside.with_suffix(".toml").read_bytes()).hexdigest() == policy["sha256"]
                assert beside.with_suffix(".sig").read_bytes() == entries[policy["index"]]


class Witnessed:
    """What has been acknowledged and published, to be held against the files at the end."""

    def __init__(self, vkeys):
        self.vkeys, self.acks, self.heads = vkeys, {}, {}

    def saw_head(self, head):
        assert self.heads.setdefault(head.size, head.root) == head.root, f"two histories of {head.size} entries"

    def saw_output(self, text):
        """hub_writer's; its last line may be cut."""
        for line in text[:text.rfind("\n") + 1].splitlines():
            word, *rest = line.split()
            if word == "ack":
                assert self.acks.setdefault(int(rest[0]), rest[1]) == rest[1], f"two entries at {rest[0]}"
            elif word == "head":
                self.saw_head(Head(bytes.fromhex(rest[0]), self.vkeys))

    def check(self, leaves):
        for index, leaf in self.acks.items():
            assert index < len(leaves), f"entry {index} was acknowledged and is lost"
            assert leaves[index].hex() == leaf, f"entry {index} is another than was acknowledged"
        roots, due = Roots(), sorted(self.heads)
        assert not due or due[-1] <= len(leaves), f"{due[-1]} entries were published, {len(leaves)} are there"
        for size in due:
            while roots.size < size:
                roots.add(leaves[roots.size])
            assert roots.root() == self.heads[size], f"the head of {size} entries that was published is of another history"
