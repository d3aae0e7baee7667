#!/usr/bin/env python3
"""Configuration files that guides show are read by the programs that they are for, and pieces of policies fit into a policy.

usage: check_configs.py HALLPASS HALLPASS-AGENT HALLPASS-FETCH HALLPASS-HUB ROOT
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TEE = re.compile(r"^tee (\S+) <<'END'\n(.*?)^END$", re.M | re.S)
TOML = re.compile(r"^```toml\n(.*?)^```$", re.M | re.S)
KEY = re.compile(r'"(?:sk-)?ssh-ed25519[^"]*AAAA[^"]*"')
PIECES = ("break-glass.md", "config-management.md")   # pages with rules and runbooks that belong into a policy
GROUPS = '[groups]\nsre = ["alice"]\nsre-leads = ["bob", "ana"]\n'


class Checks:
    def __init__(self, programs, root, folder):
        self.hallpass, self.agent, self.fetch, self.hub = programs
        self.root, self.folder = root, folder
        self.faults, self.passed = [], 0

    def run(self, *argv):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        return subprocess.run([str(a) for a in argv], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env, cwd=self.folder, check=False)

    def note(self, what, done):
        if done.returncode == 0:
            self.passed += 1
        else:
            self.faults.append(f"{what}:\n{done.stdout}{done.stderr}")

    def page(self, name):
        return (self.root / "docs" / name).read_text()


def make_policy(checks):
    """A policy of four people in the folder; their keys beside it."""
    people = []
    for name in ("ana", "bob", "alice", "ansible"):
        checks.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", checks.folder / name)
    for name in ("ana", "bob", "alice"):
        people += ["--person", f"{name}={name}.pub"]
    done = checks.run(checks.hallpass, "--dir", ".", "policy", "init", "--fleet", "acme-prod", *people, "--admin", "ana", "--admin", "bob", "--threshold", "1",
                      "--presence", "none", "--runbook", "login", "--account", "self", "--target", "env=prod")
    checks.note("policy init", done)


def check_first_fleet(checks):
    files = {}
    for path, text in TEE.findall(checks.page("first-fleet.md")):
        files.setdefault(path.rsplit("/", 1)[1], []).append(text)
    for wanted, count in (("hub.toml", 1), ("fetch.toml", 1), ("host.toml", 3)):
        if len(files.get(wanted, [])) != count:
            checks.faults.append(f"first-fleet.md: {wanted} stands there {len(files.get(wanted, []))} times, not {count}")
            return
    here = checks.folder
    (here / "tokens").write_text(f"everyone sha256:{'0' * 64}\n")
    hub = files["hub.toml"][0].replace("/etc/hallpass/hub/tokens", str(here / "tokens")).replace(":8480", ":0")
    hub += f'log = "{here}/log"\nstate = "{here}/state"\nlog_key = "{here}/log.key"\nwitness_key = "{here}/witness.key"\ntrust = "{here}/trust.toml"\n'
    (here / "hub.toml").write_text(hub)
    said = checks.run(checks.hub, "init", "--name", "acme-prod.log", "--config", "hub.toml")
    checks.note("first-fleet.md: hallpass-hub init", said)
    checks.note("first-fleet.md: hub.toml", checks.run(checks.hub, "check", "--config", "hub.toml"))
    etc = here / "host/etc/hallpass"
    etc.mkdir(parents=True)
    # As the page's sed cuts it out.
    (etc / "trust.toml").write_text((here / "trust.toml").read_text() + said.stdout[said.stdout.index("[log]"):])
    for text in files["host.toml"]:
        (etc / "host.toml").write_text(text)
        checks.note(f"first-fleet.md: host.toml\n{text}", checks.run(checks.agent, "--root", here / "host", "--check-config"))
    (etc / "fetch.token").write_text("t0ken\n")
    (etc / "fetch.toml").write_text(files["fetch.toml"][0])
    checks.note("first-fleet.md: fetch.toml", checks.run(checks.fetch, "--root", here / "host", "--check"))


def check_pieces(checks):
    base = (checks.folder / "policy.toml").read_text()
    for name in PIECES:
        pieces = [p for p in TOML.findall(checks.page(name)) if "[[rules]]" in p]
        if not pieces:
            checks.faults.append(f"{name}: no piece of a policy was found")
        for piece in pieces:
            key = (checks.folder / "ansible.pub").read_text().strip()
            (checks.folder / "policy.toml").write_text(re.sub(r"^\[groups\]\n", GROUPS, base, flags=re.M) + KEY.sub(f'"{key}"', piece))
            checks.note(f"{name}:\n{piece}", checks.run(checks.hallpass, "--dir", ".", "policy", "check"))


def main():
    *programs, root = [pathlib.Path(a).resolve() for a in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(programs, root, pathlib.Path(folder))
        make_policy(checks)
        check_first_fleet(checks)
        check_pieces(checks)
    for fault in checks.faults:
        print(fault)
    print(f"{checks.passed} passed, {len(checks.faults)} failed")
    return 1 if checks.faults else 0


if __name__ == "__main__":
    sys.exit(main())
