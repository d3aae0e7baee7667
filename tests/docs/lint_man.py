#!/usr/bin/env python3
"""mandoc's lint over manual pages that scdoc made; its habit of writing superfluous .PP is the one thing let pass.

usage: lint_man.py MANDOC PAGE...
"""
import subprocess
import sys


def main():
    mandoc, pages = sys.argv[1], sys.argv[2:]
    done = subprocess.run([mandoc, "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True, check=False)
    found = [line for line in (done.stdout + done.stderr).splitlines() if "skipping paragraph macro" not in line]
    print("\n".join(found) or "clean")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
