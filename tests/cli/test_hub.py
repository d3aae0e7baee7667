"""The hallpass command on a hub: the same commands, the log verified, and what it says when the hub is away or lies."""
import json
import os
import re
import subprocess
import time

import pytest
from fleet import HOSTS, Fleet
from loghub import BIN, Hub, Person, entry_by_hand, make_certificate, verify_proof


class Site:
    """A hub with a policy, and alice and bob at machines of their own."""

    def __init__(self, root, **hub):
        self.fleet = Fleet(root)
        self.hub = Hub(**hub)
        self.hub.add_policy(self.fleet.read("policy.toml"), self.fleet.read("policy.toml.sig"))
        self.hub.hosts = HOSTS
        self.more = {"token": hub["token"]} if hub.get("token") else {}

    def person(self, name, **options):
        return Person(self.fleet, name, self.hub, **{**self.more, **options})


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.hub.stop()


def until(what, seconds=20):
    deadline = time.time() + seconds
    while time.time() < deadline:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("did not come")


class TestStory:
    def test_ask_approve_end(self, site):
        alice, bob = site.person("alice"), site.person("bob")
        asked = alice.request()
        assert "waits for 1 approval of leads" in asked.out and asked.err == "", asked
        assert asked.id in bob.run("list").out
        approved = bob.run("approve", asked.id[:6], "--yes")
        assert "active until" in approved.out, approved
        assert alice.state(asked.id) == bob.state(asked.id) == "active"
        assert "approved by bob" in alice.run("explain", asked.id).out
        revoked = alice.run("revoke", asked.id, "--yes", "--reason", "done")
        assert "Revoked" in revoked.out
        assert bob.state(asked.id) == "revoked"
        # Each statement once: the log's, the writer's own file gone again.
        for who in (alice, bob):
            names = [n for n in os.listdir(who.cache + "/dir") if n.endswith(".grant")]
            assert names == ["log-000000000000.grant"], names
        assert len(site.hub.entries) == 4

    def test_approver_may_bring_the_request_as_a_file(self, site):
        alice, bob = site.person("alice"), site.person("bob")
        line = alice.run("request", "login", "-t", "db-1", "-r", "x", "-o", "-").out
        assert len(site.hub.entries) == 1
        bob.run("approve", "-", "--yes", stdin=line)
        assert len(site.hub.entries) == 3
        assert alice.run("list", "--json").json["grants"][0]["state"] == "active"

    def test_the_hubs_words_reach_people(self, site):
        alice = site.person("alice")
        site.hub.warnings = ["your clock is 14 s behind"]
        assert "your clock is 14 s behind" in alice.request().err
        site.hub.refuse = {1: {"code": "too_many", "error": "alice has 20 live requests; end some first"}}
        refused = alice.run("request", "login", "-t", "db-1", "-r", "x", code=1)
        assert "alice has 20 live requests" in refused.err and "Requested" not in refused.out, refused
        assert len(alice.run("list", "--json").json["grants"]) == 1

    def test_what_was_signed_now_decides(self, site):
        alice, bob = site.person("alice"), site.person("bob")
        line = alice.run("request", "login", "-t", "db-1", "-r", "x", "-o", "-").out
        site.hub.refuse = {1: {"code": "over", "error": "of no use any more"}}
        told = bob.run("approve", "-", "--yes", stdin=line)
        assert "an older statement of this grant (alice asks for login" in told.err and "of no use any more" in told.err, told
        site.hub.refuse = {3: {"code": "over", "error": "too late"}}   # after the request and the approval
        assert "the hub refuses it: too late" in bob.run("deny", "-", "--yes", stdin=line, code=1).err

    def test_a_policy_is_published_and_used(self, site):
        alice, ana, ben = site.person("alice"), site.person("ana"), site.person("ben")
        draft = os.path.join(site.fleet.root, "draft.toml")
        text = ana.run("policy", "show", "--toml").out
        assert text == site.fleet.read("policy.toml")
        with open(draft, "w") as f:
            f.write(text.replace("version     = 1", "version     = 2").replace('title        = "Log in"', 'title        = "Come in"'))
        assert "no " + draft + ".sig" in ana.run("policy", "publish", draft, code=1).err
        signed = ana.run("policy", "sign", draft, "--yes")
        assert "Version 1 -> 2" in signed.err, signed
        assert "policy publish" in ben.run("policy", "sign", draft, "--yes").out
        assert "Published version 2" in ben.run("policy", "publish", draft).out
        shown = alice.run("policy", "show", "--json").json
        assert shown["version"] == 2 and shown["trust"] == "verified", shown
        assert "name the file" in ana.run("policy", "sign", "--yes", code=2).err

    def test_a_policy_of_others_is_not_used(self, site):
        """The hub may hold what it likes: trust.toml's admins decide."""
        alice = site.person("alice")
        alice.run("list")
        evil = Fleet(os.path.join(site.fleet.root, "keys"))
        evil.write_policy(version=9)
        evil.sign_policy()
        site.hub.add_policy(evil.read("policy.toml"), evil.read("policy.toml.sig"))
        shown = alice.run("policy", "show", "--json")
        assert shown.json["version"] == 1 and "policy version 9 is here, but 1 is used" in shown.err, shown

    def test_completion_asks_no_hub(self, site):
        alice = site.person("alice")
        alice.run("list")
        before = len(site.hub.seen)
        assert "restart-web" in alice.run("complete", "runbooks").out
        assert len(site.hub.seen) == before


class TestReading:
    def test_a_hundred_and_more_entries(self, site):
        """Over the edge of a bundle, and from an epoch on for who comes later."""
        alice = site.person("alice")
        first = alice.request(target="web-3").id
        site.hub.add(*[entry_by_hand(site.fleet, "mallory", "request", {"n": i}) for i in range(3)] * 100)
        second = alice.request(target="web-3").id
        assert {alice.state(first), alice.state(second)} == {"active"}
        site.hub.add_epoch(260)
        third = alice.request(target="web-3").id
        late = site.person("bob")
        ids = {g["id"] for g in late.run("list", "--json").json["grants"]}
        assert ids == {second, third}, "a new reader begins at the epoch's live_from"
        assert not any("entries/000" in p for p in os.listdir(late.cache)) and alice.state(third) == "active"

    def test_partial_files_do_not_pile_up(self, site):
        alice = site.person("alice")
        for _ in range(3):
            alice.request(target="web-3")
        alice.run("list")
        left = subprocess.run(["find", alice.cache + "/tile", "-type", "f"], capture_output=True, text=True, check=True).stdout.split()
        assert [os.path.relpath(p, alice.cache) for p in left] == ["tile/entries/000.p/4"], left

    def test_one_question_when_nothing_is_new(self, site):
        alice = site.person("alice")
        alice.run("list")
        site.hub.seen.clear()
        alice.run("list")
        assert site.hub.seen == ["/checkpoint"]

    def test_many_at_once(self, site):
        """Twelve commands on one cache: none fails, none breaks it."""
        alice = site.person("alice")
        site.hub.add(*[entry_by_hand(site.fleet, "alice", "request", {"n": i}) for i in range(2)])
        running = [alice.start("list", "--json") for _ in range(12)]
        for p in running:
            out, err = p.communicate(timeout=60)
            assert p.returncode == 0, err
        assert alice.request().id

    def test_without_a_log_section_it_says_so(self, site):
        alice = site.person("alice", trust="admins")
        asked = alice.request()
        assert "the log is not verified: trust.toml has no [log]" in asked.err, asked
        assert alice.state(asked.id) == "pending"
        r = alice.run("log", "verify", code=1)
        assert "[log]" in r.err and r.out == "", r

    def test_without_trust_at_all(self, site):
        alice = site.person("alice", trust=None)
        assert alice.state(alice.request().id) == "pending"


class TestAway:
    def test_down_and_back(self, site):
        alice, bob = site.person("alice"), site.person("bob")
        asked = alice.request()
        site.hub.stop()
        r = alice.run("show", asked.id, "--json")
        assert r.json["state"] == "pending"
        assert re.search(r"cannot be reached .*; reading goes on from the copy of \d\d:\d\d \(\d+s ago\)", r.err), r
        tried = alice.run("request", "login", "-t", "web-3", "-r", "x", code=3)
        assert "-o FILE" in tried.err and "hallpass carry HOST" in tried.err, tried
        carried = alice.run("revoke", asked.id, "--yes", "-o", "-")
        assert json.loads(carried.out)["payloadType"].startswith("application/vnd.hallpass.revocation")
        site.hub.start()
        bob.run("approve", asked.id, "--yes")
        assert alice.state(asked.id) == "active"

    def test_never_seen(self, site):
        alice = site.person("alice")
        site.hub.stop()
        r = alice.run("list", code=3)
        assert "cannot be reached" in r.err and "no copy" in r.err, r

    def test_no_policy_yet(self, tmp_path):
        site = Site(tmp_path)
        site.hub.entries, site.hub.policies = [], []
        assert "has no policy yet" in site.person("alice").run("list", code=3).err
        ana = site.person("ana")
        path = os.path.join(site.fleet.dir, "policy.toml")
        assert "Published version 1" in ana.run("policy", "publish", path).out
        assert "no grants" in ana.run("list").err
        site.hub.stop()

    def test_plain_files_only(self, site):
        """nginx with the same files: reading works, publishing says what to do."""
        alice = site.person("alice")
        asked = alice.request()
        site.hub.posts = False
        assert alice.state(asked.id) == "pending"
        assert "use the hub's own URL" in alice.run("revoke", asked.id, "--yes", code=3).err

    def test_stale_witness(self, site):
        alice = site.person("alice")
        alice.run("list")
        site.hub.age = 3600
        site.hub.add(entry_by_hand(site.fleet, "alice", "request", {}))
        assert "no witness has vouched for the log since" in alice.run("list").err

    def test_what_is_damaged_here_is_fetched_again(self, site):
        alice = site.person("alice")
        asked = alice.request()
        path = alice.cache + "/tile/entries/000.p/2"
        with open(path, "r+b") as f:
            f.write(b"\xff\xff\xff")
        assert alice.state(asked.id) == "pending"
        assert alice.run("log", "verify").code == 0


class TestLies:
    """Named in words, nothing of it taken, the old state still read."""

    @pytest.fixture
    def lied(self, site):
        """alice has seen three entries; what she asked for waits."""
        alice = site.person("alice")
        asked = alice.request()
        other = entry_by_hand(site.fleet, "bob", "request", {"x": 1})
        site.hub.add(other)
        alice.run("list")
        return site, alice, asked.id

    def check(self, lied, words, also=""):
        site, alice, asked = lied
        listed = alice.run("list", "--json")
        assert words in listed.err and "reading goes on from the copy" in listed.err.lower(), listed
        assert also in listed.err, listed
        assert [g["id"] for g in listed.json["grants"]] == [asked]
        verify = alice.run("log", "verify", code=1)
        assert words in verify.err and verify.out == "", verify
        with open(alice.cache + "/refused.checkpoint", "rb") as f:
            assert f.read().split(b"\n")[:3] == (site.hub.files.get("checkpoint") or site.hub.truth("checkpoint")).split(b"\n")[:3]

    def test_fork_of_the_same_size(self, lied):
        site = lied[0]
        site.hub.entries[2] = b'{"other":"history"}'
        self.check(lied, "the log has FORKED")

    def test_fork_that_grew(self, lied):
        site, alice, asked = lied
        site.hub.entries[1] = entry_by_hand(site.fleet, "bob", "request", {"x": 2}).encode()
        site.hub.add(entry_by_hand(site.fleet, "bob", "request", {"x": 3}))
        self.check(lied, "the log has FORKED")

    def test_rollback(self, lied):
        lied[0].hub.entries.pop()
        self.check(lied, "the log was ROLLED BACK")

    def test_other_key(self, lied):
        site = lied[0]
        site.hub.log_key = type(site.hub.log_key).generate()
        self.check(lied, "the log is NOT SIGNED as trust.toml wants")

    def test_no_witness(self, lied):
        hub = lied[0].hub
        hub.add(b"{}")
        hub.files["checkpoint"] = "\n".join(hub.note().split("\n")[:-2]).encode() + b"\n"
        self.check(lied, "the log is NOT SIGNED as trust.toml wants")

    def test_a_changed_entry(self, lied):
        hub = lied[0].hub
        hub.add(b'{"a":"1"}')
        hub.files["tile/entries/000.p/4"] = hub.truth("tile/entries/000.p/4").replace(b'{"a":"1"}', b'{"a":"2"}')
        self.check(lied, "the log is DAMAGED", "entry 3")

    def test_a_missing_entry(self, lied):
        hub = lied[0].hub
        hub.add(b'{"a":"1"}')
        hub.files["tile/entries/000.p/4"] = None
        self.check(lied, "the log LACKS a file")

    def test_no_note_at_all(self, lied):
        lied[0].hub.files["checkpoint"] = b"<html>login</html>"
        self.check(lied, "the log is MALFORMED")

    @pytest.mark.parametrize("change, words", [
        (lambda hub: hub.entries.pop(), "ROLLED BACK"),
        (lambda hub: hub.entries.__setitem__(1, b'{"x":1}'), "FORKED"),
        (lambda hub: (hub.entries.__setitem__(1, b'{"x":1}'), hub.add(b"{}")), "FORKED"),
        (lambda hub: (hub.add(b'{"a":"1"}'), hub.files.update({"tile/entries/000.p/4": hub.truth("tile/entries/000.p/4").replace(b'"1"', b'"2"')})), "DAMAGED"),
    ], ids=["rollback", "fork", "longer fork", "damage"])
    def test_seen_without_its_key_too(self, site, change, words):
        alice = site.person("alice", trust="admins")
        asked = alice.request().id
        site.hub.add(entry_by_hand(site.fleet, "bob", "request", {"x": 1}))
        alice.run("list")
        change(site.hub)
        listed = alice.run("list", "--json")
        assert words in listed.err and [g["id"] for g in listed.json["grants"]] == [asked], listed

    def test_first_sight_of_a_liar(self, site):
        site.hub.add(b'{"a":"1"}')
        site.hub.files["tile/entries/000.p/2"] = site.hub.truth("tile/entries/000.p/2").replace(b'"1"', b'"2"')
        r = site.person("alice").run("list", code=3)
        assert "DAMAGED" in r.err and "no copy" in r.err, r

    def test_honest_again(self, lied):
        site, alice, asked = lied
        gone = site.hub.entries.pop()
        alice.run("list")
        site.hub.add(gone)
        back = alice.run("list")
        assert "ROLLED" not in back.err and "copy" not in back.err and asked in back.out, back


class TestTokensAndTls:
    def test_token(self, tmp_path):
        site = Site(tmp_path, token="s3cret-token")
        with_token, without, wrong = site.person("alice"), site.person("bob", token=None), site.person("ana", token="wr0ng")
        assert with_token.request().id
        for who, words in ((without, "wants a token"), (wrong, "does not accept the token")):
            r = who.run("list", code=2)
            assert words in r.err and "wr0ng" not in r.err, r
        with_token.write("token", "stale\n")
        r = with_token.run("list")
        assert "does not accept the token" in r.err and "reading goes on" in r.err and "stale" not in r.err, r
        site.hub.stop()

    def test_a_token_goes_to_its_own_hub_only(self, tmp_path):
        site = Site(tmp_path, token="s3cret-token")
        other = Hub(token="s3cret-token")
        alice = site.person("alice")
        assert "wants a token" in alice.run("--hub", other.url, "list", code=2).err
        assert "two places" in alice.run("--hub", other.url, "--dir", "/tmp", "list", code=2).err
        site.hub.stop()
        other.stop()

    def test_client_certificate(self, tmp_path):
        os.mkdir(tmp_path / "ca")
        (certificate, key), authority = make_certificate(str(tmp_path / "ca"))
        site = Site(tmp_path, tls=(certificate, key), client_ca=authority)
        assert site.person("alice", hub_ca=authority, hub_certificate=certificate, hub_key=key).request().id
        assert "no copy" in site.person("bob", hub_ca=authority).run("list", code=3).err
        site.hub.stop()

    def test_own_authority(self, tmp_path):
        os.mkdir(tmp_path / "ca")
        certificate, authority = make_certificate(str(tmp_path / "ca"))
        site = Site(tmp_path, tls=certificate)
        assert site.person("alice", hub_ca=authority).request().id
        r = site.person("bob").run("list", code=3)
        assert "certificate" in r.err and "hub_ca" in r.err, r
        site.hub.stop()


class TestLive:
    def test_wait(self, site):
        alice, bob = site.person("alice"), site.person("bob")
        p = alice.start("request", "login", "--target", "db-1", "--reason", "r", "--wait")
        grant = until(lambda: bob.run("complete", "ids").out.strip() or not bob.run("list"))
        until(lambda: any(s.startswith("/v1/checkpoint?after=") for s in site.hub.seen))
        assert p.poll() is None
        began = time.time()
        bob.run("approve", grant, "--yes")
        out, err = p.communicate(timeout=10)
        assert p.returncode == 0 and "active until" in out, (out, err)
        assert time.time() - began < 4, "the long poll tells at once"

    def watch(self, who, *args):
        p = who.start("watch", *args)
        assert "watching" in p.stderr.readline()
        return p

    def test_watch_on_a_hub(self, site):
        alice, bob = site.person("alice"), site.person("bob")
        p = self.watch(bob)
        asked = alice.request().id
        line = p.stdout.readline()
        assert asked in line and "alice asks for login on db-1" in line and f"hallpass approve {asked}" in line, line
        bob.run("approve", asked, "--yes", "--comment", "go ahead")
        line = p.stdout.readline()
        assert "bob approves: go ahead" in line and "active until" in line and "ssh alice@db-1" in line, line
        alice.run("revoke", asked, "--yes")
        assert "alice revokes" in p.stdout.readline()
        p.send_signal(2)
        p.wait(timeout=5)
        assert p.returncode in (0, 130, -2)

    def test_watch_json_mine_and_the_end(self, site):
        alice, bob = site.person("alice"), site.person("bob")
        p = self.watch(alice, "--json", "--mine")
        bob.request(target="web-3")
        mine = alice.run("request", "login", "-t", "web-3", "-r", "short", "-d", "4s").id
        first, last = json.loads(p.stdout.readline()), json.loads(p.stdout.readline())
        assert first["event"] == "request" and first["grant"]["id"] == mine and first["was"] is None, first
        assert last["event"] == "state" and last["was"] == "active" and last["grant"]["state"] == "ended", last
        p.terminate()
        p.wait(timeout=5)

    def test_watch_on_a_directory(self, fleet):
        p = fleet.start("bob", "watch")
        assert "watching" in p.stderr.readline()
        asked = fleet.request()
        assert asked.id in p.stdout.readline()
        fleet.run("bob", "deny", asked.id, "--yes")
        assert "bob denies" in p.stdout.readline()
        p.terminate()
        p.wait(timeout=5)

    def test_watch_outlives_the_hub(self, site):
        alice, bob = site.person("alice"), site.person("bob")
        p = self.watch(bob)
        site.hub.stop()
        assert "reading goes on" in p.stderr.readline()
        site.hub.start()
        asked = alice.request().id
        assert asked in p.stdout.readline()
        p.terminate()
        p.wait(timeout=5)


class TestLog:
    def test_verify(self, site):
        alice = site.person("alice")
        alice.request()
        site.hub.add_epoch(0)
        r = alice.run("log", "verify", "--json").json
        assert r["size"] == 3 and r["statements"] == 1 and r["policies"] == 1 and r["epochs"] == 1 and r["from"] == 0, r
        assert r["origin"] == "acme-prod.log" and r["cosignatures"][0]["name"] == "acme-prod.witness" and r["cosignatures"][0]["age"] < 60, r
        assert r["root"] == site.hub.note().split("\n")[2]
        shown = alice.run("log", "verify", "--full").out
        assert "3 entries" in shown and "the first on" in shown and "acme-prod.witness" in shown, shown

    def test_verify_names_what_no_hub_may_take(self, site):
        """A statement whose signature is wrong, in a log that is otherwise in order."""
        alice = site.person("alice")
        alice.request()
        entry = json.loads(site.hub.entries[1])
        flipped = entry["signatures"][0]["sig"]
        entry["signatures"][0]["sig"] = flipped[:-8] + ("B" if flipped[-8] == "A" else "A") + flipped[-7:]
        site.hub.add(json.dumps(entry, separators=(",", ":")))
        r = alice.run("log", "verify", code=1)
        assert "entry 2 is nothing that a hub may take" in r.err, r

    def test_verify_from_the_epoch_and_in_full(self, site):
        alice = site.person("alice")
        site.hub.add(*[entry_by_hand(site.fleet, "mallory", "request", {"n": 1})] * 600)
        site.hub.add_epoch(520)
        assert alice.run("log", "verify", "--json").json["from"] == 512
        assert alice.run("log", "verify", "--full", "--json").json["from"] == 0
        site.hub.stop()
        r = alice.run("log", "verify", "--json")
        assert r.json["from"] == 512 and "verifying the copy that is here" in r.err, r
        assert "does not hold all" in alice.run("log", "verify", "--full", code=3).err
        site.hub.start()
        # Only who reads all of it sees what was changed long ago.
        site.hub.files["tile/entries/001"] = site.hub.truth("tile/entries/001").replace(b"DSSE", b"dsse").replace(b"sig", b"gis", 1)
        assert alice.run("log", "verify").code == 0
        assert "tile/entries/001" in alice.run("log", "verify", "--full", code=1).err

    def test_proofs_hold_for_others(self, site, tmp_path):
        alice, bob = site.person("alice"), site.person("bob")
        site.hub.add(*[entry_by_hand(site.fleet, "mallory", "request", {"n": 1})] * 270)
        asked = alice.request()
        bob.run("approve", asked.id, "--yes")
        out = tmp_path / "proofs"
        out.mkdir()
        printed = alice.run("log", "prove", asked.id, "-o", str(out), "--json").json
        assert len(printed["proofs"]) == 2 and printed["not_in_log"] == []
        for proof in printed["proofs"]:
            text = open(proof["file"]).read()
            index, size, entry = verify_proof(text, site.hub.vkeys())
            assert site.hub.entries[index] == entry and size == len(site.hub.entries) and index == proof["index"]
            spoiled = text.replace("index %d" % index, "index %d" % (index - 1))
            with pytest.raises(AssertionError):
                verify_proof(spoiled, site.hub.vkeys())
        both = alice.run("log", "prove", asked.id, "-o", "-").out
        assert both.count("c2sp.org/tlog-proof@v1\n") == 2
        assert "name a directory" in alice.run("log", "prove", asked.id, "-o", str(tmp_path / "one"), code=2).err

    def test_proofs_without_the_hub(self, site, tmp_path):
        """What carried grants need on the day when the hub is dead is in the copy."""
        alice = site.person("alice")
        site.hub.add(*[entry_by_hand(site.fleet, "mallory", "request", {"n": 1})] * 600)
        asked = alice.request(target="web-3")
        site.hub.stop()
        r = alice.run("log", "prove", asked.id, "-o", str(tmp_path / "p"))
        assert verify_proof(open(tmp_path / "p").read(), site.hub.vkeys())[0] == 601, r

    def test_tail(self, site):
        alice, bob = site.person("alice"), site.person("bob")
        asked = alice.request()
        site.hub.add(entry_by_hand(site.fleet, "mallory", "request", {"n": 1}))
        site.hub.add_epoch(0)
        lines = alice.run("log", "tail").out.splitlines()
        assert len(lines) == 4 and "policy version 1" in lines[0] and asked.id in lines[1] and "alice asks for login on db-1" in lines[1], lines
        assert "not by a key of the policy" in lines[2] and "epoch" in lines[3], lines
        got = alice.run("log", "tail", "-n", "2", "--json").json["entries"]
        assert [e["index"] for e in got] == [2, 3] and [e["kind"] for e in got] == ["unknown", "epoch"], got
        p = alice.start("log", "tail", "-n", "1", "-f", "--json")
        assert json.loads(p.stdout.readline())["index"] == 3
        bob.run("approve", asked.id, "--yes")
        assert json.loads(p.stdout.readline())["by"] == "bob"
        p.terminate()
        p.wait(timeout=5)

    def test_a_directory_has_no_log(self, fleet):
        for args in (["log", "verify"], ["log", "prove", "k7m3"], ["log", "tail"]):
            fleet.refused(2, "there is a log where there is a hub", None, *args)


class TestConfiguration:
    @pytest.mark.parametrize("text, words", [
        ('hub = "hub.example.org"\n', "write hub = \"https://hub.example.org\""),
        ('hub = "http://hub.example.org"\n', "unencrypted"),
        ('hub = "https://a:b@hub.example.org"\n', "password"),
        ('hub = "https://h"\ndir = "/srv/h"\n', "dir and hub are both set"),
        ('hub = "https://h"\nhub_certificate = "/c"\n', "go together"),
        ('hub_token_file = "token"\n', "relative path"),
    ])
    def test_mistakes(self, fleet, text, words):
        path = os.path.join(fleet.root, "c.toml")
        with open(path, "w") as f:
            f.write(text)
        p = subprocess.run([BIN, "--config", path, "list"], env=fleet.env, capture_output=True, text=True, check=False)
        assert p.returncode == 2 and words in p.stderr, p.stderr

    def test_empty_token_file(self, site):
        alice = site.person("alice", token="x")
        alice.write("token", "\n")
        assert "is empty" in alice.run("list", code=2).err
