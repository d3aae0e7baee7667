"""Each hand that ends sessions without the others, what extends and what covers a session, what is left alone."""
import contextlib
import re
import time

import pytest

from .lib import menu, remains
from .lib.ends import assert_gone, brief, dead_agent, lives, running, told
from .lib.host import eventually
from .lib.site import INBOX

WARN = 'warn = ["6s", "3s"]\n'
PLAIN, IGNORING = menu.MENU["command without a terminal"], menu.MENU["ignores TERM and HUP"]
DAEMON = "[Service]\nExecStart=/usr/bin/sleep 820000001\n"
BOOKS = {"some": [{"as": "root", "run": ["/usr/bin/sleep", "*"]}, {"as": "root", "run": ["/usr/bin/id"]}],
         "less": [{"as": "root", "run": ["/usr/bin/id"]}]}


@pytest.fixture(scope="module")
def site(stage):
    with menu.menu_site(stage, BOOKS, host_toml=WARN, files={"/etc/systemd/system/daemon.service": DAEMON}) as s:
        menu.prepare(s)
        s.host.run("systemctl", "start", "daemon", check=True)
        yield s
        s.echo.kill()
        s.echo.wait()


@pytest.fixture(scope="module", autouse=True)
def long_extension(site):
    """Extended 30 seconds before its end, at the beginning of this module; looked at when the module ends, long after."""
    first = brief(site, "dave", duration=33)
    site.keep.add(first.id)
    with running(site, (menu.MENU["-N -L"], "dave")) as (forward,):
        time.sleep(max(0, first.end - 30 - time.time()))
        second = brief(site, "dave", duration=1800)
        site.keep.add(second.id)
        yield
        time.sleep(max(0, first.end + 4 - time.time()))
        state = forward.stream.finish()
        assert state["sent"] == state["received"] > 1000 and state["wrong"] == state["rest"] == 0 and state["over"] == "end of stream", state
    site.cease(first, second)


# --- PID 1
def test_agent_dead(site):
    """PID 1 ends what is in the session's control group; sudo stops what has left that."""
    grant = brief(site, "alice", "all", duration=12)
    names = ["shell with a terminal", "nohup", "tmux", "ignores TERM and HUP", "stopped", "sudo -i", "sudo stopped", "-N -L", "-N -R", "sftp", "sudo child"]
    with running(site, *[(menu.MENU[n], "alice") for n in names]) as items:
        time.sleep(2)   # so long after a logout PID 1 knows of what was left behind
        with dead_agent(site.host):
            assert time.time() < grant.end - 0.5
            delays = assert_gone(site, items, grant.end, not_before=grant.end)
        print(f"  by PID 1 alone: slowest {max(delays):.2f} s after the end")


def test_agent_away_over_the_end(site):
    """What PID 1 cannot see, since it left the control group, is ended as soon as the agent is back, with its alerts."""
    grant = brief(site, "alice", "all", duration=6)
    with running(site, (Escaped, "alice"), (IGNORING, "alice")) as items:
        before = site.host.cursor()
        with dead_agent(site.host):
            time.sleep(max(0, grant.end + 7 - time.time()))
            assert items[0].runs(remains.processes(site.host)), "nothing was left to show this with"
            assert items[1].mark.audit not in remains.audits()
        assert_gone(site, items, time.time())
        assert int(told(site, before, "sessions_at_restart")["HALLPASS_COUNT"]) >= 2
        for r in items:
            late = told(site, before, "session_end_late", SESSION=r.mark.audit)
            assert late["HALLPASS_SUBJECT"] == "alice" and 5000 < int(late["HALLPASS_DELAY"]) < 60000, late


class Escaped(menu.Running):
    """Root's, with no sudo above it, in a control group of its own."""
    name = "escaped"

    def line(self):
        return f"sudo -n setsid -f sh -c 'mkdir /sys/fs/cgroup/t{self.token} && echo $$ >/sys/fs/cgroup/t{self.token}/cgroup.procs && exec sleep {self.token}'; cat"


def test_agent_away_for_an_hour(new_site):
    """Not even PID 1 ends them: its limit is set aside. The agent comes back an hour later."""
    site = new_site(clock=True)
    host = site.host
    brief(site, "alice", duration=60)
    brief(site, "carol", duration=3600)
    with running(site, (PLAIN, "alice"), (IGNORING, "alice"), (menu.MENU["nohup"], "alice"), (PLAIN, "carol")) as (*over, kept):
        for r in over:
            host.write(f"/run/systemd/system/session-{r.mark.logind}.scope.d/99-test.conf", "[Scope]\nRuntimeMaxSec=infinity\n")
        host.run("systemctl", "daemon-reload", check=True)
        before = host.cursor()
        with dead_agent(host):
            host.set_clock(3540)
            site.assert_refused("alice", "alice")
            lives(site, *over, kept, seconds=0.5)
        assert_gone(site, over, time.time())
        assert told(site, before, "sessions_at_restart")["HALLPASS_COUNT"] == "4"
        for r in over:
            assert abs(int(told(site, before, "session_end_late", SESSION=r.mark.audit)["HALLPASS_DELAY"]) - 3480000) < 60000
            told(site, before, "session_ended", SESSION=r.mark.audit)
        lives(site, kept, seconds=1)
        host.set_clock(0)


# --- logind
@pytest.mark.parametrize("fate", ["answers again", "dies"])
def test_logind_hung_at_login(site, fate):
    """A login waits for it. No session without a limit begins."""
    host = site.host
    grant = brief(site, duration=12)
    host.run("systemctl", "kill", "-s", "STOP", "systemd-logind", check=True)
    r = PLAIN(site, "alice")
    try:
        for _ in range(10):
            time.sleep(0.1)
            assert not r.mine(remains.processes(host)), "a command runs although logind does not answer"
        host.run("systemctl", "kill", "-s", "CONT" if fate == "answers again" else "KILL", "systemd-logind", check=True)
        if fate == "answers again":
            menu.start([r])
            assert host.run("systemctl", "show", "-P", "RuntimeMaxUSec", f"session-{r.mark.logind}.scope").out.strip() not in ("", "infinity")
            assert_gone(site, [r], grant.end, not_before=grant.end)
        else:
            assert r.client.wait(20) != 0
            assert not r.mine(remains.processes(host)), "a session began that logind knows nothing of"
            eventually("logind is back", lambda: host.run("loginctl", "list-sessions").ok)
    finally:
        host.run("systemctl", "kill", "-s", "CONT", "systemd-logind")
        r.close()


def test_logind_stopped_rescue_gets_in(site):
    host = site.host
    brief(site, duration=600)
    host.run("systemctl", "mask", "--runtime", "--now", "systemd-logind.service", check=True)
    try:
        site.assert_refused("alice", "alice", "systemctl status systemd-logind")
        site.assert_in("rescue", site.rescue)
    finally:
        host.run("systemctl", "unmask", "--runtime", "systemd-logind.service", check=True)
        host.run("systemctl", "start", "systemd-logind.service", check=True)
    site.assert_in("alice", "alice")


def test_logind_hung_at_the_end(site):
    """The agent does not wait for it: control group and audit id need no logind. It is over when logind says so, too."""
    host = site.host
    grant = brief(site, "alice", duration=600)
    with running(site, (IGNORING, "alice"), (menu.MENU["setsid"], "alice")) as items:
        host.run("systemctl", "kill", "-s", "STOP", "systemd-logind", check=True)
        try:
            began = time.time()
            site.cease(grant)
            eventually("no process is left", lambda: not any(r.mark.audit in remains.audits() for r in items), within=3, every=0.01)
            print(f"  no process {time.time() - began:.2f} s after the revocation, without logind")
        finally:
            host.run("systemctl", "kill", "-s", "CONT", "systemd-logind", check=True)
        assert_gone(site, items, time.time())


# --- several grants
def test_overlapping_grants(site):
    """One ends, another is revoked; nobody is thrown out while a third admits."""
    first, second, third = brief(site, duration=5), brief(site, "alice", "quick", duration=600), brief(site, duration=600)
    with running(site, (PLAIN, "alice"), (menu.MENU["shell with a terminal"], "alice")) as items:
        lives(site, *items, seconds=first.end + 2.5 - time.time())
        site.cease(second)
        site.settle()
        lives(site, *items, seconds=1)
        since = time.time()
        site.cease(third)
        assert_gone(site, items, since)


@pytest.mark.parametrize("remaining,survives", [("login", False), ("less", False), ("some", True), ("all", True)])
@pytest.mark.parametrize("what", ["sudo child", "sudo over"])
def test_whose_sudo_was_used(site, remaining, survives, what):
    """A session in which a grant's sudo was used ends with it, unless another covers what was used. One that did not use it goes on."""
    grant = brief(site, "alice", "some", duration=600)
    with running(site, (PLAIN, "alice"), (menu.MENU["sudo child"] if what == "sudo child" else SudoOver, "alice")) as (unused, user):
        other = brief(site, "alice", remaining, duration=900)
        site.settle()
        since = time.time()
        site.cease(grant)
        if survives:
            lives(site, unused, user, seconds=1.5)
            since = time.time()
            site.cease(other)
            assert_gone(site, [unused, user], since)
        else:
            assert_gone(site, [user], since)
            lives(site, unused, seconds=0.5)


class SudoOver(menu.Running):
    """The command that sudo ran is over; the session is one that used it all the same."""
    name = "sudo, over"

    def line(self):
        return f"sudo -n id >/dev/null && sleep {self.token}; true"


def test_a_root_shell_does_not_live_on_under_a_lesser_grant(site):
    shell = brief(site, "alice", "all", duration=600)
    brief(site, "alice", "some", duration=900)
    with running(site, (menu.MENU["sudo -i"], "alice"), (menu.MENU["systemd-run --scope"], "alice"), (menu.MENU["another control group"], "alice"), (PLAIN, "alice")) as (*root, plain):
        since = time.time()
        site.cease(shell)
        assert_gone(site, root, since)
        lives(site, plain, seconds=0.5)


def test_a_root_shell_lives_on_under_an_equal_grant(site):
    shell = brief(site, "alice", "all", duration=600)
    with running(site, (menu.MENU["sudo -i"], "alice"), (menu.MENU["another control group"], "alice")) as items:
        equal = brief(site, "alice", "all", duration=900)
        site.cease(shell)
        site.settle()
        lives(site, *items, seconds=1.5)
        since = time.time()
        site.cease(equal)
        assert_gone(site, items, since)


def test_an_equal_grant_extends_a_session_that_used_sudo(site):
    """The session goes on past the end of the first; what sudo itself was running then it has stopped, for it was told that end at its start."""
    first = brief(site, "alice", "all", duration=5)
    with running(site, (SudoOver, "alice"), (Escaped, "alice")) as items:
        second = brief(site, "alice", "all", duration=600)
        lives(site, *items, seconds=first.end + 4 - time.time())
        since = time.time()
        site.cease(second)
        assert_gone(site, items, since)


# --- the race at login
@pytest.mark.parametrize("place", ["before the session phase", "before pam_systemd", "before registration", "after registration"])
def test_a_revocation_during_a_login(site, place):
    """pam_exec stands there and puts the revocation into the directory; the agent is as fast as it is."""
    host = site.host
    stack = host.path("/etc/pam.d/sshd").read_text()
    lines = {"before the session phase": "session requisite pam_hallpass.so", "before pam_systemd": "@include common-session\n", "before registration": "session required pam_hallpass.so post"}
    gap = "session required pam_exec.so /usr/local/bin/gap\n"
    if place in lines:
        at = lines[place]
        assert at in stack
        changed = stack.replace(at, gap + at)
    else:
        changed = re.sub(r"(session required pam_hallpass.so post.*\n)", lambda m: m.group(1) + gap, stack)
    assert changed.count("pam_exec") == 1
    host.write("/usr/local/bin/gap", f"#!/bin/sh\n[ $PAM_TYPE = open_session ] && mv /root/revocation.grant {INBOX}/$(date +%N).grant\nexit 0\n", 0o755)
    host.write("/etc/pam.d/sshd", changed)
    try:
        for wait in ("", "sleep 0.05\n", "sleep 0.4\n"):   # and what the agent makes of it in so long
            grant = site.grant("alice", duration=600)
            host.write("/root/revocation.grant", site.fleet.revoke(by="ana", request=grant).line + "\n")
            host.write("/usr/local/bin/gap", f"#!/bin/sh\n[ $PAM_TYPE = open_session ] && mv /root/revocation.grant {INBOX}/$(date +%N).grant\n{wait}exit 0\n", 0o755)
            r = IGNORING(site, "alice")
            try:
                eventually("the revocation was delivered", lambda: not host.path("/root/revocation.grant").exists())
                since = time.time()
                assert r.client.wait(10) != 0
                assert time.time() - since < 5
                eventually("nothing is left of it", lambda r=r: not [p for p in remains.processes(host) if r.token in p.command], within=5 - (time.time() - since))
                uid = int(host.run("id", "-u", "alice").out)
                eventually("no session of hers is left", lambda uid=uid: not [p for p in remains.processes(host) if p.login == uid and "user@" not in p.group], within=5)
            finally:
                r.close()
                site.cease(grant)
    finally:
        host.write("/etc/pam.d/sshd", stack)


# --- what is left alone
def daemon(host):
    return host.run("systemctl", "show", "-P", "MainPID", "daemon").out.strip()


def test_daemons_live_on(site):
    """One restarted with sudo is none of the session's. A process moved into a service's control group is reported, not killed."""
    host = site.host
    grant = brief(site, "alice", "all", duration=600)
    old = daemon(host)
    restarted = site.type("alice", "sudo -n systemctl restart daemon")
    assert restarted.ok and daemon(host) not in (old, "0")
    with running(site, (Moved, "alice"), (PLAIN, "alice")) as (moved, plain):
        new, before = daemon(host), host.cursor()
        inside = moved.mine(remains.processes(host))
        assert [p.group for p in inside] == ["/system.slice/daemon.service"] and inside[0].audit == moved.mark.audit
        since = time.time()
        site.cease(grant)
        assert_gone(site, [plain], since)
        told(site, before, "session_ended", SESSION=moved.mark.audit)
        left = told(site, before, "session_process_left", SESSION=moved.mark.audit)
        assert left["HALLPASS_WHY"] == "/system.slice/daemon.service" and left["HALLPASS_PROCESS"].endswith(" sleep") and left["HALLPASS_SUBJECT"] == "alice"
        assert not moved.mark.scope.exists() and not moved.mark.logind_file.exists()
        assert {p.pid for p in remains.processes(host) if p.audit == moved.mark.audit} == {inside[0].pid}
        assert daemon(host) == new
        assert len(host.journal(HALLPASS_EVENT="session_process_left", after=before)) == 1


class Moved(menu.Running):
    name = "moved into a service"

    def line(self):
        return f"sudo -n setsid -f sh -c 'echo $$ >/sys/fs/cgroup/system.slice/daemon.service/cgroup.procs && exec sleep {self.token}'; cat"


# --- extension
def test_extension_with_a_live_stream(site):
    """Not a byte is lost; and the agent dies right after: PID 1 keeps the new end."""
    host = site.host
    first = brief(site, duration=7)
    with running(site, (menu.MENU["-N -L"], "alice"), (IGNORING, "alice")) as items:
        forward = items[0]
        time.sleep(max(0, first.end - 2 - time.time()))
        before = host.cursor()
        second = brief(site, duration=10)
        assert time.time() < first.end - 0.3, "too slow to show anything"
        for r in items:
            told(site, before, "session_extended", SESSION=r.mark.audit)
        with dead_agent(host):
            lives(site, *items, seconds=first.end + 4.2 - time.time())   # PID 1's old limit, its grace and its stop timeout
            state = forward.stream.finish()
            assert state["sent"] == state["received"] > 500 and state["wrong"] == state["rest"] == 0 and state["over"] == "end of stream", state
            assert_gone(site, items, second.end, not_before=second.end)


def test_shortening(site):
    """A second grant moved the end away; its revocation brings it back, for PID 1 too."""
    first = brief(site, duration=8)
    second = brief(site, duration=600)
    with running(site, (IGNORING, "alice")) as items:
        site.cease(second)
        site.settle()
        limit = eventually("PID 1 has the earlier end", lambda: limit_of(site.host, items[0].mark, below=20))
        assert limit
        with dead_agent(site.host):
            assert_gone(site, items, first.end, not_before=first.end)


def limit_of(host, mark, below):
    text = host.run("systemctl", "show", "-P", "RuntimeMaxUSec", f"session-{mark.logind}.scope").out.strip()
    found = re.fullmatch(r"(?:(\d+)min ?)?(?:([\d.]+)s ?)?(?:[\d.]+ms)?", text)
    seconds = int(found.group(1) or 0) * 60 + float(found.group(2) or 0) if found else None
    return text if seconds is not None and seconds < below else None


def test_warnings_on_the_terminal(site):
    """At 6 and 3 seconds here; on every terminal of the session, and what to type."""
    with running_shell(site, 9) as (grant, shell, tmux):
        def warned(times):
            return shell.log.read_text().count("hallpass: your access to web-3 as alice ends in") >= times
        for times, left in ((1, 6), (2, 3)):
            assert not warned(times), "too early"
            eventually(f"a warning {left} seconds before the end", lambda times=times: warned(times), within=max(0.1, grant.end - left + 1.5 - time.time()))
        text = shell.log.read_text()
        assert grant.id in text and "hallpass request login --target host=web-3" in text and "To stay longer" in text, text
        assert_gone(site, [shell, tmux], grant.end)
        text = shell.log.read_text()
        assert "hallpass: your access to web-3 as alice is over" in text, text


@contextlib.contextmanager
def running_shell(site, duration):
    grant = brief(site, duration=duration)
    with running(site, (menu.MENU["shell with a terminal"], "alice"), (menu.MENU["tmux"], "alice")) as (shell, tmux):
        yield grant, shell, tmux
