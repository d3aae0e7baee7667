"""Debian 13: packages built in it, on a host booted from its tree. Install, observe, enforce, a login and a command under a grant, its end, disable,
remove, purge."""
import json
import os
import re

import pytest

from ..system.lib.fleet import Fleet
from ..system.lib.host import eventually
from ..system.lib.sudo import runbook
from . import release
from .conftest import CACHE, Debs, built, tracked_files
from .machine import Machine

SUITE = "trixie"
ID = [{"as": "root", "run": ["/usr/bin/id", "-u"]}]


@pytest.fixture(scope="module")
def trixie_debs() -> Debs:
    if os.environ.get("HALLPASS_TRIXIE_DEBS"):
        return Debs(os.environ["HALLPASS_TRIXIE_DEBS"])
    return built(CACHE / f"deb-{SUITE}", lambda out: release.build_debs(SUITE, tracked_files(), out))


@pytest.fixture(scope="module")
def machine(trixie_debs):
    fleet = Fleet()
    fleet.runbooks["ids"] = runbook(ID)
    fleet.rules.append(fleet.rule(["ids"], ["sre"], gates=[("leads", 1)]))
    with Machine(fleet=fleet, base=release.tree(SUITE)) as m:
        m.before = m.doors()
        yield m
    fleet.close()


def is_as_before(machine):
    now = machine.doors()
    assert [what for what in now if now[what] != machine.before[what]] == []


def test_it_is_debian_13(machine, trixie_debs):
    assert machine.host.run("sh", "-c", ". /etc/os-release; echo $VERSION_ID").out == "13\n"
    assert trixie_debs.version.endswith("+deb13")
    assert re.search(r"OpenSSH_1\d\.", machine.host.run("ssh", "-V").err) and "1.9.16" in machine.host.run("sudo", "-V").out
    assert machine.before["ssh bob"]


def test_install_changes_nobodys_access(machine, trixie_debs):
    machine.install(trixie_debs.host())
    is_as_before(machine)
    machine.host.await_journal(HALLPASS_EVENT="policy_accepted", within=20)
    assert machine.host.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").out == ""


def test_observe(machine):
    machine.hallpass("enable", "--observe")
    machine.confirm()
    assert machine.logs_in("bob")
    machine.host.await_journal(HALLPASS_EVENT="login_would_refuse")


def test_enforce(machine):
    machine.hallpass("enable", "--sudo")
    assert not machine.logs_in("bob") and machine.logs_in("ops") and machine.sudo_works()
    machine.confirm()
    state = json.loads(machine.hallpass("activation", "--json").out)
    assert (state["mode"], state["pending"], state["sudo"]) == ("enforce", False, True)


def test_login_and_sudo_under_a_grant_that_ends(machine):
    machine.assert_refused("bob", "bob", "no grant")
    request = machine.grant("bob", "ids", by="carol")
    machine.assert_in("bob", "bob")
    assert machine.ssh("bob", "bob", "sudo -n /usr/bin/id -u").out == "0\n"
    assert not machine.ssh("bob", "bob", "sudo -n /usr/bin/id -g").ok
    ssh = machine.host.background_ssh("bob", machine.keys["bob"], "setsid sleep 1000 & echo up; exec sleep 1000")
    assert any(line == b"up\n" for line in ssh.stdout)
    assert len(machine.host.run("pgrep", "-u", "bob", "-x", "sleep").out.split()) == 2
    machine.cease(request)
    assert ssh.wait(timeout=30) == 255
    eventually("nothing of bob's runs", lambda: not machine.host.run("pgrep", "-u", "bob").out)
    machine.assert_refused("bob", "bob")


def test_disable_remove_purge(machine):
    machine.hallpass("disable")
    is_as_before(machine)
    machine.hallpass("enable", "--sudo")
    machine.confirm()
    machine.apt("remove", "hallpass-host", "hallpass")
    is_as_before(machine)
    machine.apt("purge", "hallpass-host", "hallpass")
    is_as_before(machine)
    assert machine.state() == "not-installed"
    for gone in ("/var/lib/hallpass", "/var/lib/hallpass-drop", "/var/lib/hallpass-mirror", "/var/spool/hallpass"):
        assert not machine.host.path(gone).exists()
    assert machine.host.path("/etc/hallpass/trust.toml").exists(), "what people wrote stays"
