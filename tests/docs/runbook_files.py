"""The runbook library, docs/runbooks/*.toml: what the comments at the head of each file say, and what stands below them."""
import dataclasses
import json
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


def token_rows() -> list:
    """The table of writing-runbooks.md: (command as in a policy, line that works, line that is refused)."""
    page = (DIRECTORY.parent / "writing-runbooks.md").read_text()
    table = page.partition("<!-- begin tokens")[2].partition("<!-- end tokens")[0]
    rows = re.findall(r"^\| `(\[.*?\])` \| `(.*?)` \| `(.*?)` \| .* \|$", table, re.M)
    if len(rows) < 10 or len(rows) != table.count("\n| `"):
        raise SystemExit(f"writing-runbooks.md: of its table of tokens only {len(rows)} rows can be read")
    return [(tomllib.loads(f"run = {run}")["run"], works, refused) for run, works, refused in rows]


def token_book(directory="/opt/g") -> RunbookFile:
    """That table as a runbook: each command is a program of its own."""
    sudo, works, refused = [], [], []
    for n, (run, good, bad) in enumerate(token_rows()):
        program = f"{directory}/g{n}"
        sudo.append({"as": "root", "run": [program, *run[1:]]})
        works.append(f"sudo {program} {good.partition(' ')[2]}")
        refused.append(f"sudo {program} {bad.partition(' ')[2]}")
    entries = ",\n  ".join("{ as = \"root\", run = " + json.dumps(entry["run"]) + " }" for entry in sudo)
    body = f'account = "self"\ndefault_duration = "30m"\nmax_duration = "1h"\nsudo = [\n  {entries},\n]\n'
    return RunbookFile(DIRECTORY, "tokens", body, tomllib.loads(body), {}, [[]], works, refused, [])


def whole_policy() -> str:
    """As the first file says: all of them, one after the other."""
    return "".join(p.read_text() for p in sorted(DIRECTORY.glob("*.toml")))
