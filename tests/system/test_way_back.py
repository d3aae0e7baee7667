"""What must not come between a change and its way back, on a host whose sshd is started by its socket; and what the self-test must not open."""
import os
import signal
import subprocess

import pytest

from .lib.activation import activation, confirm, host_command, manifest, plain_site, switch_on
from .lib.host import eventually

SOCKET = ["sh", "-c", "cd /etc/systemd/system && mkdir -p sockets.target.wants && ln -s /lib/systemd/system/ssh.socket sockets.target.wants/ "
          "&& rm multi-user.target.wants/ssh.service"]
# What the site says about bob, who has a password: not here.
SITE = "AllowUsers alice rescue\nPasswordAuthentication yes\n"
ASK = "#!/bin/sh\necho correct horse\n"
# Tries every door on 127.0.0.1 as bob, until one opens.
HUNT = """#!/bin/bash
export SSH_ASKPASS=/srv/ask SSH_ASKPASS_REQUIRE=force DISPLAY=:0
seen=
while [ ! -e /srv/stop ]; do
  for port in $(ss -Hltn 'src 127.0.0.1' | awk '{sub(/.*:/, "", $4); print $4}'); do
    case " $seen " in *" $port "*) ;; *) seen="$seen $port"; echo "port $port" ;; esac
    ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1 -o LogLevel=ERROR -p $port bob@127.0.0.1 echo in && exit
  done
done
"""


@pytest.fixture(scope="module")
def site(stage):
    with plain_site(stage, before_boot=[SOCKET], files={"/etc/ssh/sshd_config.d/10-site.conf": SITE, "/srv/ask": (0o755, ASK),
                                                        "/srv/hunt": (0o755, HUNT)}) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        yield s


@pytest.fixture(autouse=True)
def _off_again(site):
    yield
    if activation(site)["mode"] != "off":
        host_command(site, "disable")


def timer_armed(site):
    return site.host.run("systemctl", "is-active", "hallpass-way-back.timer").ok


def start(site, *args):
    return subprocess.Popen(["nsenter", "-t", str(site.host.leader), "-a", "hallpass", "host", *args], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, start_new_session=True)


def test_the_way_back_does_not_keep_the_socket_from_being_there(site):
    # In a circle systemd leaves one unit out, not always the same.
    found = site.host.run("systemd-analyze", "verify", "multi-user.target")
    assert "cycle" not in found.both, repr(found)
    assert site.host.run("systemctl", "is-active", "ssh.socket", "ssh.service").out == "active\ninactive\n"


def test_enable_before_sshd_ever_ran_and_a_reboot_meanwhile(site):
    before = manifest(site)
    enabled = host_command(site, "enable")
    assert enabled.ok, repr(enabled)
    site.host.reboot()
    assert manifest(site) == before and activation(site)["mode"] == "off"
    site.host.await_journal(HALLPASS_EVENT="activation_went_back", within=20)
    assert site.host.run("systemctl", "is-active", "ssh.socket").ok
    site.assert_in("rescue", site.rescue)


def test_a_second_enable_waits_and_the_timer_stays(site):
    first = start(site, "enable")
    try:
        eventually("its self-test runs", site.host.path("/run/hallpass-selftest").exists, within=60, every=0.001)
        tried = host_command(site, "enable", "--within", "30s")
        dry = host_command(site, "enable", "--dry-run")
    finally:
        out, _ = first.communicate(timeout=100)
    assert first.returncode == 0, out
    for refused in (tried, dry):
        assert refused.code == 1 and "another `hallpass host enable` runs" in refused.err, repr(refused)
    assert activation(site)["pending"] and timer_armed(site)


def test_somebody_elses_failure_leaves_the_timer_of_what_waits(site):
    assert host_command(site, "enable").ok and timer_armed(site)
    assert host_command(site, "enable", "--observe").code == 1
    assert timer_armed(site)
    # Stopped by hand; whatever starts the way back too early arms it again.
    site.host.run("systemctl", "stop", "hallpass-way-back.timer", check=True)
    site.host.run("systemctl", "start", "hallpass-way-back.service", check=True)
    assert activation(site)["pending"] and timer_armed(site)


def test_a_dry_run_takes_nothing_back_and_the_way_back_does_at_once(site):
    before = manifest(site)
    running = start(site, "enable")
    record = site.host.path("/var/lib/hallpass/activation/record.json")
    eventually("the record is written", record.exists, within=60, every=0.001)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    killed = manifest(site)
    dry = host_command(site, "enable", "--dry-run")
    assert dry.code == 1 and "was interrupted" in dry.err and manifest(site) == killed, repr(dry)
    refused = confirm(site)
    assert refused.code == 1 and "was interrupted" in refused.err, repr(refused)
    back = host_command(site, "way-back")
    assert back.ok and manifest(site) == before, repr(back)


@pytest.mark.parametrize("mode", [["--observe"], []], ids=["observe", "enforce"])
def test_the_second_sshd_lets_nobody_else_in(site, mode):
    """What keeps bob out is set aside in it, for the throw-away account's sake."""
    site.host.run("chpasswd", stdin="bob:correct horse\n", check=True)
    site.host.path("/srv/stop").unlink(missing_ok=True)
    hunt = subprocess.Popen(["nsenter", "-t", str(site.host.leader), "-a", "setpriv", "--reuid", "carol", "--regid", "carol", "--init-groups",
                             "--reset-env", "/srv/hunt"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        tested = host_command(site, "self-test", *mode)
    finally:
        site.host.write("/srv/stop", "")
        out, _ = hunt.communicate(timeout=60)
    assert tested.ok, repr(tested)
    assert "port" in out, "it never found the door"
    assert "in\n" not in out.replace("Permission denied", ""), out


def test_the_scope_one_names_oneself_is_no_new_login(site):
    script = ("cat /proc/self/sessionid; echo; read new; "
              "systemd-run --quiet --user --scope --unit=session-$new.scope sudo hallpass host confirm; echo END")
    old = subprocess.Popen(["nsenter", "-t", str(site.host.leader), "-n", *site.host.ssh_argv("rescue", site.rescue.path, script)],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    new = None
    try:
        assert old.stdout.readline().strip().isdigit()
        assert host_command(site, "enable").ok
        new = site.host.background_ssh("rescue", site.rescue.path, "cat /proc/self/sessionid; echo; exec sleep 60")
        number = new.stdout.readline().decode().strip()
        assert number.isdigit()
        out, _ = old.communicate(f"{number}\n", timeout=60)
    finally:
        for ssh in (old, new):
            if ssh is not None:
                ssh.kill()
                ssh.wait()
    assert "END" in out and "Confirmed" not in out and "older than the change" in out, out
    assert activation(site)["pending"]


def test_others_cannot_hold_the_lock_of_the_self_test(site):
    running = start(site, "self-test")
    place = site.host.path("/run/hallpass-selftest")
    try:
        eventually("the self-test runs", place.exists, within=30, every=0.001)
        opened = site.host.run("ls", "/run/hallpass-selftest", user="carol")
    finally:
        out, _ = running.communicate(timeout=100)
    assert running.returncode == 0, out
    assert "Permission denied" in opened.err, repr(opened)
    assert not place.exists()


def test_activation_tells_when_the_files_say_something_else(site):
    switch_on(site, "--observe")
    assert "is not as that needs it" not in host_command(site, "activation", check=True).out
    text = site.host.path("/etc/pam.d/sshd").read_text()
    site.host.write("/etc/pam.d/sshd", "".join(line for line in text.splitlines(True) if "pam_hallpass" not in line))
    told = host_command(site, "activation", check=True).out
    assert told.startswith("observe") and "/etc/pam.d/sshd is not as that needs it" in told, told


def test_a_mistake_of_others_in_sshds_files_does_not_end_the_sshd_that_runs(site):
    typo = "/etc/ssh/sshd_config.d/zz-typo.conf"
    for reload in (True, False):   # by the socket it is restarted anyway; without it, when it cannot be reloaded
        if not reload:
            site.host.sh("systemctl stop ssh.socket ssh.service; systemctl start ssh.service", check=True)
        assert host_command(site, "enable").ok
        site.host.write(typo, "Bogus yes\n")
        try:
            disabled = host_command(site, "disable")
            assert disabled.code == 1 and "Bogus" in disabled.err and "zz-typo.conf" in disabled.err, repr(disabled)
            assert activation(site)["mode"] == "off"
            site.assert_in("rescue", site.rescue)
        finally:
            site.host.path(typo).unlink()
        site.host.run("systemctl", "restart", "ssh.service", check=True)
