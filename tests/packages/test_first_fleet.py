"""docs/first-fleet.md, typed on a hub, three hosts and the laptops of four people."""
import concurrent.futures
import pathlib
import re

import pytest

from ..system.lib.fleet import keygen
from ..system.lib.host import Host, call
from ..system.lib.network import Network
from .reader import Reader
from .terminal import Terminal

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/first-fleet.md"
PEOPLE = ("ana", "ben", "alice", "bob")
HOSTS = ("web-1", "web-2", "db-1")
CA = "/usr/local/share/ca-certificates/test.crt"


def certificates(directory):
    """An authority, and the certificate of hub.example.org."""
    made = call(["sh", "-ec", "cd " + str(directory) + """
        new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        openssl req -x509 $new -subj /CN=test -keyout ca.key -out ca.pem
        openssl req $new -subj /CN=hub -addext subjectAltName=DNS:hub.example.org -keyout hub.key -out hub.csr
        openssl x509 -req -in hub.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -out hub.pem"""])
    assert made.ok, made


# What a machine that packages get installed on has, and the ones here, made for other tests, have not.
FRESH = [["rm", "-rf", "/usr/sbin/policy-rc.d", "/var/lib/hallpass"], ["rmdir", "/etc/hallpass"], ["mkdir", "-p", "/var/cache/apt/archives/partial"],
         ["touch", "/var/log/dpkg.log"]]


class World:
    def __init__(self, debs, tmp):
        self.debs, self.tmp = debs, tmp
        self.machines, self.open = {}, {}
        certificates(tmp)
        self.keys = {p: keygen(tmp / p) for p in (*PEOPLE, "ops")}
        self.net = Network()
        self.pool = concurrent.futures.ThreadPoolExecutor(len(HOSTS))   # its threads stay: a host ends with the one that began it

    def __enter__(self):
        self.net.__enter__()
        self.machines["laptop"] = self.boot("laptop", {p: [] for p in PEOPLE}, self.homes())
        self.machines["hub"] = self.boot("hub", {}, {"/etc/ssl/hub.example.org.pem": (self.tmp / "hub.pem").read_text(),
                                                    "/etc/ssl/private/hub.example.org.key": (0o600, (self.tmp / "hub.key").read_text()),
                                                    "/var/log/nginx/.keep": "", "/etc/nginx/sites-enabled/default": ""})
        for name, host in zip(HOSTS, self.pool.map(self.boot_production, HOSTS)):
            self.machines[name] = host
        addresses = {name: self.net.join(host) for name, host in self.machines.items()}
        addresses["hub.example.org"] = addresses.pop("hub")
        for host in self.machines.values():
            lines = "".join(f"{address} {name}\n" for name, address in addresses.items() if name != host.hostname)
            host.sh("cat >>/etc/hosts", stdin=lines, check=True)
        known = "".join(f"{name} {(self.machines[name].dir / 'host_key.pub').read_text()}" for name in HOSTS)
        self.machines["laptop"].write("/etc/ssh/ssh_known_hosts", known)
        for name, packages in (("laptop", ["hallpass"]), ("hub", ["hallpass", "hallpass-hub"]), *((h, ["hallpass", "hallpass-host"]) for h in HOSTS)):
            for package in packages:
                self.machines[name].write(f"/root/{self.debs[package].name}", self.debs[package].read_bytes())
        self.machines["laptop"].sh("dpkg -i /root/*.deb", check=True)
        self.machines["laptop"].sh("for p in %s; do chown -R $p: /home/$p; done; chmod 1777 /srv/keys" % " ".join(PEOPLE), check=True)
        return self

    def __exit__(self, *_):
        for terminal in self.open.values():
            terminal.close()
        for host in self.machines.values():
            host.stop()
        self.pool.shutdown()
        self.net.__exit__()

    def boot(self, name, users, files):
        return Host(hostname=name, users=users, files={CA: (self.tmp / "ca.pem").read_text(), **files},
                    before_boot=[["update-ca-certificates"], *FRESH], clock=name in HOSTS).start()   # one that the kernel calls synchronised

    def boot_production(self, name):
        return self.boot(name, {"alice": [], "bob": [], "ops": []}, {
            "/home/ops/.ssh/authorized_keys": self.keys["ops"].line + "\n", "/etc/sudoers": (0o440, pathlib.Path("/etc/sudoers").read_text()),
            "/etc/sudoers.d/ops": (0o440, "ops ALL=(ALL:ALL) NOPASSWD: ALL\n")})

    def homes(self):
        files = {}
        for person in PEOPLE:
            files[f"/home/{person}/.ssh/id_ed25519"] = (0o600, self.keys[person].path.read_text())
            files[f"/home/{person}/.ssh/id_ed25519.pub"] = self.keys[person].line + "\n"
            files[f"/srv/keys/{person}.pub"] = self.keys[person].line + "\n"
        return files

    # --- terminals
    def __call__(self, name) -> list:
        kind, rest = re.fullmatch(r"(on|as|in a new ssh login of ops to) (?:the )?(.+)", name).groups()
        return [self.terminal(kind, who) for who in re.split(r", | and ", rest)]

    def terminal(self, kind, who) -> Terminal:
        if kind.startswith("in a new"):
            return Terminal(self.machines[who].ssh_argv("ops", self.keys["ops"].path, options=["RequestTTY=force"]))
        if (kind, who) not in self.open:
            machine, account = (self.machines["laptop"], who) if kind == "as" else (self.machines[who], "root")
            self.open[kind, who] = Terminal(["nsenter", "-t", machine.leader, "-a", "su", "-l", account])
        return self.open[kind, who]

    # --- what the page says in sentences
    def copy(self, source, path, target, there, owner="root", mode=0o644):
        content = self.machines[source].path(path).read_bytes()
        self.machines[target].sh(f"install -d -o {owner} $(dirname {there})", check=True)
        self.machines[target].write(there, content, mode, owner=f"{owner}:")

    def policy_to(self, source, target):
        for name in ("policy.toml", "policy.toml.sig"):
            self.copy("laptop", f"/home/{source}/policy/{name}", "laptop", f"/home/{target}/policy/{name}", target)

    def policy_back_and_trust_to_the_hub(self):
        self.policy_to("ben", "ana")
        self.copy("laptop", "/home/ana/policy/trust.toml", "hub", "/etc/hallpass/trust.toml")

    def hub_s_files_to_the_laptops(self):
        for p in PEOPLE:
            self.machines["laptop"].sh(f"install -d -o {p} /home/{p}/.config", check=True)
            self.copy("hub", "/etc/hallpass/trust.toml", "laptop", f"/home/{p}/.config/hallpass/trust.toml", p)
            self.copy("hub", "/root/hub.token", "laptop", f"/home/{p}/.config/hallpass/hub.token", p, 0o600)

    def hub_s_files_to_the_hosts(self):
        for name in HOSTS:
            self.copy("hub", "/etc/hallpass/trust.toml", name, "/etc/hallpass/trust.toml")
            self.copy("hub", "/root/hub.token", name, "/etc/hallpass/fetch.token")


@pytest.fixture
def world(debs, tmp_path):
    with World(debs, tmp_path) as w:
        yield w


def test_word_by_word(world):
    before = {"apt-get install -y ./hallpass_*.deb ./hallpass-hub": world.policy_back_and_trust_to_the_hub,
              "mkdir -p ~/.config/hallpass": world.hub_s_files_to_the_laptops, "tee /etc/hallpass/fetch.toml": world.hub_s_files_to_the_hosts}
    reader = Reader(PAGE, world, before=before)
    # Ben's first command follows the copying of the policy to him.
    world.machines["laptop"].sh("install -d -o ben /home/ben/policy", check=True)
    before_ben = reader.terminals

    def terminals(name):
        if name == "as ben" and not world.machines["laptop"].path("/home/ben/policy/policy.toml.sig").exists():
            world.policy_to("ana", "ben")
        return before_ben(name)
    reader.terminals = terminals
    reader.follow()
