#!/usr/bin/env python3
"""Relative links in README.md, CHANGELOG.md and docs/*.md lead to files that exist, and their #fragments to headings. So do paths of
this tree that stand in backquotes.

usage: check_links.py ROOT
"""
import pathlib
import re
import sys

FOLDERS = "agent|cli|cmake|core|docs|host|packaging|pam|sudo_plugin|tests"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./*-]*)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page):
    """The ids that GitHub gives to a page's headings."""
    found = set()
    fenced = False
    for line in page.read_text().splitlines():
        fenced ^= line.startswith("```")
        heading = None if fenced else re.match(r"#+ +(.*)", line)
        if heading:
            text = re.sub(r"[^\w\- ]", "", heading.group(1).lower())
            found.add(text.replace(" ", "-"))
    return found


def faults(root):
    pages = [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").glob("*.md"))]
    for page in pages:
        if not page.exists():
            yield f"{page.relative_to(root)}: is missing"
            continue
        for path in PATH.findall(page.read_text()):
            if not list(root.glob(path.rstrip("/"))):
                yield f"{page.relative_to(root)}: names {path}, which does not exist"
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
        for target in LINK.findall(re.sub(r"`[^`\n]*`", "", text)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, fragment = target.partition("#")
            # The head is read where journal-events.md will stand, so its links are relative to docs/ as well.
            there = (page.parent / name) if name else page
            if not there.exists():
                yield f"{page.relative_to(root)}: link to {target}, which does not exist"
            elif fragment and there.suffix == ".md" and fragment not in anchors(there):
                yield f"{page.relative_to(root)}: link to {target}, but {there.name} has no such heading"


def main():
    found = list(faults(pathlib.Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "all links lead somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
