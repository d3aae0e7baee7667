#!/usr/bin/env python3
"""What the guides tell people to type exists: commands and options of `hallpass` and `hallpass host` are in their manual pages, and events that
are searched for are in host/events.def. Code blocks and what stands in backquotes is looked at.

usage: check_commands.py ROOT
"""
import pathlib
import re
import sys

CODE = re.compile(r"^```(\S*)\n(.*?)^```$|`([^`\n]+)`", re.M | re.S)
TYPED = re.compile(r"(?:^|[$#>&|;(]\s*|sudo )hallpass((?: +[^\s`|;&#)]+)*)", re.M)


def manual(root, page):
    return (root / f"docs/man/{page}.scd").read_text()


def known(root):
    """Names of commands, and of options, of `hallpass` and of `hallpass host`."""
    people, host = manual(root, "hallpass.1"), manual(root, "hallpass-host.8")
    commands = set(re.findall(r"(?<=\*)[a-z][a-z-]*(?=\*)", people)) | {"version", "--help", "--version"}
    commands |= {word for found in re.findall(r"\*hallpass ([a-z ]+)\*?", people) for word in found.split()}
    host_commands = {word for found in re.findall(r"\*hallpass host ([a-z -]+)\*?", host) for word in found.split()} | {"way-back"}
    return commands, host_commands, options(people), options(host) | {"--root"}


def options(text):
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)) | {"--help"}


def code(page):
    text = page.read_text()
    for found in CODE.finditer(text):
        if found[1] != "text":   # what programs print
            yield text.count("\n", 0, found.start()) + 1, found[2] if found[2] is not None else found[3]


def faults_of(where, words, all_known):
    commands, host_commands, people_options, host_options = all_known
    at = 0
    while at < len(words) and words[at].startswith("-"):   # options before the command, and their values
        at += 2 if words[at] in ("--dir", "--key", "--as", "--hub") else 1
    if at >= len(words) or not re.fullmatch(r"[a-z][a-z-]*", words[at]):
        return
    name, rest, good = words[at], words[at + 1:], people_options
    if name not in commands:
        yield f"{where}: hallpass has no command {name}"
    if name == "host":
        good = host_options
        if rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]) and rest[0] not in host_commands:
            yield f"{where}: hallpass host has no command {rest[0]}"
    for word in rest:
        option = re.match(r"--?[a-z][a-z-]*", word)
        if option and option[0] not in good and not re.fullmatch(r"-[a-z]{2,}", word):
            yield f"{where}: hallpass {name} has no option {option[0]}"


def faults(root):
    all_known = known(root)
    events = set(re.findall(r"^HALLPASS_EVENT\((\w+)", (root / "host/events.def").read_text(), flags=re.M))
    typed = 0
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        for line, text in code(page):
            where = f"{page.relative_to(root)}:{line}"
            for found in TYPED.finditer(text):
                typed += 1
                yield from faults_of(where, found[1].replace("\\", " ").split(), all_known)
            for event in re.findall(r"HALLPASS_EVENT=(\w+)", text):
                if event not in events:
                    yield f"{where}: there is no event {event}"
    if typed < 150:
        yield f"only {typed} commands were found: the pages are not read as they should be"


def main():
    found = list(faults(pathlib.Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "all commands, options and events exist")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
