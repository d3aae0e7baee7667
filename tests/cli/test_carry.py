"""hallpass carry and deliver, with an ssh that only notes what it was asked; the real one is in tests/system/test_carry.py."""
import json
import os

import pytest
from fleet import Fleet

FAKE = """#!/bin/sh
n=$(ls "{root}/runs" | wc -l)
for a in "$@"; do printf '%s\\n' "$a"; done > "{root}/runs/$n.argv"
cat > "{root}/runs/$n.stdin"
printf '%b' "${{SSH_SAYS-web took it\\n}}"
exit "${{SSH_EXIT:-0}}"
"""


class Carrier(Fleet):
    def __init__(self, root):
        super().__init__(root)
        os.mkdir(os.path.join(self.root, "bin"))
        os.mkdir(os.path.join(self.root, "runs"))
        ssh = os.path.join(self.root, "bin", "ssh")
        with open(ssh, "w") as f:
            f.write(FAKE.format(root=self.root))
        os.chmod(ssh, 0o755)
        self.env["PATH"] = f"{self.root}/bin:/usr/bin:/bin"

    def runs(self):
        """What ssh was asked since the last call: its arguments and the statements it was fed, by verb."""
        folder = os.path.join(self.root, "runs")
        out = []
        for name in sorted(os.listdir(folder), key=lambda n: int(n.split(".")[0])):
            path = os.path.join(folder, name)
            with open(path) as f:
                if name.endswith(".argv"):
                    argv = f.read().splitlines()
                    with open(path.replace(".argv", ".stdin")) as stdin:
                        out.append((argv, stdin.read()))
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        return out

    def configure(self, text):
        folder = os.path.join(self.home, ".config/hallpass")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "config.toml"), "w") as f:
            f.write(text)

    def kinds(self, stream):
        return [json.loads(line)["payloadType"].split(".")[2] for line in stream.splitlines()]


@pytest.fixture
def fleet(tmp_path):
    return Carrier(tmp_path)


def active(fleet, *more):
    asked = fleet.request(*more)
    if "active until" not in asked.out:
        assert fleet.run("bob", "approve", asked.id, "--yes").code == 0
    return asked.id


class TestCarry:
    def test_what_ssh_is_asked(self, fleet):
        grant = active(fleet)
        r = fleet.run("bob", "carry", "db-1", grant, "--ssh-option", "Port=2222", "--ssh-option", "ConnectTimeout=3")
        assert r.code == 0 and r.out == "web took it\n", r
        (argv, stream), = fleet.runs()
        assert argv[:3] == ["-T", "-a", "-x"]
        assert argv[-5:] == ["-l", "hallpass-drop", "--", "db-1", "/usr/libexec/hallpass/drop"]
        options = [argv[i + 1] for i, a in enumerate(argv) if a == "-o"]
        for fixed in ("ClearAllForwardings=yes", "ForwardAgent=no", "ControlPath=none", "RemoteCommand=none"):
            assert options.index(fixed) < options.index("Port=2222"), "the first value counts"
        assert options.index("ConnectTimeout=3") < options.index("ConnectTimeout=15")
        assert not any(o.startswith("BatchMode") for o in options), "PINs and touches are asked for"
        assert argv[argv.index("-i") + 1] == fleet.key("bob")
        assert fleet.kinds(stream) == ["request", "decision"] or fleet.kinds(stream) == ["decision", "request"]
        assert stream.endswith("}\n")

    def test_revocations_go_first_and_only_those_that_matter(self, fleet):
        grant = active(fleet)
        other = active(fleet, "bob", "login", "web-3")
        assert fleet.run("bob", "revoke", "--subject", "bob", "--yes").code == 0
        assert fleet.run("bob", "revoke", grant, "--yes").code == 0
        fleet.run("bob", "carry", "db-1", grant)
        (_, stream), = fleet.runs()
        assert fleet.kinds(stream)[0] == "revocation" and sorted(fleet.kinds(stream)) == ["decision", "request", "revocation"]
        fleet.run("bob", "carry", "web-3", other)
        (_, stream), = fleet.runs()
        assert sorted(fleet.kinds(stream)) == ["request", "revocation"]

    def test_without_ids(self, fleet):
        prod = active(fleet)                            # db-1
        web = active(fleet, "alice", "login", "web-3")
        ended = active(fleet, "bob", "login", "web-3")
        assert fleet.run("bob", "revoke", ended, "--yes").code == 0
        r = fleet.run("bob", "carry", "web-3", "--json").json
        assert sorted(r["grants"]) == sorted([web, ended]) and r["state"] == "taken" and r["answer"] == ["web took it"]
        (_, stream), = fleet.runs()
        assert r["statements"] == len(stream.splitlines()) == 3
        assert fleet.run("bob", "carry", "db-1", "--json").json["grants"] == [prod]
        fleet.runs()
        everywhere = fleet.run("bob", "carry", "alias", "--json")
        assert sorted(everywhere.json["grants"]) == sorted([prod, web, ended]) and "does not name alias" in everywhere.err
        fleet.runs()
        fleet.refused(1, "nothing is live for test-1", "bob", "carry", "test-1")
        assert fleet.runs() == []

    def test_for_another_host_is_said(self, fleet):
        r = fleet.run("bob", "carry", "test-1", active(fleet))
        assert r.code == 0 and "test-1 is none of that" in r.err, r

    def test_from_a_file(self, fleet, tmp_path):
        both = str(tmp_path / "both.grant")
        asked = fleet.request("alice", "login", "db-1", "-o", "-")
        assert fleet.run("bob", "approve", "-", "--yes", "-o", both, stdin=asked.out).code == 0
        assert fleet.grants() == [] and fleet.runs() == []
        assert fleet.run("bob", "carry", "db-1", both).code == 0
        (_, stream), = fleet.runs()
        assert sorted(fleet.kinds(stream)) == ["decision", "request"]

    def test_many_go_in_several_runs(self, fleet):
        ids = [active(fleet, "alice", "login", "web-3") for _ in range(61)]
        r = fleet.run("bob", "carry", "web-3", "--json").json
        assert sorted(r["grants"]) == sorted(ids) and r["statements"] == 61
        assert [len(stream.splitlines()) for _, stream in fleet.runs()] == [60, 1]
        # The first that fails is the last that is tried.
        assert fleet.run("bob", "carry", "web-3", SSH_EXIT="1").code == 1
        assert len(fleet.runs()) == 1

    @pytest.mark.parametrize("status, code, state, words", [
        (0, 0, "taken", ""), (5, 0, "waiting", ""), (1, 1, "refused", "web-3 refused it"), (2, 3, "unavailable", "exit 2"),
        (3, 3, "unavailable", "exit 3"), (4, 3, "unavailable", "exit 4"), (127, 3, "unavailable", "has no hallpass-drop"),
        (255, 3, "unreachable", "ssh did not get in as hallpass-drop@web-3")])
    def test_what_came_of_it(self, fleet, status, code, state, words):
        grant = active(fleet, "alice", "login", "web-3")
        r = fleet.run("bob", "carry", "web-3", grant, "--json", SSH_EXIT=str(status))
        assert (r.code, r.json["state"]) == (code, state) and words in r.err, r

    def test_the_host_writes_nothing_onto_the_terminal(self, fleet):
        grant = active(fleet, "alice", "login", "web-3")
        r = fleet.run("bob", "carry", "web-3", grant, SSH_SAYS="\\033[2Jhello\\n\\n\\tthere")
        assert r.out == "\\x1b[2Jhello\n\\x09there\n", r
        flood = fleet.run("bob", "carry", "web-3", grant, SSH_SAYS="x\\n" * 30000)
        assert flood.code == 0 and len(flood.out.splitlines()) == 20

    @pytest.mark.parametrize("words, args", [
        ("write the host alone", ["bob@web-3"]), ("is no host", ["--", "-oProxyCommand=x"]), ("is no host", ["web 3"]), ("is no host", [""]),
        ("is no account", ["web-3", "--user", "-x"]), ("is not NAME=VALUE", ["web-3", "--ssh-option", "-A"])])
    def test_mistakes(self, fleet, words, args):
        fleet.refused(2, words, "bob", "carry", *args)
        assert fleet.runs() == []

    def test_without_ssh(self, fleet):
        os.unlink(os.path.join(fleet.root, "bin", "ssh"))
        grant = active(fleet, "alice", "login", "web-3")
        tools = os.path.join(fleet.root, "bin")
        os.symlink("/usr/bin/ssh-keygen", os.path.join(tools, "ssh-keygen"))
        fleet.refused(3, "cannot run ssh", "bob", "carry", "web-3", grant, PATH=tools)


class TestDeliver:
    def test_when_it_fills_and_when_it_ends(self, fleet):
        fleet.configure('deliver = ["ssh:db-1", "ssh:web-3", "ssh:alias"]\n')
        asked = fleet.request()   # for db-1, with a gate
        assert asked.code == 0 and fleet.runs() == [], asked
        approved = fleet.run("bob", "approve", asked.id, "--yes")
        assert approved.code == 0 and "carried: web took it" in approved.err and "carried" not in approved.out, approved
        runs = fleet.runs()
        assert [argv[-2] for argv, _ in runs] == ["db-1", "alias"], "not to a host that it is not for"
        assert sorted(fleet.kinds(runs[0][1])) == ["decision", "request"]
        assert fleet.run("alice", "revoke", asked.id, "--yes").code == 0
        runs = fleet.runs()
        assert [argv[-2] for argv, _ in runs] == ["db-1", "alias"] and "revocation" in fleet.kinds(runs[0][1])
        assert fleet.run("alice", "revoke", "--subject", "alice", "--yes").code == 0
        assert [(argv[-2], fleet.kinds(stream)) for argv, stream in fleet.runs()] == [(h, ["revocation"]) for h in ("db-1", "web-3", "alias")]

    def test_two_approvals(self, fleet):
        fleet.configure('deliver = ["ssh:db-1"]\n')
        asked = fleet.request(runbook="careful")
        assert fleet.run("bob", "approve", asked.id, "--yes").code == 0 and fleet.runs() == []
        assert fleet.run("ana", "approve", asked.id, "--yes").code == 0 and len(fleet.runs()) == 1

    def test_denied(self, fleet):
        fleet.configure('deliver = ["ssh:db-1"]\n')
        asked = fleet.request()
        assert fleet.run("ben", "deny", asked.id, "--yes").code == 0
        (_, stream), = fleet.runs()
        assert sorted(fleet.kinds(stream)) == ["decision", "request"]

    def test_active_at_once(self, fleet):
        fleet.configure('deliver = ["ssh:web-3"]\n')
        r = fleet.request("alice", "login", "web-3", "--json")
        assert r.json["state"] == "active" and len(fleet.runs()) == 1, "and JSON stays JSON"

    def test_what_does_not_work_is_a_warning(self, fleet):
        fleet.configure('deliver = ["ssh:web-3", "ssh:alias"]\n')
        r = fleet.request("alice", "login", "web-3", SSH_EXIT="255")
        assert r.code == 0 and "active until" in r.out, r
        assert f"not carried to web-3: ssh did not get in" in r.err and f"hallpass carry web-3 {r.id}" in r.err, r
        assert f"hallpass carry alias {r.id}" in r.err and len(fleet.runs()) == 2, r

    def test_not_what_goes_into_a_file(self, fleet):
        fleet.configure('deliver = ["ssh:web-3"]\n')
        assert fleet.request("alice", "login", "web-3", "-o", "-").code == 0 and fleet.runs() == []

    @pytest.mark.parametrize("text", ['deliver = ["web-1"]', 'deliver = ["ssh:"]', 'deliver = ["ssh:-oX=y"]', 'deliver = ["ssh:bob@web-1"]',
                                      'deliver = ["mail:web-1"]', 'deliver = "ssh:web-1"'])
    def test_mistakes(self, fleet, text):
        fleet.configure(text + "\n")
        fleet.refused(2, ["config.toml:1", "deliver"], "alice", "list")
