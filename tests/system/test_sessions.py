"""The registry of sessions: whose a process is, and that no login goes on which nothing would end."""
import contextlib
import pathlib
import subprocess
import time

import pytest

from .lib.host import eventually
from .lib.shell import Shell

SESSIONS = "/run/hallpass/sessions"
PROBE = "/usr/local/bin/session_probe"


def install_probe(site, build):
    site.host.write(PROBE, (build / "tests/support/session_probe").read_bytes(), 0o4755)


@pytest.fixture(scope="module")
def host(site, build):
    install_probe(site, build)
    return site.host


def fields(text) -> dict:
    return dict(word.split("=", 1) for word in text.split())


def registered(host) -> dict:
    """Records by audit id, of those that live and those that do not."""
    names = host.run("ls", SESSIONS).out.split()
    said = {int(n): host.run(PROBE, n).out for n in names if n.isdigit()}
    return {n: fields(text) for n, text in said.items() if not text.startswith("none: ")}   # gone meanwhile


@contextlib.contextmanager
def session(site, account, who, command="cat", options=()):
    """An open login: what it printed up to the line `up`."""
    process = site.host.background_ssh(account, site.fleet.path(who), f"cat /proc/self/sessionid; echo; echo id=$XDG_SESSION_ID; {PROBE}; echo up; {command}",
                                       options=options)
    lines = []
    try:
        for raw in process.stdout:
            lines.append(raw.decode().strip())
            if lines[-1] == "up":
                break
        assert lines and lines[-1] == "up", lines
        yield [line for line in lines if not line.startswith("hallpass:")]
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def test_record_after_login(site, host):
    grant = site.grant("alice", duration=600)
    before = host.cursor()
    with session(site, "alice", "alice") as lines:
        audit, logind = lines[0], lines[1].removeprefix("id=")
        mine = fields(lines[2])
        assert mine == fields(host.run(PROBE, audit, check=True).out)
        assert mine["audit"] == audit and mine["logind"] == logind
        assert mine["subject"] == "alice" and mine["account"] == "alice"
        assert mine["uid"] == host.run("id", "-u", "alice").out.strip()
        assert mine["grant_id"] == grant.id and "sha256:" + mine["grant"] == grant.digest
        assert time.time() < int(mine["end"]) <= time.time() + 600
        assert host.run("cat", f"/proc/{mine['leader']}/comm").out == "sshd\n"
        assert host.run("loginctl", "show-session", logind, "-p", "Leader", "--value").out.strip() == mine["leader"]
        assert mine["group"].endswith(f"/session-{logind}.scope")
        assert host.run("stat", "-c", "%a %U %F", SESSIONS, f"{SESSIONS}/{audit}").out.splitlines() == [
            "700 root directory", "600 root regular file"]
        entry = host.await_journal(HALLPASS_EVENT="session_registered", after=before)
        assert (entry["HALLPASS_SUBJECT"], entry["HALLPASS_ACCOUNT"], entry["HALLPASS_GRANT"], entry["HALLPASS_SESSION"]) == (
            "alice", "alice", grant.id, audit)


def test_two_engineers_on_a_shared_account(site, host):
    grants = {who: site.grant(who, "deploy", by="carol") for who in ("alice", "bob")}
    with session(site, "deploy", "alice") as alice, session(site, "deploy", "bob") as bob, session(site, "deploy", "alice") as again:
        found = [fields(lines[2]) for lines in (alice, bob, again)]
        assert [f["subject"] for f in found] == ["alice", "bob", "alice"]
        assert [f["grant_id"] for f in found] == [grants["alice"].id, grants["bob"].id, grants["alice"].id]
        assert len({f["audit"] for f in found}) == 3 and {f["account"] for f in found} == {"deploy"}


def test_records_do_not_pile_up(site, host):
    site.grant("alice")
    with session(site, "alice", "alice") as lines:
        for _ in range(8):
            site.assert_in("alice", "alice")
        left = registered(host)
        assert int(lines[0]) in left and len(left) <= 4, left


def test_a_grant_gone_between_the_lines(site, host):
    """pam_exec stands between pam_systemd and post, and takes the snapshot away."""
    site.grant("alice")
    stack = host.path("/etc/pam.d/sshd").read_text()
    post = "session required pam_hallpass.so post"
    assert post in stack
    host.write("/usr/local/bin/gap", "#!/bin/sh\ntouch /run/hallpass/withdrawn\n", 0o755)
    host.write("/etc/pam.d/sshd", stack.replace(post, f"session required pam_exec.so /usr/local/bin/gap\n{post}"))
    before = host.cursor()
    try:
        site.assert_refused("alice", "alice")
    finally:
        host.write("/etc/pam.d/sshd", stack)
        host.path("/run/hallpass/withdrawn").unlink()
    assert host.journal(HALLPASS_EVENT="login_admitted", after=before)
    assert host.await_journal(HALLPASS_EVENT="login_refused", after=before)["HALLPASS_ACCOUNT"] == "alice"
    assert not host.journal(HALLPASS_EVENT="session_registered", after=before)
    site.assert_in("alice", "alice")


def test_a_grant_gone_while_registering(site, host, tmp_path):
    """The module's side of the race: the admission goes when the record has just been written, after the first decision of `post`."""
    site.grant("alice")
    site.assert_in("alice", "alice")
    known = set(registered(host))
    shim = tmp_path / "shim.so"
    source = pathlib.Path(__file__).with_name("lib") / "withdraw_shim.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", shim, source, "-ldl"], check=True)
    host.write("/usr/lib/withdraw.so", shim.read_bytes(), 0o755)
    host.write("/etc/ld.so.preload", "/usr/lib/withdraw.so\n")
    before = host.cursor()
    try:
        result = site.assert_refused("alice", "alice")
        assert "withdrawn" in result.both, repr(result)
    finally:
        host.path("/etc/ld.so.preload").unlink()
        host.path("/run/hallpass/withdrawn").unlink()
    assert host.journal(HALLPASS_EVENT="login_admitted", after=before)
    assert not host.journal(HALLPASS_EVENT="session_registered", after=before)
    assert set(registered(host)) <= known
    site.assert_in("alice", "alice")


def test_the_exempt_group_is_not_registered(site, host):
    before = host.cursor()
    result = host.ssh("rescue", site.rescue.path, f"{PROBE}; true")
    assert result.code == 0 and "none: " in result.out, repr(result)
    assert not host.journal(HALLPASS_EVENT="session_registered", after=before)
    assert len(host.journal(HALLPASS_EVENT="login_exempt", after=before)) == 1   # told once


# --- who does not belong to a session

def elsewhere(site, command):
    """What the probe says when `command` runs it from alice's session."""
    result = site.ssh("alice", "alice", f"{PROBE} | sed s/^/own:/; {command}")
    assert "own:audit=" in result.out, repr(result)
    return [line for line in result.out.splitlines() if not line.startswith("own:")], result


@pytest.mark.parametrize("command,why", [
    (f"systemd-run --user --quiet --wait --pipe {PROBE}", "none: "),
    (f"systemd-run --user --quiet --scope {PROBE}", "left the control group"),
    (f"echo test | su - bob -c {PROBE}", "is of alice, not of the calling user"),
], ids=["systemd-run --user", "systemd-run --user --scope", "su"])
def test_what_a_session_starts_elsewhere(site, host, command, why):
    host.sh("echo bob:test | chpasswd", check=True)
    site.grant("alice")
    out, result = elsewhere(site, command)
    assert any(why in line for line in out) and not any("subject=" in line for line in out), repr(result)


@pytest.mark.parametrize("command", [f"setsid -w {PROBE}", f"nohup {PROBE} 2>/dev/null | cat", f"(setsid {PROBE} &) | cat"])
def test_what_stays_in_the_session(site, host, command):
    grant = site.grant("alice")
    out, result = elsewhere(site, command)
    assert any(f"grant_id={grant.id}" in line for line in out), repr(result)


def test_a_login_by_another_door(site, host):
    """As cron and at begin theirs: pam_loginuid sets another audit session id."""
    site.grant("alice")
    with session(site, "alice", "alice"):
        r = host.run("systemd-run", "--quiet", "--wait", "--pipe", "--uid=alice", "-p", "PAMName=login", "sh", "-c",
                     f"cat /proc/self/sessionid; echo; {PROBE}")
        first, second = r.out.splitlines()[:2]
        assert first != "4294967295" and second.startswith("none: "), repr(r)


def test_a_session_whose_leader_is_gone(site, host):
    site.grant("alice")
    with session(site, "alice", "alice", f"while sleep 0.2; do {PROBE} > /tmp/probed.new 2>&1; mv /tmp/probed.new /tmp/probed; done") as lines:
        leader = fields(lines[2])["leader"]
        eventually("it resolves", lambda: "subject=alice" in host.run("cat", "/tmp/probed").out)
        host.run("kill", "-9", leader, check=True)
        eventually("it does no more", lambda: "its leader is gone" in host.run("cat", "/tmp/probed").out)
        host.sh("pkill -9 -u alice")


# --- accounts without a user manager

def test_user_manager_denied(site, host):
    """For a shared account: nothing of systemd's outlives sessions on it. Taken back with the configuration, also by another agent."""
    config = host.path("/etc/hallpass/host.toml").read_text()
    deploy = host.run("id", "-u", "deploy").out.strip()
    runs = "systemd-run --user --quiet --wait --pipe echo a user manager"
    site.grant("alice", "deploy", by="carol")
    running = Shell(site, "alice", "deploy")
    host.write("/etc/hallpass/host.toml", config + '[accounts.deploy]\nuser_manager = "deny"\n')
    host.run("systemctl", "reload", "hallpass-agent", check=True)
    eventually("it is forbidden", lambda: forbidden(host, deploy))
    assert user_manager(host, deploy) == "active"
    running.close()
    eventually("one that ran already goes with the last session", lambda: user_manager(host, deploy) == "inactive", within=20)
    result = site.ssh("deploy", "alice", f"echo in; {runs}")
    assert result.out.startswith("in\n") and "a user manager" not in result.out and result.code != 0, repr(result)
    assert "a user manager" in site_runs(site, runs)   # other accounts keep theirs
    host.write("/etc/hallpass/host.toml", config)
    host.restart("hallpass-agent")
    eventually("it is not", lambda: not forbidden(host, deploy))
    result = site.ssh("deploy", "alice", runs)
    assert "a user manager" in result.out, repr(result)


def forbidden(host, uid):
    return "90-hallpass.conf" in host.run("systemctl", "show", "-P", "DropInPaths", f"user@{uid}.service").out


def user_manager(host, uid):
    return host.run("systemctl", "is-active", f"user@{uid}.service").out.strip()


def site_runs(site, command):
    site.grant("alice")
    return site.ssh("alice", "alice", command).out


# --- without what it takes

def test_without_logind(new_site, build):
    site = new_site()
    install_probe(site, build)
    host = site.host
    site.grant("alice", duration=600)
    site.assert_in("alice", "alice")
    host.run("systemctl", "mask", "--runtime", "--now", "systemd-logind.service", check=True)
    before = host.cursor()
    site.assert_refused("alice", "alice", "systemctl status systemd-logind")
    result = site.ssh("alice", "alice", "-tt", stdin="echo in as $(id -un)\nexit\n")
    assert result.code != 0 and "in as alice" not in result.out, repr(result)
    entry = host.await_journal(HALLPASS_EVENT="login_refused", after=before)
    assert entry["HALLPASS_WHY"] == "no_logind_session" and entry["HALLPASS_SUBJECT"] == "alice"
    site.assert_in("rescue", site.rescue)
    host.run("systemctl", "unmask", "--runtime", "systemd-logind.service", check=True)
    host.run("systemctl", "start", "systemd-logind.service", check=True)
    site.assert_in("alice", "alice")


def test_sshd_started_out_of_a_session(site, host):
    """Its logins inherit its audit session id when they are of the same user: pam_loginuid leaves alone what is set right already."""
    grant = site.grant("alice")
    host.run("systemd-run", "--unit=sshd-by-hand", "sh", "-c",
             "echo $(id -u alice) > /proc/self/loginuid; exec /usr/sbin/sshd -D -p 2222 -o PidFile=none", check=True)
    try:
        eventually("sshd listens", lambda: ":2222" in host.run("ss", "-tln").out)
        before = host.cursor()
        result = site.ssh("alice", "alice", f"cat /proc/self/sessionid; echo; {PROBE}; true", options=["Port=2222"])
        assert result.code == 0 and "none: " in result.out, repr(result)
        entry = host.await_journal(HALLPASS_EVENT="session_not_registered", after=before)
        assert entry["HALLPASS_WHY"] == "audit_id_of_sshd" and entry["HALLPASS_GRANT"] == grant.id
        site.grant("bob", by="carol")
        result = site.ssh("bob", "bob", f"{PROBE}", options=["Port=2222"])   # who gets an id of his own
        assert "subject=bob" in result.out, repr(result)
    finally:
        host.run("systemctl", "stop", "sshd-by-hand")


def test_without_pam_loginuid(new_site, build):
    from .lib.site import pam_sshd
    site = new_site(pam="\n".join(line for line in pam_sshd().splitlines() if "pam_loginuid" not in line) + "\n")
    install_probe(site, build)
    site.grant("alice")
    before = site.host.cursor()
    result = site.ssh("alice", "alice", f"{PROBE}; true")
    assert result.code == 0 and "none: " in result.out, repr(result)
    assert site.host.await_journal(HALLPASS_EVENT="session_not_registered", after=before)["HALLPASS_WHY"] == "audit_id_unset"


def test_observing(new_site, build):
    site = new_site(options="--mode=observe", sshd="AuthorizedKeysFile /etc/ssh/keys/%u")
    install_probe(site, build)
    host = site.host
    conf = host.path("/etc/ssh/sshd_config.d/hallpass.conf").read_text()
    host.write("/etc/ssh/sshd_config.d/hallpass.conf", conf.replace("AuthorizedKeysFile none\n", ""))
    host.restart("ssh")
    for who in ("alice", "bob"):
        host.write(f"/etc/ssh/keys/{who}", site.fleet.key(who).line + "\n")
    site.grant("alice", wait=False)
    host.await_journal(HALLPASS_EVENT="grant_active")
    site.settle()
    before = host.cursor()
    result = site.ssh("alice", "alice", PROBE)
    assert "subject=alice" in result.out, repr(result)
    result = site.ssh("bob", "bob", f"{PROBE}; true")
    assert result.code == 0 and "none: " in result.out, repr(result)
    assert len(host.journal(HALLPASS_EVENT="login_would_refuse", after=before)) == 1   # told once
    host.run("systemctl", "mask", "--runtime", "--now", "systemd-logind.service", check=True)
    result = site.ssh("alice", "alice", "echo in")
    assert result.code == 0 and "in\n" in result.out, repr(result)
    entry = host.await_journal(HALLPASS_EVENT="login_would_refuse", HALLPASS_ACCOUNT="alice", after=before)
    assert entry["HALLPASS_WHY"] == "no_logind_session"
