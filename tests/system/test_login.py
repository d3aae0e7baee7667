"""Who is let in, by which key, in which way of using ssh; one host for all of it. Every test uses real OpenSSH on both sides."""
import time

import pytest

from .lib.fleet import keygen
from .lib.host import call, eventually


def admitted(site, after, **fields):
    return site.host.await_journal(HALLPASS_EVENT="login_admitted", after=after, **fields)


def test_personal_account(site):
    refused = site.assert_refused("alice", "alice", "hallpass request")
    assert refused.code == 255
    grant = site.grant("alice")
    before = site.host.cursor()
    result = site.assert_in("alice", "alice")
    assert grant.id in result.both and "until" in result.both
    entry = admitted(site, before, HALLPASS_ACCOUNT="alice")
    assert entry["HALLPASS_SUBJECT"] == "alice" and entry["HALLPASS_GRANT"] == grant.id
    assert entry["HALLPASS_APPROVERS"] == "bob" and entry["HALLPASS_RUNBOOK"] == "login" and entry["HALLPASS_EXPIRES"]
    site.cease(grant)
    site.await_refused("alice", site.fleet.key("alice"))
    before = site.host.cursor()
    site.assert_refused("alice", "alice", "revoked")
    entry = site.host.await_journal(HALLPASS_EVENT="login_refused", after=before, HALLPASS_ACCOUNT="alice")
    assert "revoked" in entry["HALLPASS_WHY"]


def test_shared_account_with_two_engineers_at_once(site):
    alices = site.grant("alice", "deploy", by="carol")
    bobs = site.grant("bob", "deploy", by="carol")
    for person, grant in (("alice", alices), ("bob", bobs), ("alice", alices)):
        before = site.host.cursor()
        site.assert_in("deploy", person)
        entry = admitted(site, before, HALLPASS_ACCOUNT="deploy")
        assert (entry["HALLPASS_SUBJECT"], entry["HALLPASS_GRANT"]) == (person, grant.id)
    sessions = [site.host.background_ssh("deploy", site.fleet.path(p), "echo up; cat") for p in ("alice", "bob")]
    for s in sessions:
        line = s.stdout.readline()
        while line and line != b"up\n":   # what we tell at login comes first
            line = s.stdout.readline()
        assert line == b"up\n"
    for s in sessions:
        s.stdin.close()
        assert s.wait(20) == 0
        s.stdout.close()
    site.assert_refused("deploy", "carol", "hallpass request")
    site.cease(alices)
    site.await_refused("deploy", site.fleet.key("alice"))
    site.assert_refused("deploy", "alice", "revoked")
    site.assert_in("deploy", "bob")
    site.cease(bobs)


def test_a_grant_opens_no_other_account(site):
    grant = site.grant("alice")
    site.assert_refused("deploy", "alice", "hallpass request")
    site.assert_refused("bob", "alice")
    site.assert_refused("root", "alice")
    site.cease(grant)


def test_a_key_that_is_not_the_subjects(site):
    personal, shared = site.grant("alice"), site.grant("alice", "deploy", by="carol")
    site.assert_refused("alice", "bob")
    site.assert_refused("deploy", "bob", "hallpass request")
    stranger = keygen(site.fleet.dir / f"stranger-{time.monotonic_ns()}")
    site.assert_refused("alice", stranger, "Permission denied")
    site.assert_refused("deploy", stranger, "Permission denied")
    site.assert_in("alice", "alice")
    site.cease(personal, shared)


def test_a_key_merely_offered_then_another_used(site):
    """sshd asks hallpass-keys about every key a client offers; only the one that signs may decide."""
    grant = site.grant("alice", "deploy", by="carol")
    # A client that knows alice's public key only: the private file beside it does not open, so ssh offers it and goes on.
    half = site.fleet.dir / f"half-{time.monotonic_ns()}"
    call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "unknown", "-f", half])
    half.with_name(half.name + ".pub").write_text(site.fleet.key("alice").line + "\n")
    before = site.host.cursor()
    result = site.host.ssh("deploy", [half, site.fleet.path("bob")], "echo in", options=["LogLevel=DEBUG1"])
    assert "Server accepts key: " + str(half) in result.err, f"alice's key was not offered: {result!r}"
    assert result.code != 0 and "in\n" not in result.out, f"bob came in on alice's grant: {result!r}"
    assert not site.host.journal(HALLPASS_EVENT="login_admitted", after=before)
    half.with_name(half.name + ".pub").write_text(site.fleet.key("bob").line + "\n")
    result = site.host.ssh("deploy", [half, site.fleet.path("alice")], "echo in", options=["LogLevel=DEBUG1"])
    assert "Server accepts key: " + str(half) in result.err
    # ssh signs with the first key that it can; the offered one carried `why`, alice's does not.
    assert result.code == 0 and "in\n" in result.out, f"{result!r}"
    assert admitted(site, before, HALLPASS_ACCOUNT="deploy")["HALLPASS_SUBJECT"] == "alice"
    site.cease(grant)


def test_the_second_key_of_a_person(site):
    grant = site.grant("carol", by="bob")
    second = site.fleet.add_person("carol")
    site.assert_refused("carol", second, "Permission denied")   # not in the policy in force
    site.assert_in("carol", "carol")
    site.cease(grant)
    site.fleet.keys["carol"].pop()


# --- ways of using ssh

def shell(site, who, out):
    r = site.ssh(who, who, "-tt", stdin="echo in as $(id -un)\nexit\n")
    return f"in as {who}" in r.out, r


def command(site, who, out):
    r = site.ssh(who, who, "echo in as $(id -un)")
    return r.out == f"in as {who}\n", r


def interactive_without_terminal(site, who, out):
    r = call(site.host.ssh_argv(who, site.fleet.path(who)), stdin="echo in as $(id -un)\n")
    return f"in as {who}" in r.out, r


def with_transport(site, who, program, *args):
    argv = site.host.ssh_argv(None, site.fleet.path(who), program=program)
    return call([*argv, *args])


def scp(site, who, out):
    r = with_transport(site, who, "scp", f"{who}@127.0.0.1:/etc/hostname", str(out))
    return out.exists() and out.read_text() == "web-3\n", r


def scp_legacy(site, who, out):
    r = with_transport(site, who, "scp", "-O", f"{who}@127.0.0.1:/etc/hostname", str(out))
    return out.exists() and out.read_text() == "web-3\n", r


def scp_up(site, who, out):
    out.write_text("up")
    site.host.path(f"/home/{who}/uploaded").unlink(missing_ok=True)
    r = with_transport(site, who, "scp", str(out), f"{who}@127.0.0.1:uploaded")
    return site.host.path(f"/home/{who}/uploaded").exists(), r


def sftp(site, who, out):
    argv = site.host.ssh_argv(None, site.fleet.path(who), program="sftp")
    r = call([*argv, "-b", "-", f"{who}@127.0.0.1"], stdin=f"get /etc/hostname {out}\n")
    return out.exists() and out.read_text() == "web-3\n", r


def rsync(site, who, out):
    argv = site.host.ssh_argv(None, site.fleet.path(who))
    at = argv.index("ssh")
    r = call([*argv[:at], "rsync", "-e", " ".join(argv[at:]), f"{who}@127.0.0.1:/etc/hostname", str(out)])
    return out.exists() and out.read_text() == "web-3\n", r


def forwarded(site, who, *options):
    """-N -L: does a byte of the far side arrive? The host's own sshd greets whoever connects."""
    port = str(20000 + time.monotonic_ns() % 20000)
    tunnel = site.host.background_ssh(who, site.fleet.path(who), "-N", "-L", f"127.0.0.1:{port}:127.0.0.1:22", *options)
    try:
        def greeting():
            r = site.netns("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port} && timeout 5 head -c 4 <&3")
            return r.out or tunnel.poll() is not None
        got = eventually("a tunnel or its end", greeting, within=20, every=0.2)
        return got == "SSH-", tunnel.poll()
    finally:
        tunnel.kill()
        tunnel.wait()
        tunnel.stdout.close()
        tunnel.stdin.close()


def forward(site, who, out):
    return forwarded(site, who)


WAYS = [shell, command, interactive_without_terminal, scp, scp_legacy, scp_up, sftp, rsync, forward]


@pytest.fixture(scope="module")
def carol_in(site):
    grant = site.grant("carol", by="bob", duration=3600)
    site.keep.add(grant.id)
    yield grant
    site.keep.clear()


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.__name__)
def test_way_in_with_a_grant(site, carol_in, way, tmp_path):
    ok, r = way(site, "carol", tmp_path / "out")
    assert ok, repr(r)


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.__name__)
def test_way_in_without_a_grant(site, carol_in, way, tmp_path):
    ok, r = way(site, "alice", tmp_path / "out")
    assert not ok, repr(r)


def test_no_agent_forwarding_on_a_shared_account(site):
    """Who shares an account could use each other's agents."""
    grant = site.grant("bob", "deploy", by="carol")
    agent = site.fleet.dir / "agent"
    process = call(["bash", "-c", f"rm -f {agent}; eval $(ssh-agent -a {agent}) >/dev/null; echo $SSH_AGENT_PID"])
    try:
        argv = site.host.ssh_argv("deploy", site.fleet.path("bob"), "-A", "echo agent:$SSH_AUTH_SOCK", options=["ForwardAgent=yes"])
        argv = [a for a in argv if a != "IdentityAgent=none"]
        argv = [a for i, a in enumerate(argv) if not (a == "-o" and argv[i + 1].startswith("-"))]
        r = call(["env", f"SSH_AUTH_SOCK={agent}", *argv])
        assert r.code == 0 and "agent:\n" in r.out, repr(r)
    finally:
        call(["kill", process.out.strip()])
        site.cease(grant)


def test_exempt_group_comes_in_and_is_told_of(site):
    before = site.host.cursor()
    site.assert_in("rescue", site.rescue)
    entry = site.host.await_journal(HALLPASS_EVENT="login_exempt", after=before)
    assert entry["HALLPASS_ACCOUNT"] == "rescue" and int(entry["PRIORITY"]) <= 4


def test_an_account_that_no_runbook_names_is_refused(site):
    site.host.run("useradd", "-m", "-s", "/bin/bash", "stranger", check=True)
    site.assert_refused("stranger", "alice", "Permission denied")


def test_another_pam_service_is_ignored(site):
    """su and cron include what sshd includes; only sshd asks us."""
    site.host.write("/etc/pam.d/hallpass-other", "account required pam_hallpass.so\naccount required pam_permit.so\n")
    r = site.host.run("pamtester", "hallpass-other", "bob", "acct_mgmt")
    assert r.ok, repr(r)
    site.host.write("/etc/pam.d/hallpass-alone", "account [success=die ignore=ignore default=die] pam_hallpass.so\n"
                    "account required pam_permit.so\n")
    assert site.host.run("pamtester", "hallpass-alone", "bob", "acct_mgmt").ok
    assert site.host.run("su", "-", "bob", "-c", "id -un").out == "bob\n"


def test_session_time_is_what_the_grant_has_left(site):
    """PID 1 holds the session's deadline: pam_systemd got the limit."""
    grant = site.grant("alice", duration=600)
    r = site.ssh("alice", "alice", "systemctl show -p RuntimeMaxUSec --value session-$XDG_SESSION_ID.scope")
    site.cease(grant)
    assert r.code == 0, repr(r)
    text = r.out.strip()
    seconds = sum(int(part[:-3]) * 60 if part.endswith("min") else int(float(part[:-1])) for part in text.split())
    assert 542 <= seconds <= 603, text   # two seconds after the grant, when the agent has acted; the second that has begun is whole


def test_two_overlapping_grants_one_ending(site):
    short = site.grant("alice", duration=4)
    long = site.grant("alice", "quick", duration=300)
    site.assert_in("alice", "alice")
    site.host.await_journal(HALLPASS_EVENT="grant_ended", HALLPASS_GRANT=short.id, within=15)
    result = site.assert_in("alice", "alice")
    assert long.id in result.both
    site.cease(long)
    site.await_refused("alice", site.fleet.key("alice"))


def test_the_catalog_explains_every_login_event(site):
    site.host.run("journalctl", "--update-catalog", check=True)   # a package's postinst does this
    out = site.host.run("journalctl", "-x", "HALLPASS_EVENT=login_refused", "--no-pager").out
    assert "hallpass request" in out
