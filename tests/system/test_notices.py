"""Notices on their way from the hub's queue to people: the real hallpass-notify, a webhook, and a mail server. No host is booted."""
import email
import email.policy
import hashlib
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from .lib.fleet import Fleet
from .lib.host import eventually
from .lib.hub import Hub
from .lib.smtp import SmtpServer

HERE = pathlib.Path(__file__).parent
CONFIG, QUEUE = "/etc/hallpass/hub-notify.toml", "/var/spool/hallpass-hub/notices"
GRANT = "k7m3-9x2d-q4fh"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of nobody's but this test's: (certificate, key)."""
    at = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", at / "key", "-out", at / "certificate"], check=True, capture_output=True)
    return at / "certificate", at / "key"


class Receiver:
    """tests/system/lib/receiver.py, as a process."""

    def __init__(self, directory):
        self.directory, self.process = directory, None
        directory.mkdir()
        self.port = None

    def mode(self, mode):
        (self.directory / "mode").write_text(mode)

    def up(self, mode="take"):
        self.mode(mode)
        self.process = subprocess.Popen([sys.executable, HERE / "lib/receiver.py", str(self.port), str(self.directory)], stderr=subprocess.DEVNULL)

    def down(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def calls(self):
        path = self.directory / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def ids(self):
        return [c["id"] for c in self.calls() if c["answer"] == "take"]


class Notify:
    """hallpass-notify as it runs beside a hub, and its queue, written as the hub writes it."""

    def __init__(self, build, root):
        self.program, self.root, self.process = build / "notify/hallpass-notify", root, None
        self.queue, self.log = root / QUEUE[1:], root / "log"
        self.queue.mkdir(parents=True)
        (root / "etc/hallpass").mkdir(parents=True)
        self.number = 1_700_000_000_000_000

    def configure(self, text):
        (self.root / CONFIG[1:]).write_text(text)

    def argv(self, *more):
        return [self.program, "--root", self.root, "--config", CONFIG, "--queue", QUEUE, *more]

    def start(self):
        check = subprocess.run(self.argv("--check-config"), capture_output=True, text=True, check=False)
        assert (check.returncode, check.stderr) == (0, "")
        self.process = subprocess.Popen(self.argv(), stderr=self.log.open("ab"))

    def kill(self, how=signal.SIGKILL):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=10)
        self.process = None

    def told(self):
        return self.log.read_text()

    def put(self, channel="room", to=("ana", "bob"), **members):
        """The id of one more notice."""
        self.number += 1
        notice = {"hallpass": "notice/1", "id": hashlib.sha256(str(self.number).encode()).hexdigest()[:32], "channel": channel,
                  "at": "2026-11-23T12:00:00Z", "event": "approval_wanted", "to": list(to),
                  "message": "alice asks for restart-web (service = nginx) on host=web-3 for 30m", "fleet": "acme-prod", "grant": GRANT,
                  "subject": "alice", "runbook": "restart-web", "parameters": {"service": ["nginx"]}, "targets": ["host=web-3"],
                  "duration": 1800, "reason": "502s on checkout", "ticket": "INC-2031", "missing": "waits for 1 approval of leads",
                  "command": f"hallpass approve {GRANT}", **members}
        beside = self.queue / f"{self.number:016d}.new"
        beside.write_text(json.dumps(notice))
        beside.rename(beside.with_suffix(".json"))
        return notice["id"]

    def mail_to(self, person, **members):
        return self.put("mail", [person], **members)

    def names(self):
        return sorted(p.name for p in self.queue.iterdir() if p.is_file())

    def await_empty(self, within=15):
        eventually("the queue is empty", lambda: not self.names(), within=within)


@pytest.fixture
def notify(build, tmp_path):
    n = Notify(build, tmp_path)
    yield n
    n.kill()


@pytest.fixture
def receiver(tmp_path):
    r = Receiver(tmp_path / "receiver")
    r.port = free_port()
    yield r
    r.down()


@pytest.fixture
def mail_server(certificate):
    made = []

    def make(**options):
        made.append(SmtpServer(*certificate, **options))
        return made[-1]
    yield make
    for server in made:
        server.close()


def free_port():
    server = SmtpServer()
    server.close()
    return server.port


def webhook(receiver, more=""):
    return f'webhook = "http://127.0.0.1:{receiver.port}/hook"\nretry_longest = "1s"\n{more}'


def mail(server, certificate, more="", table=""):
    return (f'retry_longest = "1s"\nca_file = "{certificate[0]}"\n{more}[email]\nserver = "smtp://localhost:{server.port}"\n'
            f'from = "hallpass@example.org"\ndomain = "example.org"\n{table}')


def parsed(mail_text):
    return email.message_from_string(mail_text, policy=email.policy.default)


def test_a_webhook_that_is_down_and_a_program_that_is_killed(notify, receiver):
    notify.configure(webhook(receiver))
    rng, expected = random.Random(20261121), []
    for _ in range(6):
        notify.start()
        expected += [notify.put() for _ in range(5)]
        notify.mail_to("bob")   # nobody here writes e-mails
        time.sleep(rng.uniform(0, 0.2))
        notify.kill()
    assert len(notify.names()) >= 30 and not receiver.calls()
    notify.start()
    eventually("it is told", lambda: "does not take notices" in notify.told())
    receiver.up()
    notify.await_empty()
    assert receiver.ids() == expected, "in order, none twice"
    assert json.loads(receiver.calls()[0]["body"])["to"] == ["ana", "bob"]
    assert "takes notices again" in notify.told() and "alert" not in notify.told()
    notify.kill(signal.SIGTERM)


def test_killed_while_it_delivers(notify, receiver):
    notify.configure(webhook(receiver))
    expected = [notify.put() for _ in range(400)]
    receiver.up()
    rng = random.Random(7)
    kills = 0
    while kills < 12 and len(notify.names()) > 60:
        had = len(receiver.calls())
        notify.start()
        eventually("it delivers", lambda had=had: len(receiver.calls()) > had)
        time.sleep(rng.uniform(0, 0.02))
        notify.kill()
        kills += 1
    assert notify.names() and kills > 2, "it was killed with work to do"
    notify.start()
    notify.await_empty(within=30)
    seen = []
    for before, now in zip([None, *receiver.calls()], receiver.calls(), strict=False):
        if now["id"] in seen:
            assert before["id"] == now["id"] and before["body"] == now["body"], "only the one on its way comes again"
        else:
            seen.append(now["id"])
    assert seen == expected


def slack_texts(body):
    assert set(body) == {"text", "mrkdwn", "link_names", "blocks"}
    for block in body["blocks"]:
        assert block["type"] in ("header", "section") and block["text"]["type"] == "plain_text"
        assert 0 < len(block["text"]["text"]) <= (150 if block["type"] == "header" else 3000)
    return "\n".join([body["text"], *(b["text"]["text"] for b in body["blocks"])])


def teams_texts(body):
    assert body["type"] == "message"
    [attachment] = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive" and attachment["content"]["type"] == "AdaptiveCard"
    lines = []
    for block in attachment["content"]["body"]:
        assert block["type"] == "RichTextBlock" and {i["type"] for i in block["inlines"]} == {"TextRun"}, "texts without markup"
        lines.append("".join(i["text"] for i in block["inlines"]))
    return "\n".join(lines)


HOSTILE = '<!channel> & <https://evil.example|https://good.example> @here **x** [y](https://evil.example) "\\ \u20ac'


@pytest.mark.parametrize("form,texts,why", [
    ("slack", slack_texts, "Why: &lt;!channel&gt; &amp; &lt;https://evil.example|https://good.example&gt; \uff20here"),
    ("teams", teams_texts, f"Why: {HOSTILE}")])
def test_chats_get_their_own_form(notify, receiver, form, texts, why):
    notify.configure(webhook(receiver, f'format = "{form}"\n'))
    receiver.up()
    notify.start()
    sent = notify.put(reason=HOSTILE)
    notify.await_empty()
    [call] = receiver.calls()
    assert call["id"] == sent and call["type"] == "application/json"
    text = texts(json.loads(call["body"]))
    assert why in text
    for part in ("alice asks for restart-web", "Where: host=web-3", "How long: 30m", "Ticket: INC-2031", "For: ana, bob",
                 "Missing: waits for 1 approval of leads", f"Type: hallpass approve {GRANT}"):
        assert part in text, part


def test_mail_by_starttls_with_a_password(notify, mail_server, certificate):
    server = mail_server(user="hallpass", password="s3cret with spaces")
    password = notify.root / "etc/mail-password"
    password.write_text("s3cret with spaces\n")
    notify.configure(mail(server, certificate, table='user = "hallpass"\npassword_file = "/etc/mail-password"\n'
                                                     '[email.people]\nbob = "b.smith@example.net"\n'))
    notify.start()
    first = notify.mail_to("bob", reason="caf\u00e9 \u20ac\n.\r\nQUIT", message="alice asks for caf\u00e9")
    notify.mail_to("ana")
    notify.put()   # for rooms, of which there are none here
    notify.await_empty()
    assert sorted(server.recipients()) == ["ana@example.org", "b.smith@example.net"]
    text = next(t for to, t in server.mails if to == ["b.smith@example.net"])
    message = parsed(text)
    assert message["Message-ID"] == f"<{first}@example.org>" and message["Date"] == "Mon, 23 Nov 2026 12:00:00 +0000"
    assert message["Subject"] == "[hallpass] alice asks for caf\u00e9" and message["To"] == "b.smith@example.net"
    assert message["From"] == "hallpass <hallpass@example.org>" and message["Auto-Submitted"] == "auto-generated"
    body = message.get_content().replace("\r\n", "\n")
    assert "Why:" in body and "caf\u00e9 \u20ac\\x0a.\\x0d\\x0aQUIT" in body and f"\n    hallpass approve {GRANT}\n" in body
    assert all(encrypted for verb, encrypted in server.commands if verb in ("AUTH", "MAIL", "RCPT", "DATA")), server.commands
    assert text.isascii() and "s3cret" not in notify.told()


def test_mail_needs_tls_and_the_right_certificate(notify, mail_server, certificate):
    bare = mail_server(starttls=False)
    notify.configure(mail(bare, certificate))
    notify.start()
    sent = notify.mail_to("bob")
    eventually("the server was asked", lambda: ("EHLO", False) in bare.commands)
    eventually("it is told", lambda: "does not take notices" in notify.told())
    notify.kill()
    assert not [c for c in bare.commands if c[0] in ("MAIL", "RCPT", "DATA")]
    strange = mail_server()
    notify.configure(mail(strange, certificate).replace(f'ca_file = "{certificate[0]}"\n', ""))
    notify.start()
    eventually("it is told", lambda: "certificate" in notify.told())
    notify.kill()
    assert not bare.mails and not strange.mails
    notify.configure(mail(bare, certificate, table="allow_plain = true\n"))
    notify.start()
    notify.await_empty()
    assert parsed(bare.mails[0][1])["Message-ID"] == f"<{sent}@example.org>"
    notify.kill()
    wrapped = mail_server(implicit_tls=True)
    notify.configure(mail(wrapped, certificate).replace("smtp://", "smtps://"))
    notify.start()
    notify.mail_to("bob")
    notify.await_empty()
    assert wrapped.recipients() == ["bob@example.org"]


def test_one_mailbox_does_not_hold_up_another(notify, mail_server, certificate):
    """4xx is tried again for as long as it takes, 5xx is given up; what one has got, he does not get again when the other does."""
    server = mail_server()
    server.answers = {"bob@example.org": "450 4.2.0 greylisted", "gone@example.org": "550 5.1.1 no such user"}
    notify.configure(mail(server, certificate, more='reject_after = "3s"\n'))
    notify.start()
    for person in ("bob", "gone", "ana"):
        notify.mail_to(person)
    second = {person: notify.mail_to(person) for person in ("ana", "bob", "gone")}
    eventually("ana has both", lambda: server.recipients() == ["ana@example.org"] * 2)
    eventually("bob was tried again", lambda: server.tried["bob@example.org"] >= 2)
    notify.kill()
    notify.start()
    server.answers.pop("bob@example.org")
    eventually("bob has both", lambda: sorted(server.recipients()) == ["ana@example.org"] * 2 + ["bob@example.org"] * 2)
    assert [parsed(t)["Message-ID"] for to, t in server.mails if to == ["bob@example.org"]][1] == f"<{second['bob']}@example.org>"
    eventually("the first to nobody is given up", lambda: (notify.queue / "rejected").exists(), within=20)
    server.answers.clear()
    notify.await_empty()
    to_gone = [parsed(t)["Message-ID"] for to, t in server.mails if to == ["gone@example.org"]]
    assert to_gone == [f"<{second['gone']}@example.org>"], "the next one is tried"
    [kept] = (notify.queue / "rejected").iterdir()
    assert json.loads(kept.read_text())["to"] == ["gone"]
    assert server.tried["gone@example.org"] >= 11 and "refused a notice" in notify.told() and "550" in notify.told()
    assert server.recipients().count("ana@example.org") == 2


def test_a_mail_server_that_is_down(notify, mail_server, certificate):
    server = mail_server()
    port = server.port
    server.close()
    notify.configure(mail(server, certificate))
    notify.start()
    expected = [f"<{notify.mail_to('bob')}@example.org>" for _ in range(5)]
    eventually("it is told", lambda: "e-mail to bob@example.org by smtp://localhost" in notify.told())
    notify.kill()
    notify.start()
    again = mail_server(port=port)
    again.after_data = "451 4.3.0 try later"
    eventually("it was tried", lambda: again.tried["bob@example.org"] >= 2)
    again.after_data = "250 taken"
    notify.await_empty()
    assert [parsed(t)["Message-ID"] for _, t in again.mails] == expected, "in order, none twice"


def test_a_person_without_an_address_is_named_once(notify, mail_server, certificate):
    server = mail_server()
    notify.configure(mail(server, certificate, table='[email.people]\nana = "ana@example.net"\n').replace('domain = "example.org"\n', ""))
    notify.start()
    for person in ("bob", "bob", "ana"):
        notify.mail_to(person)
    notify.await_empty()
    assert server.recipients() == ["ana@example.net"]
    assert notify.told().count("where to write to bob") == 1


def test_alerts_of_a_host_by_mail_and_to_a_chat(notify, receiver, mail_server, certificate):
    """Each address is a receiver of its own; what some have is known after a kill."""
    server = mail_server()
    server.answers = {"noc@example.org": "451 4.3.0 later"}
    notify.configure(mail(server, certificate, more=webhook(receiver, 'format = "slack"\n').replace('retry_longest = "1s"\n', ""),
                          table='to = ["ops@example.org", "noc@example.org"]\n'))
    receiver.up()
    notify.start()
    alert = {"hallpass": "alert/1", "event": "login_exempt", "host": "web-3", "priority": 2, "message": "<root> logged in",
             "fields": {"ACCOUNT": "rescue"}}
    sent = [notify.put(**alert), notify.put(**alert)]
    eventually("ops and the chat have both", lambda: server.recipients() == ["ops@example.org"] * 2 and len(receiver.calls()) == 2)
    eventually("noc was tried again", lambda: server.tried["noc@example.org"] >= 2)
    assert {name.count("-done.") for name in notify.names()} == {2}
    notify.kill()
    notify.start()
    server.answers.clear()
    notify.await_empty()
    assert server.recipients() == ["ops@example.org"] * 2 + ["noc@example.org"] * 2
    assert [parsed(t)["Message-ID"] for _, t in server.mails] == [f"<{i}@example.org>" for i in sent * 2]
    assert "web-3: &lt;root&gt; logged in" in slack_texts(json.loads(receiver.calls()[0]["body"]))
    assert "ACCOUNT: rescue" in receiver.calls()[0]["body"] and len(receiver.calls()) == 2
    assert "rescue" in parsed(server.mails[0][1]).get_content()


@pytest.fixture
def fleet():
    f = Fleet()
    yield f
    f.close()


def test_from_the_hub_to_people(build, fleet, notify, receiver, mail_server, certificate):
    """Who can approve is told of a request, who asked of what became of it; nobody twice, whatever is posted again or killed."""
    server = mail_server()
    notify.configure(mail(server, certificate, more=webhook(receiver).replace('retry_longest = "1s"\n', "")))
    receiver.up()
    notify.start()

    def rooms():
        return [(b["event"], b["to"]) for b in (json.loads(c["body"]) for c in receiver.calls())]

    def after(hub, *statements, mails, calls):
        answer = hub.post(*statements)
        assert answer.status == 200, answer.text
        eventually("all are told", lambda: (len(server.mails), len(receiver.calls())) == (mails, calls))
    with Hub(build, fleet, options=f'notices = "{notify.queue}"') as hub:
        request = fleet.request("alice", "login", reason="<b>502s</b> & more", ticket="INC-2031")
        after(hub, request, mails=2, calls=1)
        assert rooms() == [("approval_wanted", ["bob", "carol"])]
        assert sorted(server.recipients()) == ["bob@example.org", "carol@example.org"]
        asked = parsed(server.mails[0][1])
        assert asked["Subject"] == "[hallpass] alice asks for login on host=web-3 for 5m"
        for part in ("<b>502s</b> & more", "INC-2031", "waits for 1 approval of leads", f"hallpass approve {request.id}"):
            assert part in asked.get_content(), part
        hub.stop(signal.SIGKILL)
        hub.start()
        approval = fleet.approve(request, "bob", comment="go")
        after(hub, request, approval, fleet.approve(request, "carol"), mails=3, calls=2)
        told = json.loads(receiver.calls()[1]["body"])
        assert (told["event"], told["to"], told["by"], told["comment"]) == ("approved", ["alice"], "bob", "go")
        assert told["command"] == "ssh alice@web-3" and "approved by bob" in told["message"] and told["until"] > told["from"]
        hub.restart()
        after(hub, request, approval, fleet.revoke(by="ana", request=request, reason="enough"), mails=4, calls=3)
        assert rooms()[2] == ("revoked", ["alice"]) and "ana revoked alice's login" in server.mails[3][1]
        denied, quick = fleet.request("alice", "deploy"), fleet.request("alice", "quick")
        after(hub, denied, quick, mails=6, calls=4)
        after(hub, fleet.deny(denied, "carol", comment="not today"), mails=7, calls=5)
        assert json.loads(receiver.calls()[4]["body"])["comment"] == "not today"
        notify.await_empty()
        assert len({c["id"] for c in receiver.calls()}) == 5 and len({parsed(t)["Message-ID"] for _, t in server.mails}) == 7
        assert "not queued" not in hub.said()
