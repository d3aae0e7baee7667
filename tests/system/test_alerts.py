"""Alerts on their way from events on a host to a receiver: complete, in order, none twice, whatever fails between."""
import json
import pathlib
import random
import re
import threading
import time

import pytest

from .lib.fleet import Fleet
from .lib.host import eventually
from .lib.site import INBOX, Site

QUEUE = "/var/spool/hallpass/alerts"
CONFIG = "/etc/hallpass/notify.toml"
RECEIVER = "/opt/receiver"
NOTIFY = "hallpass-notify.service"
PAGE = "/opt/page"
HERE = pathlib.Path(__file__).parent
WEBHOOK = 'webhook = "http://127.0.0.1:8000/hook"\nwebhook_header = ["Authorization: Bearer s3cret"]\nretry_longest = "1s"\n'


def fleet_with_alarms() -> Fleet:
    """A break-glass rule that everybody hears of, and a rule that admits six hours from now at the earliest."""
    fleet = Fleet()
    later = time.gmtime(time.time() + 6 * 3600)
    hours = f"Mon-Sun {later.tm_hour:02d}:00-{later.tm_hour:02d}:59 UTC"
    fleet.runbooks.update(glass=fleet.runbook("self"), night=fleet.runbook("self"))
    fleet.rules += [fleet.rule(["glass"], ["sre"], more="alert = true\n"),
                    fleet.rule(["night"], ["carol"], more=f"hours = [{json.dumps(hours)}]\n")]
    return fleet


class Receiver:
    """The program in the host that takes alerts, and what it was given."""

    def __init__(self, host):
        self.host = host
        self.host.write(f"{RECEIVER}/receiver.py", (HERE / "lib/receiver.py").read_text())
        self.mode("take")

    def mode(self, mode):
        self.host.write(f"{RECEIVER}/mode", mode)

    def up(self, mode="take", port=8000, tls=()):
        self.mode(mode)
        self.host.run("systemd-run", "-q", "--unit=receiver", "python3", f"{RECEIVER}/receiver.py", str(port), RECEIVER, *tls, check=True)

    def down(self):
        self.host.run("systemctl", "stop", "receiver")
        self.host.run("systemctl", "reset-failed", "receiver")

    def forget(self):
        self.host.path(f"{RECEIVER}/calls").unlink(missing_ok=True)

    def calls(self):
        path = self.host.path(f"{RECEIVER}/calls")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def taken(self):
        return [c for c in self.calls() if c["answer"] in ("take", "huge")]

    def ids(self):
        return [c["id"] for c in self.taken()]


class AlertSite(Site):
    def __init__(self, stage):
        super().__init__(stage, fleet_with_alarms(), host_toml="[alerts]\nrefused_logins = 3\n", files={CONFIG: WEBHOOK},
                         before_boot=[["systemd-sysusers"],
                                      ["chown", "root:hallpass-notify", CONFIG], ["chmod", "0640", CONFIG]])

    def __exit__(self, *_):
        super().__exit__()
        self.fleet.close()

    def configure(self, text):
        self.host.write(CONFIG, text, 0o640, "root:hallpass-notify")
        assert self.host.run("hallpass-notify", "--check-config").both == ""
        self.host.restart(NOTIFY)

    # --- the queue, read from outside
    def names(self):
        return sorted(p.name for p in self.host.path(QUEUE).iterdir() if re.fullmatch(r"[0-8]\d{15}\.(.*\.)?json", p.name))

    def queued(self):
        return [json.loads(self.host.path(f"{QUEUE}/{name}").read_text()) for name in self.names()]

    def queue_by_hand(self, count, event="session_not_ended"):
        """What the agent would write. Returns the ids in order."""
        ids = []
        for _ in range(count):
            self._number = getattr(self, "_number", 8_000_000_000_000_000) + 1
            ids.append(f"{random.getrandbits(128):032x}")
            alert = {"hallpass": "alert/1", "id": ids[-1], "host": "web-3", "at": "2026-11-21T12:00:00Z", "event": event, "priority": 2,
                     "message": f"number {self._number}", "fields": {}}
            new = self.host.path(f"{QUEUE}/{self._number:016d}.new")
            new.write_text(json.dumps(alert))
            new.chmod(0o644)
            new.rename(new.with_suffix(".json"))
        return ids

    def notify_pid(self):
        return int(self.host.run("systemctl", "show", "-P", "MainPID", NOTIFY).out)

    def kill_notify(self, after=0.0):
        """SIGKILL, so long after it has begun to run. Its process id."""
        def running():
            pid = self.notify_pid()
            try:
                return pid if self.host.path(f"/proc/{pid}/comm").read_text() == "hallpass-notify\n" else 0
            except OSError:
                return 0
        pid = eventually("hallpass-notify runs", running, every=0.02)
        time.sleep(after)
        self.host.run("kill", "-KILL", str(pid))
        return pid

    # --- what makes the agent raise alerts
    def refuse(self, who, account=None, times=3):
        for _ in range(times):
            self.assert_refused(account or who, who)
        return "logins_refused_often"


@pytest.fixture(scope="module")
def site(stage):
    with AlertSite(stage) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        # A unit that is killed often is started again at once.
        s.host.write(f"/etc/systemd/system/{NOTIFY}.d/test.conf", "[Service]\nRestartSec=50ms\n")
        s.host.run("systemctl", "daemon-reload", check=True)
        s.receiver = Receiver(s.host)
        yield s


@pytest.fixture(autouse=True)
def _quiet(site):
    """Each test begins with an empty queue, a receiver that has taken nothing, and no hallpass-notify."""
    site.host.run("systemctl", "stop", NOTIFY)
    site.receiver.down()
    site.receiver.forget()
    site.host.sh(f"rm -rf {QUEUE}/* /run/hallpass/alerts-told")
    site.host.write(CONFIG, WEBHOOK, 0o640, "root:hallpass-notify")
    site.host.restart("hallpass-agent")   # it forgets what it told within the last minute
    yield


def break_policy(site):
    site.host.write(f"{INBOX}/policy-99.toml.sig", "not a signature\n")
    site.host.write(f"{INBOX}/policy-99.toml", "version = 99\n")
    site.host.await_journal(HALLPASS_EVENT="policy_refused")
    for name in ("policy-99.toml", "policy-99.toml.sig"):
        site.host.path(f"{INBOX}/{name}").unlink()


def refuse_configuration(site):
    good = site.host.path("/etc/hallpass/host.toml").read_text()
    site.host.write("/etc/hallpass/host.toml", "name = 7\n")
    site.host.run("systemctl", "reload", "hallpass-agent")
    site.host.await_journal(HALLPASS_EVENT="config_refused")
    site.host.write("/etc/hallpass/host.toml", good)


def raise_events(site):
    """Real events, one after the other. Returns [(event, what it is about)] as the agent must have queued them."""
    raised = []

    def expect(event, **fields):
        eventually(f"{event} is queued", lambda: any(a["event"] == event for a in site.queued()[len(raised):]), within=10)
        raised.append((event, fields))
    site.refuse("bob")
    expect("logins_refused_often", ACCOUNT="bob", COUNT="3")
    site.ssh("rescue", site.rescue.path)
    expect("login_exempt", ACCOUNT="rescue")
    glass = site.grant("alice", "glass")
    session = site.host.background_ssh("alice", site.fleet.path("alice"), "cat")
    expect("alert_grant_used", GRANT=glass.id, SUBJECT="alice", REASON="502s on checkout")
    site.host.await_journal(HALLPASS_EVENT="session_registered", HALLPASS_GRANT=glass.id)
    site.host.run("systemctl", "restart", "hallpass-agent", check=True)
    expect("sessions_at_restart", COUNT="1")
    night = site.fleet.request("carol", "night")
    site.put(night)
    site.settle()
    site.assert_refused("carol", "carol")
    expect("login_outside_hours", GRANT=night.id, ACCOUNT="carol")
    refuse_configuration(site)
    expect("config_refused")
    break_policy(site)
    expect("policy_refused")
    site.host.run("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "hallpass-agent")
    site.host.await_journal(HALLPASS_EVENT="agent_started", after=site.host.cursor())
    site.refuse("carol", times=2)   # with the one above, before the restart, there would be three: counts are not kept
    site.refuse("carol", "deploy")
    expect("logins_refused_often", ACCOUNT="deploy")
    session.kill()
    session.wait()
    return raised


def assert_delivered(site, expected):
    """All of `expected` (ids, in order), strictly once each, as JSON under its id."""
    eventually("everything is taken", lambda: len(set(site.receiver.ids())) >= len(expected), within=20)
    eventually("the queue is empty", lambda: not site.names(), within=5)
    assert site.receiver.ids() == expected
    for call in site.receiver.taken():
        assert json.loads(call["body"])["id"] == call["id"] and call["type"] == "application/json"


def test_receiver_down_agent_restarted_notify_killed(site):
    site.host.restart(NOTIFY)
    rng, pids, over = random.Random(20261121), set(), threading.Event()
    began = time.time()

    def kill_now_and_then():
        while not over.is_set():
            pids.add(site.kill_notify(rng.uniform(0, 1)))
    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        raised = raise_events(site)
    finally:
        over.set()
        killer.join()
    waiting = site.queued()
    down = time.time() - began
    assert [(a["event"], {k: a["fields"][k] for k in fields}) for a, (_, fields) in zip(waiting, raised, strict=False)] == raised
    extra = waiting[len(raised):]   # what an agent that was killed leaves behind is told by the next one
    assert {a["event"] for a in extra} <= {"sessions_at_restart", "logins_refused_often"}, extra
    assert down > 5 and len(pids) > 3 and not site.receiver.calls()
    for alert in waiting:
        assert re.fullmatch("[0-9a-f]{32}", alert["id"]) and alert["host"] == "web-3" and alert["hallpass"] == "alert/1"
        assert abs(time.mktime(time.strptime(alert["at"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - time.time()) < 120
    assert len({a["id"] for a in waiting}) == len(waiting)
    site.host.restart(NOTIFY)   # the one that delivers says "again" only of a failure that it saw itself
    pid = site.notify_pid()
    site.host.await_journal(unit=NOTIFY, where=lambda e: f"{len(waiting)} alerts wait" in e["MESSAGE"] and e["_PID"] == str(pid))
    site.receiver.up()
    assert_delivered(site, [a["id"] for a in waiting])
    assert [json.loads(c["body"]) for c in site.receiver.taken()] == waiting, "what arrives is what the agent wrote"
    assert site.receiver.taken()[0]["headers"]["Authorization"] == "Bearer s3cret"
    told = site.host.journal(unit=NOTIFY)
    assert [e for e in told if "does not take alerts" in e["MESSAGE"] and e["PRIORITY"] == "4"]
    assert [e for e in told if "takes alerts again" in e["MESSAGE"] and e["PRIORITY"] == "5"]
    assert "s3cret" not in json.dumps(told) and "/hook" not in json.dumps(told)


def test_killed_while_it_delivers(site):
    """What is on its way when the program is killed may come once more, under its id; nothing else does, nothing is lost."""
    expected = site.queue_by_hand(1000)
    site.receiver.up()
    site.host.restart(NOTIFY)
    rng, kills = random.Random(7), 0
    while len(set(site.receiver.ids())) < len(expected) and kills < 40:
        site.kill_notify(rng.uniform(0, 0.1))
        kills += 1
    eventually("everything is taken", lambda: not site.names(), within=20)
    calls, seen = site.receiver.taken(), []
    for before, call in zip([None, *calls], calls, strict=False):
        if call["id"] in seen:
            assert before["id"] == call["id"] and before["body"] == call["body"], "only the one on its way comes again"
        else:
            seen.append(call["id"])
    assert seen == expected
    assert kills > 3 and len(calls) - len(seen) <= kills


@pytest.mark.parametrize("mode", ["500", "redirect", "hang"])
def test_a_receiver_in_trouble(site, mode):
    site.receiver.up(mode)
    expected = site.queue_by_hand(3)
    site.host.restart(NOTIFY)
    eventually("it has been called", lambda: len(site.receiver.calls()) >= (1 if mode == "hang" else 2))
    assert {c["id"] for c in site.receiver.calls()} == {expected[0]}, "the others wait behind it"
    if mode == "hang":
        site.receiver.down()
        site.receiver.up()
    site.receiver.mode("take")
    assert_delivered(site, expected)
    assert not [c for c in site.receiver.calls() if c["path"] != "/hook"], "redirects are not followed"


def test_what_the_receiver_will_not_have(site):
    site.configure(WEBHOOK + 'reject_after = "3s"\n')
    site.receiver.up("400")
    first, second = site.queue_by_hand(1), site.queue_by_hand(1)
    eventually("it is set aside", lambda: site.host.path(f"{QUEUE}/rejected").exists(), within=20)
    site.receiver.mode("huge")
    assert_delivered(site, second)
    [kept] = site.host.path(f"{QUEUE}/rejected").iterdir()
    assert json.loads(kept.read_text())["id"] == first[0] and kept.name.endswith(".webhook.json")
    assert len([c for c in site.receiver.calls() if c["id"] == first[0]]) >= 10
    assert [e for e in site.host.journal(unit=NOTIFY) if "rejected/" in e["MESSAGE"] and e["PRIORITY"] == "3"]


def test_a_command_and_a_webhook_each_get_everything_once(site):
    site.host.write(PAGE, '#!/bin/sh\necho "page got $1 $HALLPASS_ALERT_ID $(cat | wc -c) $(id -un)" >&2\n[ ! -e /opt/fails ]\n', 0o755)
    site.configure(WEBHOOK + f'command = ["{PAGE}", "a b;c"]\n')
    cursor = site.host.cursor()

    def paged():
        return re.findall(r"page got a b;c ([0-9a-f]{32}) (\d+) (\S+)", "\n".join(e["MESSAGE"] for e in site.host.journal(unit=NOTIFY, after=cursor)))
    expected = site.queue_by_hand(3)
    eventually("the command has all", lambda: len(paged()) >= 3)
    site.kill_notify()
    site.host.write("/opt/fails", "")
    expected += site.queue_by_hand(1)
    site.receiver.up()
    eventually("the webhook has all", lambda: site.receiver.ids() == expected)
    eventually("that is written down", lambda: [".webhook-done." in name for name in site.names()] == [True])
    site.kill_notify()
    site.host.path("/opt/fails").unlink()
    eventually("the queue is empty", lambda: not site.names())
    assert site.receiver.ids() == expected
    ids = [p[0] for p in paged()]
    assert ids[:3] == expected[:3] and set(ids[3:]) == {expected[3]}
    assert {p[2] for p in paged()} == {"hallpass-notify"} and all(int(p[1]) > 100 for p in paged())


def test_tls_is_verified(site):
    for name in ("good", "bad"):
        site.host.run("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                      "subjectAltName=DNS:localhost", "-keyout", f"{RECEIVER}/{name}.key", "-out", f"{RECEIVER}/{name}.pem", check=True)
    config = WEBHOOK.replace("http://127.0.0.1:8000", "https://localhost:8443")
    expected = site.queue_by_hand(2)
    site.configure(config + f'ca_file = "{RECEIVER}/good.pem"\n')
    cursor = site.host.cursor()
    site.receiver.up(port=8443, tls=(f"{RECEIVER}/bad.pem", f"{RECEIVER}/bad.key"))
    site.host.restart(NOTIFY)
    site.host.await_journal(after=cursor, unit=NOTIFY, where=lambda e: "certificate" in e["MESSAGE"])
    site.configure(config)   # the system's authorities know neither
    time.sleep(1)
    assert not site.receiver.calls()
    site.receiver.down()
    site.receiver.up(port=8443, tls=(f"{RECEIVER}/good.pem", f"{RECEIVER}/good.key"))
    site.configure(config.replace("localhost", "127.0.0.1") + f'ca_file = "{RECEIVER}/good.pem"\n')   # not the name in it
    time.sleep(1)
    assert not site.receiver.calls()
    site.configure(config + f'ca_file = "{RECEIVER}/good.pem"\n')
    assert_delivered(site, expected)


HOSTILE = f"""
import os
os.chdir({QUEUE!r})
os.symlink("/etc/shadow", "0000000000000001.json")
os.mkfifo("0000000000000002.json")
os.mkdir("0000000000000003.json")
open("0000000000000004.json", "w").write("no JSON")
open("9999999999999999.json", "w").write("{{}}")
os.symlink("/etc/passwd", "rejected")
counter = int(open("/tmp/next").read())
for n in range(counter, counter + 500):
    os.symlink("/etc/shadow", f"{{n:016d}}." + ("new" if n % 2 else "json"))
"""


def test_a_hostile_queue_does_not_hurt_the_agent(site):
    host = site.host
    shadow = host.path("/etc/shadow").read_bytes()
    after = int(host.path("/var/lib/hallpass/alert-number").read_text())
    host.write("/tmp/next", str(after))
    host.run("python3", "-c", HOSTILE, user="hallpass-notify", cwd="/", check=True)
    pid = host.run("systemctl", "show", "-P", "MainPID", "hallpass-agent").out
    site.refuse("bob")
    site.host.await_journal(HALLPASS_EVENT="alerts_not_queued", where=lambda e: "taken" in e["MESSAGE"] or "exists" in e["MESSAGE"])
    host.sh(f"rm -rf {QUEUE}/*", check=True)
    # Far more names than are looked at.
    host.run("python3", "-c", f"import os\nos.chdir({QUEUE!r})\nfor n in range(31000): os.symlink('x', f'junk{{n}}')", user="hallpass-notify",
             cwd="/", check=True)
    site.refuse("alice")
    site.assert_in("alice", site.fleet.path("alice")) if site.granted else None
    host.sh(f"find {QUEUE} -mindepth 1 -delete", check=True)
    # Another file system over it, as fusermount(1) can put it there.
    host.sh(f"mount -t tmpfs trap {QUEUE}", check=True)
    site.refuse("bob", "deploy")
    host.await_journal(HALLPASS_EVENT="logins_refused_often", HALLPASS_ACCOUNT="deploy")
    assert host.sh(f"ls {QUEUE}; umount {QUEUE}").out == ""
    # Something else in the queue's place: only root could put it there, and it is not followed.
    host.sh(f"mv {QUEUE} {QUEUE}.away && mkdir /opt/trap && ln -s /opt/trap {QUEUE}", check=True)
    site.refuse("carol")
    host.await_journal(HALLPASS_EVENT="logins_refused_often", HALLPASS_ACCOUNT="carol")
    assert not list(host.path("/opt/trap").iterdir())
    host.sh(f"rm {QUEUE} && mv {QUEUE}.away {QUEUE}", check=True)
    refuse_configuration(site)
    eventually("it queues again", lambda: [a["event"] for a in site.queued()] == ["config_refused"])
    assert host.run("systemctl", "show", "-P", "MainPID", "hallpass-agent").out == pid, "the agent ran on"
    assert host.path("/etc/shadow").read_bytes() == shadow


def test_what_is_no_alert_is_set_aside(site):
    site.host.run("python3", "-c", HOSTILE.split("os.symlink(\"/etc/passwd\"")[0], user="hallpass-notify", cwd="/", check=True)
    expected = site.queue_by_hand(2)
    site.receiver.up()
    site.host.restart(NOTIFY)
    eventually("the others arrive", lambda: set(expected) <= set(site.receiver.ids()))
    eventually("the rest is out of the way", lambda: not site.names())
    assert site.receiver.ids() == expected
    assert len(list(site.host.path(f"{QUEUE}/rejected").iterdir())) == 4


def test_a_host_without_a_queue_tells_once(site):
    host = site.host
    host.sh(f"mv {QUEUE} {QUEUE}.away", check=True)
    cursor = host.cursor()
    try:
        site.refuse("bob")
        site.refuse("alice")
        host.await_journal(HALLPASS_EVENT="logins_refused_often", HALLPASS_ACCOUNT="alice", after=cursor)
        assert len(host.journal(HALLPASS_EVENT="alerts_not_queued", after=cursor)) == 1
    finally:
        host.sh(f"mv {QUEUE}.away {QUEUE}", check=True)
    assert host.run("hallpass-notify", "--check-config").ok


def test_nothing_configured_keeps_nothing(site):
    site.queue_by_hand(5)
    site.configure("")
    eventually("the queue is empty", lambda: not site.names())
    site.host.path(CONFIG).unlink()
    site.host.restart(NOTIFY)
    site.queue_by_hand(5)
    eventually("the queue is empty", lambda: not site.names())
    assert [e for e in site.host.journal(unit=NOTIFY) if "neither webhook nor command" in e["MESSAGE"]]
    site.host.write(CONFIG, "webhook = 7\n", 0o640, "root:hallpass-notify")
    assert "notify.toml:1: error" in site.host.run("hallpass-notify", "--check-config").err
    site.host.run("systemctl", "restart", NOTIFY)
    site.queue_by_hand(1)
    time.sleep(0.5)
    assert len(site.names()) == 1, "a mistake in the configuration loses nothing"
    site.configure(WEBHOOK)


def test_what_it_runs_as(site):
    host = site.host
    site.configure(WEBHOOK)
    exposure = host.run("systemd-analyze", "security", "--no-pager", NOTIFY).out
    assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", exposure)[1]) < 2.0, exposure
    status = host.path(f"/proc/{site.notify_pid()}/status").read_text()
    assert re.search(r"CapBnd:\s+0+\n", status) and re.search(r"NoNewPrivs:\s+1\n", status) and re.search(r"Seccomp:\s+2\n", status)
    assert host.run("id", "-u", "hallpass-notify").out.strip() == re.search(r"Uid:\s+(\d+)", status)[1]
    inside = ["nsenter", "-t", str(site.notify_pid()), "-m", "setpriv", "--reuid", "hallpass-notify", "--clear-groups"]
    for path in ("/var/lib/hallpass/alert-number", "/run/hallpass/status.json", "/etc/shadow"):
        assert not host.run(*inside, "cat", path).ok, path
    for path in ("/etc/x", "/tmp/../var/lib/x", "/var/spool/hallpass/x", "/usr/x"):
        assert not host.run(*inside, "touch", path).ok, path
    stat = host.run("stat", "-c", "%U:%G %a", "/var/spool/hallpass", QUEUE).out.splitlines()
    assert stat == ["root:root 755", "hallpass-notify:hallpass-notify 700"]


@pytest.mark.soak
def test_receiver_down_for_ten_minutes(site):
    """With the usual times: retried every five minutes at last."""
    site.configure(WEBHOOK.replace('retry_longest = "1s"\n', ""))
    raised = raise_events(site)
    for _ in range(6):
        time.sleep(100)
        site.kill_notify()
        site.host.run("systemctl", "restart", "hallpass-agent", check=True)
    waiting = site.queued()
    assert [a["event"] for a in waiting][:len(raised)] == [event for event, _ in raised]
    site.receiver.up()
    expected = [a["id"] for a in waiting]
    eventually("everything is taken", lambda: not site.names(), within=310, every=1)
    assert site.receiver.ids() == expected
