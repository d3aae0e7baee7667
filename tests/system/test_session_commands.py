"""What engineers and operators type about sessions: hallpass time, done, host sessions, host end. And that no user can hold the agent up by asking."""
import json
import os
import time

import pytest

from .lib.host import eventually
from .lib.shell import Shell
from .lib.sudo import SudoSite, runbook

CONTROL = "/run/hallpass/control"
FLOOD = "/usr/local/bin/flood"
# Asks as a program would that does not mean well: argv[1] is sent as it is, packets of the answer are printed.
ASK = """\
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
s.connect("/run/hallpass/control")
s.send(sys.argv[1].encode())
while packet := s.recv(1 << 20):
    sys.stdout.write(packet.decode())
"""
# 200 threads that connect until standard input ends: some ask, some say nothing, some send too much, some go at once.
FLOOD_PY = """\
import socket, sys, threading
done, over = [0], threading.Event()
def one(kind):
    while not over.is_set():
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(3)
        try:
            s.connect("/run/hallpass/control")
            if kind == 0: s.send(b"time"); s.recv(1 << 20)
            if kind == 1: s.recv(1 << 20)
            if kind == 2: s.send(b"x" * 100000); s.recv(1 << 20)
            done[0] += 1
        except OSError:
            pass
        s.close()
threads = [threading.Thread(target=one, args=(i % 4,)) for i in range(200)]
for t in threads: t.start()
print("on", flush=True)
sys.stdin.read()
over.set()
for t in threads: t.join()
print(done[0])
"""
RESTART = [{"as": "root", "run": ["/usr/bin/id", "-u"]}]
ANYTHING = [{"as": "root", "run": "any"}, {"as": "bob", "run": "any"}]


@pytest.fixture(scope="module")
def site(stage):
    runbooks = {"look": RESTART, "all": ANYTHING, "look-deploy": runbook(RESTART, account="deploy", shared_sudo=True)}
    with SudoSite(stage, runbooks, files={"/usr/local/bin/ask": (0o755, f"#!/usr/bin/python3\n{ASK}"),
                                          FLOOD: (0o755, f"#!/usr/bin/python3\n{FLOOD_PY}")}) as s:
        s.host.sh("echo bob:test | chpasswd", check=True)
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        s.host.await_journal(HALLPASS_EVENT="sudoers_prepared")
        yield s


@pytest.fixture(scope="module")
def host(site):
    return site.host


def ctl(host, *words, **kw):
    return host.run("hallpass", *words, **kw)


def sessions(host) -> dict:
    """As root sees them: by audit session id, or logind-N."""
    r = ctl(host, "host", "sessions", "--json", check=True)
    listed = json.loads(r.out)
    assert listed["hallpass"] == "sessions/1" and listed["host"] == "web-3"
    return {s["session"]: s for s in listed["sessions"]}


def time_of(shell, before="") -> dict:
    r = shell(f"{before} hallpass time --json")
    assert r.ok, repr(r)
    return json.loads(r.out)


def agent_seconds(host) -> float:
    """Of the processor, that the agent has used."""
    pid = host.run("systemctl", "show", "-p", "MainPID", "--value", "hallpass-agent", check=True).out.strip()
    fields = host.run("cat", f"/proc/{pid}/stat", check=True).out.rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gone(shell, within=5):
    """The client of an ended session has heard of it."""
    return shell._process.wait(within) is not None


# --- hallpass time

def test_time_in_a_session(site):
    grant = site.grant("alice", "look", duration=900, reason="502s on checkout", ticket="INC-2031")
    with Shell(site, "alice") as alice:
        told = time_of(alice)
        assert {k: told[k] for k in ("hallpass", "session", "host", "subject", "account", "state", "observed")} == {
            "hallpass": "time/1", "session": alice.audit, "host": "web-3", "subject": "alice", "account": "alice", "state": "live", "observed": False}
        assert 840 < told["left"] <= 900 and told["why_then"] == f"grant {grant.id} ends"
        [g] = told["grants"]
        assert g == {"id": grant.id, "runbook": "look", "reason": "502s on checkout", "ticket": "INC-2031", "ends_at": told["ends_at"],
                     "used": False, "commands": ["as root: /usr/bin/id -u"]}
        r = alice("hallpass time")
        assert r.code == 0 and r.out.startswith(("14m left: until ", "15m left: until ")), repr(r)
        for words in (f"when grant {grant.id} ends.", "You are alice on web-3, account alice, session", "502s on checkout [INC-2031]",
                      "    as root: /usr/bin/id -u\n", "hallpass request look --target host=web-3", "hallpass done"):
            assert words in r.out, (words, r.out)
        # What was used counts, and a longer grant extends.
        assert alice("sudo -n id -u").out == "0\n"
        longer = site.grant("alice", "login", by="carol", duration=1800)
        eventually("both are told", lambda: len(time_of(alice)["grants"]) == 2)
        told = time_of(alice)
        assert {g["id"]: g["used"] for g in told["grants"]} == {grant.id: True, longer.id: False}
        assert told["left"] <= 900 and told["why_then"] == f"grant {grant.id} ends, whose sudo was used in this session", told
        assert sessions(site.host)[alice.audit]["used"] == [grant.id]


def test_time_is_moved_by_another_grant(site):
    site.grant("alice", "login", duration=600)
    with Shell(site, "alice") as alice:
        assert time_of(alice)["left"] <= 600
        longer = site.grant("alice", "quick", duration=1800)
        eventually("it is moved", lambda: time_of(alice)["left"] > 1700)
        assert time_of(alice)["why_then"] == f"grant {longer.id} ends"


def test_time_as_root_in_a_session(site):
    site.grant("alice", "all")
    with Shell(site, "alice") as alice:
        for shell in ("sudo -n hallpass time --json", "echo hallpass time --json | sudo -n -i", "echo hallpass time --json | sudo -n -s"):
            r = alice(shell)
            assert r.ok and json.loads(r.out)["session"] == alice.audit, repr(r)
        # With root's powers another user's shell in the session is still no session of that user.
        r = alice("sudo -n -u bob hallpass time")
        assert r.code == 1 and "this session is of alice on the account alice, and you are another user in it" in r.out, repr(r)
        r = alice("sudo -n -u bob hallpass done --yes")
        assert r.code == 1 and "another user" in r.out and time_of(alice)["state"] == "live", repr(r)


@pytest.mark.parametrize("line", ["setsid -w hallpass time --json", "nohup hallpass time --json 2>/dev/null", "(setsid hallpass time --json &) | cat",
                                  "systemd-run --user --scope --quiet hallpass time --json", "env -i /usr/bin/hallpass time --json"])
def test_time_of_what_a_session_started(site, line):
    site.grant("alice")
    with Shell(site, "alice") as alice:
        r = alice(line)
        assert r.ok and json.loads(r.out)["session"] == alice.audit, repr(r)


def test_time_of_what_is_left_behind(site, host):
    site.grant("alice")
    out = f"/tmp/told-{time.monotonic_ns()}"
    with Shell(site, "alice") as alice:
        alice(f"(setsid -f sh -c 'while sleep 0.1; do hallpass time --json > {out}.new; mv {out}.new {out}; done' </dev/null >/dev/null 2>&1)")
        eventually("it is told", lambda: host.run("cat", out).out.startswith("{"))
        audit = alice.audit
    eventually("it is left behind", lambda: json.loads(host.run("cat", out).out)["state"] == "left-behind")
    assert sessions(host)[audit]["state"] == "left-behind"
    r = ctl(host, "host", "sessions")
    assert "left behind" in r.out, repr(r)
    assert ctl(host, "host", "end", audit).ok and audit not in sessions(host)
    assert host.run("pgrep", "-u", "alice", "-f", out).out == ""


@pytest.mark.parametrize("words", ["time", "time --json", "done --yes", "done"])
def test_without_a_session(site, host, words):
    r = ctl(host, *words.split(), user="bob")
    assert r.code == 1 and r.out == "" and "this is no session under a grant" in r.err, repr(r)
    r = ctl(host, *words.split())
    assert r.code == 1 and "no session under a grant" in r.err and "hallpass host sessions" in r.err, repr(r)


def test_in_the_session_of_the_exempt_group(site, host):
    r = host.ssh("rescue", site.rescue.path, "hallpass time")
    assert r.code == 1 and "no session under a grant" in r.err, repr(r)


def test_after_su(site):
    site.grant("alice")
    with Shell(site, "alice") as alice:
        for command in ("time", "done --yes"):
            r = alice(f"echo test | su - bob -c 'hallpass {command}' 2>&1")
            assert r.code == 1 and "this session is of alice on the account alice" in r.out, repr(r)
        assert time_of(alice)["state"] == "live"


# --- hallpass done

def test_done_ends_what_is_his_and_no_more(site, host):
    mine, other, own = site.grant("alice", "deploy", by="carol"), site.grant("bob", "deploy", by="carol"), site.grant("alice", "quick")
    with Shell(site, "alice", "deploy") as first, Shell(site, "alice", "deploy") as second, Shell(site, "bob", "deploy") as bob, Shell(site, "alice") as personal:
        second("(setsid -f sleep 1000 </dev/null >/dev/null 2>&1)")
        before = host.cursor()
        began = time.monotonic()
        first._process.stdin.write(b"hallpass done --yes\n")
        first._process.stdin.flush()
        assert gone(first) and gone(second)
        print(f"both clients knew after {time.monotonic() - began:.2f} s")
        heard = first._process.stdout.read().decode()
        assert "Ending your access to web-3 as deploy, and your sessions on this account." in heard, heard
        assert f"Given back on web-3: {mine.id}. Elsewhere: hallpass revoke {mine.id}" in heard, heard
        eventually("nothing is left of them", lambda: not {first.audit, second.audit} & set(sessions(host)))
        assert host.run("pgrep", "-u", "deploy", "sleep").out == ""
        assert time_of(bob)["grants"][0]["id"] == other.id and time_of(personal)["grants"][0]["id"] == own.id
        entry = host.await_journal(HALLPASS_EVENT="grant_given_back", after=before)
        assert (entry["HALLPASS_GRANT"], entry["HALLPASS_SUBJECT"], entry["HALLPASS_ACCOUNT"]) == (mine.id, "alice", "deploy")
        assert len(host.journal(HALLPASS_EVENT="session_ended", after=before)) == 2
        site.assert_refused("deploy", "alice", "given back")
        # For good: also for an agent that starts anew, with the grant's file still there.
        host.restart("hallpass-agent")
        site.settle()
        site.assert_refused("deploy", "alice", "given back")
        assert set(sessions(host)) == {bob.audit, personal.audit}
        site.grant("alice", "deploy", by="bob")   # another one may
        site.assert_in("deploy", "alice")


def test_done_asks(site, host):
    grant = site.grant("alice")
    with Shell(site, "alice") as alice:
        r = alice("hallpass done")
        assert r.code == 2 and "--yes" in r.out, repr(r)
        r = site.ssh("alice", "alice", "-tt", "hallpass done; echo code=$?", stdin="n\n")
        assert "End your access to web-3 as alice now? This session ends, and any other of yours on this account. [y/N]" in r.out, repr(r)
        assert "you said no; nothing has changed" in r.out and "code=1" in r.out, repr(r)
        assert time_of(alice)["state"] == "live"
        before = host.cursor()
        r = site.ssh("alice", "alice", "-tt", "hallpass done; sleep 10; echo still here", stdin="y\n")
        assert r.code != 0 and "still here" not in r.out and r.seconds < 8, repr(r)
        assert gone(alice)
        assert host.await_journal(HALLPASS_EVENT="grant_given_back", after=before)["HALLPASS_GRANT"] == grant.id


def test_done_as_root_in_a_session(site):
    site.grant("alice", "all")
    with Shell(site, "alice") as alice:
        alice._process.stdin.write(b"sudo -n hallpass done --yes\n")
        alice._process.stdin.flush()
        assert gone(alice)
        site.assert_refused("alice", "alice", "given back")


# --- hallpass host sessions, hallpass host end

def test_sessions(site, host):
    grants = {who: site.grant(who, "deploy", by="carol", duration=1200) for who in ("alice", "bob")}
    with Shell(site, "alice", "deploy") as alice, Shell(site, "bob", "deploy") as bob:
        listed = sessions(host)
        for who, shell in (("alice", alice), ("bob", bob)):
            s = listed[shell.audit]
            show = dict(line.split("=", 1) for line in host.run("loginctl", "show-session", s["logind"], check=True).out.splitlines())
            assert (show["Name"], show["Leader"]) == ("deploy", str(s["leader"])), (show, s)
            assert (s["subject"], s["account"], s["grant"], s["used"], s["state"], s["observed"]) == (who, "deploy", grants[who].id, [], "live", False)
            assert s["from"] == show.get("RemoteHost") == "127.0.0.1", (s, show)
            assert abs(time.time() - time.mktime(time.strptime(s["since"] + "+0000", "%Y-%m-%dT%H:%M:%SZ%z"))) < 60 + abs(time.timezone)
            assert 1100 < s["left"] <= 1200 and s["why_then"] == f"grant {grants[who].id} ends"
        lines = ctl(host, "host", "sessions", check=True).out.splitlines()
        assert lines[0].split() == ["SESSION", "WHO", "ACCOUNT", "SINCE", "UNTIL", "GRANT", "STATE", "FROM"]
        rows = {line.split()[0]: line for line in lines[1:]}
        assert set(rows) == set(listed)
        for who, shell in (("alice", alice), ("bob", bob)):
            assert who in rows[shell.audit] and grants[who].id in rows[shell.audit] and rows[shell.audit].index(who) == lines[0].index("WHO")


@pytest.mark.parametrize("words", ["host sessions", "host sessions --json", "host end 5", "host clock accept", "host ledger reset"])
def test_for_root_alone(site, host, words):
    r = ctl(host, *words.split(), user="alice")
    assert r.code == 1 and r.out == "" and "only root may" in r.err, repr(r)


def test_the_agent_itself_asks_who_it_is(site, host):
    site.grant("alice")
    with Shell(site, "alice") as alice:
        for command in ("sessions", f"end {alice.audit}", "clock-accept", "ledger-reset", "time ", "done x", "nonsense"):
            r = alice(f"ask '{command}'")
            assert json.loads(r.out) == {"ok": False, "text": "only root may ask that"}, repr(r)
        assert json.loads(alice("ask time").out)["ok"]
        r = alice(f"ask {'x' * 5000}")
        assert json.loads(r.out) == {"ok": False, "text": "the command is too long"}, repr(r)
        assert alice(f"stat -c %a:%U {CONTROL}; rm -f {CONTROL}; mv {CONTROL} /tmp/; ls {CONTROL}").out.splitlines()[0] == "666:root"
        assert time_of(alice)["state"] == "live"


def test_end(site, host):
    grant = site.grant("alice", "all")
    with Shell(site, "alice") as first, Shell(site, "alice") as second:
        second("(sudo -n setsid -f sleep 1000 </dev/null >/dev/null 2>&1)")
        before = host.cursor()
        r = ctl(host, "host", "end", second.audit, "--reason", "laptop was stolen")
        assert r.code == 0 and r.out.startswith(f"session {second.audit} of alice on alice is over\n"), repr(r)
        assert "alice may log in again; against that: hallpass revoke" in r.out, repr(r)
        assert gone(second) and host.run("pgrep", "-x", "sleep").out == ""
        entry = host.await_journal(HALLPASS_EVENT="session_end_requested", after=before)
        assert (entry["HALLPASS_SUBJECT"], entry["HALLPASS_SESSION"]) == ("alice", second.audit) and "laptop was stolen" in str(entry), entry
        assert host.await_journal(HALLPASS_EVENT="session_ended", after=before)["HALLPASS_SESSION"] == second.audit
        assert [g["id"] for g in time_of(first)["grants"]] == [grant.id]   # that session, not the grant
        site.assert_in("alice", "alice")
        r = ctl(host, "host", "end", "4242")
        assert r.code == 1 and f"there is no session 4242; there are {first.audit} (alice on alice)" in r.err, repr(r)
        for code, words in ((2, [""]), (2, ["5 6"]), (2, []), (2, ["5", "--reason", "a\x1b[2J"]), (1, ["--reason", "x", "nonsense"])):
            r = ctl(host, "host", "end", *words)
            assert r.code == code and r.err and "\x1b" not in r.err, repr(r)
        assert time_of(first)["state"] == "live"
        # By logind's name, which is the same number where the kernel's audit is on.
        assert ctl(host, "host", "end", sessions(host)[first.audit]["logind"]).ok and gone(first)
    r = ctl(host, "host", "sessions")
    assert r.code == 0 and r.out == "" and "no sessions under a grant" in r.err, repr(r)
    assert json.loads(ctl(host, "host", "sessions", "--json").out)["sessions"] == []


# --- without the agent, and against it

def test_with_the_agent_stopped(site, host):
    site.grant("alice", "look")
    with Shell(site, "alice") as alice:
        host.run("systemctl", "stop", "hallpass-agent", check=True)
        try:
            r = alice("hallpass time")
            assert r.code == 1 and "hallpass-agent does not run here" in r.out and "sudo -l" in r.out, repr(r)
            assert "/usr/bin/id -u" in alice("sudo -n -l").out
            r = alice("hallpass done --yes")
            assert r.code == 1 and "does not run here" in r.out and "hallpass revoke" in r.out, repr(r)
            for words in (["sessions"], ["end", alice.audit]):
                r = ctl(host, "host", *words)
                assert r.code == 1 and "hallpass-agent does not run here: `systemctl status hallpass-agent`" in r.err, repr(r)
            host.path(CONTROL).unlink(missing_ok=True)
            assert "does not run here" in alice("hallpass time").out
        finally:
            host.run("systemctl", "start", "hallpass-agent", check=True)
        assert time_of(alice)["state"] == "live"


def test_a_flood_holds_nobody_up(site, host):
    """200 connections by a user at any moment, while one session must end on time and another is revoked."""
    site.grant("carol", "quick", duration=3000)
    dave = site.grant("dave", "quick", duration=3000)
    with Shell(site, "carol") as carol, Shell(site, "dave") as victim:
        used, began_flood = agent_seconds(host), time.monotonic()
        flood = host.background_ssh("carol", site.fleet.path("carol"), FLOOD)
        try:
            for line in flood.stdout:
                if line == b"on\n":
                    break
            began = time.time()
            ends = int(began) + 7
            alice = site.grant("alice", "quick", duration=7, at=int(began))
            with Shell(site, "alice") as on_time:
                asked = time.monotonic()
                assert on_time.audit in sessions(host)
                r = on_time("hallpass time --json")
                print(f"asked and answered twice in {time.monotonic() - asked:.2f} s")
                assert r.ok or "too many" in r.out, repr(r)
                revoked = time.monotonic()
                site.cease(dave)
                assert gone(victim, 5)
                print(f"revoked and gone after {time.monotonic() - revoked:.2f} s")
                assert time.time() < ends and flood.poll() is None, "too slow a machine for this test"
                assert gone(on_time, ends + 5 - time.time())
                print(f"ended {time.time() - ends:.2f} s after its time")
                assert time.time() >= ends and flood.poll() is None
            assert alice.id
            asked = time.monotonic()
            assert carol.audit in sessions(host)
            print(f"root was answered in {time.monotonic() - asked:.2f} s")
            assert time.monotonic() - asked < 5
        finally:
            rest = flood.communicate(timeout=30)[0].decode()
        used = (agent_seconds(host) - used) / (time.monotonic() - began_flood)
        print(f"the flood connected {rest.split()[-1]} times and cost {used:.1%} of the agent's time")
        assert used < 0.25
        assert int(rest.split()[-1]) > 200, rest
        eventually("nothing is left of it", lambda: time_of(carol)["state"] == "live")
        agent = host.run("systemctl", "show", "-p", "NRestarts", "--value", "hallpass-agent").out
        assert agent == "0\n" and not host.run("coredumpctl", "list", "--no-legend").out, agent
