"""Other ways to prove who one is: passwords, certificates; and sshd without PAM."""
import os
import pathlib

import pytest

from .lib.fleet import keygen
from .lib.host import call, eventually
from .lib.site import Site, pam_sshd, sshd_conf

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def askpass(tmp_path_factory):
    script = tmp_path_factory.mktemp("askpass") / "askpass"
    script.write_text(f"#!/bin/sh\necho '{PASSWORD}'\n")
    script.chmod(0o755)
    return {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0", "PATH": os.environ["PATH"]}


@pytest.fixture
def typed(new_site, askpass):
    """A site whose sshd takes passwords, and login(account, method, command) with the right one."""
    site = new_site(sshd="PasswordAuthentication yes\nKbdInteractiveAuthentication yes")
    for account in ("alice", "deploy", "rescue"):
        site.host.run("chpasswd", stdin=f"{account}:{PASSWORD}\n", check=True)

    def login(account, method, command="echo in as $(id -un)"):
        argv = site.host.ssh_argv(account, None, command, options=[f"PreferredAuthentications={method}", "PubkeyAuthentication=no"])
        return call(argv, env=askpass)
    return site, login


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_password(typed, method):
    """docs/architecture.md section 7, Login: without a publickey line, only on a personal account with a grant."""
    site, login = typed
    r = login("alice", method)
    assert r.code != 0 and "in as" not in r.out and "hallpass request" in r.both, repr(r)
    site.grant("alice")
    r = login("alice", method)
    assert r.code == 0 and "in as alice" in r.out, repr(r)
    site.grant("alice", "deploy")
    r = login("deploy", method)
    assert r.code != 0 and "in as" not in r.out, f"a password says nothing about who is on a shared account: {r!r}"
    r = login("rescue", method)
    assert r.code == 0 and "in as rescue" in r.out, repr(r)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return keygen(tmp_path_factory.mktemp("ca") / "ca")


def certificate(ca, key, principal) -> pathlib.Path:
    copy = key.path.with_name(f"{key.path.name}-{principal}-cert-holder")
    copy.write_bytes(key.path.read_bytes())
    copy.chmod(0o600)
    copy.with_name(copy.name + ".pub").write_text(key.line + "\n")
    r = call(["ssh-keygen", "-q", "-s", ca.path, "-I", "test", "-n", principal, "-V", "-1m:+1h", str(copy) + ".pub"])
    assert r.ok, repr(r)
    return copy


def test_certificate(new_site, ca):
    """A certificate counts as the key that it certifies, and that must be enrolled."""
    site = new_site(sshd="TrustedUserCAKeys /etc/ssh/user_ca.pub", files={"/etc/ssh/user_ca.pub": ca.line + "\n"})
    alice = certificate(ca, site.fleet.key("alice"), "alice")
    stranger = certificate(ca, keygen(site.fleet.dir / "stranger"), "alice")

    def login(key, user="alice"):
        return site.host.ssh(user, key, "echo in as $(id -un)", options=[f"CertificateFile={key}-cert.pub"])
    r = login(alice)
    assert r.code != 0 and "in as" not in r.out, f"no grant yet: {r!r}"
    site.grant("alice")
    before = site.host.cursor()
    r = login(alice)
    assert r.code == 0 and r.out == "in as alice\n", repr(r)
    accepted = site.host.await_journal("_COMM=sshd", after=before, where=lambda e: "Accepted publickey" in str(e.get("MESSAGE")))
    assert "ED25519-CERT" in accepted["MESSAGE"], "it was the plain key that logged in"
    assert site.host.await_journal(HALLPASS_EVENT="login_admitted", after=before)["HALLPASS_SUBJECT"] == "alice"
    before = site.host.cursor()
    r = login(stranger)
    assert r.code != 0 and "in as" not in r.out, f"certified, but nobody's in the policy: {r!r}"
    site.host.await_journal(HALLPASS_EVENT="login_refused", after=before)
    # The certificate of somebody else's enrolled key, though it names alice.
    r = login(certificate(ca, site.fleet.key("bob"), "alice"))
    assert r.code != 0 and "in as" not in r.out, repr(r)


def test_publickey_and_password_together(new_site, askpass):
    site = new_site(sshd="PasswordAuthentication yes\nAuthenticationMethods publickey,password")
    for account in ("alice", "deploy"):
        site.host.run("chpasswd", stdin=f"{account}:{PASSWORD}\n", check=True)

    def login(account, person):
        argv = site.host.ssh_argv(account, site.fleet.path(person), "echo in as $(id -un)",
                                  options=["PreferredAuthentications=publickey,password"])
        return call(argv, env=askpass)
    r = login("alice", "alice")
    assert r.code != 0 and "in as" not in r.out, repr(r)
    site.grant("alice", "deploy")
    assert login("deploy", "alice").out == "in as deploy\n"
    r = login("deploy", "bob")
    assert r.code != 0 and "in as" not in r.out, repr(r)


# --- UsePAM no

@pytest.fixture(scope="module")
def no_pam(stage):
    """sshd with PAM switched off: only hallpass-keys stands in the door."""
    text = sshd_conf(stage).replace("UsePAM yes", "UsePAM no")
    with Site(stage, files={"/etc/ssh/sshd_config.d/hallpass.conf": text}) as site:
        assert "usepam no" in site.host.run("sshd", "-T").out
        site.host.await_journal(HALLPASS_EVENT="policy_accepted")
        yield site


WHY = "hallpass request"


def test_without_pam_a_command_gets_why_and_nothing_else(no_pam):
    r = no_pam.ssh("alice", "alice", "echo in as $(id -un)")
    assert r.code != 0 and "in as" not in r.both and WHY in r.both, repr(r)
    r = no_pam.ssh("deploy", "bob", "echo in as $(id -un)")
    assert r.code != 0 and "in as" not in r.both and WHY in r.both, repr(r)


def test_without_pam_a_shell_gets_why_and_nothing_else(no_pam):
    r = no_pam.ssh("alice", "alice", "-tt", stdin="echo in as $(id -un)\nexit\n")
    assert r.code != 0 and "in as alice" not in r.both, repr(r)   # not even a terminal
    r = call(no_pam.host.ssh_argv("alice", no_pam.fleet.path("alice")), stdin="echo in as $(id -un)\n")
    assert "in as alice" not in r.both and WHY in r.both, repr(r)


def test_without_pam_sftp_and_scp_get_nothing(no_pam, tmp_path):
    argv = no_pam.host.ssh_argv(None, no_pam.fleet.path("alice"), program="sftp")
    r = call([*argv, "-b", "-", "alice@127.0.0.1"], stdin=f"get /etc/hostname {tmp_path}/out\n")
    assert r.code != 0 and not (tmp_path / "out").exists(), repr(r)
    for legacy in ([], ["-O"]):
        argv = no_pam.host.ssh_argv(None, no_pam.fleet.path("alice"), program="scp")
        r = call([*argv, *legacy, "alice@127.0.0.1:/etc/hostname", f"{tmp_path}/out"])
        assert r.code != 0 and not (tmp_path / "out").exists(), repr(r)


@pytest.mark.parametrize("direction", ["-L", "-R", "-D"])
def test_without_pam_forwarding_gets_nothing(no_pam, direction):
    port = {"-L": 21001, "-R": 21002, "-D": 21003}[direction]
    spec = str(port) if direction == "-D" else f"127.0.0.1:{port}:127.0.0.1:22"
    tunnel = no_pam.host.background_ssh("alice", no_pam.fleet.path("alice"), "-v", "-N", direction, spec)
    try:
        probe = f"exec 3<>/dev/tcp/127.0.0.1/{port} || exit 9; "
        if direction == "-D":   # SOCKS5: no authentication, connect to 127.0.0.1:22
            probe += r"printf '\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16' >&3; "
        probe += "timeout 3 head -c 40 <&3 | tr -d '\\0'"
        if direction == "-R":
            eventually("the answer about -R", lambda: tunnel.poll() is not None or b"orwarding" in os.read(tunnel.stdout.fileno(), 65536))
        else:
            eventually("a listener", lambda: tunnel.poll() is not None or str(port) in no_pam.netns("ss", "-Hltn").out)
        r = no_pam.netns("bash", "-c", probe)
        assert "SSH-" not in r.out, repr(r)
    finally:
        tunnel.kill()
        tunnel.wait()
        tunnel.stdout.close()
        tunnel.stdin.close()


def test_without_pam_who_has_a_grant_comes_in(no_pam):
    grant = no_pam.grant("carol", by="bob")
    r = no_pam.ssh("carol", "carol", "echo in as $(id -un)")
    assert r.code == 0 and "in as carol" in r.out, repr(r)
    no_pam.cease(grant)
    no_pam.await_refused("carol", no_pam.fleet.key("carol"))
    r = no_pam.ssh("carol", "carol", "echo in as $(id -un)")
    assert r.code != 0 and "in as" not in r.both and "revoked" in r.both, repr(r)


# --- observe

def test_observe_mode_lets_pass_and_tells(new_site):
    """mode=observe: nobody's login changes, the journal says what enforcing would have done."""
    site = new_site(options="--mode=observe", sshd="AuthorizedKeysFile /etc/ssh/keys/%u")
    conf = site.host.path("/etc/ssh/sshd_config.d/hallpass.conf").read_text()
    site.host.write("/etc/ssh/sshd_config.d/hallpass.conf", conf.replace("AuthorizedKeysFile none\n", ""))
    site.host.write("/etc/ssh/keys/alice", "".join(k.line + "\n" for k in site.fleet.keys["alice"]))
    site.host.restart("ssh")
    before = site.host.cursor()
    site.assert_in("alice", "alice")
    entry = site.host.await_journal(HALLPASS_EVENT="login_would_refuse", after=before, HALLPASS_ACCOUNT="alice")
    assert entry["HALLPASS_WHY"]
    assert not site.host.journal(HALLPASS_EVENT="login_refused")
    # A key that the site did not authorise opens nothing because of us.
    site.grant("bob", by="carol", wait=False)
    site.settle()
    site.assert_refused("bob", "bob", "Permission denied")
    # With a grant there is nothing to tell.
    site.grant("alice", wait=False)
    site.host.await_journal(HALLPASS_EVENT="grant_active", HALLPASS_SUBJECT="alice")
    site.settle()
    before = site.host.cursor()
    site.assert_in("alice", "alice")
    site.assert_in("rescue", site.rescue)
    assert not site.host.journal(HALLPASS_EVENT="login_would_refuse", after=before)
    # A broken store changes nothing either.
    site.host.run("systemctl", "stop", "hallpass-agent")
    site.host.path("/var/lib/hallpass/admissions.mdb").unlink()
    site.assert_in("alice", "alice")


def test_an_unknown_option_refuses(new_site):
    site = new_site(pam=pam_sshd("mode=observ"))
    site.grant("alice")
    site.assert_refused("alice", "alice")
    site.host.await_journal(HALLPASS_EVENT="module_misconfigured")
    site.assert_in("rescue", site.rescue)
