"""The site's sudo Defaults for grants: taken over under the packaged unit, again when sudoers changes, and gone when that fails."""
import json
import stat

import pytest

from .lib.host import eventually

FILE = "/var/lib/hallpass/sudoers.defaults"
STATUS = "/run/hallpass/status.json"
DROP_IN = "/etc/sudoers.d/site"


@pytest.fixture(scope="module")
def host(site):
    return site.host


@pytest.fixture(autouse=True)
def _ready(host):
    """Each test begins with what the distribution's sudoers gives."""
    yield
    host.sh(f"rm -f {DROP_IN}; chmod 750 /etc/sudoers.d; test ! -e /etc/sudoers.away || mv /etc/sudoers.away /etc/sudoers")
    await_state(host, "ready")
    eventually("nothing is left of the test", lambda: "lecture" not in text(host))


def text(host):
    try:
        return host.path(FILE).read_text()
    except FileNotFoundError:
        return None


def status(host):
    return json.loads(host.path(STATUS).read_text())


def await_state(host, state, within=10):
    eventually(f"sudo's Defaults are {state}", lambda: status(host)["sudo"]["defaults"] == state, within=within)


def test_it_is_there_without_rules_for_root_alone(host):
    await_state(host, "ready")
    found = host.path(FILE).stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o400, 0, 0)
    lines = text(host).splitlines()
    assert "Defaults env_reset" in lines and "Defaults use_pty" in lines
    assert "ALL" not in text(host)
    assert host.run("visudo", "-c", "-f", FILE).ok
    told = host.journal(HALLPASS_EVENT="sudoers_prepared")
    assert told and told[-1]["HALLPASS_FILE"] == FILE and told[-1]["_SYSTEMD_UNIT"] == "hallpass-agent.service"
    assert not [p for p in status(host)["problems"] if "sudo" in p]


def test_a_change_counts_within_seconds(host):
    host.write(DROP_IN, "Defaults:alice !lecture\nalice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    eventually("the new Defaults", lambda: "Defaults:alice !lecture" in (text(host) or ""), within=5)
    assert "NOPASSWD" not in text(host)
    host.sh(f"sed -i s/alice/bob/ {DROP_IN}", check=True)
    eventually("the changed Defaults", lambda: "Defaults:bob !lecture" in (text(host) or ""), within=5)
    host.run("rm", DROP_IN, check=True)
    eventually("the Defaults before", lambda: "lecture" not in (text(host) or "lecture"), within=5)


def test_sudoers_itself_replaced_and_a_file_that_it_begins_to_include(host):
    before = host.path("/etc/sudoers").read_text()
    host.write("/etc/sudoers.more", "Defaults !lecture\n", mode=0o440)
    try:
        host.write("/etc/sudoers", before + "@include sudoers.more\n", mode=0o440)
        eventually("the included file's Defaults", lambda: "Defaults !lecture" in (text(host) or ""), within=5)
        host.sh("echo 'Defaults lecture=always' >/etc/sudoers.more", check=True)
        eventually("its change", lambda: "Defaults lecture=always" in (text(host) or ""), within=5)
    finally:
        host.write("/etc/sudoers", before, mode=0o440)


@pytest.mark.parametrize("content, mode, why", [
    ("Defaults lecture=\n", 0o440, f"{DROP_IN}:1"),
    ("Defaults lecture_of_another_sudo\n", 0o440, "lecture_of_another_sudo"),
    ("Defaults !lecture\n", 0o666, f"{DROP_IN} can be written by others"),
])
def test_broken_sudoers_removes_it_and_is_told(host, content, mode, why):
    after = host.cursor()
    host.write(DROP_IN, content, mode=mode)
    eventually("the file is gone", lambda: text(host) is None, within=5)
    entry = host.await_journal(HALLPASS_EVENT="sudoers_unusable", after=after)
    assert why in entry["HALLPASS_WHY"] and entry["PRIORITY"] == "3"
    await_state(host, "unusable")
    assert why in status(host)["sudo"]["why"]
    shown = host.run("hallpass", "host", "status")
    assert not shown.ok and "no grant gives sudo" in shown.out and why in shown.out and "\nsudo        no grant gives it\n" in shown.out
    host.run("rm", DROP_IN, check=True)
    eventually("it is back", lambda: text(host) is not None, within=5)
    await_state(host, "ready")
    assert "\nsudo        ready\n" in host.run("hallpass", "host", "status").out
    assert len(host.journal(HALLPASS_EVENT="sudoers_unusable", after=after)) == 1


def test_a_host_without_sudoers_is_no_alarm(host):
    after = host.cursor()
    host.run("mv", "/etc/sudoers", "/etc/sudoers.away", check=True)
    await_state(host, "absent")
    assert text(host) is None and "/etc/sudoers" in status(host)["sudo"]["why"]
    assert not [p for p in status(host)["problems"] if "sudo" in p]
    assert not host.journal(HALLPASS_EVENT="sudoers_unusable", after=after)
    host.run("mv", "/etc/sudoers.away", "/etc/sudoers", check=True)
    host.restart("hallpass-agent")   # or within a minute
    await_state(host, "ready")


def test_a_cvtsudoers_that_hangs_keeps_nobody_waiting(site, host):
    after = host.cursor()
    host.sh("cp -a /usr/bin/cvtsudoers /usr/bin/cvtsudoers.real", check=True)
    host.write(DROP_IN, "Defaults !lecture\n", mode=0o440)
    try:
        host.write("/usr/bin/cvtsudoers", "#!/bin/sh\nexec sleep 1000\n", mode=0o755)
        eventually("it hangs", lambda: host.run("pgrep", "-xf", "sleep 1000").ok)
        request = site.grant("alice", wait=False)
        site.await_admitted("alice", site.fleet.key("alice"), within=4)
        site.cease(request)
        site.await_refused("alice", site.fleet.key("alice"), within=4)
        entry = host.await_journal(HALLPASS_EVENT="sudoers_unusable", after=after, within=15)
        assert "did not end within 10 s" in entry["HALLPASS_WHY"] and text(host) is None
        eventually("it was killed", lambda: not host.run("pgrep", "-xf", "sleep 1000").ok)
    finally:
        host.sh("mv /usr/bin/cvtsudoers.real /usr/bin/cvtsudoers; pkill -xf 'sleep 1000'")
    host.run("rm", DROP_IN, check=True)
    eventually("it is back", lambda: text(host) is not None, within=5)
