"""What hallpass-hub takes and refuses, from whom, how fast, and what it has kept after it was stopped. The real program on loopback."""
import http.client
import json
import re
import threading
import time

import pytest

from .lib.hub import await_metric, result
from .lib.hub_fixtures import WIDE, fleet, hub, new_hub  # noqa: F401 (fixtures)


def test_one_many_and_again(hub, fleet):
    r = fleet.request()
    first = hub.post(r)
    assert first.status == 200 and result(first)["status"] == "taken" and result(first)["grant"] == r.id
    approval, quick = fleet.approve(r), fleet.request("bob", "quick")
    # In any order: the approval stands before what it approves.
    other = fleet.request("alice", "deploy")
    many = hub.post(fleet.approve(other), approval, quick, other)
    assert many.status == 200, many.text
    assert [x["status"] for x in many.json["results"]] == ["taken"] * 4
    assert sorted(x["index"] for x in many.json["results"]) == list(range(result(first)["index"] + 1, result(first)["index"] + 5))
    size = hub.size()
    again = hub.post(r, approval, quick)
    assert [x["status"] for x in again.json["results"]] == ["known"] * 3 and again.status == 200
    assert result(again)["index"] == result(first)["index"]
    assert hub.size() == size
    assert [g["state"] for g in hub.get(f"/v1/grants?grant={r.id}").json["grants"]] == ["active"]


def test_same_statement_at_once(hub, fleet):
    """Sent by many at the same time it is one entry, and all are told its index."""
    r = fleet.request()
    before, answers = hub.size(), []
    threads = [threading.Thread(target=lambda: answers.append(hub.post(r))) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [a.status for a in answers] == [200] * 12
    assert len({result(a)["index"] for a in answers}) == 1
    assert sorted(result(a)["status"] for a in answers) == ["known"] * 11 + ["taken"]
    assert hub.size() == before + 1


def refused_lines(fleet):
    from .lib.fleet import Fleet, keygen
    r = fleet.request()
    good = fleet.request().line

    def flipped(line, member):
        envelope = json.loads(line)
        where = envelope if member == "payload" else envelope["signatures"][0]
        text = where[member]
        at = len(text) - 12 if member == "sig" else len(text) // 2
        where[member] = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]
        return json.dumps(envelope, separators=(",", ":"))
    stranger = keygen(fleet.dir / "stranger")
    other = Fleet("other-fleet", people=("alice", "bob", "carol", "ana", "ben"))
    other.keys = fleet.keys
    return [
        ("no JSON", "hello", 400, "malformed"),
        ("half a line", good[:200], 400, "malformed"),
        ("a member twice", good.replace('{"payload"', '{"payloadType":"x","payload"', 1), 400, "malformed"),
        ("a carriage return", good + "\r", 400, "malformed"),
        ("another payload", flipped(good, "payload"), 403, "bad_signature"),
        ("another signature", flipped(good, "sig"), 403, "bad_signature"),
        ("a policy", fleet.sign_policy(fleet.policy(version=fleet.version)).strip(), 400, "unsupported"),
        ("a stranger's key", fleet.request(key=stranger).line, 403, "unknown_key"),
        ("bob speaks for alice", fleet.request(key=fleet.key("bob")).line, 403, "mismatch"),
        ("another fleet", other.request().line, 403, "mismatch"),
        ("a decision about nothing", fleet.approve(r).line, 404, "unknown_request"),
        ("a revocation of nothing", fleet.revoke(request=r).line, 404, "unknown_request"),
        ("an unknown runbook", fleet.request(runbook_digest="sha256:" + "0" * 64).line, 422, "void"),
        ("long over", fleet.request(at=time.time() - 86400).line, 422, "over"),
        ("over 64 KiB as an entry", good[:-1] + " " * 99000 + "}", 413, "too_large"),
    ]


def test_refusals(hub, fleet):
    rows = refused_lines(fleet)
    before = hub.size()
    for name, line, status, code in rows:
        answer = hub.post(line + "\n")
        assert (answer.status, result(answer)["code"]) == (status, code), (name, answer.text)
        assert len(result(answer)["error"]) > 10, name
    assert hub.size() == before
    # One bad line stops no other.
    good = fleet.request()
    mixed = hub.post(rows[0][1] + "\n\n" + good.line + "\n" + rows[5][1] + "\n")
    assert mixed.status == 207
    assert [(x["line"], x["status"]) for x in mixed.json["results"]] == [(1, "refused"), (3, "taken"), (4, "refused")]
    assert [x.get("code") for x in mixed.json["results"]] == ["malformed", None, "bad_signature"]
    assert hub.size() == before + 1


@pytest.mark.parametrize("body, status, code", [
    (b"", 400, "empty"), (b"\n\n", 400, "empty"), (b"x\n" * 257, 413, "too_many_lines"), (b"x" * (2 << 20) + b"y", 413, "too_large")])
def test_bodies_refused_whole(hub, body, status, code):
    answer = hub.ask("POST", "/v1/statements", body)
    assert (answer.status, answer.json["code"]) == (status, code)


def test_clocks(hub, fleet):
    for ahead, words in ((0, None), (60, "ahead of the hub's"), (-60, "behind the hub's"), (-400, None)):
        answer = hub.post(fleet.request("bob", "quick", at=time.time() + ahead))
        assert answer.status == 200, answer.text
        assert (words is None and answer.json["warnings"] == []) or words in answer.json["warnings"][0], ahead
    at = time.time() + 200
    answer = hub.post(fleet.request("bob", "quick", at=at))
    assert answer.status == 422 and result(answer)["code"] == "clock_ahead"
    assert len(re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result(answer)["error"])) == 2
    behind = fleet.request()
    hub.post(behind)
    answer = hub.post(fleet.approve(behind, at=time.time() - 30))
    assert answer.status == 422 and result(answer)["code"] == "clock_behind"


def test_caps_leave_room_to_narrow(new_hub):
    h = new_hub(limits="statements_per_minute = 1\nstatements_burst = 12\nlive_requests = 5\n")
    f = h.fleet
    asked = [f.request("alice", "login") for _ in range(9)]
    answers = [result(h.post(r)) for r in asked]
    assert [a["status"] for a in answers] == ["taken"] * 5 + ["refused"] * 4
    assert {a["code"] for a in answers[5:]} == {"too_many_live"}
    codes = {result(h.post(f.request("alice", "login"))).get("code") for _ in range(5)}
    assert codes == {"too_many_live", "too_many"}
    # Neither she nor anybody else is kept from narrowing, nor others from asking.
    assert result(h.post(f.revoke(by="alice", request=asked[0])))["status"] == "taken"
    assert result(h.post(f.deny(asked[1], by="alice")))["status"] == "taken"
    assert result(h.post(f.revoke(by="alice", subject="alice")))["status"] == "taken"
    assert result(h.post(f.request("bob", "login")))["status"] == "taken"
    assert h.ask("POST", "/v1/statements", f.request("alice").line.encode()).headers["retry-after"]


def test_flood_delays_nobodys_revocation(new_hub):
    """alice sends valid statements as fast as she can, over many connections; bob's revocations are durable within a second."""
    h = new_hub(limits=WIDE)
    f = h.fleet
    target = f.request("bob", "login")
    h.post(target)
    # What is valid and verified again and again: the same requests, ten times each, which cost the hub all but the disk.
    lines = [f.request("alice", "login") for _ in range(24)]
    body = "".join((r.line + "\n") * 10 for r in lines).encode()
    stop, rounds = threading.Event(), [0]

    def flood():
        connection = h.connect()
        while not stop.is_set():
            # Beyond what one person may have waiting, lines are refused.
            assert h.ask("POST", "/v1/statements", body, connection=connection).status in (200, 207, 429)
            rounds[0] += 1
    threads = [threading.Thread(target=flood) for _ in range(48)]
    for t in threads:
        t.start()
    try:
        until = time.monotonic() + 10
        while rounds[0] < 20 and time.monotonic() < until:
            time.sleep(0.01)
        took = []
        for i in range(5):
            s = f.revoke(by="bob", request=target) if i == 0 else f.revoke(by=("ana", "ben", "carol", "bob")[i - 1], subject="bob") \
                if i in (1, 2) else f.deny(target, by=("carol", "bob")[i - 3])
            begin = time.monotonic()
            answer = h.post(s)
            took.append(time.monotonic() - begin)
            assert answer.status == 200, answer.text
        assert rounds[0] >= 20
        print(f"flood: {rounds[0]} bodies of 240 lines; narrowing took {[round(t * 1000) for t in took]} ms")
        assert max(took) < 1
    finally:
        stop.set()
        for t in threads:
            t.join()


def test_forged_flood_in_ones_own_name(new_hub):
    """Somebody without any key floods with revocations that say they are bob's; bob's own is durable within a second."""
    h = new_hub(limits=WIDE)
    f = h.fleet
    target = f.request("bob", "login")
    h.post(target)
    forged = json.loads(f.revoke(by="bob", subject="bob").line)
    forged["payload"] = forged["payload"][:-8] + "AAAA" + forged["payload"][-4:]
    body = ((json.dumps(forged, separators=(",", ":")) + "\n") * 256).encode()
    stop, rounds = threading.Event(), []

    def flood():
        connection = h.connect()
        while not stop.is_set():
            rounds.append(h.ask("POST", "/v1/statements", body, connection=connection).status)
    threads = [threading.Thread(target=flood) for _ in range(24)]
    for t in threads:
        t.start()
    try:
        until = time.monotonic() + 10
        while len(rounds) < 12 and time.monotonic() < until:
            time.sleep(0.01)
        begin = time.monotonic()
        assert h.post(f.revoke(by="bob", request=target)).status == 200
        took = time.monotonic() - begin
        assert took < 1 and len(rounds) >= 12 and set(rounds) == {403}
    finally:
        stop.set()
        for t in threads:
            t.join()


# --- policies

def test_policies(new_hub):
    h = new_hub(policy=False)
    f = h.fleet
    empty = h.post(f.request())
    assert empty.status == 503 and empty.json["code"] == "no_policy"
    text = f.policy()
    h.post_policy(text, f.sign_policy(text, ("ana",)), expect=403)
    h.post_policy(text, f.sign_policy(text, ("ana", "alice")), expect=403)
    h.post_policy("format = 1\n", f.sign_policy("format = 1\n"), expect=422)
    h.post_policy("format = 1\n", f.sign_policy(text), expect=409)
    h.post_policy("format = 1\n", f.sign_policy("format = 1\n", ("alice",)), expect=403)   # not even parsed
    h.post_policy(text + "\n", f.sign_policy(text), expect=409)
    assert h.ask("POST", "/v1/policies", b"{}").status == 400
    taken = h.post_policy(text)
    assert taken.json == {"status": "taken", "version": 1, "index": 0}
    assert h.post_policy(text).json == {"status": "known", "version": 1, "index": 0}
    assert f.add_person("frank")
    frank = f.request("frank", "quick")
    assert result(h.post(frank))["code"] == "unknown_key"
    f.groups["sre"].append("frank")
    h.post_policy()
    assert result(h.post(frank))["status"] == "taken"
    h.post_policy(text, expect=409)              # never back
    f.version = 1
    other = f.policy(version=2) + "# the same version, other words\n"
    h.post_policy(other, expect=409)
    assert [p["version"] for p in h.get("/policies").json] == [1, 2]
    f.version = 2
    # The admins of the policy in force decide about the next, and about their successors.
    f.admins = ["carol", "ben"]
    third = f.policy()
    h.post_policy(third, f.sign_policy(third, ("carol", "ben")), expect=403)
    h.post_policy(third, f.sign_policy(third, ("ana", "ben", "carol")))
    h.restart()
    fourth = f.policy()
    h.post_policy(fourth, f.sign_policy(fourth, ("ana", "ben")), expect=403)
    h.post_policy(fourth, f.sign_policy(fourth, ("carol", "ben")))


# --- ends

def test_stop_under_load_loses_nothing(new_hub):
    """Every statement that was acknowledged is in the log after SIGTERM and a new start, and the same is served."""
    h = new_hub(limits=WIDE)
    f = h.fleet
    waiting = [f.request("alice", "login") for _ in range(240)]
    taken, lock = {}, threading.Lock()

    def send():
        connection = h.connect()
        while True:
            with lock:
                if not waiting:
                    return
                mine = [waiting.pop() for _ in range(min(4, len(waiting)))]
            try:
                answer = h.ask("POST", "/v1/statements", "".join(s.line + "\n" for s in mine).encode(), connection=connection)
            except (OSError, http.client.HTTPException):
                return
            with lock:
                taken.update({s.id: r["index"] for s, r in zip(mine, answer.json["results"]) if r["status"] == "taken"})
    threads = [threading.Thread(target=send) for _ in range(8)]
    for t in threads:
        t.start()
    until = time.monotonic() + 20
    while len(taken) < 40 and time.monotonic() < until:
        time.sleep(0.002)
    assert h.stop() == 0
    for t in threads:
        t.join()
    print(f"stopped after {len(taken)} acknowledged of 240")
    size = h.start()
    served = {g["id"]: g["statements"][0]["index"] for g in h.get("/v1/grants?subject=alice").json["grants"]}
    assert len(taken) >= 40 and taken.items() <= served.items()
    assert size >= len(served) + 2
    again = h.post(*[f.request("alice", "quick")])
    assert result(again)["index"] == size


def test_stop_answers_polls_and_closes_the_idle(new_hub):
    h = new_hub()
    idle = h.connect()
    assert h.ask("GET", "/healthz", connection=idle).status == 200
    got, size = [], h.size()
    poll = threading.Thread(target=lambda: got.append(h.get(f"/v1/checkpoint?after={size}")))
    poll.start()
    await_metric(h, "hallpass_hub_long_polls", 1)
    begin = time.monotonic()
    assert h.stop() == 0
    poll.join()
    assert got[0].status == 200 and got[0].headers["connection"] == "close"
    assert time.monotonic() - begin < 5


def test_command_line(new_hub):
    h = new_hub()
    assert h.run("check").stdout.startswith("the log log.test/hallpass has 2 entries")
    assert h.run("init", "--name", "log.test/hallpass", check=False).returncode == 1
    h.stop()
    assert h.run("--version").stdout.startswith("hallpass-hub 0.")
    assert h.run("walk", check=False).returncode == 2
    (h.state / "committed").unlink()
    damaged = h.run("check", check=False)
    assert damaged.returncode == 1 and damaged.stderr
    refused = h.run("run", check=False)
    assert refused.returncode == 1 and "the log cannot be written" in refused.stderr
