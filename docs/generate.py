#!/usr/bin/env python3
"""Writes the parts of docs/ that follow from the code: journal-events.md, and marked passages of formats.md.

generate.py          rewrite them
generate.py --check  exit 1 if they are not up to date (a test runs this)
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PRIORITIES = {2: "critical", 3: "error", 4: "warning", 5: "notice", 6: "info", 7: "debug"}
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def arguments(text):
    """Splits a macro's arguments at commas outside string literals and parentheses."""
    parts, current, depth, at = [], "", 0, 0
    while at < len(text):
        literal = STRING.match(text, at)
        if literal:
            current += literal.group(0)
            at = literal.end()
            continue
        c = text[at]
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += c
        at += 1
    return parts + [current]


def literal(text):
    """The value of one or more adjacent C string literals."""
    joined = "".join(STRING.findall(text))
    return joined.replace(r"\n", "\n").replace(r'\"', '"').replace("\\\\", "\\")


def read_events(text):
    """All (name, MESSAGE_ID, priority, subject, text) of events.def, in its order."""
    text = re.sub(r"^//.*$", "", text, flags=re.M)
    found = []
    for match in re.finditer(r"^HALLPASS_EVENT\(", text, flags=re.M):
        depth, at = 1, match.end()
        while depth:
            quoted = STRING.match(text, at)
            if quoted:
                at = quoted.end()
                continue
            depth += (text[at] == "(") - (text[at] == ")")
            at += 1
        name, message_id, priority, subject, body = arguments(text[match.end():at - 1])
        found.append((name.strip(), literal(message_id), int(priority), literal(subject), literal(body)))
    return found


def alerts():
    """Names of the events that agent/alerts.cc queues for delivery."""
    return set(re.findall(r"^ *case Event::(\w+):", (ROOT / "agent/alerts.cc").read_text(), flags=re.M))


def journal_events():
    events = read_events((ROOT / "host/events.def").read_text())
    woken = alerts()
    assert woken <= {name for name, *_ in events}
    lines = [(DOCS / "journal-events.head.md").read_text().rstrip("\n"), "", "## Events", ""]
    lines += ["| event | priority | MESSAGE_ID | in one line |", "|---|---|---|---|"]
    for name, message_id, priority, subject, _ in events:
        lines.append(f"| [`{name}`](#{name}) | {PRIORITIES[priority]} | `{message_id}` | {cell(subject)} |")
    for name, message_id, priority, subject, body in events:
        lines += ["", f"### {name}", "", f"**{cell(subject)}** ({PRIORITIES[priority]}, `MESSAGE_ID={message_id}`)", ""]
        lines.append(re.sub(r"@([A-Z0-9_]+)@", r"\1", body).strip())
        if name in woken:
            lines += ["", "Delivered as an [alert](operations.md#alerts)."]
    return "\n".join(lines) + "\n"


def cell(text):
    return re.sub(r"@([A-Z0-9_]+)@", r"\1", text).replace("|", "\\|")


def code(text):
    shown = json.dumps(text, ensure_ascii=True)[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    fence = "``" if "`" in shown else "`"
    return f"{fence}{shown}{fence}".replace("|", "\\|") if shown else "(empty)"


def pattern_examples():
    lines = ["| tokens | arguments | result | why |", "|---|---|---|---|"]
    for example in json.loads((ROOT / "tests/vectors/argpat/examples.json").read_text())["examples"]:
        tokens = " ".join(code(t.replace("/run/argpat-fixture/data", "/srv/d")) for t in example["tokens"]) or "(none)"
        if "parse_error" in example:
            lines.append(f"| {tokens} | | error | {example['parse_error'].replace('|', chr(92) + '|')} |")
            continue
        argv = " ".join(code(a.replace("/run/argpat-fixture/data", "/srv/d")) for a in example["argv"]) or "(none)"
        result = "match" if example["expect"] else "no match"
        lines.append(f"| {tokens} | {argv} | {result} | {example['note'].replace('sudo: ALLOW', 'sudoers allows it')} |")
    return "\n".join(lines)


def schema(name):
    text = (ROOT / f"host/{name}.fbs").read_text()
    return "```\n" + text[text.index("namespace"):].rstrip() + "\n```"


def replace_between(text, name, content):
    begin = f"<!-- begin {name}: written by docs/generate.py -->"
    end = f"<!-- end {name} -->"
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    return f"{head}{begin}\n\n{content}\n\n{end}{tail}"


def formats():
    text = (DOCS / "formats.md").read_text()
    text = replace_between(text, "pattern examples", pattern_examples())
    for name in ("snapshot", "session"):
        text = replace_between(text, f"{name} schema", schema(name))
    return text


# A member of a list of fields; not the first of a list of column heads, and not the name of a field that is read.
FIELD = re.compile(r'(?:\.with\(|(?<!\()\{)"(?!HALLPASS_)([A-Z][A-Z_]+)",')


def field_faults():
    """Where the programs and the table of journal-events.md differ about fields."""
    known = set(re.findall(r"^\| `HALLPASS_([A-Z_]+)`", (DOCS / "journal-events.head.md").read_text(), flags=re.M))
    sent = {"EVENT"}  # by every entry, in host/events.cc
    for folder in ("host", "pam", "agent"):
        for source in sorted((ROOT / folder).rglob("*.cc")):
            for name in FIELD.findall(source.read_text()):
                sent.add(name)
                if name not in known:
                    yield f"{source.relative_to(ROOT)} sends HALLPASS_{name}, which docs/journal-events.head.md does not name"
    for name in sorted(known - sent):
        yield f"docs/journal-events.head.md names HALLPASS_{name}, which no program sends"


def main():
    pages = {DOCS / "journal-events.md": journal_events(), DOCS / "formats.md": formats()}
    stale = [page for page, text in pages.items() if not page.exists() or page.read_text() != text]
    if "--check" in sys.argv[1:]:
        for page in stale:
            print(f"{page.relative_to(ROOT)} is not up to date; run docs/generate.py", file=sys.stderr)
        missing = list(field_faults())
        for line in missing:
            print(line, file=sys.stderr)
        return 1 if stale or missing else 0
    for page in stale:
        page.write_text(pages[page])
        print(f"wrote {page.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
