#!/usr/bin/env python3
"""What README.md and docs/*.md show must be true of the program.

- Every ```toml block that begins with `# policy` passes `hallpass policy check`.
- Every block that begins with `sudo = [` does so as the commands of a runbook.
- Every ```toml block that begins with `# hosts` is read beside it without complaint.
- Every ```sh block that begins with `# tour` runs, one after the other, as they stand (but for --yes).
- The runbook digest printed in docs/formats.md is that of the policy guide's restart-web.
- hallpass(1) names every command and long option of its help texts, and no option besides.

usage: check_examples.py HALLPASS ROOT

valid_until is moved half a year ahead first, so that a page does not go stale by itself.
"""
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile


class Checks:
    def __init__(self, hallpass, root):
        self.hallpass, self.root = hallpass, root
        self.passed, self.faults = 0, []

    def run(self, *arguments):
        # Neither the developer's configuration nor the machine's may matter.
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
        return subprocess.run([self.hallpass, *arguments], capture_output=True, text=True, check=False, env=environment)

    def note(self, name, fault):
        if fault:
            self.faults.append(f"{name}: {fault}")
        else:
            self.passed += 1

    def blocks(self, mark):
        """(where, text) of every ```toml block whose first line is the mark."""
        block = re.compile(rf"^```toml\n({re.escape(mark)}\n.*?)^```$", re.M | re.S)
        for page in [self.root / "README.md", *sorted((self.root / "docs").glob("*.md"))]:
            text = page.read_text()
            for match in block.finditer(text):
                yield f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}", match.group(1)


def refreshed(policy):
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=183)
    text, count = re.subn(r"^(valid_until *= *)\S+$", rf"\g<1>{until:%Y-%m-%dT%H:%M:%SZ}", policy, flags=re.M)
    if count != 1:
        raise SystemExit(f"a policy without exactly one valid_until:\n{policy}")
    return text


def check_policies(checks):
    policies = list(checks.blocks("# policy"))
    hosts = list(checks.blocks("# hosts"))
    # Pages without any marked block mean that the marks were lost, not that all is well.
    checks.note("marks", "" if len(policies) >= 2 and hosts else "no marked policies or hosts in the pages")
    for where, policy in policies:
        with tempfile.TemporaryDirectory() as directory:
            folder = pathlib.Path(directory)
            (folder / "policy.toml").write_text(refreshed(policy))
            done = checks.run("--dir", directory, "policy", "check")
            checks.note(where, "" if done.returncode == 0 else done.stdout + done.stderr)
            for hosts_where, text in hosts:
                (folder / "hosts.toml").write_text(text)
                done = checks.run("--dir", directory, "policy", "show")
                checks.note(f"{hosts_where} with {where}", "" if done.returncode == 0 else done.stdout + done.stderr)
            if "[runbooks.restart-web]" in policy:
                check_digest(checks, where, directory)


def check_commands(checks):
    """Blocks that begin with `sudo = [` are commands of a runbook with a parameter `service`."""
    block = re.compile(r"^```\n(sudo = \[\n.*?)^```$", re.M | re.S)
    policy = next(text for _, text in checks.blocks("# policy"))
    found = [(page.name, b) for page in sorted((checks.root / "docs").glob("*.md")) for b in block.findall(page.read_text())]
    checks.note("commands", "" if found else "no block of commands in the pages")
    for name, commands in found:
        runbook = f'\n[runbooks.shown]\nmax_duration = "1h"\nparameters = {{ service = ["nginx"] }}\n{commands}'
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / "policy.toml").write_text(refreshed(policy) + runbook)
            done = checks.run("--dir", directory, "policy", "check")
            checks.note(f"{name}: commands", "" if done.returncode == 0 else done.stdout + done.stderr)


def check_digest(checks, where, directory):
    done = checks.run("--dir", directory, "--json", "policy", "show")
    runbooks = json.loads(done.stdout)["runbooks"] if done.returncode == 0 else []
    digests = [r["digest"] for r in runbooks if r["name"] == "restart-web"]
    shown = digests and digests[0] in (checks.root / "docs/formats.md").read_text()
    checks.note(f"runbook digest of {where}", "" if shown else f"docs/formats.md does not show {digests} {done.stderr}")


def check_tour(checks):
    """README's tour, from a directory that looks like the source tree with a build in it."""
    page = (checks.root / "README.md").read_text()
    script = "\n".join(re.findall(r"^```sh\n# tour\n(.*?)^```$", page, re.M | re.S))
    script = script.replace("hallpass --dir", "hallpass --yes --dir")
    with tempfile.TemporaryDirectory() as directory:
        programs = pathlib.Path(directory) / "build/dev/cli"
        programs.mkdir(parents=True)
        (programs / "hallpass").symlink_to(checks.hallpass)
        # Not /tmp/tour itself: somebody may be trying it out by hand.
        script = script.replace("/tmp/tour", f"{directory}/tour")
        environment = {"PATH": os.environ["PATH"], "HOME": directory, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(["bash", "-eux", "-c", script], cwd=directory, env=environment, capture_output=True, text=True, check=False)
    ended_well = done.returncode == 0 and "active until" in done.stdout
    checks.note("README.md: tour", "" if ended_well else done.stdout + done.stderr)


def help_texts(checks, command):
    """(command, its --help) of a command and all below it."""
    text = checks.run(*command, "--help").stdout
    yield command, text
    _, _, below = text.partition("Subcommands:\n")
    for name in re.findall(r"^  ([a-z]+) {2,}", below, flags=re.M):
        if name != "host":  # another program answers for it
            yield from help_texts(checks, [*command, name])


def check_manual(checks):
    manual = (checks.root / "docs/man/hallpass.1.scd").read_text()
    texts = list(help_texts(checks, []))
    options = {o for _, text in texts for o in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)} - {"--help", "--help-all"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", manual)) - {"--help"}
    checks.note("--help", "" if len(options) > 20 and len(texts) > 10 else f"names hardly anything: {texts}")
    for option in sorted(options - named):
        checks.note("hallpass(1)", f"does not name {option}")
    for option in sorted(named - options):
        checks.note("hallpass(1)", f"names {option}, which hallpass does not have")
    for command, _ in texts[1:]:
        found = re.search(rf"\*[^*]*\b{command[-1]}\b", manual)
        checks.note(f"hallpass {' '.join(command)}", "" if found else "is not in hallpass(1)")


def main():
    checks = Checks(str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve())
    check_policies(checks)
    check_commands(checks)
    check_tour(checks)
    check_manual(checks)
    for fault in checks.faults:
        print(fault)
    print(f"{checks.passed} passed, {len(checks.faults)} failed")
    return 1 if checks.faults else 0


if __name__ == "__main__":
    sys.exit(main())
