"""docs/journals.md on two booted hosts: what hallpass writes on one arrives at the other, with its fields, also after an outage."""
import json
import pathlib

import pytest

from ..docs import guide
from ..system.lib.host import Host, eventually
from ..system.lib.site import Site

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/journals.md"
STATE = "/etc/systemd/journal-upload.conf.d"
REMOTE = "/var/log/journal/remote"
SECRETS = {"web-3.key": "journal-upload.key", "web-3.pem": "journal-upload.pem", "ca.pem": "journal-ca.pem"}


class Pair:
    """A host under grants and the receiver of its journal, a cable between them, set up by what the page says."""

    def __init__(self, site, receiver):
        self.site, self.web, self.receiver = site, site.host, receiver
        receiver.connect(site.host, "10.98.0.1/24", "10.98.0.2/24")
        site.host.sh("echo 10.98.0.1 logs.example.org >>/etc/hosts", check=True)
        for step in guide.steps(PAGE):
            if step.line > self.line_of("## Look"):
                break
            if step.terminal == "on web-3":
                self.bring_secrets()
            self.type(step)

    @staticmethod
    def line_of(heading):
        return PAGE.read_text().splitlines().index(heading) + 1

    def type(self, step):
        host = {"on the receiver": self.receiver, "on web-3": self.web}[step.terminal]
        # What apt would fetch is on the machine that these hosts are made from.
        lines = [line for line in step.lines if not line.startswith("apt-get install ")]
        return host.sh("set -e\n" + "\n".join(lines), check=True, timeout=60)

    def bring_secrets(self):
        for name, there in SECRETS.items():
            self.web.write(f"/etc/ssl/private/{there}", self.receiver.path(f"/etc/ssl/journals/{name}").read_bytes(), 0o600)

    def arrived(self, **fields):
        r = self.receiver.run("journalctl", "-D", REMOTE, "-o", "json", "-q", "--no-pager", *[f"{k}={v}" for k, v in fields.items()])
        return [json.loads(line) for line in r.out.splitlines()]

    def await_arrived(self, within=20, **fields):
        try:
            return eventually(f"{fields} at the receiver", lambda: self.arrived(**fields), within=within, every=0.2)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.web.run('systemctl', 'status', '-n20', 'systemd-journal-upload').out}\n"
                                 f"{self.receiver.run('systemctl', 'status', '-n20', 'nginx', 'journal-of@*').out}") from None


@pytest.fixture(scope="module")
def pair(stage):
    # The directory is not among those that a throw-away host keeps of the machine's own.
    private = [["install", "-d", "-m", "0700", "/etc/ssl/private"]]
    with Site(stage, before_boot=private) as site, Host(hostname="logs", before_boot=[*private, ["install", "-d", "/var/log/nginx"]]) as receiver:
        site.host.await_journal(HALLPASS_EVENT="policy_accepted")
        yield Pair(site, receiver)


def test_a_grant_s_story_can_be_searched_at_the_receiver(pair):
    grant = pair.site.grant("alice")
    pair.site.assert_in("alice", "alice")
    entry = pair.await_arrived(HALLPASS_EVENT="login_admitted", HALLPASS_GRANT=grant.id)[0]
    assert entry["HALLPASS_SUBJECT"] == "alice" and entry["HALLPASS_APPROVERS"] == "bob" and entry["_HOSTNAME"] == "web-3"
    assert entry["MESSAGE_ID"] == "5076e31a3a7a49baad1b1d37f1d61400"


def test_the_page_s_queries_find_it(pair):
    pair.site.assert_refused("bob", "bob")
    pair.await_arrived(HALLPASS_EVENT="login_refused", HALLPASS_SUBJECT="bob")
    outputs = [pair.type(step).out for step in guide.steps(PAGE) if step.line > pair.line_of("## Look")]
    assert len(outputs) == 2
    assert "login_admitted" not in outputs[0] and "Login to alice" in outputs[0], outputs[0]
    assert '"HALLPASS_SUBJECT":"alice"' in outputs[0], outputs[0]
    assert " web-3 " in outputs[1], outputs[1]


def test_what_happens_while_the_receiver_is_away_arrives_later(pair):
    pair.receiver.run("systemctl", "stop", "nginx", check=True)
    pair.site.assert_refused("carol", "carol")
    eventually("the sender has noticed", lambda: "activating" in pair.web.run("systemctl", "is-active", "systemd-journal-upload").out, within=30)
    assert not pair.arrived(HALLPASS_EVENT="login_refused", HALLPASS_SUBJECT="carol")
    pair.receiver.run("systemctl", "start", "nginx", check=True)
    pair.await_arrived(within=40, HALLPASS_EVENT="login_refused", HALLPASS_SUBJECT="carol")


CURL = ("curl -sS --max-time 10 --cacert /etc/ssl/private/journal-ca.pem -H 'Content-Type: application/vnd.fdo.journal' --data-binary '' "
        "https://logs.example.org:19532/upload -w '%{http_code}' -o /dev/null")


@pytest.mark.parametrize("name, options, answer", [
    ("web-3 itself is heard", "--cert /etc/ssl/private/journal-upload.pem --key /etc/ssl/private/journal-upload.key", "202"),
    ("without a certificate", "", "400"),
    ("of another authority", "--cert /tmp/other.pem --key /tmp/other.key", "400"),
    ("of a host that has no process", "--cert /tmp/web-4.pem --key /tmp/web-4.key", "502"),
])
def test_who_is_heard(pair, name, options, answer):
    make = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=%s -keyout %s.key"
    pair.web.sh(make % ("web-3", "/tmp/other") + " -x509 -out /tmp/other.pem", check=True)
    if "web-4" in options:
        pair.receiver.sh("cd /etc/ssl/journals && " + make % ("web-4", "web-4") + " -out web-4.csr && "
                         "openssl x509 -req -in web-4.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out web-4.pem", check=True)
        for end in (".pem", ".key"):
            pair.web.write("/tmp/web-4" + end, pair.receiver.path("/etc/ssl/journals/web-4" + end).read_bytes())
    r = pair.web.sh(f"{CURL} {options}")
    assert r.out == answer, r
    assert [p.name for p in pair.receiver.path(REMOTE).glob("*.journal")] == ["web-3.journal"]


def test_the_sender_tells_nothing_to_another_receiver(pair):
    """Whoever answers at the address must have the receiver's certificate."""
    pair.receiver.sh("cd /etc/ssl/journals && cp receiver.pem /tmp/pem && cp receiver.key /tmp/key && openssl req -x509 -newkey ec -pkeyopt "
                     "ec_paramgen_curve:P-256 -nodes -subj /CN=logs.example.org -addext subjectAltName=DNS:logs.example.org "
                     "-keyout receiver.key -out receiver.pem && systemctl restart nginx", check=True)
    after = pair.web.cursor()
    pair.web.run("logger", "something to tell", check=True)   # the sender looks at its connection when it has something to send
    pair.web.await_journal("_SYSTEMD_UNIT=systemd-journal-upload.service", after=after, within=30,
                           where=lambda e: "certificate" in str(e["MESSAGE"]).lower())
    pair.receiver.sh("cp /tmp/pem /etc/ssl/journals/receiver.pem; cp /tmp/key /etc/ssl/journals/receiver.key; systemctl restart nginx", check=True)
