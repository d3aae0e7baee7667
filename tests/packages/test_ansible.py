"""The Ansible role against booted hosts: one story from nothing to enforcing and back, wave by wave, as rollout.yml tells it.

The tests are its steps, in order, on three hosts. Ansible is a person of the policy on web-1 and web-2, by the runbook that the guide shows,
and a member of the exempt group on db-1.
"""
import json
import os
import re
import shutil
import tomllib

import pytest

from tests.system.lib.fleet import Fleet, keygen
from tests.system.lib.host import Host, call
from tests.system.lib.network import Network

from .ansible import PLAYBOOKS, ROOT, Control

INBOX = "/srv/hallpass"
GUIDE = ROOT / "docs/config-management.md"
WAVES = ["web-1", "web-2", "db-1"]
# What activation may change, and uninstalling must restore.
WATCHED = ["/etc/pam.d", "/etc/ssh", "/etc/sudo.conf", "/etc/sudoers", "/etc/sudoers.d", "/etc/polkit-1", "/etc/systemd/system/session-.scope.d"]


def guide_policy():
    """The [runbooks.configure] and the rule of the guide, for our groups."""
    block = next(b for b in re.findall(r"^```toml\n(.*?)^```", GUIDE.read_text(), re.M | re.S) if "[runbooks.configure]" in b)
    runbook = re.search(r"\[runbooks\.configure\]\n(.*?)\n\n", block, re.S).group(1)
    rule = re.search(r"\[\[rules\]\]\n(.*)", block, re.S).group(1).replace("sre-leads", "leads")
    return runbook + "\n", rule


class Story:
    def __init__(self, network, packages, trees):
        self.fleet = Fleet(people=("alice", "bob", "carol", "ana", "ben", "ansible"))
        self.fleet.runbooks["configure"], rule = guide_policy()
        self.fleet.rules.append(rule)
        self.network, self.laptop = network, network.laptop()
        self.rescue = keygen(self.fleet.dir / "rescue")
        policy = self.fleet.policy()
        self.files = {
            f"{INBOX}/policy.toml": policy, f"{INBOX}/policy.toml.sig": self.fleet.sign_policy(policy),
            "/home/ansible/.ssh/authorized_keys": self.fleet.key("ansible").line + "\n",
            "/home/breakglass/.ssh/authorized_keys": self.rescue.line + "\n",
            "/etc/sudoers.d/ansible": (0o440, "ansible ALL=(ALL:ALL) NOPASSWD: ALL\n")}
        self.hosts, self.addresses = {}, {}
        self.trees, self.packages = trees, packages
        self.control, self.grants = None, {}

    def boot(self):
        for name in WAVES:
            host = Host(hostname=name, users={u: [] for u in ("alice", "ansible", "breakglass")}, trees=self.trees, files=self.files)
            self.hosts[name] = host.__enter__()
            self.addresses[name] = self.network.join(host)
        role = {"web-1": "web", "web-2": "web", "db-1": "db"}
        listed = {n: (h, self.addresses[n], {"hallpass_labels": {"env": "prod", "role": role[n]}}) for n, h in self.hosts.items()}
        listed["db-1"][2]["hallpass_exempt"] = ["breakglass", "ansible"]
        self.control = Control(self.laptop, listed, self.fleet.path("ansible"), hallpass_packages=self.packages,
                               hallpass_trust=self.fleet.trust(), hallpass_directories=[INBOX], hallpass_exempt=["breakglass"],
                               hallpass_login_patience=3)
        self.before = {name: self.watched(name) for name in WAVES}

    def close(self):
        if self.control:
            self.control.__exit__()
        for host in self.hosts.values():
            host.stop()
        self.fleet.close()

    def watched(self, name):
        """Every file below WATCHED: mode, owner, content."""
        listed = " ".join(WATCHED)
        return self.hosts[name].sh(f"find {listed} -type f -exec stat -c '%n %a %U:%G' {{}} + -exec sha256sum {{}} + 2>/dev/null | sort").out

    def activation(self, name):
        r = self.hosts[name].run("hallpass", "host", "activation", "--json", check=True)
        now = json.loads(r.out)
        return now["mode"], now["sudo"], now["pending"]

    def grant(self, *names):
        request = self.fleet.request("ansible", "configure", targets=[f"host={n}" for n in names], duration=3600)
        approve = self.fleet.approve(request, "bob")
        for name in names:
            for s in (request, approve):
                self.hosts[name].write(f"{INBOX}/{s.file}", s.line + "\n")
            self.hosts[name].await_journal(HALLPASS_EVENT="grant_active", HALLPASS_GRANT=request.id)
            self.grants[name] = request

    def break_check(self, name):
        """Something that `hallpass host check` calls an error: sudo would load this file all the same."""
        self.hosts[name].run("chmod", "0666", "/usr/lib/hallpass/hallpass_sudo.so", check=True)

    def repair_check(self, name):
        self.hosts[name].run("chmod", "0644", "/usr/lib/hallpass/hallpass_sudo.so", check=True)

    def play(self, playbook="rollout.yml", *options, **variables):
        """With new connections: each play is a run of its own."""
        self.control.hang_up()
        return self.control.play(playbook, *options, **variables)

    def ssh(self, name, user, key, *words):
        return self.hosts[name].ssh(user, key, *words)


@pytest.fixture(scope="module")
def story(request):
    """With packages; HALLPASS_STAGE: with a tree that is installed already, which is quicker to try out."""
    if os.environ.get("HALLPASS_STAGE"):
        packages, trees = [], [request.getfixturevalue("stage")]
    else:
        packages, trees = [str(p) for p in request.getfixturevalue("debs").host()], []
    with Network() as network:
        s = Story(network, packages, trees)
        try:
            s.boot()
            yield s
        finally:
            s.close()


def assert_played(played, *names):
    assert played.ok, repr(played)
    assert sorted(played.recap) == sorted(names), repr(played)


def assert_stopped(played, before, at):
    """Hosts before went through, one did not, and those after it were not even asked."""
    assert not played.ok
    assert sorted(played.recap) == sorted([*before, at]), repr(played)
    assert all(played.recap[name][2:] == (0, 0) for name in before) and played.recap[at][2:] == (0, 1), repr(played)


@pytest.mark.parametrize("argv", [["yamllint", "--strict", "."], ["ansible-lint", "--offline", "--nocolor", "-p"],
                                  ["ansible-playbook", "--syntax-check", "-i", "inventory.example.yml", "rollout.yml", "uninstall.yml"]],
                         ids=lambda argv: argv[0])
def test_linters_are_content(argv, tmp_path):
    tree = shutil.copytree(PLAYBOOKS, tmp_path / "ansible")   # they leave folders behind
    said = call(argv, cwd=tree, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}, timeout=120)
    assert said.ok, repr(said)


def test_values_are_written_as_toml(tmp_path):
    settings = {"standing_sudo": "deny", "warn": ["5m", "1m"], "max_grants": 1000, "accounts": {"deploy": {"user_manager": "deny"}},
                "alerts": {"refused_logins": 0}, "odd": 'a "quoted" \\ and a\ttab', "yes": True, "none": []}
    variables = {"hallpass_settings": settings, "hallpass_name": "web-1.example.org", "hallpass_labels": {"env": "prod", "a b": "c"},
                 "hallpass_directories": ["/srv/a", "/srv/b"], "hallpass_mirror": "/var/lib/hallpass-mirror", "hallpass_drop": True}
    (tmp_path / "extra.json").write_text(json.dumps(variables))
    done = call(["ansible", "localhost", "-c", "local", "-m", "ansible.builtin.template", "-e", f"@{tmp_path}/extra.json", "-a",
                 f"src={PLAYBOOKS}/roles/hallpass/templates/host.toml.j2 dest={tmp_path}/host.toml"],
                env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"})
    assert done.ok, repr(done)
    assert tomllib.loads((tmp_path / "host.toml").read_text()) == {
        "name": "web-1.example.org", "labels": {"env": "prod", "a b": "c"}, "directories": ["/srv/a", "/srv/b"],
        "mirror": "/var/lib/hallpass-mirror", "drop": "/var/lib/hallpass-drop/in", **settings}


def test_configured_and_off_changes_nobodys_access(story):
    played = story.play("rollout.yml", "--limit", "web-1,db-1", hallpass_mode=False, hallpass_waves=["100%"])   # YAML's unquoted off
    assert_played(played, "web-1", "db-1")
    for name in ("web-1", "db-1"):
        assert story.watched(name) == story.before[name]
        assert story.activation(name) == ("off", False, False)
        host = tomllib.loads(story.hosts[name].run("cat", "/etc/hallpass/host.toml").out)
        assert (host["name"], host["labels"]["env"], host["directories"]) == (name, "prod", [INBOX])
        assert "breakglass" in story.hosts[name].run("getent", "group", "hallpass-exempt").out
        assert story.hosts[name].run("systemctl", "is-active", "hallpass-agent").ok


def test_observing_changes_nobodys_access(story):
    """From off on web-1, from nothing on web-2."""
    played = story.play("rollout.yml", "--limit", "web-1,web-2", hallpass_mode="observe", hallpass_waves=["100%"])
    assert_played(played, "web-1", "web-2")
    for name in ("web-1", "web-2"):
        assert story.activation(name) == ("observe", False, False)
        assert story.ssh(name, "ansible", story.fleet.path("ansible"), "true").ok


def test_a_failed_check_ends_the_rollout_there(story):
    """web-1 enforces, web-2 has a fault, db-1's turn never comes."""
    story.grant("web-1")
    story.break_check("web-2")
    before = story.hosts["db-1"].cursor()
    played = story.play(hallpass_mode="enforce", hallpass_sudo=True)
    story.repair_check("web-2")
    assert played.out.count("PLAY [Roll hallpass out]") == 2, repr(played)
    assert_stopped(played, ["web-1"], at="web-2")
    assert "Nothing was switched on or off." in played.out and "Cure:" in played.out, repr(played)
    assert story.activation("web-1") == ("enforce", True, False)
    assert story.activation("web-2") == ("observe", False, False)
    assert story.activation("db-1") == ("off", False, False)
    assert not [e for e in story.hosts["db-1"].journal("_COMM=sshd", after=before) if e["MESSAGE"].startswith("Accepted")]


@pytest.fixture(scope="module")
def refused(story):
    """Nobody granted Ansible anything on web-2: the login that should confirm is refused. What other tests look at while it goes back."""
    return story.play("rollout.yml", "--limit", "web-2,db-1", hallpass_mode="enforce", hallpass_sudo=True, hallpass_within="30s")


def test_a_refused_new_login_ends_the_rollout(story, refused):
    assert_stopped(refused, [], at="web-2")
    assert "ansible has no grant for web-2 as ansible" in refused.out, repr(refused)
    assert story.activation("db-1") == ("off", False, False)


def test_the_second_run_changes_nothing_and_needs_nothing_but_the_grant(story, refused):
    """The site's own rule for Ansible is gone from web-1: root's shell comes by the grant, and nothing besides."""
    host = story.hosts["web-1"]
    host.path("/etc/sudoers.d/ansible").unlink()
    before = host.cursor()
    played = story.play("rollout.yml", "--limit", "web-1", hallpass_mode="enforce", hallpass_sudo=True)
    assert played.ok and played.recap["web-1"][1] == 0, f"{played.tasks('web-1')}\n{played!r}"
    used = host.journal(after=before, HALLPASS_EVENT="sudo_allowed")
    assert used and {e.get("HALLPASS_GRANT") for e in used} == {story.grants["web-1"].id}
    assert all(e["HALLPASS_COMMAND"].startswith('["/bin/sh","-c","echo BECOME-SUCCESS-') for e in used), used
    other = story.ssh("web-1", "ansible", story.fleet.path("ansible"), "sudo -n /usr/bin/id")
    assert not other.ok and "no grant of yours covers" in other.both, repr(other)


def test_check_mode_tells_and_changes_nothing(story, refused):
    played = story.play("rollout.yml", "--check", "--limit", "db-1", hallpass_mode="enforce", hallpass_sudo=True)
    assert played.ok, repr(played)
    assert played.tasks("db-1") == ["hallpass : Ask enable what it would do"], repr(played)
    assert "+AuthorizedKeysFile none" in played.out, repr(played)
    assert story.activation("db-1") == ("off", False, False)


def test_mistakes_in_variables_change_nothing(story, refused):
    played = story.play("rollout.yml", "--limit", "db-1", hallpass_mode="enforced", hallpass_directories=[])
    assert not played.ok and played.recap["db-1"][1] == 0, repr(played)
    for said in ("hallpass_mode is enforced: write off, observe or enforce", "No statement would reach this host"):
        assert said in played.out, repr(played)


def test_a_host_that_nobody_confirmed_went_back_by_itself(story, refused):
    story.hosts["web-2"].await_journal(HALLPASS_EVENT="activation_went_back", within=45)
    assert story.activation("web-2") == ("observe", False, False)
    assert story.ssh("web-2", "ansible", story.fleet.path("ansible"), "sudo -n true").ok


@pytest.fixture
def another(story):
    """another(first, last): further hosts of the inventory, {name: variables}."""
    usual = story.control.hosts

    def add(first, last=None):
        story.control.hosts = {**first, **usual, **(last or {})}
    yield add
    story.control.hosts = usual


def test_a_host_that_cannot_be_reached_ends_the_rollout(story, refused, another):
    another({"gone": {"ansible_host": story.laptop.address}})   # nothing listens there
    assert_stopped(story.play("rollout.yml", "--limit", "gone,db-1", hallpass_mode="off"), [], at="gone")


def test_a_host_that_is_lost_on_the_way_ends_the_rollout_after_its_wave(story, refused, another):
    """An unreachable host is no failure for Ansible. The first and the last are db-1 under other names; the first moves to another port."""
    same = {**story.control.hosts["db-1"], "hallpass_name": "db-1"}
    another({"lost": {**same, "ansible_port": "{{ 1 if hallpass_sysusers is defined else 22 }}"}}, {"after": same})
    played = story.play("rollout.yml", "--limit", "lost,db-1,after", hallpass_mode="off", hallpass_waves=[2, "100%"])
    assert not played.ok and sorted(played.recap) == ["db-1", "lost"], repr(played)
    assert played.recap["lost"][2:] == (1, 0) and "Lost in this wave: lost" in played.out, repr(played)


def test_enforcing_everywhere(story):
    """By a grant on web-1 and web-2, by the exempt group on db-1."""
    story.grant("web-2")
    played = story.play("rollout.yml", "--limit", "web-2,db-1", hallpass_mode="enforce", hallpass_sudo=True, hallpass_waves=["100%"])
    assert_played(played, "web-2", "db-1")
    for name in WAVES:
        assert story.activation(name) == ("enforce", True, False)
    before = story.hosts["db-1"].cursor()
    story.control.hang_up()
    as_root = story.control.command("db-1", "id -u", "-b")
    assert as_root.ok and as_root.out.splitlines()[1] == "0", repr(as_root)
    assert story.hosts["db-1"].await_journal(after=before, HALLPASS_EVENT="login_exempt", HALLPASS_ACCOUNT="ansible")
    assert not [e for e in story.hosts["db-1"].journal(after=before, HALLPASS_EVENT="sudo_allowed") if e.get("HALLPASS_GRANT")]


def test_uninstalling_restores_every_file(story):
    """The old ways in must be there, for Ansible too."""
    mode, text = story.files["/etc/sudoers.d/ansible"]
    story.hosts["web-1"].write("/etc/sudoers.d/ansible", text, mode=mode)
    played = story.play("uninstall.yml", hallpass_purge=True, hallpass_waves=["100%"])
    assert_played(played, *WAVES)
    for name in WAVES:
        host = story.hosts[name]
        assert story.watched(name) == story.before[name]
        assert not host.path("/etc/hallpass").exists() and not host.path("/var/lib/hallpass").exists()
        assert not host.run("systemctl", "is-active", "hallpass-agent").ok
        assert story.ssh(name, "ansible", story.fleet.path("ansible"), "sudo -n true").ok
        if story.packages:
            assert not host.run("dpkg-query", "-W", "hallpass-host").ok and not host.path("/usr/libexec/hallpass").exists()
