"""The story that ./demo plays: two throw-away hosts, a laptop and the server web-3, and four people."""
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

from ..system.lib.fleet import keygen, utc
from ..system.lib.host import Host, Result, eventually
from ..system.lib.site import pam_sshd, sshd_conf
from ..system.lib.sudo import sudo_conf

PEOPLE = {"alice": "engineer", "bob": "engineer, leads the team", "ana": "admin", "ben": "admin"}
STATEMENTS = "/srv/hallpass"
POLICY = """\
format      = 1
fleet       = "acme-prod"
version     = 1
valid_until = {valid_until}
presence    = "none"          # software keys today; "touch" or "verified" with security keys

[admins]
people    = ["ana", "ben", "bob"]
threshold = 2

{people}
[groups]
sre       = ["alice"]
sre-leads = ["bob"]

[runbooks.restart-web]
title            = "Restart a web service"
account          = "self"
default_duration = "30m"
max_duration     = "2h"
parameters       = {{ service = ["checkout", "search"] }}
sudo             = [ {{ as = "root", run = ["/usr/bin/systemctl", "{{restart,reload}}", "${{service}}"] }} ]

[[rules]]
runbooks   = ["restart-web"]
requesters = ["sre"]
targets    = ["env=prod"]
gates      = [ {{ from = ["sre-leads"], count = 1 }} ]
"""
# What web-3 serves, as far as this story is concerned.
UNIT = """\
[Service]
ExecStart=/usr/bin/sleep infinity
"""
# No line of it gives alice anything.
SUDOERS = """\
Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
"""


class Failed(Exception):
    pass


class Story:
    def __init__(self, build: pathlib.Path, check: bool):
        self.build, self.checking = build, check
        self.passed = 0
        self.colour = sys.stdout.isatty() and not environment("NO_COLOR")
        self.window = 15 if check else 45

    # --- telling
    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def pause(self, seconds):
        if not self.checking:
            time.sleep(seconds)

    def say(self, text):
        print(f"\n{self.paint('1;34', '#')} {self.paint('1', text)}", flush=True)
        self.pause(1.2)

    def type(self, prompt, command):
        print(self.paint("32", prompt) + " ", end="", flush=True)
        for c in command:
            print(c, end="", flush=True)
            self.pause(0.02)
        print(flush=True)
        self.pause(0.4)

    def show(self, result: Result):
        text = result.both.rstrip("\n")
        if text:
            print("\n".join("  " + line for line in text.split("\n")), flush=True)
        self.pause(1.5)
        return result

    def ok(self, what, condition, evidence=""):
        """One asserted step."""
        if not condition:
            print(f"{self.paint('1;31', 'FAILED')}  {what}\n{evidence!r}", flush=True)
            raise Failed(what)
        self.passed += 1
        if self.checking:
            print(self.paint("2", f"  ok: {what}"), flush=True)

    # --- acting
    def on_laptop(self, person, command, answer=None) -> Result:
        self.type(f"{person}@laptop$", command)
        return self.show(self.laptop.sh(f"{{ {command}; }} 2>&1", user=person, env={"TERM": "dumb"}, stdin=answer))

    def in_session(self, command) -> Result:
        """In the session that alice has open: her ssh client carries everything over one connection."""
        self.type("alice@web-3$", command)
        return self.show(self.laptop.sh(f"ssh -o BatchMode=yes web-3 {shlex.quote(command)} 2>&1", user="alice"))

    def on_server(self, command) -> Result:
        self.type("root@web-3#", command)
        return self.show(self.server.sh(f"{{ {command}; }} 2>&1"))

    def boot(self, stack):
        self.share = pathlib.Path(stack.enter(tempfile.TemporaryDirectory(prefix="hallpass-demo-")))
        tree = self.share / "stage"
        subprocess.run(["cmake", "--install", str(self.build)], check=True, stdout=subprocess.DEVNULL,
                       env={"DESTDIR": str(tree), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        statements = self.share / "statements"
        statements.mkdir()
        keys = {p: keygen(self.share / p, comment=f"{p}@laptop") for p in PEOPLE}
        self.laptop = stack.enter(Host(hostname="laptop", users={p: ["team"] for p in PEOPLE}, groups=["team"], trees=[tree],
                                       files=self.homes(keys), binds={statements: STATEMENTS}))
        trust = "".join(f'{a} = ["{keys[a].bare}"]\n' for a in ("ana", "ben", "bob"))
        server_files = {
            "/etc/hallpass/trust.toml": f'fleet = "acme-prod"\n\n[admins]\nthreshold = 2\n\n[admins.people]\n{trust}',
            "/etc/hallpass/host.toml":
                f'name = "web-3"\nlabels = {{ env = "prod", role = "web" }}\ndirectories = ["{STATEMENTS}"]\nstanding_sudo = "deny"\nwarn = ["{self.window // 3}s"]\n',
            "/etc/ssh/sshd_config.d/hallpass.conf": sshd_conf(tree), "/etc/pam.d/sshd": pam_sshd(),
            "/etc/sudo.conf": sudo_conf(tree), "/etc/sudoers": (0o440, SUDOERS), "/etc/systemd/system/checkout.service": UNIT}
        self.server = stack.enter(Host(
            hostname="web-3", users={"alice": []}, groups=["hallpass-exempt"], trees=[tree], files=server_files,
            binds={statements: STATEMENTS}, before_boot=[["journalctl", "--update-catalog"], ["systemd-sysusers", "hallpass.conf"]],
            links={"/etc/systemd/system/multi-user.target.wants/hallpass-agent.service": "/usr/lib/systemd/system/hallpass-agent.service"}))
        self.laptop.connect(self.server, "10.99.0.1/24", "10.99.0.2/24")
        self.laptop.sh("echo 10.99.0.2 web-3 >>/etc/hosts; for p in alice bob ana ben; do chown -R $p: /home/$p; done; "
                       f"chgrp team {STATEMENTS}; chmod 2775 {STATEMENTS}", check=True)
        host_key = (self.server.dir / "host_key.pub").read_text().strip()
        self.laptop.write("/etc/ssh/ssh_known_hosts", f"web-3,10.99.0.2 {host_key}\n")
        people = "".join(f'[people.{p}]\nkeys = ["{k.line}"]\n\n' for p, k in keys.items())
        self.laptop.write(f"{STATEMENTS}/policy.toml", POLICY.format(people=people, valid_until=utc(time.time() + 400 * 86400)), 0o664)
        self.laptop.write(f"{STATEMENTS}/hosts.toml", '[hosts.web-3]\nenv = "prod"\nrole = "web"\n', 0o664)
        self.laptop.sh(f"chgrp team {STATEMENTS}/*; chown ana {STATEMENTS}/*", check=True)

    @staticmethod
    def homes(keys):
        files = {}
        for person, key in keys.items():
            home = f"/home/{person}"
            files[f"{home}/.config/hallpass/config.toml"] = f'dir = "{STATEMENTS}"\nme = "{person}"\nkey = "~/.ssh/id_ed25519"\n'
            files[f"{home}/.ssh/id_ed25519"] = (0o600, key.path.read_text())
            files[f"{home}/.ssh/id_ed25519.pub"] = key.line + "\n"
            files[f"{home}/.ssh/config"] = "Host *\n    ConnectTimeout 10\n    ControlMaster auto\n    ControlPath ~/.ssh/to-%h\n    ControlPersist yes\n"
        return files

    # --- the story
    def play(self):
        self.policy()
        self.refused()
        grant = self.asked_and_approved()
        self.admitted(grant)
        self.scoped(grant)
        self.ended(grant)
        self.told(grant)

    def policy(self):
        self.say("Two admins sign the policy. web-3 trusts nothing else: not a server, not a database, not the directory it reads from.")
        r = self.on_laptop("ana", f"sed -n '/runbooks.restart-web/,$p' {STATEMENTS}/policy.toml")
        self.ok("the policy has a gate", "sre-leads" in r.out, r)
        self.on_laptop("ana", "hallpass policy check")
        r = self.on_laptop("ana", "hallpass policy sign --yes")
        self.ok("ana signs the policy", r.ok, r)
        self.ok("one signature is not enough", not self.server.journal(HALLPASS_EVENT="policy_accepted"))
        r = self.on_laptop("ben", "hallpass policy sign --yes")
        self.ok("ben signs the policy", r.ok, r)
        eventually("web-3 accepts the policy", lambda: self.server.journal(HALLPASS_EVENT="policy_accepted"), within=20)
        self.ok("web-3 accepts the policy", True)

    def refused(self):
        self.say("alice has a key and an account on web-3, but no grant.")
        r = eventually("web-3 knows alice's key", lambda: self.first_answer(), within=15, every=0.5)
        self.type("alice@laptop$", "ssh web-3")
        self.show(r)
        self.ok("alice is refused", r.code == 255, r)
        self.ok("she is told what to type", "hallpass request restart-web" in r.both, r)

    def first_answer(self):
        r = self.laptop.sh("ssh -o BatchMode=yes web-3 hostname", user="alice")
        return r if "hallpass" in r.both else None

    def asked_and_approved(self):
        self.say(f"So she asks, for {self.window} seconds to keep this short. Her ssh key signs the request.")
        r = self.on_laptop("alice", "hallpass request restart-web --param service=checkout --target host=web-3 "
                           f"--duration {self.window}s --reason '502s on checkout' --ticket INC-2031 --yes")
        self.ok("alice asks", r.ok, r)
        found = re.search(r"\b[0-9a-hjkmnp-tv-z]{4}-[0-9a-hjkmnp-tv-z]{4}-[0-9a-hjkmnp-tv-z]{4}\b", r.both)
        self.ok("the request has an id", found, r)
        grant = found[0]
        self.say("bob leads the team: he sees who, why, how long and where before he signs.")
        r = self.on_laptop("bob", "hallpass list")
        self.ok("bob sees that alice waits", grant in r.out, r)
        r = self.on_laptop("bob", f"hallpass approve {grant} --yes")
        self.ok("bob approves", r.ok, r)
        self.ok("he was shown the reason", "502s on checkout" in r.both, r)
        self.ok("and the command that she may run", "systemctl {restart,reload} checkout" in r.both, r)
        eventually("web-3 has judged the grant", lambda: self.server.journal(HALLPASS_EVENT="grant_active", HALLPASS_GRANT=grant), within=20)
        return grant

    def admitted(self, grant):
        self.say("web-3 has checked all signatures itself. Plain ssh works now.")
        self.type("alice@laptop$", "ssh web-3")
        r = self.show(self.laptop.sh("ssh -o BatchMode=yes web-3 true 2>&1", user="alice"))
        self.ok("she is told until when", r.ok and "until" in r.out and grant in r.out, r)
        r = self.in_session('echo "I am $(id -un) on $(hostname)"')
        self.ok("alice is in", r.out == "I am alice on web-3\n", r)

    def scoped(self, grant):
        self.say("Plain sudo works too, and gives what the grant names.")
        r = self.in_session("sudo -l")
        self.ok("sudo -l shows the grant", r.ok and grant in r.out and "systemctl {restart,reload} checkout" in r.out, r)
        before = self.invocation()
        r = self.in_session("sudo systemctl restart checkout && systemctl is-active checkout")
        self.ok("she restarts the service, without a password", r.out == "active\n", r)
        self.ok("it was restarted", self.invocation() not in ("", before))
        self.say("Nothing beside it, and she is told which argument does not match.")
        r = self.in_session("sudo systemctl restart ssh")
        self.ok("the neighbour is refused", r.code == 1, r)
        self.ok("she is told why, and what the grant allows",
                "ssh, does not match checkout" in r.out and grant in r.out and "sudo /usr/bin/systemctl" in r.out, r)

    def invocation(self):
        return self.server.sh("systemctl show -P InvocationID checkout").out.strip()

    def ended(self, grant):
        self.say("The time is over by itself, agent or no agent, and her session with it. Nobody has to remember to take anything away.")
        self.say("She leaves a job behind that ignores hangups and has a session of its own, and goes on working.")
        command = "nohup setsid sleep 3600 >/dev/null 2>&1 & exec sleep 600"
        self.type("alice@laptop$", f"ssh -t web-3 {shlex.quote(command)}")
        r = self.show(self.laptop.sh(f"ssh -tt -o BatchMode=yes web-3 {shlex.quote(command)} 2>&1 | tr -d '\\r'; exit ${{PIPESTATUS[0]}}", user="alice"))
        self.ok("her session ends with the grant", r.code == 255 and r.seconds < self.window + 5, r)
        self.ok("she was warned on her terminal, with what to type", "ends in" in r.out and "hallpass request restart-web" in r.out, r)
        self.ok("and told why it ended", "is over" in r.out and grant in r.out, r)
        eventually("the grant ends", lambda: self.server.journal(HALLPASS_EVENT="grant_ended", HALLPASS_GRANT=grant), within=15, every=0.2)
        r = self.on_laptop("alice", "ssh -o BatchMode=yes web-3 hostname")
        self.ok("a new login is refused", r.code == 255 and "web-3\n" not in r.out, r)
        self.ok("she is told that it ended", "ended" in r.both, r)
        self.say("And the proof: hallpass-agent looked until nothing was left. So do we, with the kernel's own words.")
        entry = self.server.await_journal(HALLPASS_EVENT="session_ended", HALLPASS_GRANT=grant)
        r = self.on_server("journalctl --no-pager -o cat HALLPASS_EVENT=session_ended")
        self.ok("within five seconds", int(entry["HALLPASS_DELAY"]) < 5000, entry)
        session = entry["HALLPASS_SESSION"]
        r = self.on_server(f"grep -lx {session} /proc/[0-9]*/sessionid || echo no process of session {session}; loginctl list-sessions --no-legend; ls -d /sys/fs/cgroup/user.slice/*/*.scope 2>/dev/null || echo no control group")
        self.ok("no process, no session, no control group",
                r.out == f"no process of session {session}\nno control group\n", r)
        eventually("nothing of alice runs", lambda: not self.server.sh("pgrep -u alice").out, within=10)
        r = self.on_server("pgrep -a -u alice || echo nothing of alice runs")
        self.ok("and nothing of alice at all", r.out == "nothing of alice runs\n", r)

    def told(self, grant):
        self.say("The journal of web-3 tells it all, by person rather than by account.")
        self.on_server("journalctl -t hallpass --no-pager -o cat")
        r = self.on_server(f"journalctl --no-pager -x HALLPASS_EVENT=login_admitted HALLPASS_GRANT={grant}")
        self.ok("the catalog explains the entry", "logged in to alice" in r.out, r)
        entry = self.server.await_journal(HALLPASS_EVENT="login_admitted", HALLPASS_GRANT=grant)
        self.ok("it names who, why and who agreed",
                (entry["HALLPASS_SUBJECT"], entry["HALLPASS_REASON"], entry["HALLPASS_TICKET"], entry["HALLPASS_APPROVERS"])
                == ("alice", "502s on checkout", "INC-2031", "bob"), entry)
        entry = self.server.await_journal(HALLPASS_EVENT="sudo_allowed", HALLPASS_GRANT=grant)
        self.ok("and what ran as root, argument by argument",
                (json.loads(entry["HALLPASS_COMMAND"])[1:], entry["HALLPASS_TARGET"], entry["HALLPASS_SUBJECT"])
                == (["restart", "checkout"], "root", "alice"), entry)
        events = [e["HALLPASS_EVENT"] for e in self.server.journal(SYSLOG_IDENTIFIER="hallpass")]
        order = [events.index(e) for e in ("policy_accepted", "login_refused", "grant_active", "login_admitted", "sudo_allowed", "sudo_ended", "sudo_refused", "grant_ended", "session_ended")]
        self.ok("in the order of the story", order == sorted(order), events)
        self.ok("with the last refusal", events.count("login_refused") >= 2, events)


class Stack:
    """Leaves what was entered, the last first."""

    def __init__(self):
        self.entered = []

    def enter(self, thing):
        value = thing.__enter__()
        self.entered.append(thing)
        return value

    def leave(self):
        while self.entered:
            self.entered.pop().__exit__(None, None, None)


def environment(name):
    import os
    return os.environ.get(name)


def main() -> int:
    story = Story(pathlib.Path(sys.argv[1]).resolve(), "--check" in sys.argv[2:])
    stack = Stack()
    failed = 0
    started = time.monotonic()
    try:
        story.boot(stack)
        print(f"A laptop and the server web-3 booted in {time.monotonic() - started:.1f} s: throw-away hosts made of this machine's files.")
        story.play()
    except (Failed, AssertionError, RuntimeError, subprocess.CalledProcessError) as e:
        failed = 1
        print(f"{type(e).__name__}: {e}")
        if getattr(story, "server", None) and story.server.leader:
            print(story.server.journal_tail(60))
    finally:
        stack.leave()
    if not story.checking and not failed:
        print("\nThe hosts are gone again. ./test runs all the tests, docs/architecture.md says how it works.")
    print(f"{story.passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
