"""Grants carried by hand: hallpass carry, deliver, and the account that takes them and does nothing else."""
import concurrent.futures
import json
import os
import pathlib
import signal
import time

import pytest

from .lib.fleet import keygen
from .lib.host import call, eventually
from .lib.site import INBOX, Site

ACCOUNT = "hallpass-drop"
HOME = "/var/lib/hallpass-drop"
IN = f"{HOME}/in"


@pytest.fixture(scope="module")
def site(stage):
    """A host that takes grants by hand; its directory holds the policy alone."""
    conf = (pathlib.Path(stage) / "usr/share/hallpass/sshd/hallpass-drop.conf").read_text()
    with Site(stage, host_toml=f'drop = "{IN}"\n', before_boot=[["systemd-sysusers", "hallpass-drop.conf"]],
              files={"/etc/ssh/sshd_config.d/hallpass-drop.conf": conf}) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        yield s


class Desk:
    """An engineer's machine: the program, a directory of its own, and an ssh that knows the host as web-3."""

    def __init__(self, site, stage, home):
        self.site, self.home, self.dir = site, home, home / "shared"
        self.program = pathlib.Path(stage) / "usr/bin/hallpass"
        (home / "bin").mkdir(parents=True)
        self.dir.mkdir()
        for name in ("policy.toml", "policy.toml.sig"):
            (self.dir / name).write_bytes(site.host.path(f"{INBOX}/{name}").read_bytes())
        (self.dir / "hosts.toml").write_text('[hosts.web-3]\nenv = "prod"\nrole = "web"\n[hosts.db-1]\nenv = "prod"\nrole = "db"\n')
        (home / "ssh_config").write_text(
            f"Host web-3\n HostName 127.0.0.1\nHost *\n UserKnownHostsFile {site.host.dir}/known_hosts\n StrictHostKeyChecking yes\n"
            " IdentitiesOnly yes\n IdentityAgent none\n BatchMode yes\n LocalForward 29999 127.0.0.1:22\n")
        (home / "bin/ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {home}/ssh_config "$@"\n')
        (home / "bin/ssh").chmod(0o755)

    def put(self, *statements):
        for s in statements:
            (self.dir / s.file).write_text(s.line + "\n")

    def configure(self, text):
        path = self.home / ".config/hallpass/config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, who, *args):
        return self.site.netns(self.program, "--dir", self.dir, "--key", self.site.fleet.path(who), *args,
                               env={"HOME": str(self.home), "PATH": f"{self.home}/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"})


@pytest.fixture
def desk(site, stage, tmp_path):
    return Desk(site, stage, tmp_path / "home")


def inbox(site):
    return sorted(os.listdir(site.host.path(IN)))


def empty(site):
    site.host.sh(f"rm -f {IN}/*", check=True)


def hand_in(site, who, text, *args, **kw):
    key = site.fleet.path(who) if isinstance(who, str) else who.path
    return site.host.ssh(ACCOUNT, key, *args, stdin=text, **kw)


def asked(site, subject="alice", by="bob", **kw):
    request = site.fleet.request(subject, "login", **kw)
    return request, site.fleet.approve(request, by)


def mine(site):
    """Processes of the account, but for its systemd --user."""
    out = site.host.run("ps", "-u", ACCOUNT, "-o", "pid=", "-o", "args=").out
    return [line.split(None, 1) for line in out.splitlines() if "/libexec/hallpass/drop" in line]


def test_carried_by_hand(site, desk):
    request, approve = asked(site)
    desk.put(request, approve)
    site.assert_refused("alice", "alice")
    r = desk.run("bob", "carry", "web-3", request.id)
    assert r.code == 0 and r.out == "web-3 took 2 statements\n", repr(r)
    site.await_admitted("alice", site.fleet.key("alice"))
    site.assert_in("alice", "alice")
    assert inbox(site) == [], "what the agent has read is removed"
    assert not list(site.host.path(INBOX).glob("*.grant"))
    # Done again by somebody else it changes nothing.
    again = desk.run("carol", "carry", "web-3", "--json")
    assert json.loads(again.out) == {"host": "web-3", "state": "taken", "grants": [request.id], "statements": 2, "proofs": 0,
                                     "answer": ["web-3 took 2 statements"]}, repr(again)
    # The end goes the same way, with what it ends.
    desk.put(site.fleet.revoke(by="ana", request=request))
    assert desk.run("ana", "carry", "web-3").out == "web-3 took 3 statements\n"
    site.await_refused("alice", site.fleet.key("alice"))


def test_delivered_by_the_one_who_approves(site, desk):
    desk.configure('deliver = ["ssh:web-3", "ssh:db-1"]\n')
    asking = desk.run("alice", "request", "login", "-t", "web-3", "-r", "by hand")
    assert asking.code == 0 and "carried" not in asking.both, repr(asking)   # nothing to carry yet
    grant = json.loads(desk.run("bob", "list", "--json").out)["grants"][0]["id"]
    approved = desk.run("bob", "approve", grant, "--yes")
    assert approved.code == 0 and "carried: web-3 took 2 statements" in approved.err, repr(approved)
    assert "db-1" not in approved.err, repr(approved)   # the grant is not for it
    site.await_admitted("alice", site.fleet.key("alice"))
    revoked = desk.run("alice", "revoke", grant, "--yes")
    assert revoked.code == 0 and "carried: web-3 took 3 statements" in revoked.err, repr(revoked)
    site.await_refused("alice", site.fleet.key("alice"))
    # Without a gate it is active at once, and so it goes at once.
    quick = desk.run("alice", "request", "quick", "-t", "env=prod", "-r", "by hand")
    assert quick.code == 0 and "carried: web-3 took 1 statement" in quick.err, repr(quick)
    assert "not carried to db-1" in quick.err and "hallpass carry db-1" in quick.err, repr(quick)   # a warning: it is published
    site.await_admitted("alice", site.fleet.key("alice"))
    everything = desk.run("ana", "revoke", "--subject", "alice", "--yes")
    assert everything.code == 0 and "carried: web-3 took 1 statement" in everything.err, repr(everything)
    site.await_refused("alice", site.fleet.key("alice"))


def test_a_revocation_first(site, desk):
    """A grant and its end, handed in together, admit at no moment."""
    request, approve = asked(site, "carol")
    desk.put(request, approve, site.fleet.revoke(by="ana", request=request))
    before = site.host.cursor()
    assert desk.run("bob", "carry", "web-3", request.id).code == 0
    site.await_refused("carol", site.fleet.key("carol"))
    assert not site.host.journal(HALLPASS_EVENT="grant_active", after=before)


def test_junk_is_refused_with_a_sentence(site):
    request, approve = asked(site)
    half = request.line[:200]
    for text, words in [("hello\n", "line 1 is neither a statement nor the beginning of a proof"), ("", "nothing came"),
                        (f"{request.line}\n{half}\n", "line 2 is no statement"), (f"{request.line}\n{half}", "middle of a line"),
                        ("c2sp.org/tlog-proof@v1\nindex 4\n", "line 1 begins what is not a proof"),
                        (f"{request.line}\n" * 65, "over 64 statements"), ("\n" * 1048577, "over 1048576 bytes"),
                        (f"{request.line}\r\n", "carriage return"),
                        (site.host.path(f"{INBOX}/policy.toml.sig").read_text(), "only requests")]:
        r = hand_in(site, "bob", text)
        assert r.code == 1 and words in r.err and r.out == "", (text[:60], repr(r))
        assert inbox(site) == []
    # What nobody enrolled signed is shaped well: the agent says what is wrong with it.
    stranger = keygen(site.fleet.dir / f"stranger-{time.monotonic_ns()}")
    before = site.host.cursor()
    forged = site.fleet.request("alice", "login", key=stranger)
    assert hand_in(site, "bob", forged.line + "\n").code in (0, 5)
    site.host.await_journal(HALLPASS_EVENT="statement_refused", after=before)
    site.assert_refused("alice", "alice")
    empty(site)   # it waits for a policy that knows the key


def test_whose_keys(site):
    request, _ = asked(site)
    stranger = keygen(site.fleet.dir / f"stranger-{time.monotonic_ns()}")
    for who in (stranger, site.rescue):
        r = hand_in(site, who, request.line + "\n")
        assert r.code == 255 and "Permission denied" in r.err, repr(r)
    second = site.fleet.add_person("bob")
    site.publish_policy()
    eventually("the new key opens the door", lambda: site.key_line(ACCOUNT, second), within=15)
    assert site.key_line(ACCOUNT, second).startswith('restrict,command="/usr/libexec/hallpass/drop" ssh-ed25519 ')
    assert hand_in(site, second, request.line + "\n").code == 0
    # A voided key opens it no more, and the other of the same person still does.
    site.put(site.fleet.revoke(by="bob", revoked_key=second.fingerprint))
    eventually("the voided key opens nothing", lambda: not site.key_line(ACCOUNT, second), within=15)
    assert hand_in(site, second, request.line + "\n").code == 255
    assert hand_in(site, "bob", request.line + "\n").code == 0
    # Nor may those who were taken out of the policy.
    gone = site.fleet.keys.pop("alice")
    groups, site.fleet.groups = site.fleet.groups, {"sre": ["bob"], "leads": ["bob", "carol"]}
    site.publish_policy()
    eventually("alice's key opens nothing", lambda: not site.key_line(ACCOUNT, gone[0]), within=15)
    r = hand_in(site, gone[0], request.line + "\n")
    assert r.code == 255 and "Permission denied" in r.err, repr(r)
    site.fleet.keys["alice"], site.fleet.groups = gone, groups
    site.publish_policy()
    eventually("alice is back", lambda: site.key_line(ACCOUNT, gone[0]), within=15)


def test_what_sshd_makes_of_it(site):
    out = site.host.run("/usr/sbin/sshd", "-T", "-C", f"user={ACCOUNT},host=x,addr=127.0.0.1", check=True).out.splitlines()
    for line in ("forcecommand /usr/libexec/hallpass/drop", "authorizedkeysfile none", "permittty no", "disableforwarding yes",
                 "permituserrc no", "maxsessions 1", "authenticationmethods publickey", "permitopen none", "permitlisten none",
                 "allowagentforwarding no", "x11forwarding no", "permittunnel no", "trustedusercakeys none", "acceptenv -none-",
                 "unusedconnectiontimeout 15"):
        assert line in out, line
    others = site.host.run("/usr/sbin/sshd", "-T", "-C", "user=rescue,host=x,addr=127.0.0.1", check=True).out
    assert "authorizedkeysfile .ssh/authorized_keys" in others and "\nforcecommand none" in others


def test_nothing_but_the_program_runs(site, tmp_path):
    site.host.write(f"{HOME}/.ssh/rc", "touch /tmp/rc-ran\n", 0o755)
    site.host.write(f"{HOME}/.ssh/authorized_keys", site.rescue.line + "\n")
    key = site.fleet.path("bob")
    up = tmp_path / "up"
    up.write_text("up")

    def transport(program, *args):
        return call([*site.host.ssh_argv(None, key, program=program), *args])
    argv = site.host.ssh_argv(None, key)
    at = argv.index("ssh")
    options = ["SetEnv=ENV=/tmp/x LANG=x", "SendEnv=LC_ALL"]
    there = f"{ACCOUNT}@127.0.0.1"
    tries = {
        "shell": lambda: site.host.ssh(ACCOUNT, key, "-tt", stdin="id; touch /tmp/ran\n"),
        "command": lambda: site.host.ssh(ACCOUNT, key, "id; touch /tmp/ran"),
        "environment": lambda: site.host.ssh(ACCOUNT, key, options=options),
        "sftp": lambda: call([*site.host.ssh_argv(None, key, program="sftp"), "-b", "-", there], stdin="put up /tmp/ran\nls /\n",
                             cwd=tmp_path),
        "scp": lambda: transport("scp", up, f"{there}:/tmp/ran"),
        "scp, the old way": lambda: transport("scp", "-O", up, f"{there}:/tmp/ran"),
        "scp from there": lambda: transport("scp", f"{there}:/etc/passwd", tmp_path / "down"),
        "rsync": lambda: call([*argv[:at], "rsync", "-e", " ".join(argv[at:]), up, f"{there}:/tmp/ran"]),
        "forwarding to a port (-W)": lambda: call(site.host.ssh_argv(ACCOUNT, key, "-W", "127.0.0.1:22")),
        "forwarding from a port (-R)": lambda: call(site.host.ssh_argv(ACCOUNT, key, "-N", "-R", "0:127.0.0.1:22",
                                                                      options=["ExitOnForwardFailure=yes"])),
        "another's key file": lambda: site.host.ssh(ACCOUNT, site.rescue.path, "id"),
    }
    with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:   # some of them wait for the program's time to be over
        running = {name: pool.submit(attempt) for name, attempt in tries.items()}
    tries = {name: future.result() for name, future in running.items()}
    for name, r in tries.items():
        assert r.code != 0 and "uid=" not in r.out and "SSH-2.0" not in r.out, (name, repr(r))
    assert "nothing came" in tries["command"].err and "nothing came" in tries["environment"].err
    for trace in ("/tmp/ran", "/tmp/rc-ran"):
        assert not site.host.path(trace).exists(), trace
    assert not (tmp_path / "down").exists()
    assert inbox(site) == [] and mine(site) == []
    site.host.run("rm", "-r", f"{HOME}/.ssh", check=True)


def test_clients_that_stay(site):
    """None of them is there for long: neither the program nor, a little later, the connection."""
    key = site.fleet.path("bob")

    def start(*args, **kw):
        return site.host.background_ssh(ACCOUNT, key, *args, **kw)
    silent = start("-tt", "-A", "-X", "x", options=["ForwardAgent=yes"])
    running = eventually("the program runs", lambda: mine(site))
    pid = running[0][0]
    assert not site.host.path(f"/proc/{pid}/fd/0").readlink().as_posix().startswith("/dev/pts"), "a terminal"
    environment = site.host.path(f"/proc/{pid}/environ").read_bytes()
    assert b"SSH_AUTH_SOCK" not in environment and b"DISPLAY" not in environment
    drip, deaf = start("x"), start("x")
    request, _ = asked(site, reason="x" * 400)
    deaf.stdin.write((request.line + "\n").encode())
    deaf.stdin.flush()
    others = {"-N": start("-N"), "-N -L": start("-N", "-L", "127.0.0.1:24001:127.0.0.1:22"), "-N -D": start("-N", "-D", "127.0.0.1:24002")}
    eventually("three programs run", lambda: len(mine(site)) == 3)
    os.kill(deaf.pid, signal.SIGSTOP)
    tunnel = ("for i in $(seq 50); do exec 3<>/dev/tcp/127.0.0.1/24001 && break; sleep 0.1; done 2>/dev/null; timeout 5 head -c 4 <&3")
    assert site.netns("bash", "-c", tunnel).out == "", "something came through the tunnel"
    started = time.monotonic()

    def still():
        try:
            drip.stdin.write(b"{")
            drip.stdin.flush()
        except OSError:
            pass
        return not mine(site)
    eventually("the programs have ended", still, within=35, every=0.5)
    for name, client in {**others, "silent": silent, "drip": drip}.items():
        eventually(f"{name} is gone", lambda c=client: c.poll() is not None, within=max(1, 45 - (time.monotonic() - started)), every=0.2)
    assert b"did not end in time" in silent.stdout.read() and silent.returncode == 4
    assert b"did not end in time" in drip.stdout.read() and drip.returncode == 4
    eventually("no connection is left, though the client was stopped", lambda: "hallpass-drop" not in site.host.run(
        "bash", "-c", "ps -eo args | grep '^sshd:'").out, within=60, every=0.5)
    deaf.kill()
    for client in (silent, drip, deaf, *others.values()):
        client.wait()
        client.stdout.close()
        try:
            client.stdin.close()
        except OSError:
            pass
    assert inbox(site) == []


def test_quota_and_a_host_without_its_agent(site, desk):
    site.host.run("systemctl", "stop", "hallpass-agent", check=True)
    try:
        request, approve = asked(site)
        desk.put(request, approve)
        r = desk.run("bob", "carry", "web-3", request.id)
        assert r.code == 0 and r.out == "web-3 has 2 statements; the agent has not read them yet; they wait\n", repr(r)
        assert len(inbox(site)) == 1
        assert json.loads(desk.run("bob", "carry", "web-3", "--json", request.id).out)["state"] == "waiting"
        assert len(inbox(site)) == 1, "the same once more"
        mode = site.host.run("stat", "-c", "%a %U %G", IN, f"{IN}/{inbox(site)[0]}", HOME).out.splitlines()
        assert mode == [f"700 {ACCOUNT} {ACCOUNT}", f"600 {ACCOUNT} {ACCOUNT}", "755 root root"]
        for user in ("alice", "rescue"):
            assert not site.host.sh(f"cat {IN}/* || ls {IN} || touch {IN}/x", user=user).ok
        assert not site.host.run("touch", f"{HOME}/x", user=ACCOUNT, cwd="/").ok, "its home is root's"
        site.host.sh(f"cd {IN}; for i in $(seq 199); do : > $i.grant; done; : > .left.0000; chown {ACCOUNT}: * .left.0000", check=True)
        before = set(inbox(site)) - {".left.0000"}
        other, more = asked(site, "carol")
        full = hand_in(site, "bob", f"{other.line}\n{more.line}\n")
        assert full.code == 1 and "is hallpass-agent running?" in full.err and "200 files" in full.err, repr(full)
        assert set(inbox(site)) == before
        site.host.sh(f"cd {IN}; rm [0-9].grant ??.grant; truncate -s 8387000 100.grant", check=True)
        before = inbox(site)
        large = hand_in(site, "bob", f"{other.line}\n{more.line}\n")
        assert large.code == 1 and "8388608 bytes" in large.err, repr(large)
        assert inbox(site) == before
        site.host.sh(f"cd {IN}; rm ???.grant", check=True)
    finally:
        site.host.restart("hallpass-agent")
    site.await_admitted("alice", site.fleet.key("alice"))
    eventually("the agent has taken them", lambda: inbox(site) == [])
    site.put(site.fleet.revoke(by="ana", request=request))
    site.await_refused("alice", site.fleet.key("alice"))


def test_what_the_journal_says(site):
    request, _ = asked(site)
    before = site.host.cursor()
    assert hand_in(site, "bob", request.line + "\n", "rm -rf / \x1b[2J").code == 0
    entry = site.host.await_journal("SYSLOG_IDENTIFIER=hallpass-drop", after=before)
    assert entry["MESSAGE"].startswith("web-3 took 1 statement (the client asked for: rm -rf / \\x1b[2J)"), entry["MESSAGE"]
    site.host.await_journal(HALLPASS_EVENT="login_exempt", HALLPASS_ACCOUNT=ACCOUNT, after=before)
