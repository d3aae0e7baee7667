"""The hallpass command, from the first policy to the last revocation."""
import base64
import json
import os
import re
import subprocess
import time

import pytest
from fleet import Fleet, sign_by_hand, utc, verify_by_hand


def make_request(fleet, /, runbook="login", **changes):
    digest = next(r["digest"] for r in fleet.run(None, "policy", "show", "--json").json["runbooks"] if r["name"] == runbook)
    request = {"hallpass": "request/1", "fleet": "acme-prod", "subject": "alice", "runbook": runbook, "runbook_digest": digest, "parameters": {},
               "targets": ["host=db-1"], "duration": 900, "reason": "by hand", "ticket": "", "requested_at": utc(), "respond_by": utc(3600),
               "not_before": None, "nonce": "AAAAAAAAAAAAAAAAAAAAAA"}
    request.update(changes)
    return request


class TestStory:
    def test_ask_approve_end(self, fleet):
        asked = fleet.request()
        assert asked.code == 0, asked
        assert "waits for 1 approval of leads" in asked.out
        assert f"ana, ben or bob: hallpass approve {asked.id}" in asked.out
        assert fleet.state(asked.id) == "pending"

        listed = fleet.run("bob", "list")
        assert asked.id in listed.out and "pending" in listed.out and "502s on checkout" in listed.out

        approved = fleet.run("bob", "approve", asked.id[:6], "--yes", "--comment", "go ahead")
        assert approved.code == 0, approved
        assert "active until" in approved.out
        assert "502s on checkout" in approved.err and "yours is the last one needed" in approved.err
        assert fleet.state(asked.id) == "active"
        assert "approved by bob" in fleet.run(None, "explain", asked.id).out
        assert "bob" in fleet.run(None, "show", asked.id).out

        revoked = fleet.run("alice", "revoke", asked.id, "--yes", "--reason", "done")
        assert revoked.code == 0, revoked
        assert fleet.state(asked.id) == "revoked"
        assert asked.id not in fleet.run(None, "list").out
        assert asked.id in fleet.run(None, "list", "--all").out
        verbs = sorted(re.sub("^.{15}([a-z]+)-[0-9a-f]{8}.grant$", r"\1", n) for n in fleet.grants())
        assert verbs == ["approve", "request", "revoke"]
        assert all(os.stat(os.path.join(fleet.dir, n)).st_mode & 0o777 == 0o644 for n in fleet.grants())

    def test_self_service_is_active_at_once(self, fleet):
        r = fleet.request(target="web-3")
        assert r.code == 0 and "active until" in r.out and "ssh alice@web-3" in r.out, r

    def test_hosts_of_one_request_may_hear_different_answers(self, fleet):
        r = fleet.request(target="env=prod")
        assert "web-3: active until" in r.out and "db-1: pending" in r.out, r

    def test_commands_are_shown_with_parameters_filled_in(self, fleet):
        r = fleet.request("alice", "restart-web", "db-1", "--param", "service=nginx,php8.2-fpm", "--ticket", "INC-7")
        assert r.code == 0, r
        shown = fleet.run("bob", "approve", r.id, "--yes").err
        assert "as root: /usr/bin/systemctl {restart,reload} {nginx,php8.2-fpm}" in shown and "INC-7" in shown, shown

    def test_approval_may_shorten_and_narrow(self, fleet):
        r = fleet.request(target="env=prod,role=db")
        assert fleet.run("ana", "approve", r.id, "--yes", "--duration", "5m", "--target", "db-1").code == 0
        j = fleet.run(None, "show", r.id, "--json").json
        assert time.mktime(time.strptime(j["ends_at"], "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.strptime(j["starts_at"], "%Y-%m-%dT%H:%M:%SZ")) == 300
        decision = next(s for s in j["statements"] if s["kind"] == "approve")
        assert decision["duration"] == 300 and decision["targets"] == ["host=db-1"]

    def test_two_approvals(self, fleet):
        r = fleet.request(runbook="careful")
        first = fleet.run("bob", "approve", r.id, "--yes")
        assert "1 more approval is still needed after yours (ana or ben)" in first.err, first
        assert fleet.state(r.id) == "pending"
        assert fleet.run("ana", "approve", r.id, "--yes").code == 0
        assert fleet.state(r.id) == "active"

    def test_deny(self, fleet):
        r = fleet.request()
        assert fleet.run("ben", "deny", r.id, "--yes", "--comment", "not now").code == 0
        assert fleet.state(r.id) == "denied"
        assert "not now" in fleet.run(None, "list", "--all").out
        fleet.refused(1, "denied by ben", "ana", "approve", r.id, "--yes")

    def test_revoke_everything_of_a_person(self, fleet):
        ids = [fleet.request(target="web-3").id, fleet.request().id]
        other = fleet.request("bob", "login", "web-3").id
        fleet.refused(1, "only alice and admins", "bob", "revoke", "--subject", "alice", "--yes")
        assert fleet.run("ana", "revoke", "--subject", "alice", "--yes").code == 0
        assert [fleet.state(i) for i in ids] == ["revoked", "revoked"]
        assert fleet.state(other) == "active"
        assert any(n.startswith("subject-alice-revoke-") for n in fleet.grants())

    def test_revoke_a_key(self, fleet):
        r = fleet.request(target="web-3")
        shown = fleet.run("alice", "revoke", "--key", fleet.fingerprint("alice"), "--yes")
        assert shown.code == 0 and r.id in shown.err, shown
        assert fleet.state(r.id) == "void"
        assert any(n.startswith("key-revoke-") for n in fleet.grants())
        fleet.refused(1, ["would not admit", "nothing was written"], "alice", "request", "login", "-t", "web-3", "-r", "again")

    def test_asking_again_names_the_parameters(self, fleet):
        """The line to type was refused as it stood: it left out --param."""
        r = fleet.request("alice", "restart-web", "db-1", "--param", "service=nginx")
        assert fleet.run("bob", "deny", r.id, "--yes").code == 0
        said = fleet.run(None, "explain", r.id).out
        assert "hallpass request restart-web --param service=VALUE" in said, said

    def test_start_later(self, fleet):
        r = fleet.request("alice", "login", "web-3", "--not-before", "2h")
        assert "pending: starts at" in r.out, r
        j = fleet.run(None, "show", r.id, "--json").json
        assert j["step"] == "not_started" and j["starts_at"] == j["not_before"]


class TestWait:
    def start(self, fleet, *more):
        p = fleet.start("alice", "request", "login", "--target", "db-1", "--reason", "r", "--wait", *more)
        deadline = time.time() + 20
        while not fleet.grants() and time.time() < deadline:
            time.sleep(0.02)
        return p, fleet.run(None, "complete", "ids").out.strip()

    def test_until_active(self, fleet):
        p, grant = self.start(fleet)
        time.sleep(0.3)
        assert p.poll() is None
        assert fleet.run("bob", "approve", grant, "--yes").code == 0
        out, err = p.communicate(timeout=10)
        assert p.returncode == 0 and "active until" in out and "ssh alice@db-1" in out, (out, err)

    def test_until_denied(self, fleet):
        p, grant = self.start(fleet, "--json")
        assert fleet.run("bob", "deny", grant, "--yes").code == 0
        out, err = p.communicate(timeout=10)
        assert p.returncode == 1 and json.loads(out)["state"] == "denied", (out, err)

    def test_gives_up(self, fleet):
        p, grant = self.start(fleet, "--timeout", "1s")
        out, err = p.communicate(timeout=10)
        assert p.returncode == 1 and "not decided in time" in err, (out, err)
        assert fleet.state(grant) == "pending"


class TestRefusals:
    """Every one: its own exit code, why, what to do, and nothing written."""

    @pytest.mark.parametrize("words, args", [
        ("did you mean login?", ["logn", "-t", "web-3", "-r", "x"]),
        ("is no value for service (did you mean nginx?); choose from nginx and php8.2-fpm", ["restart-web", "-t", "web-3", "-r", "x", "-p", "service=ngnix"]),
        ("needs --param service=VALUE", ["restart-web", "-t", "web-3", "-r", "x"]),
        ("no parameter", ["login", "-t", "web-3", "-r", "x", "-p", "service=nginx"]),
        ("may last 2h at most, not 3h", ["login", "-t", "web-3", "-r", "x", "-d", "3h"]),
        ("--duration", ["login", "-t", "web-3", "-r", "x", "-d", "soon"]),
        ("--respond-by may be 24h at most", ["login", "-t", "web-3", "-r", "x", "--respond-by", "25h"]),
        ("is not a time", ["login", "-t", "web-3", "-r", "x", "--not-before", "tomorrow"]),
        ("is past", ["login", "-t", "web-3", "-r", "x", "--not-before", "2020-01-01T00:00:00Z"]),
        ("7 days ahead", ["login", "-t", "web-3", "-r", "x", "--not-before", "8d"]),
        ("target", ["login", "-t", "web 3", "-r", "x"]),
        ("approvers need to know why", ["login", "-t", "web-3", "-r", " "]),
        ("--reason", ["login", "-t", "web-3", "-r", "red \x1b[31m"]),
        ("--ticket", ["login", "-t", "web-3", "-r", "x", "--ticket", "a\u202eb"]),
        ("--reason is required", ["login", "-t", "web-3"]),
        ("unexpected: --colour", ["login", "-t", "web-3", "-r", "x", "--colour"]),
    ])
    def test_request_with_a_mistake(self, fleet, words, args):
        r = fleet.refused(2, words, "alice", "request", *args)
        assert "\x1b" not in r.err and "\u202e" not in r.err

    def test_request_that_no_rule_allows(self, fleet):
        fleet.refused(1, "no rule lets ana ask for login; those who may: sre", "ana", "request", "login", "-t", "web-3", "-r", "x")
        fleet.refused(1, "rule 1: it is for env=prod,role=web", "alice", "request", "login", "-t", "test-1", "-r", "x")

    def test_target_that_matches_no_host_is_a_warning(self, fleet):
        r = fleet.request(target="web-33")
        assert r.code == 0 and "web-33 matches no host of hosts.toml (did you mean web-3?)" in r.err, r

    def test_approving_own_request(self, fleet):
        r = fleet.request("bob", "login", "db-1")
        fleet.refused(1, ["your own request", "ana or ben can"], "bob", "approve", r.id, "--yes")

    def test_approving_without_a_place(self, fleet):
        r = fleet.request("bob", "login", "db-1")
        fleet.refused(1, ["alice is in no gate", "ana or ben can"], "alice", "approve", r.id, "--yes")

    def test_approving_what_needs_none(self, fleet):
        r = fleet.request(target="web-3")
        fleet.refused(1, "needs no approval", "bob", "approve", r.id, "--yes")

    def test_widening(self, fleet):
        r = fleet.request()
        fleet.refused(2, "can only give less", "bob", "approve", r.id, "--yes", "--duration", "1h")
        fleet.refused(2, "leaves none of the hosts", "bob", "approve", r.id, "--yes", "--target", "web-3")

    def test_without_a_terminal_nothing_is_signed_unasked(self, fleet):
        r = fleet.request()
        for verb in ("approve", "deny", "revoke"):
            fleet.refused(2, "--yes", "bob", verb, r.id)

    def test_denying_and_revoking_without_the_right(self, tmp_path):
        f = Fleet(tmp_path)
        f.write_policy(version=2, extra='[people.zoe]\nkeys = ["%s"]\n' % f.public("mallory"))
        f.sign_policy()
        r = f.request()
        f.refused(1, "zoe may not deny", "mallory", "deny", r.id, "--yes")
        f.refused(1, "zoe may not revoke", "mallory", "revoke", r.id, "--yes")

    def test_key_that_nobody_enrolled(self, fleet):
        r = fleet.refused(2, ["is not enrolled", "an admin can add it"], "mallory", "request", "login", "-t", "web-3", "-r", "x")
        assert fleet.public("mallory").split()[1] in r.err

    def test_key_of_somebody_else(self, fleet):
        fleet.refused(2, "is bob's, not alice's", "bob", "--as", "alice", "request", "login", "-t", "web-3", "-r", "x")

    def test_no_such_directory(self, fleet, tmp_path):
        for args in (["list"], ["request", "login", "-t", "web-3", "-r", "x"]):
            r = fleet.run(None, "--dir", str(tmp_path / "none"), *args)
            assert r.code == 2 or r.code == 3, r
        fleet.dir = str(tmp_path / "none")
        assert fleet.run("alice", "list").code == 3

    def test_directory_that_cannot_be_written(self, fleet):
        if os.geteuid() == 0:
            subprocess.run(["chattr", "+i", fleet.dir], capture_output=True)
            if subprocess.run(["touch", fleet.dir + "/x"], capture_output=True).returncode == 0:
                pytest.skip("root may write everywhere here")
        else:
            os.chmod(fleet.dir, 0o555)
        try:
            fleet.refused(3, "cannot", "alice", "request", "login", "-t", "web-3", "-r", "x")
        finally:
            subprocess.run(["chattr", "-i", fleet.dir], capture_output=True)
            os.chmod(fleet.dir, 0o755)

    def test_signing_that_fails(self, fleet):
        # A wrong passphrase: ssh-keygen gives up, and so do we.
        fleet.keygen("locked", passphrase="secret")
        fleet.write_policy(version=2, change=lambda t: t.replace(fleet.public("alice"), fleet.public("locked")))
        fleet.sign_policy()
        fleet.refused(4, "nothing was written", "locked", "request", "login", "-t", "web-3", "-r", "x", SSH_ASKPASS="/bin/false",
                      SSH_ASKPASS_REQUIRE="force")

    def test_unknown_ids(self, fleet):
        fleet.refused(2, "no grant zzzz", "bob", "approve", "zzzz", "--yes")
        fleet.refused(2, "is not a grant's id", "bob", "approve", "hello!", "--yes")

    def test_policy_that_does_not_parse(self, fleet):
        fleet.write("policy.toml", fleet.read("policy.toml").replace("threshold = 2", "threshold = \"2\""))
        fleet.refused(2, "policy.toml:9: error:", "alice", "request", "login", "-t", "web-3", "-r", "x")


def test_ambiguous_ids(fleet):
    ids = []
    while len({i[0] for i in ids}) == len(ids):  # 33 requests at most: a letter comes twice
        ids.append(fleet.request().id)
    twice = [i for i in ids if i[0] == ids[-1][0]]
    r = fleet.refused(2, f"ambiguous id {twice[0][0]}: ", "bob", "approve", twice[0][0], "--yes")
    assert all(i in r.err for i in twice)
    assert fleet.run("bob", "approve", twice[0].replace("-", "").upper(), "--yes").code == 0
    assert [fleet.state(i) for i in twice] == ["active", "pending"]


def test_two_people_approve_at_once(fleet):
    for _ in range(5):
        grant = fleet.request(runbook="careful").id
        both = [fleet.start(who, "approve", grant, "--yes") for who in ("bob", "ana")]
        for p in both:
            out, err = p.communicate(timeout=30)
            assert p.returncode == 0, (out, err)
        assert len([n for n in fleet.grants() if n.startswith(grant + "-approve-")]) == 2
        assert fleet.state(grant) == "active"


class TestInterop:
    def test_ours_verify_with_ssh_keygen(self, fleet):
        grant = fleet.request().id
        fleet.run("bob", "approve", grant, "--yes")
        fleet.run("alice", "revoke", grant, "--yes")
        for verb, kind, who in (("request", "request", "alice"), ("approve", "decision", "bob"), ("revoke", "revocation", "alice")):
            name = next(n for n in fleet.grants() if f"-{verb}-" in n)
            payload = verify_by_hand(fleet, who, fleet.read(name), kind)
            assert payload["fleet"] == "acme-prod"
        verify_by_hand_policy = json.loads(fleet.read("policy.toml.sig"))
        assert len(verify_by_hand_policy["signatures"]) == 2
        with pytest.raises(subprocess.CalledProcessError):
            name = next(n for n in fleet.grants() if "-request-" in n)
            verify_by_hand(fleet, "bob", fleet.read(name), "request")

    def test_signed_by_hand_is_accepted(self, fleet):
        line, digest = sign_by_hand(fleet, "alice", "request", make_request(fleet))
        fleet.write("anything.grant", line + "\n")
        grant = fleet.run(None, "complete", "ids").out.strip()
        assert fleet.state(grant) == "pending"
        decision = {"hallpass": "decision/1", "fleet": "acme-prod", "request": digest, "by": "bob", "decision": "approve", "duration": 60, "targets": None,
                    "decided_at": utc(), "comment": ""}
        line, _ = sign_by_hand(fleet, "bob", "decision", decision)
        fleet.write("more.grant", line + "\n")
        assert fleet.state(grant) == "active"
        revocation = {"hallpass": "revocation/1", "fleet": "acme-prod", "subject": "alice", "by": "ana", "revoked_at": utc(1), "reason": ""}
        line, _ = sign_by_hand(fleet, "ana", "revocation", revocation)
        fleet.write("last.grant", line + "\n")
        assert fleet.state(grant) == "revoked"

    @pytest.mark.parametrize("why, who, change, namespace", [
        ("control characters in the reason", "alice", {"reason": "\x1b]0;owned\x07"}, None),
        ("another fleet", "alice", {"fleet": "acme-test"}, None),
        ("another version", "alice", {"hallpass": "request/2"}, None),
        ("an unknown member", "alice", {"extra": 1}, None),
        ("somebody else's key", "bob", {}, None),
        ("a key that nobody enrolled", "mallory", {}, None),
        ("the wrong namespace", "alice", {}, "decision@hallpass"),
    ])
    def test_signed_by_hand_but_wrong(self, fleet, why, who, change, namespace):
        line, _ = sign_by_hand(fleet, who, "request", make_request(fleet, **change), namespace)
        fleet.write("wrong.grant", line + "\n")
        r = fleet.run(None, "list", "--all", "--verbose")
        assert "no grants here" in r.err and "ignored wrong.grant:1: " in r.err, r
        assert "\x1b" not in r.err + r.out


class TestCarried:
    """A grant file that travels by mail."""

    def test_by_pipes(self, fleet):
        asked = fleet.run("alice", "request", "login", "-t", "db-1", "-r", "x", "-o", "-")
        assert asked.code == 0 and fleet.grants() == [], asked
        approved = fleet.run("bob", "approve", "-", "--yes", "-o", "-", stdin=asked.out)
        assert approved.code == 0 and len(approved.out.splitlines()) == 2 and fleet.grants() == [], approved
        shown = fleet.run(None, "show", "-", "--json", stdin=approved.out)
        assert shown.json["state"] == "active"
        denied = fleet.run("ana", "deny", "-", "--yes", stdin=approved.out)
        assert denied.code == 0, denied
        assert len(fleet.grants()) == 3  # a decision alone would be about nothing there
        assert fleet.state(shown.json["id"]) == "denied"

    def test_by_files(self, fleet, tmp_path):
        path = str(tmp_path / "mail.grant")
        assert fleet.run("alice", "request", "login", "-t", "db-1", "-r", "x", "-o", path).code == 0
        fleet.refused(2, "mail.grant", "alice", "request", "login", "-t", "db-1", "-r", "x", "-o", path)
        assert fleet.run("bob", "approve", path, "--yes").code == 0
        assert sorted(n[15:-15] for n in fleet.grants()) == ["approve", "request"]

    def test_what_is_no_grant(self, fleet):
        fleet.refused(2, "holds no request", "bob", "approve", "-", "--yes", stdin="hello\n")
        two = "".join(fleet.run("alice", "request", "login", "-t", "db-1", "-r", "x", "-o", "-").out for _ in range(2))
        fleet.refused(2, "holds 2 requests", "bob", "approve", "-", "--yes", stdin=two)


class TestKeys:
    def test_found_in_ssh_directory(self, fleet):
        os.mkdir(fleet.home + "/.ssh")
        for ext in ("", ".pub"):
            os.link(fleet.key("alice") + ext, f"{fleet.home}/.ssh/id_ed25519{ext}")
        r = fleet.request(None, "login", "web-3")
        assert r.code == 0 and "ssh alice@web-3" in r.out, r

    def test_configuration(self, fleet):
        os.makedirs(fleet.home + "/.config/hallpass")
        with open(fleet.home + "/.config/hallpass/config.toml", "w") as f:
            f.write(f'dir = "{fleet.dir}"\nme = "alice"\nkey = "{fleet.key("alice")}"\n')
        p = subprocess.run([fleet.command(None)[0], "request", "login", "-t", "web-3", "-r", "x"], env=fleet.env, capture_output=True, text=True)
        assert p.returncode == 0, p
        mine = subprocess.run([fleet.command(None)[0], "list", "--mine"], env=fleet.env, capture_output=True, text=True)
        assert "alice" in mine.stdout, mine
        with open(fleet.home + "/.config/hallpass/config.toml", "a") as f:
            f.write('colour = "blue"\n')
        p = subprocess.run([fleet.command(None)[0], "list"], env=fleet.env, capture_output=True, text=True)
        assert p.returncode == 2 and "config.toml:4: error:" in p.stderr, p

    def test_agent(self, fleet):
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", fleet.root + "/agent"], env=fleet.env, stdout=subprocess.DEVNULL)
        try:
            deadline = time.time() + 10
            while not os.path.exists(fleet.root + "/agent") and time.time() < deadline:
                time.sleep(0.01)
            fleet.env["SSH_AUTH_SOCK"] = fleet.root + "/agent"
            subprocess.run(["ssh-add", "-q", fleet.key("alice")], env=fleet.env, check=True, capture_output=True)
            os.unlink(fleet.key("alice"))
            found = fleet.request(None, "login", "web-3")
            assert found.code == 0, found
            by_print = fleet.run(None, "--key", fleet.fingerprint("alice"), "request", "login", "-t", "web-3", "-r", "x")
            assert by_print.code == 0, by_print
            by_file = fleet.run(None, "--key", fleet.key("alice") + ".pub", "request", "login", "-t", "web-3", "-r", "x")
            assert by_file.code == 0, by_file
            fleet.refused(2, "ssh-agent holds no key", None, "--key", fleet.fingerprint("bob"), "request", "login", "-t", "web-3", "-r", "x")
        finally:
            agent.terminate()
            agent.wait()

    def test_who_are_you(self, fleet):
        fleet.refused(2, "who are you?", None, "request", "login", "-t", "web-3", "-r", "x")
        fleet.refused(2, ["none of alice's enrolled keys", fleet.fingerprint("alice")], None, "--as", "alice", "request", "login", "-t", "web-3", "-r", "x")
        fleet.refused(2, "did you mean alice?", None, "--as", "alcie", "request", "login", "-t", "web-3", "-r", "x")

    @pytest.mark.parametrize("key_type", ["ecdsa", "rsa"])
    def test_other_key_types(self, fleet, key_type):
        fleet.keygen("other", key_type)
        fleet.write_policy(version=2, change=lambda t: t.replace(fleet.public("alice"), fleet.public("other")))
        fleet.sign_policy()
        assert fleet.request("other", "login", "web-3").code == 0


class TestSecurityKeys:
    """A FIDO key made of software: what it proves is set by its environment."""

    @pytest.fixture(params=["ed25519-sk", "ecdsa-sk"])
    def touching(self, request, tmp_path, software_key):
        return Fleet(tmp_path, presence="touch", careful="verified", key_type=request.param, sk=software_key)

    def test_touch(self, touching):
        r = touching.request(target="web-3")
        assert r.code == 0 and "active" in r.out, r

    def test_no_touch(self, touching):
        touching.refused(4, ["must be touched", "nothing was written"], "alice", "request", "login", "-t", "web-3", "-r", "x", SK_SOFT_NOUP="1")
        grant = touching.request().id
        touching.refused(4, ["must be touched", "nothing was written"], "bob", "approve", grant, "--yes", SK_SOFT_NOUP="1")
        assert touching.run("bob", "approve", grant, "--yes").code == 0
        assert touching.state(grant) == "active"

    def test_verified(self, touching):
        touching.refused(4, ["wants verification", "nothing was written"], "alice", "request", "careful", "-t", "db-1", "-r", "x")
        grant = touching.request("alice", "careful", "db-1", SK_SOFT_UV="1").id
        touching.refused(4, "wants verification", "bob", "approve", grant, "--yes")
        for who in ("bob", "ana"):
            assert touching.run(who, "approve", grant, "--yes", SK_SOFT_UV="1").code == 0
        assert touching.state(grant) == "active"

    def test_not_even_a_denial_without_touch(self, touching):
        grant = touching.request("alice", "careful", "db-1", SK_SOFT_UV="1").id
        touching.refused(4, ["must be touched", "nothing was written"], "bob", "deny", grant, "--yes", SK_SOFT_NOUP="1")
        # More than a touch is not asked of it, whatever the rule wants of approvals.
        assert touching.run("bob", "deny", grant, "--yes").code == 0
        assert touching.state(grant) == "denied"

    def test_policy_without_touch(self, touching):
        touching.write_policy(version=2)
        touching.refused(4, ["must be touched", "nothing was written"], "ana", "policy", "sign", "--yes", SK_SOFT_NOUP="1")

    def test_ordinary_key_where_touch_is_wanted(self, tmp_path):
        f = Fleet(tmp_path, presence="touch")
        f.refused(1, "it wants a security key's touch", "alice", "request", "login", "-t", "web-3", "-r", "x")


class TestJunk:
    def test_is_counted_and_named_on_demand(self, fleet):
        grant = fleet.request().id
        good = fleet.read(fleet.grants()[0])
        os.mkfifo(fleet.dir + "/fifo.grant")
        os.symlink("/etc/passwd", fleet.dir + "/link.grant")
        os.mkdir(fleet.dir + "/dir.grant")
        fleet.write("empty.grant", "")
        fleet.write("text.grant", "hello\n")
        fleet.write("evil\x1b[31m.grant", "{}\n")
        fleet.write("deep.grant", "[" * 1000 + "]" * 1000 + "\n")
        fleet.write("flipped.grant", good.replace('"sig":"U1NI', '"sig":"U1NJ'))
        with open(fleet.dir + "/binary.grant", "wb") as f:
            f.write(b"\xff\xfe\x00\n" * 3)
        with open(fleet.dir + "/big.grant", "wb") as f:
            f.truncate(10 * 1024 * 1024)
        r = fleet.run(None, "list")
        assert r.code == 0 and grant in r.out, r
        assert len(r.err.splitlines()) == 1 and "ignored" in r.err, r
        named = fleet.run(None, "list", "--verbose")
        for name in ("fifo", "link", "dir", "text", "deep", "flipped", "binary", "big"):
            assert f"ignored {name}.grant" in named.err, named
        assert "\x1b" not in named.err

    def test_ten_thousand_files(self, fleet):
        grant = fleet.request().id
        for i in range(10000):
            fleet.write(f"{i}.grant", "x\n")
        started = time.time()
        r = fleet.run(None, "list")
        assert grant in r.out and "ignored 10000 entries" in r.err, r
        assert time.time() - started < 20


class TestPolicy:
    def test_init_check_sign(self, fleet, tmp_path):
        new = str(tmp_path / "new")
        fleet.dir = new
        r = fleet.run(None, "policy", "init", "--fleet", "acme-test", "--person", f"alice={fleet.key('alice')}.pub", "--person",
                      f"bob={fleet.key('bob')}.pub", "--admin", "bob")
        assert r.code == 0, r
        assert fleet.run(None, "policy", "check").code == 0
        fleet.refused(1, "is there already", None, "policy", "init", "--fleet", "x", "--person", f"a={fleet.key('ana')}")
        assert "complete" in fleet.run("bob", "policy", "sign", "--yes").out
        assert fleet.request("alice", "login", "env=prod").code == 0
        # The trust.toml it wrote is one that verifies the policy.
        os.makedirs(fleet.home + "/.config/hallpass")
        os.link(new + "/trust.toml", fleet.home + "/.config/hallpass/trust.toml")
        assert fleet.run(None, "policy", "show", "--json").json["trust"] == "verified"

    def test_init_asks(self, fleet, tmp_path):
        fleet.dir = str(tmp_path / "asked")
        code, seen = fleet.on_terminal(None, "policy", "init", USER="alice", answers=[
            ("fleet", "acme-asked\n"), ("Your name", "\n"), ("Your key file", "/nowhere\n"), ("cannot open", fleet.key("alice") + ".pub\n"),
            ("Another person", "bob\n"), ("bob's public key", fleet.key("bob") + ".pub\n"), ("no more)", "\n"), ("First runbook", "shell\n"),
            ("account", "deploy\n"), ("which hosts", "role=web\n")])
        assert code == 0, seen
        text = fleet.read("policy.toml")
        assert 'fleet       = "acme-asked"' in text and "[runbooks.shell]" in text and '"deploy"' in text and "[people.bob]" in text
        assert fleet.run(None, "policy", "check").code == 0

    def test_init_without_answers(self, fleet, tmp_path):
        fleet.dir = str(tmp_path / "none")
        r = fleet.run(None, "policy", "init")
        assert r.code == 2 and "--fleet NAME and --person NAME=KEYFILE" in r.err and not os.path.exists(fleet.dir)

    def test_check_names_line_and_cure(self, fleet):
        fleet.write("bad.toml", fleet.read("policy.toml").replace('max_duration = "2h"', 'max_duration = "9d"').replace("requesters", "requestors", 1))
        r = fleet.run(None, "policy", "check", fleet.dir + "/bad.toml")
        assert r.code == 1 and re.search(r"bad.toml:\d+: error: .*over 7 days", r.out) and "requesters" in r.out, r
        j = fleet.run(None, "policy", "check", fleet.dir + "/bad.toml", "--json")
        assert j.code == 1 and not j.json["ok"] and all(d["line"] > 0 for d in j.json["diagnostics"] if d["severity"] == "error")

    def test_check_unknown_zone(self, fleet):
        fleet.write("zone.toml", fleet.read("policy.toml") + 'hours = ["Mon-Fri 07:00-19:00 Europe/Berlni"]\n')
        r = fleet.run(None, "policy", "check", fleet.dir + "/zone.toml")
        assert r.code == 1 and "Europe/Berlni" in r.out, r

    def test_check_for_an_older_fleet(self, fleet):
        assert fleet.run(None, "policy", "check", "--for", "1").code == 0

    def test_check_against_live_grants(self, fleet):
        live, other = fleet.request(target="web-3").id, fleet.request("bob", "login", "web-3").id
        current = fleet.read("policy.toml")
        fleet.write("next.toml", current.replace('sre   = ["alice", "bob"]', 'sre   = ["bob"]').replace("version     = 1", "version     = 2"))
        r = fleet.run(None, "policy", "check", fleet.dir + "/next.toml", "--against", fleet.dir)
        assert r.code == 0 and f"would void {live}" in r.out and other not in r.out, r

    def test_sign_shows_changes_and_keeps_copies(self, fleet):
        assert sorted(n for n in os.listdir(fleet.dir) if n.startswith("policy-")) == ["policy-1.toml", "policy-1.toml.sig"]
        fleet.write_policy(version=2, change=lambda t: t.replace('max_duration = "2h"', 'max_duration = "90m"'))
        r = fleet.run("ana", "policy", "sign", "--yes")
        assert r.code == 0 and "~ runbook login" in r.err and "1 of 2" in r.out and "ben" in r.out, r
        assert "policy-2.toml" not in os.listdir(fleet.dir)
        assert "unsigned" in fleet.run(None, "policy", "show").out
        again = fleet.run("ana", "policy", "sign", "--yes")
        assert "1 of 2" in again.out, again
        done = fleet.run("ben", "policy", "sign", "--yes")
        assert "complete" in done.out and fleet.read("policy-2.toml") == fleet.read("policy.toml"), done
        assert fleet.read("policy-2.toml.sig") == fleet.read("policy.toml.sig")

    def test_versions_only_go_up(self, fleet):
        fleet.write_policy(version=1, change=lambda t: t + "# changed\n")
        fleet.refused(1, "write version = 2", "ana", "policy", "sign", "--yes")

    def test_only_admins_sign(self, fleet):
        fleet.write_policy(version=2)
        fleet.refused(1, "alice is no admin; ana and ben sign", "alice", "policy", "sign", "--yes")
        fleet.refused(2, "--yes", "ana", "policy", "sign")

    def test_new_admins_need_old_and_new(self, fleet):
        fleet.write_policy(version=2, change=lambda t: t.replace('people    = ["ana", "ben"]', 'people    = ["bob", "ben"]'))
        for who, words in (("bob", "more must sign"), ("ben", "more must sign"), ("ana", "complete")):
            r = fleet.run(who, "policy", "sign", "--yes")
            assert r.code == 0 and words in r.out, r

    def test_two_admins_sign_at_once(self, fleet):
        for version in (2, 3, 4):
            fleet.write_policy(version=version)
            both = [fleet.start(who, "policy", "sign", "--yes") for who in ("ana", "ben")]
            assert [p.wait(30) for p in both] == [0, 0]
            assert len(json.loads(fleet.read("policy.toml.sig"))["signatures"]) == 2
            assert f"policy-{version}.toml" in os.listdir(fleet.dir)

    def test_unsigned_policy_warns_before_signing(self, fleet):
        fleet.write_policy(version=2)
        r = fleet.request()
        assert r.code == 0 and "does not belong to it" in r.err, r
        os.unlink(fleet.dir + "/policy.toml.sig")
        r = fleet.request()
        assert r.code == 0 and "nobody has signed it" in r.err, r

    def test_wrong_trust(self, fleet):
        os.makedirs(fleet.home + "/.config/hallpass")
        with open(fleet.home + "/.config/hallpass/trust.toml", "w") as f:
            f.write(f'fleet = "acme-prod"\n[admins]\nthreshold = 1\n[admins.people]\nmallory = ["{fleet.public("mallory")}"]\n')
        r = fleet.run(None, "policy", "show")
        assert "unsigned" in r.out and "trust.toml says no" in r.out, r


class TestTerminal:
    def test_question_before_signing(self, fleet):
        grant = fleet.request().id
        code, seen = fleet.on_terminal("bob", "approve", grant, answers=[("[y/N]", "n\n")])
        assert code == 1 and "502s on checkout" in seen and "nothing was signed" in seen, seen
        assert fleet.state(grant) == "pending"
        code, seen = fleet.on_terminal("bob", "approve", grant, answers=[("[y/N]", "y\n")])
        assert code == 0 and "active until" in seen, seen
        assert fleet.state(grant) == "active"

    def test_end_of_input_is_no(self, fleet):
        grant = fleet.request().id
        code, seen = fleet.on_terminal("bob", "approve", grant, answers=[("[y/N]", "\x04")])
        assert code == 1, seen
        assert fleet.state(grant) == "pending"

    def test_passphrase_is_asked_on_the_terminal(self, fleet):
        fleet.keygen("locked", passphrase="secret")
        fleet.write_policy(version=2, change=lambda t: t.replace(fleet.public("alice"), fleet.public("locked")))
        fleet.sign_policy()
        code, seen = fleet.on_terminal("locked", "request", "login", "-t", "web-3", "-r", "x", answers=[("Enter passphrase", "secret\n")])
        assert code == 0 and "active until" in seen, seen

    def test_touch_prompt_is_seen(self, tmp_path, software_key):
        f = Fleet(tmp_path, presence="touch", key_type="ed25519-sk", sk=software_key)
        code, seen = f.on_terminal("alice", "request", "login", "-t", "web-3", "-r", "x")
        assert code == 0 and "Confirm user presence" in seen, seen

    def test_colours_and_width(self, fleet):
        grant = fleet.run("alice", "request", "login", "-t", "web-3", "-r", "a reason that is long " * 10).id
        _, seen = fleet.on_terminal(None, "list", columns=80)
        assert "\x1b[32mactive" in seen, seen
        plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", seen)
        assert all(len(line) <= 80 for line in plain.splitlines()) and "…" in plain and grant in plain, plain
        for extra, env in ((["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})):
            assert "\x1b[3" not in fleet.on_terminal(None, "list", *extra, **env)[1]
        assert "\x1b" not in fleet.run(None, "list").out

    def test_times_are_local(self, fleet):
        r = fleet.request("alice", "login", "web-3", "--duration", "1h30m")
        end = time.strptime(fleet.run(None, "show", r.id, "--json").json["ends_at"], "%Y-%m-%dT%H:%M:%SZ")
        os.environ["TZ"] = "Europe/Berlin"
        time.tzset()
        import calendar
        assert time.strftime("%H:%M", time.localtime(calendar.timegm(end))) in r.out, r
        assert "(1h 30m left)" in r.out or "(1h30m left)" in r.out or "1h29m" in r.out, r


class TestSmall:
    def test_help_and_version(self, fleet):
        for args in (["--help"], ["request", "--help"], ["policy", "sign", "--help"]):
            r = fleet.run(None, *args)
            assert r.code == 0 and "Usage" in r.out, r
        assert re.fullmatch(r"hallpass \d+\.\d+\.\d+\n", fleet.run(None, "version").out)
        fleet.refused(2, "what to do? request, approve", None)
        fleet.refused(2, "no command frobnicate; there are request", None, "frobnicate")
        fleet.refused(2, "no command lst (did you mean list?)", None, "lst")
        fleet.refused(2, ["no command chek (did you mean check?)", "hallpass policy --help"], None, "policy", "chek")

    def test_last_of_a_global_option_counts(self, fleet):
        # As with an alias that holds --dir.
        assert fleet.run(None, "--dir", "/nowhere", "--dir", fleet.dir, "list").code == 0

    def test_hosts_file_without_hosts_says_nothing(self, fleet):
        fleet.write("hosts.toml", "# none yet\n")
        r = fleet.request(target="db-1")
        assert r.code == 0 and "matches no host" not in r.err, r
        assert "no host of" not in fleet.run(None, "show", r.id).out

    def test_completion_words(self, fleet):
        grant = fleet.request().id
        words = {w: fleet.run(None, "complete", *w.split()).out.split() for w in ("runbooks", "ids", "people", "hosts", "params restart-web")}
        assert words["runbooks"] == ["careful", "login", "restart-web"] and words["ids"] == [grant]
        assert words["people"] == ["alice", "ana", "ben", "bob"] and "web-3" in words["hosts"]
        assert words["params restart-web"] == ["service=nginx", "service=php8.2-fpm"]
        assert fleet.run(None, "--dir", "/nowhere", "complete", "ids").code in (0, 2)

    def test_completion_runs_nothing(self, fleet):
        """Whoever may write the directory writes parameters too; the policy need not be signed for a look at its words."""
        mark = os.path.join(fleet.root, "ran")
        fleet.write_policy(change=lambda text: text.replace('"php8.2-fpm"]', f'"php8.2-fpm", "$(touch {mark})", "`touch${{IFS}}{mark}`"]'))
        assert fleet.run(None, "complete", "params", "restart-web").out.split() == ["service=nginx", "service=php8.2-fpm"]
        completion = os.path.join(os.path.dirname(__file__), "../../packaging/completions/hallpass.bash")
        words = f"'service=$(touch {mark})' 'service=`touch {mark}`' service=nginx"  # an older hallpass prints all
        script = (f"hallpass() {{ printf '%s\\n' {words}; }}\ncompopt() {{ :; }}\nsource '{completion}'\n"
                  "COMP_WORDS=(hallpass request restart-web -p '') COMP_CWORD=4\n_hallpass\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n")
        r = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert r.stdout == "service=nginx\n" and not os.path.exists(mark), r

    @pytest.mark.parametrize("words", ["host status", "host end 5", "time", "time --json", "done", "done --yes"])
    def test_host_without_agent(self, fleet, words):
        if os.path.exists("/usr/libexec/hallpass/ctl"):
            pytest.skip("this machine has the agent's tool")
        # Neither of which such a command needs.
        fleet.write("broken.toml", "dir = ")
        r = fleet.run(None, "--config", os.path.join(fleet.dir, "broken.toml"), *words.split())
        typed = "host" if words.startswith("host") else words.split()[0]
        assert r.code == 1 and f"type `hallpass {typed}` on the production host" in r.err, r

    def test_host_tools_with_a_mistake(self, fleet):
        fleet.refused(2, "unexpected: 5", None, "time", "5")
        fleet.refused(2, "unexpected: 5", None, "done", "5")
        assert "how long" in fleet.run(None, "time", "--help").out

    @pytest.mark.parametrize("typed,words", [
        (["time", ""], "--json"), (["done", ""], "--yes"), (["do"], "done"), (["host", ""], "status check sessions end observed enable confirm disable activation self-test clock ledger"),
        (["host", "end", ""], "5 logind-9"), (["host", "end", "l"], "logind-9"), (["host", "end", "5", "--r"], "--reason")])
    def test_completion_of_host_commands(self, typed, words):
        completion = os.path.join(os.path.dirname(__file__), "../../packaging/completions/hallpass.bash")
        table = "SESSION WHO\\n5 alice\\nlogind-9 bob\\n"
        script = (f"hallpass() {{ [ \"$*\" = 'host sessions' ] && printf '{table}'; }}\nsource '{completion}'\n"
                  f"COMP_WORDS=(hallpass {' '.join(w or repr('') for w in typed)}) COMP_CWORD={len(typed)}\n"
                  "_hallpass\necho \"${COMPREPLY[@]}\"\n")
        r = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert r.stdout.strip() == words, r

    def test_json_of_a_list(self, fleet):
        fleet.request()
        grants = fleet.run(None, "list", "--json").json["grants"]
        assert len(grants) == 1 and grants[0]["state"] == "pending" and grants[0]["hosts"] == ["db-1"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", grants[0]["requested_at"])

    def test_list_filters(self, fleet):
        mine, other = fleet.request().id, fleet.request("bob", "login", "web-3").id
        assert fleet.run("alice", "list", "--mine").out.count("\n") == 2 and mine in fleet.run("alice", "list", "--mine").out
        assert other in fleet.run(None, "list", "--state", "active").out
        assert mine not in fleet.run(None, "list", "--state", "active").out
        fleet.refused(2, "is no state", None, "list", "--state", "open")

    def test_explain_for_a_host(self, fleet):
        grant = fleet.request(target="env=prod").id
        assert "active" in fleet.run(None, "explain", grant, "--host", "web-3").out
        assert "waits for 1 approval" in fleet.run(None, "explain", grant, "--host", "db-1").out
        r = fleet.run(None, "explain", grant, "--host", "web-9")
        assert r.code == 0 and "is not in hosts.toml" in r.err, r

    def test_full_disk_behind_stdout(self, fleet):
        with open("/dev/full", "w") as full:
            p = subprocess.run(fleet.command(None, "policy", "show"), env=fleet.env, stdout=full, stderr=subprocess.PIPE, text=True)
        assert p.returncode == 3 and "standard output" in p.stderr, p

    def test_nothing_of_base64_leaks_into_temporary_directories(self, fleet, tmp_path):
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        assert fleet.request(TMPDIR=str(scratch)).code == 0
        assert os.listdir(scratch) == []
        assert base64.b64decode(json.loads(fleet.read(fleet.grants()[0]))["payload"])
