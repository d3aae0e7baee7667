"""A guide that is typed: reads a page's fenced blocks and says who types what, and what must appear.

A block of `sh` begins with a comment that names the terminal it is typed into:

    ```sh
    # as alice
    ssh localhost
    ```

and the block of `text` after it, if there is one, is what then appears. A block of `text` that begins with such a comment itself is
what appears in that terminal without anything typed. There
  - a line that is only an ellipsis stands for any lines, or none; one within a line for anything on that line;
  - an id of a grant, a time of day and a time that is left or ago may be others: the id then stands for this one in the rest of the page;
  - a question with an answer behind it ("Approve this? [y/N] y") is a question that is asked, and that answer is typed.
"""
import dataclasses
import pathlib
import re

ELLIPSIS = "…"
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.M | re.S)
ID = re.compile(r"\b[0-9a-hjkmnp-tv-z]{4}-[0-9a-hjkmnp-tv-z]{4}-[0-9a-hjkmnp-tv-z]{4}\b")
VARIES = re.compile(rf"(?P<any>{ELLIPSIS})|(?P<id>{ID.pattern})|(?P<left>\b(?:\d+[dhms] ?)+(?= left| ago))|(?P<time>\b\d\d:\d\d(?::\d\d)?\b)")
# What asks, at the end of what a program has written so far.
QUESTION = re.compile(r"(\[y/N\]|\[Y/n\]|\[fingerprint\]\)\?) ?$")
ANSWERED = re.compile(r"(?:\[y/N\]|\[Y/n\]|\[fingerprint\]\)\?) (\S+)$", re.M)


@dataclasses.dataclass
class Step:
    line: int          # of the page
    terminal: str      # "as alice"
    lines: "list[str]"
    shown: "str | None"

    @property
    def answers(self):
        return ANSWERED.findall(self.shown or "")


def steps(page: pathlib.Path) -> "list[Step]":
    text = page.read_text()
    found = []
    for fence in FENCE.finditer(text):
        at = text.count("\n", 0, fence.start()) + 1
        kind, content = fence[1], fence[2]
        if kind == "sh":
            first, _, rest = content.partition("\n")
            if not first.startswith("# "):
                raise ValueError(f"{page.name}:{at}: the block does not say who types it")
            found.append(Step(at, first[2:].strip(), [x for x in rest.splitlines() if x.strip()], None))
        elif kind == "text":
            first, _, rest = content.partition("\n")
            if first.startswith("# "):
                found.append(Step(at, first[2:].strip(), [], rest))
            elif not found or found[-1].shown is not None:
                raise ValueError(f"{page.name}:{at}: nothing was typed that could show this")
            else:
                found[-1].shown = content
    return found


def commands(lines):
    """What is typed as one: a here-document or a line that ends in a backslash goes on."""
    out, until = [], None
    for line in lines:
        if until is not None or (out and out[-1][-1].endswith("\\")):
            out[-1].append(line)
            until = None if line == until else until
            continue
        out.append([line])
        here = re.search(r"<<-?\s*(['\"]?)(\w+)\1", line)
        until = here[2] if here else None
    return out


class Ids:
    """The ids of this run for those that the page shows."""

    def __init__(self):
        self.known = {}

    def typed(self, line: str) -> str:
        return ID.sub(lambda m: self.known.get(m[0], m[0]), line)

    def pattern(self, shown: str) -> "re.Pattern":
        names = {}

        def one(m):
            if m["any"]:
                return r"[^\n]*"
            if m["left"]:
                return r"(?:\d+[dhms] ?)+"
            if m["time"]:
                return r"\d\d:\d\d(?::\d\d)?"
            if m["id"] in self.known:
                return re.escape(self.known[m["id"]])
            name = "id_" + m["id"].replace("-", "")
            if name in names:
                return f"(?P={name})"
            names[name] = m["id"]
            return f"(?P<{name}>{ID.pattern})"
        parts = []
        for line in shown.rstrip("\n").split("\n"):
            if line.strip() == ELLIPSIS:
                parts.append(r"(?:[^\n]*\n)*?")
                continue
            at, text = 0, ""
            for m in VARIES.finditer(line):
                text += re.escape(line[at:m.start()]) + one(m)
                at = m.end()
            parts.append(text + re.escape(line[at:].rstrip()) + r"[ \t]*\n")
        self._names = names
        return re.compile("".join(parts))

    def match(self, shown: str, out: str) -> bool:
        found = self.pattern(shown).fullmatch(out.rstrip("\n") + "\n" if out.strip() else "")
        if not found:
            return False
        self.known.update({page: found[name] for name, page in self._names.items()})
        return True
