#!/usr/bin/env python3
"""What a module is made of: libraries it needs, symbols it shows, and how much source of this repository is linked into it.

usage: module_check.py pam|sudo MODULE LINK_MAP SOURCE_DIR

Source is counted in two ways: the .cc files whose objects the linker took (pam: all their lines; sudo: their lines of code, neither
blank nor only a comment), and the lines of code of those, of every header of ours that they include, and of the schemas of what they
read. Of the table of events, whose words are not linked in, an event counts as one line.
"""
import re
import subprocess
import sys
from pathlib import Path

PROFILES = {
    "pam": {"lines": 1500, "with_headers": 1950, "count_all": True, "needed": {"libc.so.6", "libpam.so.0", "liblmdb.so.0"},
            "exports": {"pam_sm_authenticate", "pam_sm_setcred", "pam_sm_acct_mgmt", "pam_sm_open_session", "pam_sm_close_session"},
            "folders": {"libhallpass_login.a": "pam"}, "own": ("pam_hallpass", "pam")},
    "sudo": {"lines": 2500, "with_headers": 3500, "count_all": False, "needed": {"libc.so.6", "liblmdb.so.0"},
             "exports": {"hallpass_policy", "hallpass_audit"},
             "folders": {"libhallpass_sudo_parts.a": "sudo_plugin"}, "own": ("hallpass_sudo", "sudo_plugin")},
}
FOLDERS = {"libhallpass_host.a": "host", "libhallpass_values.a": "core/values"}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def linked_sources(link_map, source, profile):
    """The .cc files behind the objects that the map loads sections from."""
    folders = FOLDERS | profile["folders"]
    found = set()
    for archive, name in re.findall(r"(libhallpass_\w+\.a)\((\w+)\.cc\.o\)", link_map):
        found.add(source / folders[archive] / f"{name}.cc")
    target, folder = profile["own"]
    for name in re.findall(target + r"\.dir/(\w+)\.cc\.o", link_map):
        found.add(source / folder / f"{name}.cc")
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
    profile, module, link_map, source = PROFILES[sys.argv[1]], sys.argv[2], Path(sys.argv[3]).read_text(), Path(sys.argv[4])
    faults = []
    dynamic = run("readelf", "-dW", module)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    if needed != profile["needed"]:
        faults.append(f"needs {sorted(needed)}, not {sorted(profile['needed'])}")
    flags = re.findall(r"\(FLAGS_1\).*Flags: (.*)", dynamic)
    if not flags or "NOW" not in flags[0] or "NODELETE" not in flags[0]:
        faults.append("is not linked with -z now and -z nodelete")
    exports = set(re.findall(r" [A-Za-z] (\S+)$", run("nm", "-D", "--defined-only", module), re.M))
    if exports != profile["exports"]:
        faults.append(f"shows {sorted(exports)}, not {sorted(profile['exports'])}")

    sources = linked_sources(link_map, source, profile)
    if len(sources) < 8:
        faults.append(f"the link map names only {len(sources)} sources: the count would mean nothing")
    lines = sum(len(f.read_text().splitlines()) if profile["count_all"] else code_lines(f) for f in sources)
    everything = with_headers(sources, source)
    code = sum(code_lines(f) for f in everything)
    for file in sorted(everything):
        print(f"{code_lines(file):5} {file.relative_to(source)}")
    print(f"{len(sources)} sources: {lines} lines; with {len(everything) - len(sources)} headers and tables: {code} lines of code")
    if lines >= profile["lines"]:
        faults.append(f"{lines} lines of ours are linked in, and the limit is {profile['lines']}")
    if code >= profile["with_headers"]:
        faults.append(f"{code} lines of code with headers are linked in, and the limit is {profile['with_headers']}")
    for fault in faults:
        print(f"{module} {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
