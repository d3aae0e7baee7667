#!/usr/bin/python3
"""tidy.py BUILD: clang-tidy over our sources, as many at once as there are processors. What was clean and has not changed since, with all
headers of ours that it includes, is not looked at again (BUILD/tidy holds the marks)."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("core", "host", "pam", "sudo_plugin", "notify", "agent", "hub", "cli")
# What does not run as root on a host; and it does not understand the hub's coroutines.
WITHOUT_ANALYZER = ("cli/", "agent/ctl/", "agent/fetch/", "notify/", "hub/")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
CLANG_TIDY = "clang-tidy-14"


def closure(path: pathlib.Path, build: pathlib.Path, seen: dict) -> None:
    """path -> text of it and of everything of ours that it includes."""
    if path in seen:
        return
    seen[path] = text = path.read_text()
    for name in INCLUDE.findall(text):
        for base in (ROOT, build, path.parent):
            if (base / name).is_file():
                closure((base / name).resolve(), build, seen)
                break


def mark_of(command: dict, build: pathlib.Path, common: str) -> str:
    seen: dict = {}
    closure(pathlib.Path(command["file"]), build, seen)
    parts = [common, command["command"], *[f"{p}\0{t}" for p, t in sorted(seen.items())]]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def look(command: dict, build: pathlib.Path, common: str):
    name = str(pathlib.Path(command["file"]).relative_to(ROOT))
    mark = build / "tidy" / mark_of(command, build, common)
    if mark.exists():
        return name, True, ""
    # The static analyzer takes half of the time: it looks at what runs as root.
    quick = ["--checks=-clang-analyzer-*"] if name.startswith(WITHOUT_ANALYZER) else []
    r = subprocess.run([CLANG_TIDY, "--quiet", *quick, "-p", str(build), command["file"]], capture_output=True, text=True, check=False)
    if r.returncode == 0:
        mark.touch()
    return name, r.returncode == 0, r.stdout + "\n".join(x for x in r.stderr.splitlines() if "warnings generated" not in x)


def main() -> int:
    build = pathlib.Path(sys.argv[1]).resolve()
    (build / "tidy").mkdir(exist_ok=True)
    version = subprocess.run([CLANG_TIDY, "--version"], capture_output=True, text=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_text()
    commands = {c["file"]: c for c in json.loads((build / "compile_commands.json").read_text())}
    ours = [c for f, c in sorted(commands.items()) if f.startswith(tuple(f"{ROOT}/{x}/" for x in FOLDERS))]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, ok, said in pool.map(lambda c: look(c, build, common), ours):
            if not ok:
                bad += 1
                print(f"{name}:\n{said}")
    print(f"{len(ours)} files, {bad} with findings")
    return 1 if bad or not ours else 0


if __name__ == "__main__":
    sys.exit(main())
