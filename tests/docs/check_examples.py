#!/usr/bin/env python3
"""Every ```toml block in README.md and docs/*.md that begins with `# policy` passes `hallpass policy check`.

usage: check_examples.py HALLPASS ROOT

valid_until is moved half a year ahead first, so that a page does not go stale by itself.
"""
import datetime
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```toml\n(# policy\n.*?)^```$", re.M | re.S)


def policies(root):
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        text = page.read_text()
        for match in BLOCK.finditer(text):
            yield f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}", match.group(1)


def refreshed(policy):
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=183)
    text, count = re.subn(r"^(valid_until *= *)\S+$", rf"\g<1>{until:%Y-%m-%dT%H:%M:%SZ}", policy, flags=re.M)
    if count != 1:
        raise SystemExit(f"a policy without exactly one valid_until:\n{policy}")
    return text


def main():
    hallpass, root = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    checked = failed = 0
    for where, policy in policies(root):
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / "policy.toml").write_text(refreshed(policy))
            done = subprocess.run([hallpass, "--dir", directory, "policy", "check"], capture_output=True, text=True, check=False)
        checked += 1
        if done.returncode != 0:
            failed += 1
            print(f"{where}: {done.stdout}{done.stderr}")
    print(f"{checked - failed} passed, {failed} failed")
    # Pages without any marked policy mean that the marks were lost, not that all is well.
    return 1 if failed or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
