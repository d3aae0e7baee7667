"""The agent is killed at every call that changes the disk, in turn, while grants and a revocation arrive: what stands afterwards is the
old snapshot or the new one, whole, and nothing that was accepted or revoked is forgotten."""
import json
import random
import shutil
import signal
import time

import pytest

from .lib.fleet import Fleet
from .lib.local_agent import LocalAgent
from .lib.log_maker import LogMaker


@pytest.fixture
def fleet():
    f = Fleet()
    yield f
    f.close()


@pytest.fixture
def agent(build, tmp_path, fleet):
    a = LocalAgent(build, tmp_path / "host", fleet)
    yield a
    a.stop(signal.SIGKILL)


def shown(agent):
    s = agent.snapshot()
    if s is None:
        return None
    return json.dumps({k: s[k] for k in ("policy_version", "admissions", "keys")}, sort_keys=True)


def steps(agent, fleet):
    """What happens in a host's life: each puts files into the inbox. The names of those files are returned."""
    asked = fleet.request("alice", "login", duration=3600)
    quick = fleet.request("bob", "quick", duration=3600)

    def first():
        text = fleet.policy()
        agent.put_policy(text)
        agent.put(asked)
        agent.put(quick)
        return []

    def approve():
        return [agent.put(fleet.approve(asked)).file]

    def revoke():
        return [agent.put(fleet.revoke(request=quick)).file]

    def void_key():
        return [agent.put(fleet.revoke(revoked_key=fleet.key("alice").fingerprint, by="ana")).file]

    def next_policy():
        fleet.groups["leads"] = ["carol"]
        agent.put_policy(fleet.policy(), "policy.toml")
        return []
    return [("start", first), ("approve", approve), ("revoke", revoke), ("void key", void_key), ("policy", next_policy)]


def forget_reports(agent):
    """The policy that it leaves for others is written when it differs: each run makes the same calls."""
    (agent.run_dir / "policy.toml").unlink(missing_ok=True)


# After a call the disk is as it is before the next: that half is for long runs.
@pytest.mark.parametrize("after", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["before the call", "after the call"])
def test_killed_at_every_call(agent, fleet, tmp_path, after):
    saved = tmp_path / "saved"
    total = 0
    for name, step in steps(agent, fleet):
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(agent.state, saved)
        old = shown(agent)
        arrived = step()
        forget_reports(agent)
        run = agent.once(**agent.crash_env(COUNT=tmp_path / "count"))
        assert run.returncode == 0, run.stderr
        new = shown(agent)
        assert new != old, name
        for n in range(1, int((tmp_path / "count").read_text()) + 1):
            shutil.rmtree(agent.state)
            shutil.copytree(saved, agent.state)
            forget_reports(agent)
            killed = agent.once(**agent.crash_env(AT=n, **({"AFTER": 1} if after else {})))
            assert killed.returncode == -9, f"{name}, call {n}: {killed.returncode} {killed.stderr}"
            left = shown(agent)
            total += 1
            # During the very first start snapshots grow step by step: nobody, then the policy's people.
            assert left in (old, new) or name == "start", f"{name}, killed at call {n}: neither old nor new"
            # What readers have seen must come back from the ledger alone.
            if left == new:
                hidden = tmp_path / "hidden"
                hidden.mkdir(exist_ok=True)
                for file in arrived:
                    (agent.inbox / file).rename(hidden / file)
                assert agent.once().returncode == 0
                assert shown(agent) == new, f"{name}, killed at call {n}: forgotten"
                for file in arrived:
                    (hidden / file).rename(agent.inbox / file)
            assert agent.once().returncode == 0
            assert shown(agent) == new, f"{name}, killed at call {n}: not repaired"
    assert total > 50, "the shim counts too little to mean anything"


class LogAgent(LocalAgent):
    """Hears of everything by the mirror of a log."""

    def __init__(self, build, root, fleet):
        super().__init__(build, root, fleet, 'name = "web-3"\nlabels = { env = "prod" }\nmirror = "/mirror"\n')
        self.log = LogMaker(fleet.name)
        self.mirror = self.root / "mirror"
        trust = self.root / "etc/hallpass/trust.toml"
        trust.write_text(trust.read_text() + self.log.trust() + "require_log = true\n")

    def policy(self, text):
        for name in ("policy.toml", f"policy-{self.fleet.version}.toml"):
            (self.mirror / "policies").mkdir(parents=True, exist_ok=True)
            (self.mirror / "policies" / f"{name}.sig").write_text(self.fleet.sign_policy(text))
            (self.mirror / "policies" / name).write_text(text)

    def enter(self, *statements):
        self.log.add(*[s.line.encode() for s in statements])
        for name, content in self.log.files().items():
            if name != "policies":   # a file of the log, and the mirror's folder of policies
                (self.mirror / name).parent.mkdir(parents=True, exist_ok=True)
                (self.mirror / name).write_bytes(content)


@pytest.fixture
def log_agent(build, tmp_path, fleet):
    a = LogAgent(build, tmp_path / "host", fleet)
    yield a
    a.stop(signal.SIGKILL)


@pytest.mark.parametrize("after", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["before the call", "after the call"])
def test_killed_at_every_call_while_it_follows_the_log(log_agent, fleet, tmp_path, after):
    agent, saved, total = log_agent, tmp_path / "saved", 0
    asked, quick = fleet.request("alice", "login", duration=3600), fleet.request("bob", "quick", duration=3600)
    agent.policy(fleet.policy())
    steps = [("start", [asked, quick]), ("approve", [fleet.approve(asked)]), ("revoke", [fleet.revoke(request=quick)]),
             ("void key", [fleet.revoke(revoked_key=fleet.key("alice").fingerprint, by="ana")])]
    for name, statements in steps:
        for kept, now in ((saved / "state", agent.state), (saved / "mirror", agent.mirror)):
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(now, kept)
        old = shown(agent)
        agent.enter(*statements)
        forget_reports(agent)
        run = agent.once(**agent.crash_env(COUNT=tmp_path / "count"))
        new, size = shown(agent), len(agent.log.entries)
        assert new != old and agent.status()["log"]["size"] == size, (name, run.stderr)
        for n in range(1, int((tmp_path / "count").read_text()) + 1):
            shutil.rmtree(agent.state)
            shutil.copytree(saved / "state", agent.state)
            forget_reports(agent)
            killed = agent.once(**agent.crash_env(AT=n, **({"AFTER": 1} if after else {})))
            assert killed.returncode == -9, f"{name}, call {n}: {killed.returncode} {killed.stderr}"
            left = shown(agent)
            total += 1
            assert left in (old, new) or name == "start", f"{name}, killed at call {n}: neither old nor new"
            if left == new:   # what readers have seen comes back though the mirror is an older one again
                agent.mirror.rename(tmp_path / "newer")
                shutil.copytree(saved / "mirror", agent.mirror)
                agent.once()
                assert shown(agent) == new, f"{name}, killed at call {n}: forgotten"
                shutil.rmtree(agent.mirror)
                (tmp_path / "newer").rename(agent.mirror)
            agent.once()
            assert shown(agent) == new and agent.status()["log"]["size"] == size, f"{name}, killed at call {n}: not repaired"
    assert total > 50, "the shim counts too little to mean anything"


def test_revoked_stays_revoked_after_the_file_is_gone(agent, fleet):
    agent.put_policy()
    request = agent.put(fleet.request("bob", "quick", duration=3600))
    agent.once()
    assert agent.admitted() == {request.id}
    revocation = agent.put(fleet.revoke(request=request))
    agent.once()
    assert agent.admitted() == set()
    (agent.inbox / revocation.file).unlink()
    agent.once()
    assert agent.admitted() == set()


def rounds_of_kills(agent, fleet, kills):
    """The daemon runs and is killed at random moments while requests, approvals and revocations arrive. Whatever a snapshot has shown as
    admitted stays so until revoked, and whatever was once gone by revocation stays gone."""
    agent.put_policy()
    live, revoked, seen = {}, set(), set()
    chance = random.Random(time.time_ns())
    for _ in range(kills):
        agent.start()
        end = time.monotonic() + chance.uniform(0.01, 0.25)
        while time.monotonic() < end:
            if live and chance.random() < 0.3:
                _, request = live.popitem()
                agent.put(fleet.revoke(request=request))
                revoked.add(request.id)
            else:
                request = agent.put(fleet.request("bob", "quick", duration=3600))
                live[request.id] = request
            now = agent.admitted()
            gone = seen - now - revoked
            assert not gone, f"accepted and forgotten: {gone}"
            seen |= now
        agent.stop(signal.SIGKILL)
        assert not (seen - agent.admitted() - revoked)
    assert agent.once().returncode == 0
    assert agent.admitted() == set(live)


def test_killed_at_random(agent, fleet):
    rounds_of_kills(agent, fleet, 10)


@pytest.mark.soak
def test_killed_at_random_200_times(agent, fleet):
    rounds_of_kills(agent, fleet, 200)
