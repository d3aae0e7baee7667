"""The runbook library, docs/runbooks/*.toml: what the comments at the head of each file say, and what stands below them."""
import dataclasses
import pathlib
import re
import shlex
import tomllib

DIRECTORY = pathlib.Path(__file__).resolve().parents[2] / "docs/runbooks"
TEXTS = ("For", "Not for", "Abuse", "Host")      # paragraphs that each head has
LINES = ("Ask", "Works", "Refused")              # lists of what people type


@dataclasses.dataclass
class RunbookFile:
    path: pathlib.Path
    name: str
    body: str             # below [runbooks.NAME], as it stands
    table: dict           # the same, read
    texts: dict           # "For", ... -> text
    ask: list             # argument vectors
    works: list           # lines for a shell, without the remark at their end
    refused: list
    warnings: list        # beginnings of what `policy check` says about it

    def parameters(self) -> dict:
        """Those of the first request under Ask."""
        chosen = {}
        words = self.ask[0]
        for option, value in zip(words, words[1:]):
            if option == "-p":
                name, _, choice = value.partition("=")
                chosen.setdefault(name, []).append(choice)
        return chosen


def without_remark(line: str) -> str:
    return re.sub(r"\s+# .*$", "", line)


def _head(text: str):
    """(texts, lists, warnings) of the comment lines."""
    texts, lists, warnings, now = {}, {k: [] for k in LINES}, [], None
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        line = line[1:].removeprefix(" ")
        opened = re.match(r"([A-Z][a-z]*(?: [a-z]+)?):\s*(.*)$", line)
        if opened and opened[1] in (*TEXTS, *LINES, "Warning"):
            now = opened[1]
            if now == "Warning":
                warnings.append(opened[2])
            elif now in TEXTS:
                texts[now] = opened[2]
        elif now in TEXTS:
            texts[now] += " " + line.strip()
        elif now in LINES and line.startswith("  "):
            lists[now].append(without_remark(line.strip()))
    return texts, lists, warnings


def read(path: pathlib.Path) -> RunbookFile:
    text = path.read_text()
    texts, lists, warnings = _head(text)
    name = path.stem
    body = re.search(rf"^\[runbooks\.{re.escape(name)}\]\n(.*?)(?=^#|^\[\[)", text, re.M | re.S)
    if body is None:
        raise SystemExit(f"{path.name}: no [runbooks.{name}]")
    table = tomllib.loads(text)["runbooks"][name]
    return RunbookFile(path, name, body[1], table, texts, [shlex.split(a) for a in lists["Ask"]], lists["Works"], lists["Refused"], warnings)


def library() -> list:
    return [read(p) for p in sorted(DIRECTORY.glob("[a-z]*.toml"))]


def whole_policy() -> str:
    """As the first file says: all of them, one after the other."""
    return "".join(p.read_text() for p in sorted(DIRECTORY.glob("*.toml")))
