"""Three production hosts, a hub with nginx beside it, and a laptop, each on a network of their own: the whole way of a grant, and what goes
on when parts of it are gone."""
import concurrent.futures
import datetime
import hashlib
import ipaddress
import json
import pathlib
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .lib.fleet import Fleet
from .lib.host import Host, eventually
from .lib.network import Network, all_again, only_ssh
from .lib.site import Site

NAMES = ("web-1", "web-2", "web-3")
HUB, NGINX = 8443, 8444
TOKEN = "t0ken-of-this-test-t0ken-of-this-test"


def make_ca(directory, address):
    """A certificate authority, and the hub's certificate for its address."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()

    def certificate(subject, public, issuer, signer, *extensions):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public).serial_number(
            x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    ca = certificate(name("test CA"), ca_key.public_key(), name("test CA"), ca_key, x509.BasicConstraints(ca=True, path_length=0))
    hub = certificate(name("hub"), key.public_key(), name("test CA"), ca_key,
                      x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    (pathlib.Path(directory) / "ca.pem").write_text(ca)
    return ca, hub, pem


NGINX_CONF = f"""server {{
  listen {NGINX} ssl;
  ssl_certificate /etc/hallpass/hub/tls.pem;
  ssl_certificate_key /etc/hallpass/hub/tls.key;
  root /var/lib/hallpass-hub/log;
  default_type application/octet-stream;
}}
"""


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


class World:
    """Everything, in the order in which somebody would set it up."""

    def __init__(self, stage, tmp):
        self.stage, self.tmp, self.fleet = pathlib.Path(stage), pathlib.Path(tmp), Fleet()
        self.net = Network()
        self.sites = {}

    def __enter__(self):
        self.net.__enter__()
        self.laptop = self.net.laptop()
        self.hub_address = f"{self.net.prefix}.12"
        self.ca, certificate, key = make_ca(self.tmp, self.hub_address)
        self.hub = Host(hostname="hub", trees=[self.stage], users={}, groups=["hallpass-exempt"],
                        before_boot=[["systemd-sysusers"]],
                        files={"/etc/hallpass/trust.toml": self.fleet.trust(), "/etc/hallpass/hub/tls.pem": certificate,
                               "/etc/hallpass/hub/tls.key": key, "/etc/nginx/sites-enabled/default": NGINX_CONF, "/var/log/nginx/.keep": "",
                               "/etc/hallpass/hub/tokens": f"all sha256:{sha256(TOKEN)}\n",
                               "/etc/hallpass/hub.toml": f'listen = ["0.0.0.0:{HUB}"]\nread = "token"\n'
                                                         'tokens_file = "/etc/hallpass/hub/tokens"\n[tls]\n'
                                                         'certificate = "/etc/hallpass/hub/tls.pem"\nkey = "/etc/hallpass/hub/tls.key"\n'})
        self.hub.__enter__()
        assert self.net.join(self.hub) == self.hub_address
        said = self.hub.run("hallpass-hub", "init", "--name", "acme-prod.log", check=True).out
        assert "PRIVATE" not in said
        self.log = said[said.index("[log]"):]
        self.hub.run("chown", "hallpass-hub", "/etc/hallpass/hub/tls.key", check=True)
        self.hub.run("systemctl", "start", "hallpass-hub", "nginx", check=True)
        # The threads stay: a host ends with the thread that began it.
        self.pool = concurrent.futures.ThreadPoolExecutor(len(NAMES))
        list(self.pool.map(self._boot, NAMES))
        self.addresses = {name: self.net.join(self.sites[name].host) for name in NAMES}
        self.homes = {name: self._home(name) for name in ("alice", "bob", "ana", "ben")}
        return self

    def __exit__(self, *_):
        for site in self.sites.values():
            site.host.stop()
        self.pool.shutdown()
        self.hub.stop()
        self.net.__exit__()
        self.fleet.close()

    # --- setting up
    def _boot(self, name):
        sshd = (self.stage / "usr/share/hallpass/sshd/hallpass-drop.conf").read_text()
        strict = "require_log = true\n" if name == "web-2" else ""
        files = {"/etc/hallpass/trust.toml": self.fleet.trust() + "\n" + self.log + strict,
                 "/etc/hallpass/fetch.toml": f'urls = ["https://{self.hub_address}:{HUB}", "https://{self.hub_address}:{NGINX}"]\n'
                                             'token_file = "/etc/hallpass/fetch.token"\nca_file = "/etc/hallpass/ca.pem"\npoll = "1s"\n',
                 "/etc/hallpass/fetch.token": TOKEN + "\n", "/etc/hallpass/ca.pem": self.ca,
                 "/etc/ssh/sshd_config.d/hallpass-drop.conf": sshd}
        site = Site(self.stage, self.fleet, hostname=name, files=files, policy=False, users=("alice", "bob"),
                    host_toml='mirror = "/var/lib/hallpass-mirror"\ndrop = "/var/lib/hallpass-drop/in"\n',
                    before_boot=[["systemd-sysusers"]])
        site.host._links["/etc/systemd/system/multi-user.target.wants/hallpass-fetch.service"] = \
            "/usr/lib/systemd/system/hallpass-fetch.service"
        self.sites[name] = site
        site.__enter__()

    def _home(self, person):
        home = self.tmp / f"home-{person}"
        (home / ".ssh").mkdir(parents=True)
        (home / ".config/hallpass").mkdir(parents=True)
        (home / ".config/hallpass/trust.toml").write_text(self.fleet.trust() + "\n" + self.log)
        (home / "token").write_text(TOKEN + "\n")
        (home / "token").chmod(0o600)
        (home / ".config/hallpass/config.toml").write_text(
            f'hub = "https://{self.hub_address}:{HUB}"\nhub_token_file = "~/token"\nhub_ca = "{self.tmp}/ca.pem"\n'
            f'me = "{person}"\nkey = "{self.fleet.path(person)}"\n')
        known = "".join(f"{self.addresses[n]} {(self.sites[n].host.dir / 'host_key.pub').read_text()}" for n in NAMES)
        (home / "known_hosts").write_text(known)
        return home

    # --- what people do
    def hallpass(self, person, *args, ok=True, **kw):
        home = self.homes[person]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}
        result = self.laptop.run(self.stage / "usr/bin/hallpass", *args, env=env, **kw)
        assert not ok or result.ok, result
        return result

    def request(self, person="alice", *, runbook="login", duration="5m"):
        out = self.hallpass(person, "request", runbook, "--target", "env=prod", "--reason", "502s on checkout", "--duration", duration, "--yes", "--json").out
        return json.loads(out)["id"]

    def carry(self, name, what, person="bob"):
        options = {"UserKnownHostsFile": self.homes[person] / "known_hosts", "IdentityFile": self.fleet.path(person), "IdentitiesOnly": "yes"}
        return self.hallpass(person, "carry", self.addresses[name], what, *[f"--ssh-option={k}={v}" for k, v in options.items()])

    def ssh(self, name, person="alice", account=None, *command):
        home = self.homes[person]
        return self.laptop.run("ssh", "-F", "/dev/null", "-o", f"UserKnownHostsFile={home}/known_hosts", "-o", "IdentitiesOnly=yes",
                               "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-i", self.fleet.path(person),
                               f"{account or person}@{self.addresses[name]}", *(command or ("echo in as $(id -un) on $(hostname)",)))

    def admitted(self, name, person="alice"):
        return f"in as {person} on {name}" in self.ssh(name, person).out

    def hold(self, name, person="alice"):
        """A session that stays."""
        home = self.homes[person]
        return subprocess.Popen([str(a) for a in self.laptop.argv(
            "ssh", "-F", "/dev/null", "-o", f"UserKnownHostsFile={home}/known_hosts", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-i", self.fleet.path(person), f"{person}@{self.addresses[name]}", "echo ready; exec sleep 600")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def start_hub(self, *more):
        self.hub.run("systemctl", "start", "hallpass-hub", *more, check=True)
        url = f"https://{self.hub_address}:{HUB}/healthz"
        eventually("the hub serves", lambda: self.laptop.run("curl", "-sf", "--cacert", self.tmp / "ca.pem", url).ok)

    def status(self, name):
        try:
            return json.loads(self.sites[name].host.path("/run/hallpass/status.json").read_text())
        except OSError:
            return {}

    def size(self, name):
        return self.status(name)["log"]["size"]


@pytest.fixture(scope="module")
def world(stage, tmp_path_factory):
    with World(stage, tmp_path_factory.mktemp("fleet")) as w:
        text = w.fleet.policy()
        (w.tmp / "policy.toml").write_text(text)
        (w.tmp / "policy.toml.sig").write_text(w.fleet.sign_policy(text))
        w.hallpass("ana", "policy", "publish", w.tmp / "policy.toml")
        eventually("every host has the policy", lambda: all(w.status(n).get("policy") for n in NAMES), within=20)
        yield w


def test_approved_on_a_laptop_admitted_everywhere_and_revoked(world):
    w = world
    grant = w.request()
    assert not any(w.admitted(n) for n in NAMES)
    w.hallpass("bob", "approve", grant, "--yes")
    approved = time.monotonic()
    eventually("all three admit", lambda: all(w.admitted(n) for n in NAMES), within=5)
    print(f"admitted on three hosts, logged in to each, {time.monotonic() - approved:.2f} s after the approval")
    sessions = [w.hold(n) for n in NAMES]
    for s in sessions:
        assert s.stdout.readline() == b"ready\n"
    w.hallpass("ana", "revoke", grant, "--reason", "test", "--yes")
    revoked = time.monotonic()
    for s in sessions:
        s.wait(timeout=5)
    print(f"ended on three hosts {time.monotonic() - revoked:.2f} s after the revocation was typed")
    assert not any(w.admitted(n) for n in NAMES)


def test_hub_gone_and_back(world):
    w = world
    grant = w.request(duration="25s")
    w.hallpass("bob", "approve", grant, "--yes")
    approved = time.monotonic()
    eventually("all three admit", lambda: all(w.admitted(n) for n in NAMES), within=5)
    w.hub.run("systemctl", "kill", "-s", "KILL", "hallpass-hub")
    w.hub.run("systemctl", "stop", "hallpass-hub", "nginx")
    assert all(w.admitted(n) for n in NAMES), "known grants need no hub"
    session = w.hold("web-1")
    assert session.stdout.readline() == b"ready\n"
    refused = w.hallpass("alice", "request", "quick", "--target", "env=prod", "--reason", "x", "--yes", ok=False)
    assert not refused.ok and "carry" in refused.both, refused
    session.wait(timeout=40)
    assert 22 <= time.monotonic() - approved <= 31, "ends on time without a hub"
    assert not any(w.admitted(n) for n in NAMES)
    w.start_hub("nginx")
    after = w.request(runbook="quick")
    eventually("caught up", lambda: all(w.admitted(n) for n in NAMES), within=75)
    w.hallpass("alice", "revoke", after, "--reason", "done", "--yes")
    eventually("all refuse", lambda: not any(w.admitted(n) for n in NAMES), within=10)


def test_nginx_alone(world):
    """The hub takes one more statement, then only its files are served."""
    w = world
    w.sites["web-2"].host.run("systemctl", "stop", "hallpass-fetch", check=True)
    grant = w.request(runbook="quick")
    w.hub.run("systemctl", "stop", "hallpass-hub", check=True)
    assert not w.admitted("web-2")
    w.sites["web-2"].host.run("systemctl", "start", "hallpass-fetch", check=True)
    eventually("the files alone are enough", lambda: w.admitted("web-2"), within=20)
    w.start_hub()
    w.hallpass("alice", "revoke", grant, "--reason", "done", "--yes")
    eventually("all refuse", lambda: not any(w.admitted(n) for n in NAMES), within=75)


def test_proofs_are_carried_where_the_log_is_required(world):
    """web-2 takes only what the log holds: a grant by hand needs its proofs, which the hub's readers can make."""
    w = world
    host = w.sites["web-2"].host
    host.run("systemctl", "stop", "hallpass-fetch", check=True)
    only_ssh(host)
    try:
        home = w.homes["bob"]
        w.hallpass("alice", "request", "login", "--target", "host=web-2", "--reason", "off the log", "--yes", "-o", home / "a.grant")
        w.hallpass("bob", "approve", home / "a.grant", "--yes", "-o", home / "off.grant")
        w.carry("web-2", home / "off.grant")
        grant = w.request(runbook="login")
        w.hallpass("bob", "approve", grant, "--yes")
        w.sites["web-2"].settle()
        assert not w.admitted("web-2"), "signed, but in no log; and the other has not come"
        w.carry("web-2", grant)
        eventually("admitted", lambda: w.admitted("web-2"), within=10)
    finally:
        all_again(host)
        host.run("systemctl", "start", "hallpass-fetch", check=True)
    w.hallpass("alice", "revoke", grant, "--reason", "done", "--yes")
    eventually("all refuse", lambda: not any(w.admitted(n) for n in NAMES), within=75)


def test_carried_when_all_else_is_down(world):
    w = world
    host = w.sites["web-3"].host
    w.hub.run("systemctl", "stop", "hallpass-hub", "nginx", check=True)
    host.run("systemctl", "stop", "hallpass-fetch", check=True)
    only_ssh(host)
    try:
        home = w.homes["alice"]
        asked = w.hallpass("alice", "request", "login", "--target", "host=web-3", "--reason", "the hub is down", "--yes", "-o", home / "g.grant")
        assert (home / "g.grant").exists(), asked
        w.hallpass("bob", "approve", home / "g.grant", "--yes", "-o", home / "both.grant")
        said = w.carry("web-3", home / "both.grant")
        print(said.both)
        eventually("admitted", lambda: w.admitted("web-3"), within=10)
        assert not w.admitted("web-1")
    finally:
        all_again(host)
        host.run("systemctl", "start", "hallpass-fetch", check=True)
        w.start_hub("nginx")


def test_hub_put_back_to_an_older_copy(world):
    """Yesterday's disk: the hosts see it, say so, and follow nothing of it, also when it goes on from there."""
    w = world
    hub, state = w.hub, "/var/lib/hallpass-hub"
    eventually("all are caught up", lambda: len({w.size(n) for n in NAMES}) == 1, within=20)
    hub.run("sh", "-c", f"systemctl stop hallpass-hub && cp -a {state} /root/yesterday", check=True)
    w.start_hub()
    kept = w.request(runbook="quick")
    eventually("all admit", lambda: all(w.admitted(n) for n in NAMES), within=75)
    size = w.size("web-1")
    hub.run("sh", "-c", f"systemctl stop hallpass-hub && rm -rf {state} && cp -a /root/yesterday {state}", check=True)
    w.start_hub()
    for name in NAMES:
        host = w.sites[name].host
        eventually(f"{name} sees the older copy", lambda h=host: any("was seen before" in e["MESSAGE"] or "older" in e["MESSAGE"] for e in
                                                                     h.journal(unit="hallpass-fetch")), within=30)
    # A person who was not there then writes on; his client has no memory of the log.
    other = w.fleet.request("bob", "quick", targets=("env=prod",))
    posted = w.laptop.run("curl", "-sS", "--cacert", w.tmp / "ca.pem", "--data-binary", "@-", f"https://{w.hub_address}:{HUB}/v1/statements",
                          stdin=other.line + "\n")
    assert posted.ok and "taken" in posted.out, posted
    for name in NAMES:
        host = w.sites[name].host
        eventually(f"{name} says so", lambda h=host: any("fork" in e["MESSAGE"] or "older" in e["MESSAGE"] for e in
                                                         h.journal(unit="hallpass-fetch")), within=30)
        assert w.size(name) == size and not w.admitted(name, "bob"), "nothing of the other history"
        assert w.admitted(name), "what was known stands"
    told = w.hallpass("alice", "list", ok=False)
    assert "fork" in told.both or "older" in told.both, told
    assert kept


def test_alert_reaches_the_agent_too(world):
    """The agent does not rely on its fetcher: a mirror that somebody fills by hand is refused by name."""
    w = world
    host = w.sites["web-1"].host
    host.run("systemctl", "stop", "hallpass-fetch", check=True)
    log = w.hub.path("/var/lib/hallpass-hub/log")
    host.write("/var/lib/hallpass-mirror/checkpoint", (log / "checkpoint").read_text())
    eventually("named", lambda: host.journal(HALLPASS_EVENT="log_fork") + host.journal(HALLPASS_EVENT="log_rollback"), within=10)
    assert w.admitted("web-1")
