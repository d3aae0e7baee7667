"""What people leave running: each item starts something in a session over real ssh and can tell, from outside, that it runs."""
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys

from . import remains
from .host import _die_with_parent, eventually
from .sudo import SudoSite, runbook

LIB = pathlib.Path(__file__).resolve().parent
BIG = "/srv/big"            # for copies that take their time
STORM = "/usr/local/bin/storm"
STORM_SIZE = 2000
_counter = itertools.count(1)
_ports = itertools.count(20000)

AT = [["sh", "-c", "install -d -m 755 /var/spool/cron; install -d -m 1770 -o daemon -g daemon /var/spool/cron/atjobs /var/spool/cron/atspool; cd /var/spool/cron/atjobs; "
                  "touch .SEQ && chmod 600 .SEQ && chown daemon:daemon .SEQ"],
      ["ln", "-s", "/lib/systemd/system/atd.service", "/etc/systemd/system/multi-user.target.wants/atd.service"]]
ANYTHING = [{"as": "root", "run": "any"}]


def menu_site(stage, runbooks=None, **kw) -> SudoSite:
    """A host with all that the menu needs. `all` is a runbook with any command as root, for the person's own account."""
    runbooks = {"all": ANYTHING, "all-deploy": runbook(ANYTHING, account="deploy", shared_sudo=True), **(runbooks or {})}
    return SudoSite(stage, runbooks, before_boot=[*AT, *kw.pop("before_boot", [])], **kw)


def prepare(site):
    """After the boot: the files, the storm, the echo at the end of forwarded ports."""
    binary = site.host.dir / "storm"
    subprocess.run(["gcc", "-O1", "-static", "-Wall", "-Wextra", "-Werror", "-o", binary, LIB / "storm.c"], check=True)
    site.host.write(STORM, binary.read_bytes(), 0o755)
    site.host.sh(f"truncate -s 100M {BIG} && chmod 644 {BIG}", check=True)
    site.echo_port = next(_ports)
    site.echo = site_process(site, sys.executable, LIB / "stream.py", "serve", site.echo_port)
    site.host.await_journal(HALLPASS_EVENT="policy_accepted")
    site.host.await_journal(HALLPASS_EVENT="sudoers_prepared")
    return site


def site_process(site, *argv, **kw) -> subprocess.Popen:
    """A process of this machine in the host's network: no part of the host."""
    kw.setdefault("stdin", subprocess.DEVNULL)
    kw.setdefault("stdout", subprocess.DEVNULL)
    return subprocess.Popen(["nsenter", "-t", str(site.host.leader), "-n", *map(str, argv)], preexec_fn=_die_with_parent, **kw)


class Stream:
    """A connection through a forwarded port with numbered blocks on it."""

    def __init__(self, site, port):
        self.file = site.host.dir / f"stream-{port}.json"
        self.process = site_process(site, sys.executable, LIB / "stream.py", "send", port, self.file)

    def state(self) -> dict:
        return json.loads(self.file.read_text()) if self.file.exists() else {"received": 0, "sent": 0, "wrong": 0, "over": ""}

    def flows(self) -> bool:
        return self.process.poll() is None and self.state()["received"] > 20

    def finish(self) -> dict:
        """Sends no more and waits for the rest."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return self.state()

    def close(self):
        self.process.kill()
        self.process.wait()


class Running:
    """One item in one session. `who` is the person, `account` where."""
    name = ""
    expect = 1              # processes with the token
    state = ""              # that they must be in
    terminal = False
    logs_out = False        # before the end comes

    def __init__(self, site, who, account=None):
        self.site, self.who, self.account = site, who, account or who
        self.token = str(810000000 + next(_counter))
        self.log = site.host.dir / f"client-{self.token}"
        self.children, self.mark, self.stream = [], None, None
        self.start()

    # --- what items say
    def start(self):
        self.client = self.ssh(self.line())

    def line(self) -> str:
        raise NotImplementedError

    def mine(self, processes):
        lines = (f"sleep {self.token}", f"/usr/bin/sleep {self.token}", f"{STORM} {STORM_SIZE} {self.token}")
        return [p for p in processes if p.command in lines]

    def runs(self, processes) -> bool:
        found = self.mine(processes)
        return len(found) >= self.expect and all(p.state in (self.state or p.state) and bool(p.terminal) >= self.terminal for p in found)

    def settle(self, processes):
        """Once it runs: what is read only now, and logging out."""
        if self.logs_out:
            self.client.stdin.close()
            self.client.wait(10)

    # --- for them
    def popen(self, argv) -> subprocess.Popen:
        with open(self.log, "ab") as log:
            process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=log, stderr=log, preexec_fn=_die_with_parent, cwd=self.site.host.dir)
        self.children.append(process)
        return process

    def ssh_argv(self, *args, options=()):
        return self.site.host.ssh_argv(self.account, self.site.fleet.path(self.who), *args, options=options)

    def ssh(self, *args, options=()):
        return self.popen(self.ssh_argv(*args, options=options))

    def type(self, process, text):
        process.stdin.write(text.encode())
        process.stdin.flush()

    def find_mark(self):
        self.mark = remains.mark_of(self.site.host, self.client.pid)

    def close(self):
        if self.stream:
            self.stream.close()
        for process in self.children:
            process.stdin.close()
            process.kill()
            process.wait()
        # What did not end must not stand in the way of the next test.
        if self.mark:
            for pid in [*remains.audits().get(self.mark.audit, []), *self.mark.pinned()]:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except OSError:
                    pass

    def __repr__(self):
        said = self.log.read_text(errors="replace")[-600:] if self.log.exists() else ""
        return f"{self.name} of {self.who} on {self.account}; the client said: {said!r}"


MENU = {}


def item(name, **members):
    def add(line):
        MENU[name] = type(name.title().replace(" ", ""), (Running,), {"name": name, "line": lambda self: line(self.token), **members})
        return line
    return add


def item_class(cls):
    MENU[cls.name] = cls
    return cls


@item_class
class ShellWithTerminal(Running):
    name, terminal = "shell with a terminal", True

    def start(self):
        self.client = self.ssh("-tt")
        self.type(self.client, f"sleep {self.token}\n")


item("command without a terminal")(lambda t: f"sleep {t}; true")
item("nohup", logs_out=True)(lambda t: f"nohup sleep {t} >/dev/null 2>&1 </dev/null & cat")
item("setsid")(lambda t: f"setsid -f sleep {t}; cat")
item("double fork", logs_out=True)(lambda t: f"(setsid sh -c 'sleep {t} >/dev/null 2>&1 </dev/null &' >/dev/null 2>&1 </dev/null &); cat")
item("tmux", terminal=True, logs_out=True)(lambda t: f"tmux -L t{t} -f /dev/null new-session -d 'exec sleep {t}'; cat")
item("screen", terminal=True)(lambda t: f"screen -dmS t{t} sleep {t}; cat")
item("ignores TERM and HUP")(lambda t: f"trap '' TERM HUP INT; sleep {t}; true")
item("stopped", state="T")(lambda t: f"sleep {t} & sleep 0.3; kill -STOP $!; wait")
item("fork storm", expect=STORM_SIZE)(lambda t: f"{STORM} {STORM_SIZE} {t}")
item("sudo child")(lambda t: f"sudo -n sleep {t}; cat")
item("sudo stopped")(lambda t: f"sudo -n sleep {t} & until pgrep -fx 'sleep {t}' >/dev/null; do sleep 0.1; done; kill -STOP $!; wait")
item("another control group")(lambda t: f"sudo -n sh -c 'mkdir /sys/fs/cgroup/t{t} && echo $$ >/sys/fs/cgroup/t{t}/cgroup.procs && exec sleep {t}'; cat")
item("systemd-run --scope")(lambda t: f"sudo -n systemd-run --quiet --scope sleep {t}; cat")
item("systemd-run --user --scope")(lambda t: f"systemd-run --user --quiet --scope sleep {t}; true")


@item_class
class SudoShell(Running):
    name, terminal = "sudo -i", True

    def start(self):
        self.client = self.ssh("-tt", "sudo -n -i; cat")
        self.type(self.client, f"sleep {self.token}\n")


class Forward(Running):
    expect = 0
    option = ""

    def start(self):
        port = next(_ports)
        self.client = self.ssh("-N", self.option, f"127.0.0.1:{port}:127.0.0.1:{self.site.echo_port}", options=["ExitOnForwardFailure=yes"])
        self.stream = Stream(self.site, port)

    def runs(self, processes):
        return self.stream.flows()


@item_class
class LocalForward(Forward):
    name, option = "-N -L", "-L"


@item_class
class RemoteForward(Forward):
    name, option = "-N -R", "-R"


class Copy(Running):
    program = ""

    def runs(self, processes):
        return bool(self.mark and [p for p in processes if p.audit == self.mark.audit and p.command.startswith(self.program)])


@item_class
class Sftp(Copy):
    name, program = "sftp", "/usr/lib/openssh/sftp-server"

    def start(self):
        argv = self.site.host.ssh_argv(None, self.site.fleet.path(self.who), program="sftp")
        at = argv.index("sftp")
        self.client = self.popen([*argv[:at + 1], "-l", "400", "-b", "-", *argv[at + 1:], f"{self.account}@127.0.0.1"])
        self.type(self.client, f"get {BIG} /dev/null\n")


@item_class
class Rsync(Copy):
    name, program = "rsync", "rsync --server"

    def start(self):
        argv = self.site.host.ssh_argv(None, self.site.fleet.path(self.who))
        at = argv.index("ssh")
        self.client = self.popen([*argv[:at], "rsync", "--bwlimit=50", "-e", " ".join(argv[at:]), f"{self.account}@127.0.0.1:{BIG}", self.site.host.dir / f"copy-{self.token}"])


@item_class
class Multiplexed(Running):
    name, expect = "ControlMaster with three channels", 3

    def start(self):
        self.path = self.site.host.dir / f"m{self.token}"
        self.client = self.ssh(f"sleep {self.token}; true", options=["ControlMaster=yes", f"ControlPath={self.path}"])
        self.asked = False

    def runs(self, processes):
        if not self.asked and self.path.exists():
            for _ in range(2):
                self.ssh(f"sleep {self.token}; true", options=["ControlMaster=no", f"ControlPath={self.path}"])
            self.asked = True
        return super().runs(processes)


# Only where the account is one person's own: on a shared one nobody can say whose these are.
class Elsewhere(Running):
    def settle(self, processes):
        for p in self.mine(processes):
            self.mark.pin(p)
        super().settle(processes)


class UserUnit(Elsewhere):
    name = "systemd-run --user"

    def line(self):
        return f"systemd-run --user --quiet sleep {self.token}; cat"


class AtJob(Elsewhere):
    name = "at"

    def line(self):
        return f"echo exec sleep {self.token} | at now; cat"


PERSONAL = {UserUnit.name: UserUnit, AtJob.name: AtJob}


def start(items, within=40) -> None:
    """Waits until all of them run, and knows their sessions."""
    for running in items:
        running.find_mark()
    waiting = list(items)

    def probe():
        table = remains.processes(items[0].site.host)
        for running in list(waiting):
            if running.runs(table):
                running.settle(table)
                waiting.remove(running)
        return not waiting
    try:
        eventually("everything runs", probe, within=within, every=0.1)
    except AssertionError:
        raise AssertionError(f"these do not run: {waiting}") from None
