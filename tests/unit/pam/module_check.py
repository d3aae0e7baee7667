#!/usr/bin/env python3
"""What pam_hallpass.so is made of: libraries it needs, symbols it shows, and how much source of this repository is linked into it.

usage: module_check.py MODULE LINK_MAP SOURCE_DIR

Source is counted in two ways: all lines of the .cc files whose objects the linker took, which must stay under 1500; and the lines of code
(not blank, not only a comment) of those, of every header of ours that they include, and of the schemas of what they read, under 1900: the
registry of sessions brought that from 1550. Of the table of events, whose words are not linked in, an event counts as one line.
"""
import re
import subprocess
import sys
from pathlib import Path

LIMIT = 1500
LIMIT_WITH_HEADERS = 1900
NEEDED = {"libc.so.6", "libpam.so.0", "liblmdb.so.0"}
EXPORTS = {"pam_sm_authenticate", "pam_sm_setcred", "pam_sm_acct_mgmt", "pam_sm_open_session", "pam_sm_close_session"}
FOLDERS = {"libhallpass_login.a": "pam", "libhallpass_host.a": "host", "libhallpass_values.a": "core/values", "": "pam"}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def linked_sources(link_map, source):
    """The .cc files behind the objects that the map loads sections from."""
    found = set()
    for archive, name in re.findall(r"(libhallpass_\w+\.a)\((\w+)\.cc\.o\)", link_map):
        found.add(source / FOLDERS[archive] / f"{name}.cc")
    for name in re.findall(r"pam_hallpass\.dir/(\w+)\.cc\.o", link_map):
        found.add(source / "pam" / f"{name}.cc")
    return found


def with_headers(files, source):
    seen, todo = set(), list(files)
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in re.findall(r'^#include "([^"]+)"', file.read_text(), re.M):
            if name.endswith("_generated.h"):
                todo.append(source / name.replace("_generated.h", ".fbs"))
            else:
                todo.append(source / name)
    return seen


def code_lines(file):
    lines = [line.strip() for line in file.read_text().splitlines()]
    if file.suffix == ".def":
        return sum(line.startswith("HALLPASS_EVENT(") for line in lines)
    return sum(bool(line) and not line.startswith("//") for line in lines)


def main():
    module, link_map, source = sys.argv[1], Path(sys.argv[2]).read_text(), Path(sys.argv[3])
    faults = []
    dynamic = run("readelf", "-dW", module)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    if needed != NEEDED:
        faults.append(f"needs {sorted(needed)}, not {sorted(NEEDED)}")
    flags = re.findall(r"\(FLAGS_1\).*Flags: (.*)", dynamic)
    if not flags or "NOW" not in flags[0] or "NODELETE" not in flags[0]:
        faults.append("is not linked with -z now and -z nodelete")
    exports = set(re.findall(r" [A-Za-z] (\S+)$", run("nm", "-D", "--defined-only", module), re.M))
    if exports != EXPORTS:
        faults.append(f"shows {sorted(exports)}, not {sorted(EXPORTS)}")

    sources = linked_sources(link_map, source)
    if len(sources) < 8:
        faults.append(f"the link map names only {len(sources)} sources: the count would mean nothing")
    all_lines = sum(len(f.read_text().splitlines()) for f in sources)
    everything = with_headers(sources, source)
    code = sum(code_lines(f) for f in everything)
    for file in sorted(everything):
        print(f"{code_lines(file):5} {file.relative_to(source)}")
    print(f"{len(sources)} sources: {all_lines} lines in all; with {len(everything) - len(sources)} headers and tables: {code} lines of code")
    if all_lines >= LIMIT:
        faults.append(f"{all_lines} lines of ours are linked in, and the limit is {LIMIT}")
    if code >= LIMIT_WITH_HEADERS:
        faults.append(f"{code} lines of code with headers are linked in, and the limit is {LIMIT_WITH_HEADERS}")
    for fault in faults:
        print(f"{module} {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
