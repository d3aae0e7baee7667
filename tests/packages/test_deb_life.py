"""The life of the packages on one host: install, observe, enforce, upgrade and downgrade under live sessions, disable, remove, purge. In the order of
the file; each test goes on where the last one stopped."""
import json
import re

import pytest

from .machine import Going, Machine

# What installing and purging leaves: dpkg's own books and caches, logs, and the accounts, whose numbers stand in the journal.
NOISE = re.compile(r"^(var/log|var/lib/dpkg|var/cache|var/lib/apt|tmp|run|home/[a-z]+/\.(cache|bash|sudo)|srv/packages|var/tmp|var/lib/systemd/(catalog|timers|linger)|"
                   r"var/lib/(sudo|pam|PackageKit)|root/\.|var/mail)(/|\b)")
ACCOUNTS = re.compile(r"^etc/(passwd|group|shadow|gshadow|subuid|subgid|\.pwd\.lock)-?$")
SYSTEM_USERS = {"hallpass-drop", "hallpass-fetch", "hallpass-notify"}


class Life:
    """What later tests compare with."""


@pytest.fixture(scope="module")
def life():
    return Life()


@pytest.fixture(scope="module")
def machine():
    with Machine(configured=False) as m:
        yield m


def users(machine):
    return {line.split(":")[0] for line in machine.host.path("/etc/passwd").read_text().splitlines()}


def failed_units(machine):
    return machine.host.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").out


def same_doors(before, after):
    assert set(before) == set(after)
    for what in before:
        assert before[what] == after[what], f"{what} is not as before"


def test_install_changes_nobodys_access(machine, debs, life):
    life.users = users(machine)
    machine.bring(debs.host())
    machine.works()
    life.doors = machine.doors()
    life.files = machine.changed_files()
    assert life.doors["ssh bob"] and not life.doors["a stranger's key"] and life.doors["alice: sudo -n id -u"][0] == 0
    machine.install(debs.host())
    assert machine.state() == "installed"
    same_doors(life.doors, machine.doors())
    assert users(machine) - life.users == SYSTEM_USERS
    etc = [p for p in machine.differences(life.files) if p.startswith("etc/") and not ACCOUNTS.match(p)]
    assert all(re.match(r"etc/(hallpass$|systemd/system/multi-user\.target\.wants(/hallpass-[a-z-]+\.service)?$|systemd/system/[a-z-]+\.target\.wants|mailcap)", p) for p in etc), etc


def test_nothing_runs_or_fails_before_it_is_configured(machine):
    assert failed_units(machine) == ""
    assert machine.host.run("systemctl", "is-enabled", "hallpass-agent").out == "enabled\n"
    assert machine.host.run("systemctl", "is-active", "hallpass-agent").out == "inactive\n"
    r = machine.hallpass("activation", "--json")
    assert json.loads(r.out)["mode"] == "off"


def test_the_journal_explains_its_entries(machine):
    listed = machine.host.run("journalctl", "--list-catalog", check=True).out
    assert "hallpass" in listed, "the catalog was not updated"


def test_manual_pages_and_guides(machine, debs):
    listed = machine.host.run("dpkg", "-L", "hallpass", "hallpass-host", check=True).out.split()
    assert {"/usr/share/man/man8/hallpass-host.8.gz", "/usr/share/doc/hallpass/operations.md"} <= set(listed)
    assert not [p for p in listed if p.startswith("/etc/") and p != "/etc/hallpass"]
    assert machine.host.run("dpkg", "--verify", "hallpass", "hallpass-host").out == ""


def test_configuring_changes_nobodys_access(machine, life):
    machine.configure()
    assert machine.hallpass("status").ok
    same_doors(life.doors, machine.doors())


def test_enable_observe(machine, life):
    r = machine.hallpass("enable", "--observe")
    machine.works()
    assert machine.logs_in("bob"), "observing refuses nobody"
    machine.host.await_journal(HALLPASS_EVENT="login_would_refuse")
    machine.confirm()
    state = json.loads(machine.hallpass("activation", "--json").out)
    assert (state["mode"], state["pending"], state["sudo"]) == ("observe", False, False), r


def test_enforce_with_sudo(machine, life):
    machine.hallpass("enable", "--sudo")
    assert not machine.logs_in("bob"), "no grant, no login"
    assert machine.logs_in("ops") and machine.sudo_works()
    machine.confirm()
    state = json.loads(machine.hallpass("activation", "--json").out)
    assert (state["mode"], state["pending"], state["sudo"]) == ("enforce", False, True)
    machine.grant("alice", "login")
    machine.works()


def live_session(machine):
    """alice's session under a grant, with a process in it that answers."""
    ssh = machine.host.background_ssh("alice", machine.keys["alice"], "echo up; exec cat")
    for line in ssh.stdout:   # what it is let in by comes first
        if line == b"up\n":
            return ssh
    raise AssertionError("no session")


def change_version(machine, debs, life):
    """To another version while alice is in and bob may not be: nobody is lost and nobody freed."""
    ssh, agent = live_session(machine), machine.agent_pid()
    doors = machine.doors()
    going = Going(machine, ["dpkg", "-i", *machine.bring(debs.host())])
    seen = []
    while going.process.poll() is None:
        seen.append((machine.logs_in("alice"), machine.logs_in("ops"), machine.logs_in("bob")))
    assert going.end(), going.out
    assert seen and set(seen) == {(True, True, False)}, "at every moment: who has a grant, the exempt group, and nobody else"
    assert machine.version() == debs.version
    assert machine.agent_pid() not in (agent, "0"), "the agent of the other version still runs"
    ssh.stdin.write(b"still here\n")
    ssh.stdin.flush()
    assert ssh.stdout.readline() == b"still here\n"
    same_doors(doors, machine.doors())
    assert failed_units(machine) == ""
    # Not freed: the new agent ends it with its grants.
    machine.cease_all()
    assert ssh.wait(timeout=30) == 255
    assert not machine.logs_in("alice")
    machine.grant("alice", "login")


def test_upgrade_under_live_sessions(machine, newer, life):
    change_version(machine, newer, life)


def test_downgrade_under_live_sessions(machine, debs, life):
    change_version(machine, debs, life)


def test_disable_puts_everything_back(machine, life):
    machine.hallpass("disable")
    same_doors(life.doors, machine.doors())
    assert json.loads(machine.hallpass("activation", "--json").out)["mode"] == "off"


def test_remove_puts_everything_back(machine, life):
    machine.hallpass("enable", "--sudo")
    machine.confirm()
    assert not machine.logs_in("bob")
    ssh = live_session(machine)
    machine.apt("remove", "hallpass-host", "hallpass")
    assert machine.state() == "config-files"
    same_doors(life.doors, machine.doors())
    assert failed_units(machine) == ""
    assert machine.host.run("pgrep", "-f", "hallpass-(agent|fetch|notify)").code == 1
    ssh.stdin.close()
    assert ssh.wait(timeout=10) == 0, "who was in goes when he wants to"


def test_purge_leaves_nothing(machine, life):
    machine.host.path("/etc/hallpass/host.toml").unlink()
    machine.host.path("/etc/hallpass/trust.toml").unlink()
    machine.host.run("rm", "-rf", "/srv/hallpass", check=True)
    machine.apt("purge", "hallpass-host", "hallpass")
    assert machine.state() == "not-installed"
    same_doors(life.doors, machine.doors())
    left = [p for p in machine.differences(life.files) if not NOISE.match(p)]
    assert {p for p in left if not ACCOUNTS.match(p)} == {"etc/hallpass"} & set(left), left
    assert users(machine) - life.users == SYSTEM_USERS
