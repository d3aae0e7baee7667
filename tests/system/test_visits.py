"""What people leave outside of their sessions: on a personal account it ends with the last grant, on a shared one it is told; what stood before
their first login runs on. Looked at from outside: processes, files of at, cron and logind."""
import os
import time

import pytest

from .lib import menu, remains
from .lib.ends import dead_agent
from .lib.host import eventually
from .lib.site import Site

SPOOL = "/var/spool/cron/atjobs"
CRON = [["install", "-d", "-m", "1730", "-g", "crontab", "/var/spool/cron/crontabs"], ["rm", "-f", "/etc/systemd/system/cron.service"],
        ["ln", "-s", "/lib/systemd/system/cron.service", "/etc/systemd/system/multi-user.target.wants/cron.service"]]
LEFT = [f"sleep {n}" for n in range(900001, 900009)]

# Started in a session, each in its own way out of it. `batch` waits for a quiet machine, so it may run or wait.
LEAVE = f"""set -e
systemd-run --user --quiet {LEFT[0]}
systemd-run --user --quiet --scope setsid {LEFT[1]} > /dev/null 2>&1 < /dev/null &
mkdir -p ~/.config/systemd/user/default.target.wants
printf '[Service]\\nExecStart={LEFT[2]}\\nRestart=always\\nRestartSec=0\\n[Install]\\nWantedBy=default.target\\n' > ~/.config/systemd/user/mine.service
systemctl --user enable --now --quiet mine
loginctl enable-linger
echo '{LEFT[3]}' | at -q a now + 3 days
echo '(setsid {LEFT[4]} > /dev/null 2>&1 &) ; {LEFT[5]}' | at now
echo 'true' | batch
(crontab -l || true; echo '0 0 1 1 * {LEFT[6]}') | crontab -
"""
# Inside a job of at, which logind finds in no session, su makes one. It must not pass for a login at the console.
LEAVE_SU = f"""echo 'echo test | su - $USER -c "{LEFT[7]}"' | at now
"""


@pytest.fixture(scope="module")
def site(stage):
    with Site(stage, users=("alice", "bob", "carol"), before_boot=[*menu.AT, *CRON]) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        s.host.sh("for u in alice bob carol deploy; do echo $u:test; done | chpasswd", check=True)
        yield s


@pytest.fixture
def host(site):
    return site.host


def uid_of(host, account) -> int:
    return int(host.run("id", "-u", account).out)


def of(host, account):
    """Every process of the account's logins, by the kernel's word."""
    uid = uid_of(host, account)
    return [p for p in remains.processes(host) if uid in (p.login, p.uid)]


def runs(host, account, command):
    return [p.pid for p in of(host, account) if p.command.endswith(command)]


def jobs(host, account) -> set:
    """Names of at's files without the queue's letter, which changes when they run."""
    uid, spool = uid_of(host, account), host.path(SPOOL)
    return {f.name[1:] for f in spool.iterdir() if f.stat().st_uid == uid}


def lingers(host, account) -> bool:
    return host.path(f"/var/lib/systemd/linger/{account}").exists()


def visiting(host, account) -> bool:
    return host.path(f"/var/lib/hallpass/visits/{account}.json").exists()


def as_user(host, account, script):
    uid = uid_of(host, account)
    return host.sh(script, user=account, env={"XDG_RUNTIME_DIR": f"/run/user/{uid}"}, check=True)


class Stood:
    """A lingering service, an at job that waits and one that runs, a crontab: made without hallpass, before anybody logged in."""

    def __init__(self, host, account):
        self.host, self.account = host, account
        host.run("loginctl", "enable-linger", account, check=True)
        eventually("its manager is up", lambda: host.path(f"/run/user/{uid_of(host, account)}/systemd/private").exists())
        as_user(host, account, "mkdir -p ~/.config/systemd/user; printf '[Service]\\nExecStart=sleep 800001\\nRestart=always\\n[Install]\\n"
                               "WantedBy=default.target\\n' > ~/.config/systemd/user/web.service; systemctl --user enable --now --quiet web;"
                               "echo 'sleep 800002' | at now + 5 days; echo 'sleep 800003' | at now; printf '# mine\\n0 0 1 1 * true\\n' | crontab -")
        eventually("all of it runs", lambda: len(self.seen()["processes"]) == 2)
        self.before = self.seen()
        assert all(self.before.values()), self.before

    def seen(self) -> dict:
        crontab = self.host.path(f"/var/spool/cron/crontabs/{self.account}")
        return {"processes": {(p.pid, remains.start_of(p.pid)) for p in of(self.host, self.account) if p.command.startswith("sleep 80000")},
                "manager": [p.pid for p in of(self.host, self.account) if p.command.endswith("systemd --user")],
                "jobs": jobs(self.host, self.account), "linger": lingers(self.host, self.account),
                "crontab": (os.stat(crontab).st_mtime_ns, crontab.read_text())}

    def assert_untouched(self):
        assert self.seen() == self.before
        restarts = as_user(self.host, self.account, "systemctl --user show -P NRestarts web").out.strip()
        assert restarts == "0"


@pytest.fixture(scope="module")
def stood(site):
    return {account: Stood(site.host, account) for account in ("alice", "deploy")}


def over(site, account, *grants):
    """Revoked; and when the visit is over by the agent's own word. Returns seconds since the revocation."""
    began = time.time()
    site.cease(*grants)
    eventually(f"the visit to {account} is over", lambda: not visiting(site.host, account), within=10)
    return time.time() - began


@pytest.mark.parametrize("account,runbook", [("alice", "login"), ("deploy", "deploy")])
def test_what_stood_before(site, host, stood, account, runbook):
    before = host.cursor()
    for sessions in (4, 3, 3):
        grant = site.grant("alice", runbook)
        for _ in range(sessions):
            site.assert_in(account, "alice")
        eventually("a visit", lambda: visiting(host, account), within=3)
        stood[account].assert_untouched()
        over(site, account, grant)
        stood[account].assert_untouched()
    for event in ("visit_cleaned", "visit_not_cleaned", "account_left_running", "crontab_changed"):
        assert not host.journal(after=before, HALLPASS_EVENT=event), event


def leave(site, account, script=LEAVE):
    result = site.ssh(account, "alice" if account == "deploy" else account, script)
    assert result.code == 0, repr(result)
    eventually("the at job runs", lambda: runs(site.host, account, LEFT[5]), within=5)
    if LEAVE_SU in script:
        eventually("su made a session", lambda: runs(site.host, account, LEFT[7]), within=5)


def test_made_on_a_personal_account(site, host):
    before, grant = host.cursor(), site.grant("carol")
    leave(site, "carol", LEAVE + LEAVE_SU)
    for command in (LEFT[0], LEFT[2], LEFT[4], LEFT[5], LEFT[7]):
        assert runs(host, "carol", command), command
    assert lingers(host, "carol") and len(jobs(host, "carol")) >= 2
    time.sleep(0.5)
    assert runs(host, "carol", LEFT[0]), "it may run on while she is admitted"
    since = time.time()
    site.cease(grant)
    eventually("nothing of hers runs", lambda: not of(host, "carol"), within=5)
    eventually("no lingering, no job", lambda: not lingers(host, "carol") and not jobs(host, "carol"), within=since + 5 - time.time())
    told = host.await_journal(after=before, HALLPASS_EVENT="visit_cleaned", within=3)
    assert told["HALLPASS_ACCOUNT"] == "carol" and told["HALLPASS_GRANT"] == grant.id
    for word in ("lingering", "user manager with", "at jobs", "su"):
        assert word in told["HALLPASS_WHY"], told["HALLPASS_WHY"]
    cron = host.await_journal(after=before, HALLPASS_EVENT="crontab_changed", within=3)
    assert cron["HALLPASS_ACCOUNT"] == "carol" and LEFT[6] in cron["HALLPASS_WHY"]
    assert LEFT[6] in host.run("crontab", "-u", "carol", "-l").out, "reported, not removed"
    assert not visiting(host, "carol") and not host.journal(after=before, HALLPASS_EVENT="visit_not_cleaned")
    failed = host.run("systemctl", "list-units", "--failed", "--no-legend", "--plain").out
    assert "user@" not in failed, failed
    # atd is alive and does not start again what was removed.
    assert host.run("systemctl", "is-active", "atd").out == "active\n"


def test_made_beside_what_stood(site, host, stood):
    """The owner lets a service linger for a year, and a session adds to it."""
    before, grant = host.cursor(), site.grant("alice")
    leave(site, "alice")
    since = time.time()
    site.cease(grant)
    mine = [LEFT[0], LEFT[1], LEFT[2], LEFT[4], LEFT[5]]
    eventually("what came is gone", lambda: not [c for c in mine if runs(host, "alice", c)], within=5)
    eventually("its jobs too", lambda: jobs(host, "alice") == stood["alice"].before["jobs"], within=since + 5 - time.time())
    eventually("the visit is over", lambda: not visiting(host, "alice"), within=5)
    assert not [c for c in LEFT if runs(host, "alice", c)]
    now, stood_then = stood["alice"].seen(), stood["alice"].before
    assert {**now, "crontab": None} == {**stood_then, "crontab": None}
    assert not host.journal(after=before, HALLPASS_EVENT="visit_not_cleaned")
    told = host.await_journal(after=before, HALLPASS_EVENT="visit_cleaned")
    assert "lingering" not in told["HALLPASS_WHY"] and "at job" in told["HALLPASS_WHY"]


def test_made_on_a_shared_account(site, host, stood):
    before, grant = host.cursor(), site.grant("alice", "deploy")
    leave(site, "deploy")
    seen = [LEFT[0], LEFT[2], LEFT[4], LEFT[5]]
    running = {c: runs(host, "deploy", c) for c in seen}
    assert all(running.values()), running
    over(site, "deploy", grant)
    told = host.await_journal(after=before, HALLPASS_EVENT="account_left_running", within=3)
    assert told["HALLPASS_ACCOUNT"] == "deploy" and int(told["HALLPASS_COUNT"]) >= len(seen) and "sleep (" in told["HALLPASS_PROCESS"]
    assert "at job" in told["HALLPASS_WHY"]
    cron = host.await_journal(after=before, HALLPASS_EVENT="crontab_changed", within=3)
    assert LEFT[6] in cron["HALLPASS_WHY"]
    time.sleep(1)
    assert {c: runs(host, "deploy", c) for c in seen} == running, "nothing is ended"
    assert not runs(host, "deploy", LEFT[1]), "but what has the session's own audit id"
    assert lingers(host, "deploy") and len(jobs(host, "deploy")) >= 3
    assert not host.journal(after=before, HALLPASS_EVENT="visit_cleaned")
    assert len(host.journal(after=before, HALLPASS_EVENT="account_left_running")) == 1


def test_the_console(site, host):
    """Somebody is logged in to the account by another door: his user manager goes when he has gone."""
    grant = site.grant("bob")
    console = host.run("systemd-run", "--quiet", "--unit=console-test", "--uid=bob", "-p", "PAMName=login", "sleep", "700001", check=True)
    assert console.ok
    result = site.ssh("bob", "bob", f"systemd-run --user --quiet {LEFT[0]}; echo '{LEFT[3]}' | at now + 3 days")
    assert result.code == 0, repr(result)
    before = host.cursor()
    site.cease(grant)
    eventually("the job is gone", lambda: not jobs(host, "bob"), within=5)
    told = host.await_journal(after=before, HALLPASS_EVENT="visit_not_cleaned", within=8)
    assert "(login)" in told["HALLPASS_WHY"], told["HALLPASS_WHY"]
    assert runs(host, "bob", LEFT[0]) and runs(host, "bob", "sleep 700001")
    host.run("systemctl", "kill", "-s", "KILL", "console-test")
    for pid in runs(host, "bob", "sleep 700001"):
        os.kill(int(pid), 9)
    eventually("nothing is left", lambda: not of(host, "bob") and not visiting(host, "bob"), within=8)


def test_the_agent_away(site, host):
    """The session came and went while the agent was dead: what is older is told by its time alone."""
    grant = site.grant("carol")
    host.run("crontab", "-u", "carol", "-r")
    as_user(host, "carol", "echo 'sleep 800002' | at now + 5 days")
    old = jobs(host, "carol")
    with dead_agent(host):
        leave(site, "carol")
        assert not visiting(host, "carol")
    eventually("a visit", lambda: visiting(host, "carol"), within=5)
    before = host.cursor()
    over(site, "carol", grant)
    assert not of(host, "carol") and not lingers(host, "carol") and jobs(host, "carol") == old and len(old) == 1
    assert LEFT[6] in host.await_journal(after=before, HALLPASS_EVENT="crontab_changed", within=3)["HALLPASS_WHY"]


def test_a_reboot_between(site, host):
    """The grant ends while the host is down: what would start again by itself does not live on."""
    before, grant = host.cursor(), site.grant("bob")
    result = site.ssh("bob", "bob", LEAVE)
    assert result.code == 0, repr(result)
    eventually("a visit", lambda: visiting(host, "bob"), within=3)
    host.run("systemctl", "mask", "hallpass-agent", check=True)
    host.run("systemctl", "kill", "-s", "KILL", "hallpass-agent", check=True)
    site.cease(grant)
    host.reboot()
    eventually("it would live on", lambda: runs(host, "bob", LEFT[2]), within=10)
    host.run("systemctl", "unmask", "hallpass-agent", check=True)
    host.run("systemctl", "start", "hallpass-agent", check=True)
    eventually("nothing is left", lambda: not of(host, "bob") and not visiting(host, "bob"), within=8)
    assert not lingers(host, "bob") and not jobs(host, "bob")
    told = host.await_journal(after=before, HALLPASS_EVENT="visit_cleaned")
    assert told["HALLPASS_ACCOUNT"] == "bob"
