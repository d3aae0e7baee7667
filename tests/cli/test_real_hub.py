"""The hallpass command on the real hallpass-hub, from the first policy to a proof that others can check."""
import hashlib
import json
import os
import re
import signal
import subprocess
import time

import pytest
from fleet import HOSTS, Fleet
from loghub import BIN, Person, verify_proof

HUB = os.path.join(os.path.dirname(BIN), "..", "hub", "hallpass-hub")
pytestmark = pytest.mark.skipif(not os.path.exists(HUB), reason="built without the hub")


class RealHub:
    TOKEN = "token-of-a-reader"

    def __init__(self, fleet):
        self.fleet, self.port, self.process = fleet, 0, None
        self.dir = os.path.join(fleet.root, "hub")
        os.mkdir(self.dir)
        with open(self.path("hosts.toml"), "w") as f:
            f.write(HOSTS)
        with open(self.path("trust.toml"), "w") as f:
            f.write('fleet = "acme-prod"\n[admins]\nthreshold = 2\n[admins.people]\n')
            f.write("".join(f'{a} = ["{fleet.public(a)}"]\n' for a in ("ana", "ben")))
        self.configure()
        printed = subprocess.run([HUB, "init", "--origin", "log.test/hallpass", "--config", self.path("hub.toml")], check=True, capture_output=True,
                                 text=True).stdout
        self.keys = re.findall(r'[^\s"]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+', printed)
        self.start()

    def path(self, name):
        return os.path.join(self.dir, name)

    def configure(self):
        with open(self.path("hub.toml"), "w") as f:
            f.write(f'listen = ["127.0.0.1:{self.port}"]\nread = "token"\nlog = "{self.path("log")}"\nstate = "{self.path("state")}"\n'
                    f'log_key = "{self.path("log.key")}"\nwitness_key = "{self.path("witness.key")}"\ntrust = "{self.path("trust.toml")}"\n'
                    f'hosts_file = "{self.path("hosts.toml")}"\n[tokens]\nreader = "sha256:{hashlib.sha256(self.TOKEN.encode()).hexdigest()}"\n')

    def start(self):
        log = self.path("output")
        with open(log, "ab") as out:
            begin = out.tell()
            self.process = subprocess.Popen([HUB, "--config", self.path("hub.toml")], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        deadline = time.time() + 20
        while True:
            with open(log, "rb") as f:
                said = f.read()[begin:].decode()
            ready = re.search(r"serving a log of \d+ entries on 127\.0\.0\.1:(\d+)", said)
            if ready:
                self.port = int(ready[1])
                return self.configure()
            assert self.process.poll() is None and time.time() < deadline, said
            time.sleep(0.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=20)

    def vkeys(self):
        return self.keys[0], self.keys[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return Fleet(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def hub(fleet):
    hub = RealHub(fleet)
    yield hub
    hub.stop()


def test_from_nothing_to_a_proof(fleet, hub):
    alice, bob, ana = (Person(fleet, name, hub, token=hub.TOKEN) for name in ("alice", "bob", "ana"))
    assert "has no policy yet" in alice.run("list", code=3).err
    policy = os.path.join(fleet.dir, "policy.toml")
    assert "Published version 1" in ana.run("policy", "publish", policy).out
    assert "already" in ana.run("policy", "publish", policy).out

    watching = bob.start("watch")
    assert "watching" in watching.stderr.readline()
    asked = alice.request()
    assert "waits for 1 approval of leads" in asked.out and asked.err == "", asked
    assert asked.id in watching.stdout.readline()
    assert asked.id in bob.run("list").out
    approved = bob.run("approve", asked.id, "--yes")
    assert "active until" in approved.out and "bob approves" in watching.stdout.readline(), approved
    assert "approved by bob" in alice.run("show", asked.id).out + alice.run("explain", asked.id).out

    waiting = alice.start("request", "login", "--target", "db-1", "--reason", "r", "--wait")
    second = re.search(r"\S{4}-\S{4}-\S{4}", watching.stdout.readline()).group()
    began = time.time()
    bob.run("deny", second, "--yes")
    out, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 1 and "denied" in out and time.time() - began < 10, (out, err)
    watching.terminate()
    watching.wait(timeout=5)

    verified = alice.run("log", "verify", "--full", "--json").json
    assert verified["statements"] == 4 and verified["policies"] == 1 and verified["invalid"] == [] and verified["unknown"] == 0, verified
    assert verified["cosignatures"][0]["age"] < 90 and not verified["stale"], verified
    kinds = [e["kind"] for e in alice.run("log", "tail", "--json").json["entries"]]
    assert [k for k in kinds if k != "epoch"] == ["policy", "request", "approve", "request", "deny"], kinds

    proofs = os.path.join(fleet.root, "proofs")
    os.mkdir(proofs)
    for proof in bob.run("log", "prove", asked.id, "-o", proofs, "--json").json["proofs"]:
        with open(proof["file"]) as f:
            index, size, entry = verify_proof(f.read(), hub.vkeys())
        assert index == proof["index"] < size and json.loads(entry)["payloadType"].startswith("application/vnd.hallpass.")

    hub.stop()
    away = alice.run("show", asked.id, "--json")
    assert away.json["state"] == "active" and "reading goes on from the copy" in away.err
    assert "hallpass carry HOST" in alice.run("revoke", asked.id, "--yes", code=3).err
    hub.start()
    assert "Revoked" in alice.run("revoke", asked.id, "--yes").out
    assert bob.state(asked.id) == "revoked"


def test_who_may_read_and_what_is_refused(fleet, hub):
    mallory = Person(fleet, "mallory", hub)
    assert "wants a token" in mallory.run("list", code=2).err
    ben = Person(fleet, "ben", hub, token=hub.TOKEN)
    ben.run("policy", "publish", os.path.join(fleet.dir, "policy.toml"))
    draft = os.path.join(fleet.root, "draft.toml")
    with open(draft, "w") as f:
        f.write(ben.run("policy", "show", "--toml").out.replace("version     = 1", "version     = 2"))
    ben.run("policy", "sign", draft, "--yes")
    refused = ben.run("policy", "publish", draft, code=1)
    assert "1 of 2" in refused.err or "ana" in refused.err, refused
    assert "token" not in refused.err, refused
