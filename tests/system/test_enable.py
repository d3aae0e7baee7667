"""Switching hallpass on and off with its own commands, on booted hosts: nobody is locked out, and every file comes back bit by bit."""
import os
import re
import subprocess
import time

import pytest

from .lib.activation import activation, await_mode, changed, confirm, hidden_files, host_command, manifest, plain_site, switch_on
from .lib.host import eventually

CTL = "/usr/libexec/hallpass/ctl"
SHIM = "/usr/local/lib/crashpoint.so"


@pytest.fixture(scope="module")
def site(stage, build):
    """Everything installed and configured; alice has a key of her own, as before hallpass."""
    with plain_site(stage) as s:
        h = s.host
        h.await_journal(HALLPASS_EVENT="policy_accepted")
        h.write("/home/alice/.ssh/authorized_keys", s.fleet.key("alice").line + "\n", owner="alice:alice")
        h.write(SHIM, (build / "tests/support/crashpoint.so").read_bytes(), mode=0o755)
        h.run("chpasswd", stdin="root:correct horse\n", check=True)   # for the console
        s.manifest = manifest(s)
        yield s


@pytest.fixture(autouse=True)
def _off_again(request):
    yield
    if "site" not in request.fixturenames:
        return
    s = request.getfixturevalue("site")
    if s.host.leader and activation(s)["mode"] != "off":
        host_command(s, "disable")


def assert_as_before(site):
    assert not changed(site.manifest, manifest(site))
    assert activation(site)["mode"] == "off"
    site.assert_in("alice", "alice")
    site.assert_in("rescue", site.rescue)
    assert site.ssh("rescue", site.rescue, "sudo -n id -u").out == "0\n"


def timer_armed(site):
    return site.host.run("systemctl", "is-active", "hallpass-way-back.timer").ok


def test_observe_refuses_nobody_and_is_confirmed_from_a_new_login_only(site, tmp_path):
    old = site.host.background_ssh("rescue", site.rescue.path, "sleep", "600", options=[f"ControlPath={tmp_path}/mux", "ControlMaster=yes"])
    eventually("a connection of before", lambda: (tmp_path / "mux").exists(), within=20)
    try:
        enabled = host_command(site, "enable", "--observe")
        assert enabled.ok, repr(enabled)
        assert "sudo hallpass host confirm" in enabled.out and "+account    required     pam_hallpass.so mode=observe" in enabled.out
        state = activation(site)
        assert state["mode"] == "observe" and state["pending"] and state["deadline"] and state["before"]["mode"] == "off"
        assert timer_armed(site)
        site.assert_in("alice", "alice")   # without a grant, by her own key
        refusals = [
            (host_command(site, "confirm"), "no login session"),
            (site.ssh("rescue", site.rescue, "sudo hallpass host confirm", options=[f"ControlPath={tmp_path}/mux"]), "older"),
            (console(site, "hallpass host confirm"), "says nothing about ssh"),
            (site.ssh("rescue", site.rescue, "hallpass host confirm"), "for root"),
        ]
        for refused, words in refusals:
            assert words in refused.both, repr(refused)
            assert activation(site)["pending"], repr(refused)
        confirmed = confirm(site)
        assert confirmed.ok and "Confirmed: observe" in confirmed.out, repr(confirmed)
    finally:
        old.kill()
        old.wait()
    assert not activation(site)["pending"] and not timer_armed(site)
    assert hidden_files(site) == ["pam.d/.sshd.hallpass-original"]
    assert "nothing waits" in confirm(site).err
    # Nobody but root may read the record; everybody is told.
    assert site.host.run("hallpass", "host", "activation", user="alice").out.startswith("observe, since")
    for event in ("activation_started", "activation_confirmed"):
        site.host.await_journal(HALLPASS_EVENT=event)
    again = host_command(site, "enable", "--observe")
    assert again.ok and "nothing to do" in again.out
    disabled = host_command(site, "disable")
    assert disabled.ok, repr(disabled)
    site.host.await_journal(HALLPASS_EVENT="activation_ended")
    assert_as_before(site)


def test_enforce_with_sudo_and_every_bit_back(site):
    switch_on(site, "--sudo")
    assert activation(site)["mode"] == "enforce" and activation(site)["sudo"]
    site.assert_refused("alice", "alice", "no grant")
    site.assert_in("rescue", site.rescue)
    site.grant("alice", "quick")
    site.assert_in("alice", "alice")
    version = site.host.run("sudo", "-V", check=True).out
    assert "hallpass sudo plugin version" in version
    # Nobody lingers but root and the exempt group.
    lingering = site.ssh("alice", "alice", "loginctl enable-linger")
    assert not lingering.ok, repr(lingering)
    assert not site.host.path("/var/lib/systemd/linger/alice").exists()
    without = host_command(site, "disable", "--sudo")
    assert without.ok and not activation(site)["sudo"], repr(without)
    assert "hallpass" not in site.host.run("sudo", "-V", check=True).out
    site.cease_all()
    assert host_command(site, "disable").ok
    assert_as_before(site)


@pytest.mark.parametrize("spoil, mend, words", [
    ("gpasswd -d rescue hallpass-exempt", "gpasswd -a rescue hallpass-exempt", "--no-exempt"),
    ("systemctl stop hallpass-agent; rm /run/hallpass/status.json", "systemctl start hallpass-agent", "systemctl"),
    ("mv /etc/hallpass/trust.toml /root", "mv /root/trust.toml /etc/hallpass", "trust.toml"),
    ("cp -p /etc/pam.d/sshd /root; sed -i '/common-session/d' /etc/pam.d/sshd", "mv /root/sshd /etc/pam.d/sshd", "pam_systemd.so is not reached"),
    ("chmod g+w /etc/pam.d", "chmod g-w /etc/pam.d", "chmod go-w"),
    ("systemctl mask --runtime hallpass-way-back.service", "systemctl unmask --runtime hallpass-way-back.service", "way back"),
], ids=["nobody exempt", "no agent", "no trust", "PAM unknown", "others write", "no way back"])
def test_what_stands_in_the_way(site, spoil, mend, words):
    site.host.sh(spoil)
    before = manifest(site)
    try:
        refused = host_command(site, "enable", *(["--dry-run"] if words != "way back" else ["--observe"]))
        assert refused.code == 1 and words in refused.both, repr(refused)
        assert not changed(before, manifest(site))
        assert activation(site)["mode"] == "off"
    finally:
        site.host.sh(mend)
    if "agent" in spoil:
        eventually("the agent is back", lambda: site.host.path("/run/hallpass/status.json").exists(), within=20)


def test_usage_and_dry_run(site):
    for within in ("10s", "2h", "soon", ""):
        assert host_command(site, "enable", "--within", within).code == 2, within
    assert host_command(site, "enable", "--bogus").code == 2
    site.host.sh("gpasswd -d rescue hallpass-exempt")
    try:
        tried = host_command(site, "enable", "--dry-run", "--no-exempt", "--sudo")
        assert tried.ok and "+Plugin hallpass_policy" in tried.out and "Nothing was changed" in tried.out, repr(tried)
    finally:
        site.host.sh("gpasswd -a rescue hallpass-exempt")
    assert host_command(site, "enable", user="alice").code == 1
    assert_as_before(site)


def reload_by(site, command):
    """What `systemctl reload ssh` does from now on; None: as ever."""
    path = "/run/systemd/system/ssh.service.d/reload.conf"
    if command:
        site.host.write(path, f"[Service]\nExecReload=\nExecReload={command}\n")
    else:
        site.host.path(path).unlink()
    site.host.run("systemctl", "daemon-reload", check=True)


@pytest.mark.thorough
def test_an_sshd_that_does_not_take_it_goes_back_at_once(site):
    reload_by(site, "/bin/false")
    try:
        failed = host_command(site, "enable")
        assert failed.code == 1 and "Going back at once" in failed.err and "everything is as before" in failed.err, repr(failed)
    finally:
        reload_by(site, None)
    assert not timer_armed(site)
    assert_as_before(site)


@pytest.mark.thorough
def test_ctrl_c_goes_back_at_once(site):
    reload_by(site, "/bin/sleep 2")
    try:
        running = subprocess.Popen(["nsenter", "-t", str(site.host.leader), "-a", CTL, "enable"], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        eventually("it is switched on", lambda: activation(site)["pending"], within=60, every=0.1)
        site.host.sh("kill -INT $(pidof ctl)")
        out, _ = running.communicate(timeout=60)
    finally:
        reload_by(site, None)
    assert "you asked to stop" in out and running.returncode != 0, out
    assert_as_before(site)


def crash_env(**members):
    return {"LD_PRELOAD": SHIM, "CRASHPOINT_DISK": "1", **{f"CRASHPOINT_{k}": str(v) for k, v in members.items()}}


def assert_works_and_recovers(site, what):
    """Whatever it was killed at: those who could log in by then still can, or those who may when it is enforced."""
    site.assert_in("rescue", site.rescue)
    assert site.ssh("rescue", site.rescue, "sudo -n id -u").out == "0\n", what
    finished = host_command(site, "disable")
    assert finished.ok, f"{what}: {finished!r}"
    assert not changed(site.manifest, manifest(site)), what


def count_calls(site, *args) -> int:
    done = site.host.run(CTL, *args, env=crash_env(COUNT="/run/count"), timeout=120)
    assert done.ok, repr(done)
    return int(site.host.path("/run/count").read_text())


def kill_at(site, n, *args):
    killed = site.host.run(CTL, *args, env=crash_env(AT=n), timeout=120)
    assert killed.code in (137, -9), f"call {n}: {killed!r}"


def kills_of(site, before, args, steps, soak):
    """Kills `args` at each of its last calls (`soak`), or at a few of them."""
    before()
    total = count_calls(site, *args)
    numbers = range(1, total + 1) if soak else [max(1, total - k) for k in steps]
    for n in numbers:
        host_command(site, "disable")
        before()
        kill_at(site, n, *args)
        assert_works_and_recovers(site, f"{' '.join(args)}, killed at call {n} of {total}")


@pytest.mark.thorough
def test_killed_while_it_is_switched_on(site):
    kills_of(site, lambda: None, ["enable", "--sudo"], (14,), soak=False)


@pytest.mark.thorough
def test_killed_while_it_is_switched_off(site):
    kills_of(site, lambda: host_command(site, "enable"), ["disable"], (15,), soak=False)


@pytest.mark.soak
def test_killed_at_every_call_of_enable(site):
    kills_of(site, lambda: None, ["enable", "--sudo"], (), soak=True)


@pytest.mark.soak
def test_killed_at_every_call_of_disable(site):
    kills_of(site, lambda: host_command(site, "enable", "--sudo"), ["disable"], (), soak=True)


def test_a_host_that_reboots_meanwhile_comes_up_as_before(site):
    switch_on(site, "--observe")
    confirmed = manifest(site)
    assert host_command(site, "enable").ok
    assert activation(site)["pending"]
    site.host.reboot()
    # Sshd waited for it: it never ran with what nobody had confirmed.
    assert not changed(confirmed, manifest(site))
    assert activation(site) == {**activation(site), "mode": "observe", "pending": False}
    site.host.await_journal(HALLPASS_EVENT="activation_went_back", within=20)
    back, ssh = (int(site.host.run("systemctl", "show", "-p", f"ExecMain{what}TimestampMonotonic", "--value", unit, check=True).out)
                 for what, unit in (("Exit", "hallpass-way-back.service"), ("Start", "ssh.service")))
    assert 0 < back < ssh
    site.assert_in("alice", "alice")
    assert host_command(site, "disable").ok
    assert_as_before(site)


CONSOLE = """
import os, pty, re, sys, time
user, password, command = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.execv("/bin/login", ["login", user])
seen = b""
def until(pattern):
    global seen
    while not re.search(pattern, seen):
        seen += os.read(fd, 4096)
    seen = b""
until(b"assword:")
os.write(fd, password.encode() + b"\\n")
until(b"[#$] ")
os.write(fd, b"PS1=; stty -echo; echo RE''ADY\\n")
until(b"READY")
os.write(fd, command.encode() + b"; echo EN''DED $?; exit\\n")
try:
    while not re.search(rb"ENDED \\d+", seen):
        seen += os.read(fd, 4096)
except OSError:
    pass
sys.stdout.write(seen.decode(errors="replace"))
"""


def console(site, command):
    """Root at the console: login(1) on a terminal, with a password."""
    return site.host.run("python3", "-c", CONSOLE, "root", "correct horse", command, timeout=60)


@pytest.fixture
def shut_site(stage):
    """A host whose policy admits nobody."""
    with plain_site(stage, policy=False) as s:
        s.fleet.rules = [s.fleet.rule(["login", "quick", "deploy"], ["sre"], targets=["env=staging"])]
        s.publish_policy()
        s.host.await_journal(HALLPASS_EVENT="policy_accepted", within=20)
        s.host.write("/home/alice/.ssh/authorized_keys", s.fleet.key("alice").line + "\n", owner="alice:alice")
        s.host.run("chpasswd", stdin="root:correct horse\n", check=True)
        s.manifest = manifest(s)
        yield s


def test_nobody_is_locked_out_where_the_policy_admits_nobody(shut_site):
    site = shut_site
    site.assert_in("alice", "alice")
    started = time.monotonic()
    enabled = host_command(site, "enable", "--within", "30s")
    assert enabled.ok and "alice" in enabled.out, repr(enabled)
    # The door is shut for all but the exempt group,
    site.assert_refused("alice", "alice")
    site.assert_in("rescue", site.rescue)
    # and opens again by itself.
    state = await_mode(site, "off", within=45)
    took = time.monotonic() - started
    assert not state["pending"] and 29 < took < 60, took
    event = site.host.await_journal(HALLPASS_EVENT="activation_went_back")
    assert event["HALLPASS_WHY"] == "enforce -> off" and "nobody confirmed it in time" in event["MESSAGE"]
    assert_as_before(site)
    # Whoever sits at the console need not wait.
    assert host_command(site, "enable", "--within", "1h").ok
    site.assert_refused("alice", "alice")
    ended = console(site, "hallpass host disable")
    assert "switched off" in ended.out and "ENDED 0" in ended.out, repr(ended)
    assert "by root" in site.host.await_journal(HALLPASS_EVENT="activation_ended")["HALLPASS_WHY"]
    assert_as_before(site)


def fill(host):
    host.sh("head -c 4G /dev/zero >/var/fill; head -c 64K /dev/zero >>/var/fill; for i in $(seq 200); do head -c 512 /dev/zero >>/var/fill || break; done")
    full = host.sh("echo something >/etc/probe")
    assert "No space left" in full.err, repr(full)
    host.path("/etc/probe").unlink(missing_ok=True)


def test_a_full_disk(stage):
    with plain_site(stage, size="320M") as site:
        site.host.await_journal(HALLPASS_EVENT="policy_accepted")
        site.host.write("/home/alice/.ssh/authorized_keys", site.fleet.key("alice").line + "\n", owner="alice:alice")
        site.manifest = manifest(site)
        switch_on(site, "--observe")
        confirmed = manifest(site)
        assert host_command(site, "enable", "--sudo").ok
        fill(site.host)
        # Full while a change waits: it cannot be confirmed, and going back needs no room.
        refused = confirm(site)
        assert refused.code == 1 and "No space left" in refused.err and activation(site)["pending"], repr(refused)
        back = host_command(site, "disable")
        assert back.ok, repr(back)
        assert not changed(site.manifest, manifest(site))
        # Full before: everything stays as it was. Going back had made a little room.
        fill(site.host)
        failed = host_command(site, "enable", "--observe")
        assert failed.code == 1 and not changed(site.manifest, manifest(site)), repr(failed)
        site.assert_in("rescue", site.rescue)
        site.host.path("/var/fill").unlink()
        switch_on(site, "--observe")
        assert {k: v for k, v in manifest(site).items() if "hallpass" not in k}.keys() == {k for k in confirmed if "hallpass" not in k}
        assert host_command(site, "disable").ok
        assert_as_before(site)
