"""Observe mode on a real host, summed up: who would have been refused, and whether the lines that `hallpass host observed` prints let them in
once they stand in the policy. One host for all; the tests follow each other."""
import json
import re
import tomllib

import pytest

from .lib.fleet import Fleet, keygen
from .lib.site import Site, pam_sshd
from .lib.sudo import sudo_conf

SUDOERS = """Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
alice ALL=(root) NOPASSWD: /usr/bin/id
"""
USERS = ("alice", "bob", "carol", "dora", "courier", "ansible", "app")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    d = tmp_path_factory.mktemp("keys")
    return {name: keygen(d / name, comment=f"{name}@laptop") for name in ("dora", "courier", "ansible")}


@pytest.fixture(scope="module")
def site(stage, keys):
    fleet = Fleet()

    def key_file(*lines):
        return "".join(line + "\n" for line in lines)
    files = {f"/home/{person}/.ssh/authorized_keys": key_file(fleet.key(person).line) for person in ("alice", "bob", "carol")}
    files |= {f"/home/{name}/.ssh/authorized_keys": key_file(key.line) for name, key in keys.items()}
    files |= {"/home/app/.ssh/authorized_keys": key_file("# the key of a person whom no runbook lets in", fleet.key("carol").line),
              "/etc/pam.d/sshd": pam_sshd("mode=observe"), "/etc/sudo.conf": sudo_conf(stage), "/etc/sudoers": (0o440, SUDOERS)}
    with Site(stage, fleet, users=USERS, enforce=False, files=files) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        yield s
    fleet.close()


def observed(site, *words):
    result = site.host.run("hallpass", "host", "observed", *words)
    assert result.ok, repr(result)
    site.host.run("journalctl", "--sync")
    return json.loads(result.out) if "--json" in words else result.out


def come(site, account, key, times=1, *args):
    """Logs in, and waits until the journal tells what enforcing would have made of it."""
    for _ in range(times):
        before = site.host.cursor()
        result = site.host.ssh(account, getattr(key, "path", key), *args)
        assert result.ok, f"observe mode stopped a login: {result!r}"
        site.host.await_journal(after=before, HALLPASS_ACCOUNT=account,
                                where=lambda e: e.get("HALLPASS_EVENT") in ("login_admitted", "login_would_refuse"))


def rows(found, **fields):
    return [r for r in found if all(r[k] == v for k, v in fields.items())]


def test_nothing_yet_then_ready(site):
    assert "Nothing was observed yet" in observed(site)
    empty = observed(site, "--json")
    assert not empty["ready"] and empty["admitted"] == empty["refused"] == []
    grant = site.grant("alice", duration=3600)
    site.keep.add(grant.id)
    come(site, "alice", site.fleet.path("alice"), 1, "-tt", "true")   # on a terminal: from now on wtmp tells who had one
    text = observed(site)
    assert "Ready to enforce" in text and "1 logins with a grant, 0 that enforcing would have refused" in text
    assert observed(site, "--json", "--since", "1h")["ready"]


def test_only_root_and_only_times(site):
    refused = site.host.run("hallpass", "host", "observed", user="alice")
    assert refused.code == 1 and "only root" in refused.err
    wrong = site.host.run("hallpass", "host", "observed", "--since", "yesterday")
    assert wrong.code == 2 and "--since" in wrong.err and "7d" in wrong.err


def test_what_is_seen(site, keys):
    come(site, "bob", site.fleet.path("bob"), 2)            # may ask, did not
    come(site, "app", site.fleet.path("carol"))             # no runbook names app
    come(site, "dora", keys["dora"])                        # nobody's key
    come(site, "ansible", keys["ansible"], 2)               # a program by its name
    come(site, "courier", keys["courier"], 3)               # never has a terminal
    before = site.host.cursor()
    site.grant("carol", duration=4)
    site.host.ssh("carol", site.fleet.path("carol"), "sleep 6", timeout=30)   # ends by itself: observe mode ends nothing
    site.host.await_journal(HALLPASS_EVENT="session_would_end", after=before, HALLPASS_ACCOUNT="carol")
    before = site.host.cursor()
    assert site.ssh("alice", "alice", "sudo -n id -u").out.endswith("0\n")
    site.host.await_journal(HALLPASS_EVENT="sudo_allowed", after=before, HALLPASS_WHY="standing")

    found = observed(site, "--json")
    assert not found["ready"] and found["whole"]
    [bob] = rows(found["refused"], person="bob")
    assert (bob["account"], bob["why"], bob["count"], bob["from"]) == ("bob", "no_grant", 2, "127.0.0.1")
    assert bob["first"] <= bob["last"] and bob["key"] is None and bob["automation"] is None
    [carol] = rows(found["refused"], person="carol")
    assert (carol["account"], carol["why"], carol["count"]) == ("app", "unknown_key", 1)
    for name, count in (("dora", 1), ("ansible", 2), ("courier", 3)):
        [row] = rows(found["refused"], account=name)
        assert (row["person"], row["why"], row["count"], row["key"]) == (None, "unknown_key", count, keys[name].fingerprint)
    assert rows(found["refused"], account="ansible")[0]["automation"] == "its name"
    assert rows(found["refused"], account="courier")[0]["automation"] == "it never logs in on a terminal"
    assert rows(found["refused"], account="dora")[0]["automation"] is None
    assert rows(found["admitted"], person="alice", account="alice")[0]["count"] >= 2
    [ended] = found["ended"]
    assert (ended["person"], ended["account"], ended["count"]) == ("carol", "carol", 1) and "ended" in ended["why"]
    [sudo] = found["sudo"]
    assert sudo["command"] == ["/usr/bin/id", "-u"] and sudo["line"] == '{ as = "root", run = ["/usr/bin/id", "-u"] }'

    text = observed(site)
    assert "Ready" not in text
    for line in ("a program?  ansible", "A program logs in to ansible (its name)", "bob may log in to bob after: hallpass request login",
                 sudo["line"], "[people.dora]", "[runbooks.use-app]"):
        assert line in text, f"{line!r} is not in\n{text}"


def test_entries_of_others_do_not_count(site):
    """Anybody can write to the journal; what root did not write is not believed."""
    site.host.run("logger", "--journald", user="alice", check=True,
                  stdin="MESSAGE=forged\nHALLPASS_EVENT=login_would_refuse\nHALLPASS_ACCOUNT=forged\nHALLPASS_WHY=no_grant\n")
    site.host.await_journal(HALLPASS_ACCOUNT="forged")
    assert not rows(observed(site, "--json")["refused"], account="forged")


def test_what_enforcing_would_make_of_each(site):
    """`enable` says it before anything is tried; a dry run changes nothing."""
    r = site.host.run("hallpass", "host", "enable", "--dry-run", timeout=120)
    assert r.ok, repr(r)
    table = {line.split()[0]: line for line in r.out.splitlines() if re.match(r"\S+ +(refused|needs a grant|as before) ", line)}
    for account, words in {"ansible": r"refused +2 .* 1 +no runbook names it; automation: its name", "courier": r"refused +3 .*automation: it never logs in",
                           "app": r"refused +1 .*no runbook names it$", "dora": r"refused +1 .*no runbook names it$", "root": r"refused +0 ",
                           "alice": r"needs a grant +2 .* 1 +alice's own account$", "deploy": r"needs a grant +0 +- +0 +runbook deploy$",
                           "rescue": r"as before +0 .* 1 +in the group hallpass-exempt$"}.items():
        assert re.search(words, table.get(account, "")), f"{account}: {words!r} is not in\n{r.out}"
    assert "Programs that will be locked out: " in r.out and "usermod -aG hallpass-exempt" in r.out
    assert list(table)[0] == "courier", "refused first, and of these who logs in most"


def test_the_lines_let_them_in(site, keys):
    lines = observed(site, "--json")["policy"]
    assert lines and lines in observed(site)
    site.host.write("/root/policy.toml", site.fleet.policy(version=site.fleet.version) + lines)
    checked = site.host.run("hallpass", "policy", "check", "/root/policy.toml")
    assert checked.ok, repr(checked)
    added = tomllib.loads(lines)
    assert "ansible" not in added["people"]

    whole = site.fleet.policy
    site.fleet.policy = lambda **kw: whole(**kw) + lines
    before = site.host.cursor()
    site.publish_policy()
    site.host.await_journal(HALLPASS_EVENT="policy_accepted", after=before)
    site.fleet.policy = whole
    site.fleet.keys |= {name: [keys[name]] for name in ("dora", "courier")}
    site.fleet.runbooks["use-app"] = Fleet.runbook("app", added["runbooks"]["use-app"]["default_duration"],
                                                   added["runbooks"]["use-app"]["max_duration"])
    for person, account, runbook in (("dora", "dora", "login"), ("courier", "courier", "login"), ("carol", "app", "use-app"),
                                     ("bob", "bob", "login")):
        request = site.fleet.request(person, runbook)
        site.put(request, site.fleet.approve(request, "bob" if person != "bob" else "carol"))
        site.await_admitted(account, site.fleet.key(person))
        before = site.host.cursor()
        site.assert_in(account, person)
        site.host.await_journal(HALLPASS_EVENT="login_admitted", after=before, HALLPASS_ACCOUNT=account, HALLPASS_SUBJECT=person)
    found = observed(site, "--json")
    assert {(r["person"], r["account"]) for r in found["admitted"]} >= {("dora", "dora"), ("carol", "app"), ("bob", "bob")}
    assert found["policy"] == "", "nothing is missing now"
