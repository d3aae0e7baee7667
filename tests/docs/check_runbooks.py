#!/usr/bin/env python3
"""docs/runbooks/*.toml together are a good policy, without a warning that no file explains; each file says what it must, and the guide lists it.

usage: check_runbooks.py HALLPASS ROOT

What the commands do is shown on a booted host by tests/system/test_runbooks.py.
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import runbook_files
from check_examples import refreshed


def policy_check(hallpass, text):
    """(exit status, [(line, what)] of warnings, all that was said)."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "policy.toml"
        path.write_text(text)
        done = subprocess.run([hallpass, "policy", "check", path], capture_output=True, text=True, check=False,
                              env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"})
    said = done.stdout + done.stderr
    return done.returncode, [(int(n), what) for n, what in re.findall(r"^\S+\.toml:(\d+): warning: (.*)$", said, re.M)], said


def owner_of_line(files):
    """Line of the whole policy -> file name."""
    owner = [None]
    for path in files:
        owner += [path.name] * len(path.read_text().splitlines())
    return owner


def check_warnings(books, warnings):
    """Each warning is explained by its file, and each explanation is of a warning that comes."""
    owner = owner_of_line(sorted(runbook_files.DIRECTORY.glob("*.toml")))
    explained = {b.path.name: b.warnings for b in books}
    seen = set()
    for line, what in warnings:
        name = owner[line]
        mine = [e for e in explained.get(name, []) if e in what]
        seen.update((name, e) for e in mine)
        if not mine:
            yield f"{name}: policy check warns and the file has no `# Warning:` with its words: {what}"
    for name, texts in explained.items():
        for text in texts:
            if (name, text) not in seen:
                yield f"{name}: explains a warning that does not come: {text}"


def arguments_of(line):
    """What a command line gives sudo: (program, number of arguments); None for lines without sudo."""
    words = shlex.split(line)
    if words[:1] == ["sudoedit"]:
        return "sudoedit", 0
    if words[:1] != ["sudo"]:
        return None
    words = words[1:]
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in ("-u", "-g") else words[1:]
    return (words[0].rpartition("/")[2], len(words) - 1) if words else None


def uncovered(book):
    """Commands of the runbook of which the head shows no line."""
    shown = [a for a in map(arguments_of, book.works) if a]
    for entry in book.table.get("sudo", []):
        run = entry.get("run")
        if isinstance(run, str):
            continue
        if run is None:
            wanted = {("sudoedit", 0)}
        else:
            paths = run[0] if isinstance(run[0], list) else run[:1]
            wanted = {(p.rpartition("/")[2], len(run) - 1) for p in paths}
        if not wanted & set(shown):
            yield entry


def check_book(book, guide):
    for name in runbook_files.TEXTS:
        if len(book.texts.get(name, "")) < 20:
            yield f"says nothing under `# {name}:`"
    if len(book.ask) != 1 or book.ask[0][:3] != ["hallpass", "request", book.name]:
        yield "does not show how to ask for it"
    if not book.works or len(book.refused) < 2:
        yield "shows too few lines that work or are refused"
    if {*book.parameters()} != {*book.table.get("parameters", {})}:
        yield "its request does not choose every parameter"
    for entry in uncovered(book):
        yield f"shows no line for {entry}"
    if f"(runbooks/{book.path.name})" not in guide:
        yield "is not in the table of writing-runbooks.md"


def quoted_entries(guide):
    """Commands that the guide shows as TOML: they must be those of the library."""
    library = "".join(p.read_text() for p in runbook_files.DIRECTORY.glob("*.toml"))
    for block in re.findall(r"^```toml\n(.*?)^```$", guide, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("  {") and line not in library:
                yield f"writing-runbooks.md: not in the library: {line.strip()}"


def main():
    hallpass, root = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
    books = runbook_files.library()
    guide = (root / "docs/writing-runbooks.md").read_text()
    faults = [f"{b.path.name}: {f}" for b in books for f in check_book(b, guide)]
    faults += quoted_entries(guide)
    status, warnings, said = policy_check(hallpass, refreshed(runbook_files.whole_policy()))
    if status != 0:
        faults.append(f"policy check: {said}")
    faults += check_warnings(books, warnings)
    if len(books) < 20:
        faults.append(f"only {len(books)} runbooks are there")
    print("\n".join(faults) or f"{len(books)} runbooks, {len(warnings)} warnings, all explained")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
