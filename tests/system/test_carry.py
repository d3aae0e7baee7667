"""Grants carried by hand: hallpass carry, deliver, and the account that takes them and does nothing else."""
import concurrent.futures
import json
import os
import pathlib
import signal
import threading
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
    """The program's processes: their numbers in the host."""
    lines = site.host.run("ps", "-u", ACCOUNT, "-o", "pid=", "-o", "comm=").out.splitlines()
    return [pid for pid, name in map(str.split, lines) if name == "drop"]


class Slow:
    """What takes sshd's and the program's whole time, begun before the other tests and judged after them."""

    def __init__(self, site, tmp):
        self.site, self.tmp, self.key = site, tmp, site.fleet.path("bob")
        site.host.write(f"{HOME}/.ssh/rc", "touch /tmp/rc-ran\n", 0o755)
        site.host.write(f"{HOME}/.ssh/authorized_keys", site.rescue.line + "\n")
        self.clients = self.start_clients()
        self.started = time.monotonic()
        attempts = self.attempts()
        pool = concurrent.futures.ThreadPoolExecutor(len(attempts))
        self.tries = {name: pool.submit(attempt) for name, attempt in attempts.items()}
        pool.shutdown(wait=False)

    def start_clients(self):
        """One that sends nothing, one that sends a byte now and then, one that is stopped; and three that ask for no program."""
        def start(*args, **kw):
            return self.site.host.background_ssh(ACCOUNT, self.key, *args, **kw)
        clients = {"silent": start("-A", "-X", "x", options=["ForwardAgent=yes"]), "drip": start("x"), "deaf": start("x")}
        request, _ = asked(self.site)
        clients["deaf"].stdin.write((request.line + "\n").encode())
        clients["deaf"].stdin.flush()
        eventually("three programs run", lambda: len(mine(self.site)) == 3)
        self.look_at(mine(self.site))
        clients["deaf"].send_signal(signal.SIGSTOP)
        clients.update({"-N": start("-N"), "-N -L": start("-N", "-L", "127.0.0.1:24001:127.0.0.1:22"), "-N -D": start("-N", "-D", "127.0.0.1:24002")})
        self.drip = threading.Thread(target=self.send_now_and_then, args=(clients["drip"],), daemon=True)
        self.drip.start()
        return clients

    def look_at(self, running):
        self.terminals = [pid for pid in running if "/pts/" in str(self.site.host.path(f"/proc/{pid}/fd/0").readlink())]
        self.environments = [self.site.host.path(f"/proc/{pid}/environ").read_bytes() for pid in running]

    @staticmethod
    def send_now_and_then(client):
        while client.poll() is None:
            try:
                client.stdin.write(b"{")
                client.stdin.flush()
            except OSError:
                return
            time.sleep(0.5)

    def attempts(self):
        site, key, tmp = self.site, self.key, self.tmp
        (tmp / "up").write_text("up")
        there = f"{ACCOUNT}@127.0.0.1"
        argv = site.host.ssh_argv(None, key)
        at = argv.index("ssh")
        options = ["SetEnv=ENV=/tmp/x LANG=x", "SendEnv=LC_ALL"]
        must_forward = ["ExitOnForwardFailure=yes"]

        def transport(program, *args):
            return call([*site.host.ssh_argv(None, key, program=program), *args])
        return {
            "shell": lambda: site.host.ssh(ACCOUNT, key, "-tt", stdin="id; touch /tmp/ran\n"),
            "command": lambda: site.host.ssh(ACCOUNT, key, "id; touch /tmp/ran"),
            "environment": lambda: site.host.ssh(ACCOUNT, key, options=options),
            "sftp": lambda: call([*site.host.ssh_argv(None, key, program="sftp"), "-b", "-", there], stdin="put up /tmp/ran\nls /\n", cwd=tmp),
            "scp": lambda: transport("scp", tmp / "up", f"{there}:/tmp/ran"),
            "scp, the old way": lambda: transport("scp", "-O", tmp / "up", f"{there}:/tmp/ran"),
            "scp from there": lambda: transport("scp", f"{there}:/etc/passwd", tmp / "down"),
            "rsync": lambda: call([*argv[:at], "rsync", "-e", " ".join(argv[at:]), tmp / "up", f"{there}:/tmp/ran"]),
            "to a port (-W)": lambda: call(site.host.ssh_argv(ACCOUNT, key, "-W", "127.0.0.1:22")),
            "from a port (-R)": lambda: call(site.host.ssh_argv(ACCOUNT, key, "-N", "-R", "0:127.0.0.1:22", options=must_forward)),
            "through a tunnel (-L)": lambda: site.netns("bash", "-c", TUNNEL),
            "another's key file": lambda: site.host.ssh(ACCOUNT, site.rescue.path, "id"),
        }

    def stop(self):
        for client in self.clients.values():
            client.kill()
            client.wait()
            client.stdout.close()


# Waits until ssh listens; what comes through the tunnel is what it prints.
TUNNEL = ("for i in $(seq 100); do { exec 3<>/dev/tcp/127.0.0.1/24001; } 2>/dev/null && break; sleep 0.1; done; timeout 10 head -c 4 <&3; "
          "echo; exit 1")


@pytest.fixture(scope="module", autouse=True)
def slow(site, tmp_path_factory):
    s = Slow(site, tmp_path_factory.mktemp("slow"))
    yield s
    s.stop()


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


def test_nothing_but_the_program_runs(site, slow):
    tries = {name: future.result(60) for name, future in slow.tries.items()}
    for name, r in tries.items():
        assert r.code != 0 and "uid=" not in r.out and "SSH-" not in r.out, (name, repr(r))
    assert "nothing came" in tries["command"].err and "nothing came" in tries["environment"].err
    assert "refused local port forward" in "".join(e["MESSAGE"] for e in site.host.journal("_COMM=sshd")), "the tunnel was not tried"
    for trace in ("/tmp/ran", "/tmp/rc-ran"):
        assert not site.host.path(trace).exists(), trace
    assert not (slow.tmp / "down").exists()
    assert slow.terminals == [] and len(slow.environments) == 3
    for environment in slow.environments:
        assert b"SSH_AUTH_SOCK" not in environment and b"DISPLAY" not in environment and b"LC_" not in environment


def test_clients_that_stay(site, slow):
    """None of them is there for long: neither the program nor, a little later, the connection."""
    def left(seconds):
        return max(0.1, slow.started + seconds - time.monotonic())
    for name, client in slow.clients.items():
        if name != "deaf":
            eventually(f"{name} is gone", lambda c=client: c.poll() is not None, within=left(35), every=0.2)
    eventually("the programs have ended", lambda: mine(site) == [], within=left(35))
    for name in ("silent", "drip"):
        assert b"did not end in time" in slow.clients[name].stdout.read() and slow.clients[name].returncode == 4, name
    eventually("no connection is left, though the client was stopped and is still there",
               lambda: ACCOUNT not in site.host.sh("ps -eo args | grep '^sshd:'").out, within=left(60), every=0.2)
    assert slow.clients["deaf"].poll() is None
    assert inbox(site) == []
