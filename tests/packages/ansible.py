"""A machine with Ansible on it, beside booted hosts: real ansible-playbook, real ssh, nothing kept between runs but its connections."""
import os
import pathlib
import re
import shutil
import tempfile

import yaml

from tests.system.lib.host import call

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLAYBOOKS = ROOT / "packaging/ansible"
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)
STARTED = re.compile(r"^(TASK|RUNNING HANDLER|PLAY) \[(.*)\] \**$")
OUTCOME = re.compile(r"^(changed|fatal|failed): \[([^\]]+)\]")


class Played:
    """What a playbook did. `recap`: host -> (ok, changed, unreachable, failed); a host that no wave reached is not in it."""

    def __init__(self, result):
        self.result, self.out, self.ok = result, result.both, result.ok
        self.recap = {m.group(1): tuple(int(n) for n in m.groups()[1:]) for m in RECAP.finditer(result.out)}

    def tasks(self, host, outcome="changed"):
        """The tasks that ended so on this host."""
        found, task = [], ""
        for line in self.out.splitlines():
            if started := STARTED.match(line):
                task = started.group(2)
            elif (ended := OUTCOME.match(line)) and ended.group(1) == outcome and ended.group(2) == host:
                found.append(task)
        return found

    def __repr__(self):
        return repr(self.result)


class Control:
    """hosts: {name: (Host, address, {variable: value})}. `key`: what Ansible's account logs in with."""

    def __init__(self, laptop, hosts, key, account="ansible", **variables):
        self.laptop = laptop
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"hp{os.getpid()}a", dir="/tmp"))   # short: sockets of ssh lie in it
        (self.dir / "known_hosts").write_text("".join(
            f"{address} {(host.dir / 'host_key.pub').read_text()}" for host, address, _ in hosts.values()))
        self.variables = {
            "ansible_user": account, "ansible_ssh_private_key_file": str(key), "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_common_args": f"-F /dev/null -o UserKnownHostsFile={self.dir}/known_hosts -o StrictHostKeyChecking=yes "
                                       "-o IdentitiesOnly=yes -o IdentityAgent=none -o PreferredAuthentications=publickey", **variables}
        self.hosts = {name: {"ansible_host": address, **more} for name, (_, address, more) in hosts.items()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hang_up()
        shutil.rmtree(self.dir, ignore_errors=True)

    def hang_up(self):
        """Ends the kept connections."""
        for socket in (self.dir / "cp").glob("*"):
            call(["ssh", "-F", "/dev/null", "-o", f"ControlPath={socket}", "-O", "exit", "any"])

    def _environment(self):
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.dir), "LANG": "C.UTF-8", "ANSIBLE_PIPELINING": "True",
                "ANSIBLE_NOCOLOR": "1", "ANSIBLE_NOCOWS": "1", "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.dir / "cp"),
                "ANSIBLE_LOCAL_TEMP": str(self.dir / "tmp"), "ANSIBLE_SSH_RETRIES": "0", "ANSIBLE_TIMEOUT": "10",
                "ANSIBLE_RETRY_FILES_ENABLED": "False", "PYTHONDONTWRITEBYTECODE": "1"}

    def inventory(self):
        path = self.dir / "inventory.yml"
        path.write_text(yaml.safe_dump({"all": {"children": {"hallpass": {"vars": self.variables, "hosts": self.hosts}}}}, sort_keys=False))
        return path

    def play(self, playbook="rollout.yml", *options, timeout=150, environment=None, **variables) -> Played:
        extra = self.dir / "extra.yml"
        extra.write_text(yaml.safe_dump(variables))
        argv = ["ansible-playbook", "-i", self.inventory(), "-e", f"@{extra}", *options, PLAYBOOKS / playbook]
        return Played(self.laptop.run(*argv, env={**self._environment(), **(environment or {})}, cwd=str(self.dir), timeout=timeout))

    def command(self, host, line, *options, **variables) -> Played:
        """One shell line through become, as an ad-hoc command."""
        argv = ["ansible", "-i", self.inventory(), host, "-m", "ansible.builtin.shell", "-a", line, *options]
        return Played(self.laptop.run(*argv, env=self._environment(), cwd=str(self.dir), timeout=60))
