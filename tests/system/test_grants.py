"""What statements and policies do to access on a host."""
import time

import pytest

from .lib.fleet import Fleet
from .lib.host import eventually
from .lib.site import INBOX


def test_a_request_alone_waits_for_its_approval(site):
    request = site.put(site.fleet.request("alice"))
    site.settle()
    site.assert_refused("alice", "alice", "leads")
    site.put(site.fleet.approve(request))
    site.await_admitted("alice", site.fleet.key("alice"))
    site.assert_in("alice", "alice")
    site.cease(request)


def test_one_file_with_all_statements_and_the_same_twice(site):
    request = site.fleet.request("alice")
    approval = site.fleet.approve(request)
    site.host.write(f"{INBOX}/all.grant", "\n".join([approval.line, request.line, approval.line, request.line]) + "\n")
    site.await_admitted("alice", site.fleet.key("alice"))
    site.put(approval)
    site.settle()
    site.assert_in("alice", "alice")
    site.cease(request)
    site.await_refused("alice", site.fleet.key("alice"))


def test_the_subject_does_not_approve_himself(site):
    request = site.fleet.request("bob")
    site.put(request, site.fleet.approve(request, "bob"))
    site.settle()
    site.assert_refused("bob", "bob", "leads")
    site.put(site.fleet.approve(request, "carol"))
    site.await_admitted("bob", site.fleet.key("bob"))
    site.cease(request)


def test_someone_outside_the_gate_does_not_count(site):
    request = site.fleet.request("alice")
    site.put(request, site.fleet.approve(request, "ana"))
    site.settle()
    site.assert_refused("alice", "alice", "leads")
    site.put(site.fleet.deny(request))


def test_a_grant_for_another_host_opens_nothing_here(site):
    request = site.fleet.request("alice", targets=["host=db-1"])
    site.put(request, site.fleet.approve(request))
    site.settle()
    site.assert_refused("alice", "alice")


def test_an_approval_narrowed_to_another_host_opens_nothing_here(site):
    request = site.fleet.request("alice", targets=["env=prod"])
    site.put(request, site.fleet.approve(request, targets=["host=db-1"]))
    site.settle()
    site.assert_refused("alice", "alice")
    site.put(site.fleet.deny(request))


def test_statements_of_another_fleet(site, new_fleet):
    other = new_fleet("acme-test", people=(), directory=site.fleet.dir)
    other.keys = site.fleet.keys
    request = other.request("alice")
    before = site.host.cursor()
    site.put(request, other.approve(request))
    site.settle()
    site.assert_refused("alice", "alice")
    entry = site.host.await_journal(HALLPASS_EVENT="statement_refused", after=before,
                                    where=lambda e: request.file in str(e.get("HALLPASS_FILE")))
    assert "fleet" in entry["HALLPASS_WHY"]
    # The same words, in our fleet's name, signed for ours: they count. So it was the fleet.
    ours = site.grant("alice")
    site.cease(ours)


def test_a_policy_of_another_fleet_by_the_same_admins(new_site, new_fleet):
    site = new_site()
    other = new_fleet("acme-test", people=(), directory=site.fleet.dir)
    other.keys, other.version = site.fleet.keys, 8
    other.rules = [other.rule(["login", "quick", "deploy"], ["sre", "leads"])]   # it would let everyone in
    text = other.policy()
    before = site.host.cursor()
    site.host.write(f"{INBOX}/policy.toml.sig", other.sign_policy(text))
    site.host.write(f"{INBOX}/policy.toml", text)
    entry = site.host.await_journal(HALLPASS_EVENT="policy_refused", after=before)
    assert "fleet" in entry["HALLPASS_WHY"]
    request = site.put(site.fleet.request("alice"))
    site.settle()
    site.assert_refused("alice", "alice", "leads")
    site.put(site.fleet.approve(request))
    site.await_admitted("alice", site.fleet.key("alice"))


def test_denial_is_final(site):
    request = site.put(site.fleet.request("alice"))
    site.settle()
    site.put(site.fleet.deny(request, "bob"))
    site.host.await_journal(HALLPASS_EVENT="grant_denied", HALLPASS_GRANT=request.id)
    site.put(site.fleet.approve(request, "carol"))
    site.settle()
    site.assert_refused("alice", "alice", "denied")


def test_denial_after_approval_ends_access(site):
    grant = site.grant("alice")
    site.assert_in("alice", "alice")
    site.put(site.fleet.deny(grant, "carol"))
    site.await_refused("alice", site.fleet.key("alice"))
    site.assert_refused("alice", "alice", "denied")


def test_revocation_by_the_approver(site):
    grant = site.grant("carol", by="bob")
    site.put(site.fleet.revoke(by="bob", request=grant))
    site.await_refused("carol", site.fleet.key("carol"))
    site.assert_refused("carol", "carol", "revoked by bob")
    site.host.await_journal(HALLPASS_EVENT="grant_revoked", HALLPASS_GRANT=grant.id)


def test_revocation_by_someone_who_may_not(site):
    grant = site.grant("carol", by="bob")
    site.put(site.fleet.revoke(by="alice", request=grant))
    site.settle()
    site.assert_in("carol", "carol")
    site.cease(grant)


def test_revocation_of_a_person_ends_all_and_a_later_request_counts(site):
    # Requests are dated in whole seconds: what was asked in the second of the revocation or later is not ended by it.
    now = time.time()
    personal = site.grant("bob", by="carol", at=now - 2)
    shared = site.grant("bob", "deploy", by="carol", at=now - 2)
    site.put(site.fleet.revoke(by="ana", subject="bob", at=now))
    site.await_refused("bob", site.fleet.key("bob"))
    site.await_refused("deploy", site.fleet.key("bob"))
    site.assert_refused("bob", "bob", "revoked")
    again = site.grant("bob", by="carol", at=now + 1)
    site.assert_in("bob", "bob")
    site.cease(personal, shared, again)


def test_a_file_that_disappears_ends_nothing_and_revives_nothing(site):
    request = site.fleet.request("alice")
    approval = site.fleet.approve(request)
    site.put(request, approval)
    site.await_admitted("alice", site.fleet.key("alice"))
    for s in (request, approval):
        site.host.path(f"{INBOX}/{s.file}").unlink()
    site.settle()
    site.assert_in("alice", "alice")
    revocation = site.fleet.revoke(by="ana", request=request)
    site.put(revocation)
    site.await_refused("alice", site.fleet.key("alice"))
    site.host.path(f"{INBOX}/{revocation.file}").unlink()
    site.put(request, approval)
    site.settle()
    site.host.restart("hallpass-agent")
    site.settle()
    site.assert_refused("alice", "alice", "revoked")


def test_a_key_voided_by_a_key_revocation(new_site):
    site = new_site()
    fleet = site.fleet
    spare = fleet.add_person("alice")
    site.publish_policy()
    site.host.await_journal(HALLPASS_EVENT="policy_accepted", HALLPASS_POLICY="2")
    # For `hallpass host enable` and `check`.
    eventually("the policy in force lies in /run/hallpass",
               lambda: site.host.path("/run/hallpass/policy.toml").read_bytes() == site.host.path("/srv/hallpass/policy.toml").read_bytes())
    mine, approved_by_bob = site.grant("alice", "quick"), site.grant("alice", "deploy", by="bob")
    site.assert_in("alice", "alice")
    site.assert_in("alice", spare)
    # alice's first key is stolen: nothing it signed counts, nobody comes in with it; her other key logs in under a new request.
    site.put(fleet.revoke(by="alice", revoked_key=fleet.key("alice").fingerprint, key=spare))
    site.await_refused("alice", fleet.key("alice"))
    site.host.await_journal(HALLPASS_EVENT="key_voided")
    site.assert_refused("alice", "alice")
    site.assert_refused("alice", spare)        # the request itself was signed by the stolen key
    site.assert_refused("deploy", spare)
    request = fleet.request("alice", key=fleet.key("alice"))
    site.put(request, fleet.approve(request))
    site.settle()
    site.assert_refused("alice", spare)
    request = fleet.request("alice", key=spare)
    site.put(request, fleet.approve(request))
    site.await_admitted("alice", spare)
    site.assert_in("alice", spare)
    site.assert_refused("alice", "alice")      # no login by the voided key, grant or not
    # bob's key goes too, by an admin: his approval does not count any more.
    site.put(fleet.revoke(by="ana", revoked_key=fleet.key("bob").fingerprint))
    site.await_refused("alice", spare)
    site.assert_refused("alice", spare)
    assert mine.id != approved_by_bob.id


def test_a_policy_that_drops_a_person(new_site):
    site = new_site()
    alices, bobs = site.grant("alice"), site.grant("bob", by="carol")
    site.assert_in("alice", "alice")
    dropped = site.fleet.keys.pop("alice")
    site.fleet.groups["sre"] = ["bob"]
    site.publish_policy()
    site.await_refused("alice", dropped[0])
    site.assert_refused("alice", dropped[0], "Permission denied")   # her key is nobody's now
    site.assert_in("bob", "bob")
    site.host.await_journal(HALLPASS_EVENT="grant_void", HALLPASS_GRANT=alices.id)
    assert not site.host.journal(HALLPASS_EVENT="grant_void", HALLPASS_GRANT=bobs.id)


def test_a_policy_that_drops_an_approver(new_site):
    site = new_site()
    site.grant("alice", by="bob")
    carols = site.grant("bob", by="carol")
    site.fleet.groups["leads"] = ["carol"]
    site.publish_policy()
    site.await_refused("alice", site.fleet.key("alice"))
    site.assert_refused("alice", "alice")
    site.assert_in("bob", "bob")
    assert carols


def test_a_policy_that_changes_the_runbook(new_site):
    site = new_site()
    site.grant("alice", "login")
    site.grant("bob", "quick")
    site.fleet.runbooks["login"] = site.fleet.runbook("self", longest="2h")
    site.publish_policy()
    site.await_refused("alice", site.fleet.key("alice"))
    site.assert_refused("alice", "alice", "runbook")
    site.assert_in("bob", "bob")
    site.grant("alice", "login")   # under the runbook of today
    site.assert_in("alice", "alice")


def test_a_policy_signed_by_too_few_admins(new_site):
    site = new_site()
    site.fleet.rules.append(site.fleet.rule(["login"], ["sre"]))
    before = site.host.cursor()
    site.publish_policy(signers=("ana",))
    entry = site.host.await_journal(HALLPASS_EVENT="policy_refused", after=before)
    assert "ben" in entry["HALLPASS_WHY"] or "signature" in entry["HALLPASS_WHY"] or "admin" in entry["HALLPASS_WHY"]
    site.put(site.fleet.request("alice"))
    site.settle()
    site.assert_refused("alice", "alice", "leads")
    # The same file with the missing signature counts at once.
    text = site.host.path(f"{INBOX}/policy.toml").read_text()
    site.host.write(f"{INBOX}/policy.toml.sig", site.fleet.sign_policy(text))
    site.await_admitted("alice", site.fleet.key("alice"))


def test_a_lower_version_never_comes_back(new_site):
    site = new_site()
    generous = site.fleet.rules
    first = [site.host.path(f"{INBOX}/policy.toml{s}").read_bytes() for s in ("", ".sig")]
    site.fleet.rules = [generous[0]]
    site.publish_policy()
    site.host.await_journal(HALLPASS_EVENT="policy_accepted", HALLPASS_POLICY="2")
    site.host.write(f"{INBOX}/policy.toml.sig", first[1])
    site.host.write(f"{INBOX}/policy.toml", first[0])
    site.put(site.fleet.request("alice", "quick"))
    site.settle()
    site.assert_refused("alice", "alice")
    site.host.restart("hallpass-agent")
    site.settle()
    site.assert_refused("alice", "alice")


def test_a_host_that_missed_three_policies(new_site):
    """Each policy has other admins, so only who walks them in order comes to trust the last."""
    site = new_site()
    fleet = site.fleet
    for name in ("chloe", "dave", "eve"):
        fleet.add_person(name)
    first = [site.host.path(f"{INBOX}/policy.toml{s}").read_bytes() for s in ("", ".sig")]
    site.host.run("systemctl", "stop", "hallpass-agent", check=True)
    steps = [(["ben", "chloe"], ("ana", "ben", "chloe")), (["chloe", "dave"], ("ben", "chloe", "dave")),
             (["dave", "eve"], ("chloe", "dave", "eve"))]
    older = {}
    for admins, signers in steps:
        for suffix in ("", ".sig"):
            older[f"policy-{fleet.version}.toml{suffix}"] = site.host.path(f"{INBOX}/policy.toml{suffix}").read_bytes()
        fleet.admins = admins
        text = fleet.policy()
        site.host.write(f"{INBOX}/policy.toml.sig", fleet.sign_policy(text, signers))
        site.host.write(f"{INBOX}/policy.toml", text)
    assert older["policy-1.toml"] == first[0]
    site.host.run("systemctl", "start", "hallpass-agent", check=True)
    site.host.await_journal(HALLPASS_EVENT="policy_refused")     # nobody it trusts signed version 4
    for name in sorted(older, reverse=True):
        site.host.write(f"{INBOX}/{name}", older[name])
    site.host.await_journal(HALLPASS_EVENT="policy_accepted", HALLPASS_POLICY="4")
    site.grant("alice")
    site.assert_in("alice", "alice")


def test_a_policy_past_valid_until_admits_nobody(new_site):
    site = new_site(clock=True)
    site.publish_policy(valid_for=1800)
    site.host.await_journal(HALLPASS_EVENT="policy_accepted", HALLPASS_POLICY="2")
    site.host.await_journal(HALLPASS_EVENT="policy_expiring")
    site.grant("alice", duration=3600)
    site.assert_in("alice", "alice")
    site.host.set_clock(1801)   # the grant would run on
    site.assert_refused("alice", "alice")
    site.assert_in("rescue", site.rescue)


@pytest.mark.parametrize("where", ["policy", "rule"])
@pytest.mark.parametrize("demanded", ["touch", "verified"])
def test_fido_signatures(new_site, demanded, where):
    """alice and bob sign with security keys (made of software). What the key did not prove does not count."""
    fleet = Fleet()
    site = None
    try:
        keys = {p: fleet.add_fido(p) for p in ("alice", "bob")}
        if where == "policy":
            fleet.presence = demanded
        else:
            fleet.rules = [rule + f'presence = "{demanded}"\n' for rule in fleet.rules]
        site = new_site(fleet=fleet)
        good = {"SK_SOFT_UV": "1"} if demanded == "verified" else {}
        bad = {} if demanded == "verified" else {"SK_SOFT_NOUP": "1"}
        cases = [("nothing proved by alice", bad, good), ("nothing proved by bob", good, bad)]
        for name, alices, bobs in cases:
            request = fleet.request("alice", key=keys["alice"], env=alices, reason=name)
            site.put(request, fleet.approve(request, key=keys["bob"], env=bobs))
            site.settle()
            site.assert_refused("alice", "alice")
            site.cease(request)
        # A plain key proves nothing at all.
        request = fleet.request("alice")
        site.put(request, fleet.approve(request, key=keys["bob"], env=good))
        site.settle()
        site.assert_refused("alice", "alice")
        request = fleet.request("alice", key=keys["alice"], env=good)
        site.put(request, fleet.approve(request, key=keys["bob"], env=good))
        site.await_admitted("alice", fleet.key("alice"))
        site.assert_in("alice", "alice")
        # Logging in with the security key itself.
        result = site.ssh("alice", keys["alice"], "echo in", options=[f"SecurityKeyProvider={keys['alice'].env['SSH_SK_PROVIDER']}"])
        assert result.code == 0 and result.out == "in\n", repr(result)
    finally:
        fleet.close()


def test_without_presence_demanded_an_untouched_fido_key_is_still_no_signature(new_site):
    fleet = Fleet()
    try:
        key = fleet.add_fido("alice")
        site = new_site(fleet=fleet)
        site.put(fleet.request("alice", "quick", key=key, env={"SK_SOFT_NOUP": "1"}))
        site.settle()
        site.assert_refused("alice", "alice")
        site.put(fleet.request("alice", "quick", key=key))
        site.await_admitted("alice", fleet.key("alice"))
    finally:
        fleet.close()
