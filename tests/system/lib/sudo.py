"""A host whose sudo is wrapped, and people who use it over ssh as they would."""
import json
import pathlib
import shlex

from .fleet import Fleet
from .host import Result
from .site import Site

SO = "/usr/lib/hallpass/hallpass_sudo.so"
DEFAULTS = "/var/lib/hallpass/sudoers.defaults"
SUDOERS = """\
Defaults env_reset
Defaults mail_badpass
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
carol ALL=(ALL:ALL) NOPASSWD: ALL
dave ALL=(root) NOPASSWD: /usr/bin/id, /usr/bin/printenv
"""


def sudo_conf(stage) -> str:
    return (pathlib.Path(stage) / "usr/share/hallpass/sudo/sudo.conf").read_text()


def toml_command(command) -> str:
    """{"as": "root", "run": [...]} as an inline table."""
    return "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in command.items()) + " }"


def runbook(commands, account="self", more="", shared_sudo=False, longest="1h") -> str:
    listed = ",\n  ".join(toml_command(c) for c in commands)
    return Fleet.runbook(account, longest=longest, more=f"{'shared_sudo = true' if shared_sudo else ''}\n{more}\nsudo = [\n  {listed}\n]\n")


class SudoSite(Site):
    """runbooks: {name: [commands]} for personal accounts, or {name: text of a runbook}."""

    def __init__(self, stage, runbooks=None, *, users=("alice", "bob", "carol", "dave"), sudoers=SUDOERS, wrapped=True, files=None, **kw):
        fleet = Fleet(people=("alice", "bob", "carol", "dave", "ana", "ben"))
        fleet.groups["sre"] = ["alice", "bob", "dave"]
        for name, commands in (runbooks or {}).items():
            fleet.runbooks[name] = commands if isinstance(commands, str) else runbook(commands)
        if runbooks:
            fleet.rules.append(fleet.rule(list(runbooks), ["sre", "leads"], gates=[("leads", 1)]))
        pre = {"/etc/sudoers": (0o440, sudoers)}
        if wrapped:
            pre["/etc/sudo.conf"] = sudo_conf(stage)
        pre.update(files or {})
        super().__init__(stage, fleet, users=users, files=pre, **kw)
        self._own_fleet = True

    def sudo(self, who, *words, account=None, before="", **kw) -> Result:
        """`sudo WORDS` typed by `who` over ssh, with nobody to type a password."""
        return self.type(who, f"{before} sudo {' '.join(shlex.quote(w) for w in words)}", account=account, **kw)

    def type(self, who, line, *, account=None, **kw) -> Result:
        return self.ssh(account or who, who, line, **kw)

    def records(self, after, event=None, **fields):
        fields.update({"HALLPASS_EVENT": event} if event else {})
        return self.host.journal(after=after, **fields)
