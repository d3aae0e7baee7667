"""docs/incident-day.md: each of its sections on a host that has that trouble. What the page shows is what appears."""
import os
import pathlib
import re

from ..docs import guide
from ..system.lib.fleet import Fleet
from ..system.lib.host import Host
from ..system.lib.site import INBOX
from ..system.lib.sudo import SudoSite
from .reader import Reader
from .terminal import Terminal

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/incident-day.md"
PEOPLE = ("alice", "bob", "carol")


class World:
    """web-3, and a laptop of three people; both have the same directory of statements."""

    def __init__(self, stage, share):
        share.mkdir()
        self.site = SudoSite(stage, {}, clock=True, policy=False, binds={share: INBOX}, sshd="PasswordAuthentication no\nKbdInteractiveAuthentication no", host_toml='standing_sudo = "deny"\n')
        fleet, self.host = self.site.fleet, self.site.host
        fleet.runbooks["break-glass"] = Fleet.runbook("self", more='sudo = [ { as = "root", run = "shell" } ]\n')
        fleet.rules.append(fleet.rule(["break-glass"], ["sre", "leads"], more="alert = true\n"))
        files = {}
        for p in PEOPLE:
            files[f"/home/{p}/.config/hallpass/config.toml"] = f'dir = "{INBOX}"\n'
            files[f"/home/{p}/.ssh/id_ed25519"] = (0o600, fleet.path(p).read_text())
            files[f"/home/{p}/.ssh/id_ed25519.pub"] = fleet.key(p).line + "\n"
        self.laptop = Host(hostname="laptop", users={p: [] for p in PEOPLE}, trees=[stage], files=files, binds={share: INBOX})
        self.share, self.open = share, {}

    def __enter__(self):
        self.laptop.start()
        self.site.__enter__()
        self.laptop.connect(self.host, "10.97.0.1/24", "10.97.0.2/24")
        self.laptop.sh("echo 10.97.0.2 web-3 >>/etc/hosts; for p in %s; do chown -R $p: /home/$p; done; chmod 1777 %s" % (" ".join(PEOPLE), INBOX), check=True)
        self.laptop.write("/etc/ssh/ssh_known_hosts", f"web-3,10.97.0.2 {(self.host.dir / 'host_key.pub').read_text()}")
        self.site.publish_policy()
        self.host.await_journal(HALLPASS_EVENT="policy_accepted")
        return self

    def __exit__(self, *_):
        for terminal in self.open.values():
            terminal.close()
        self.site.__exit__()
        self.laptop.stop()

    def __call__(self, name):
        if name not in self.open:
            machine, who = (self.host, "root") if name == "on web-3" else (self.laptop, name.removeprefix("as "))
            self.open[name] = Terminal(["nsenter", "-t", machine.leader, "-a", "su", "-l", who])
        return [self.open[name]]

    # --- the troubles, and their ends, by the page's headings
    def the_agent_is_dead(self):
        self.host.run("systemctl", "stop", "hallpass-agent", check=True)
        yield
        self.host.run("systemctl", "start", "hallpass-agent", check=True)
        self.site.await_refused("alice", self.site.fleet.key("alice"))

    def the_disk_is_full(self):
        room = os.statvfs(self.host.path("/var"))
        with open(self.host.path("/var/full"), "wb") as f:
            os.posix_fallocate(f.fileno(), 0, room.f_bavail * room.f_frsize)
        yield
        self.site.await_admitted("carol", self.site.fleet.key("carol"), within=70)

    def the_clock_is_wrong(self):
        self.host.set_clock(offset=6 * 3600, synchronised=False)
        yield
        self.host.set_clock(offset=0)
        self.site.await_admitted("bob", self.site.fleet.key("bob"), within=70)

    def the_store_is_damaged(self):
        self.host.run("systemctl", "stop", "hallpass-agent", check=True)
        path = self.host.path("/var/lib/hallpass/admissions.mdb")
        path.write_bytes(b"\0" * 4096)
        path.chmod(0o600)
        yield
        self.site.await_admitted("bob", self.site.fleet.key("bob"))

    def logind_is_dead(self):
        self.host.sh("systemctl mask --runtime --now systemd-logind", check=True)
        yield
        self.host.sh("systemctl unmask --runtime systemd-logind; systemctl start systemd-logind", check=True)

    def nobody_can_use_sudo(self):
        self.host.sh("echo 'Plugin sudoers_policy sudoers.so' >>/etc/sudo.conf", check=True)
        yield


def sections(page):
    """(name of the trouble, steps) by the page's headings."""
    at = {page.read_text().count("\n", 0, m.start()) + 1: m[1] for m in re.finditer(r"^## (.+)$", page.read_text(), re.M)}
    out = {}
    for step in guide.steps(page):
        heading = at[max(line for line in at if line < step.line)]
        out.setdefault(heading, []).append(step)
    return out


def test_every_section(stage, tmp_path):
    wrong = []
    with World(stage, tmp_path / "share") as world:
        reader = Reader(PAGE, world)
        for heading, steps in sections(PAGE).items():
            trouble = getattr(world, re.sub(r"\W+", "_", heading.lower()).strip("_"), lambda: None)()
            print(f"\n=== {heading}")
            if trouble:
                next(trouble)
            try:
                for step in steps:
                    for terminal in world(step.terminal):
                        reader.do(step, terminal)
            except AssertionError as e:
                wrong.append(f"{heading}: {e}")
            if trouble:
                next(trouble, None)
    assert not wrong, "\n\n".join(wrong)
