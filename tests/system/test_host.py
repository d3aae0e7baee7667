"""The test hosts themselves: other tests lean on these facts."""
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

from .lib.fleet import keygen
from .lib.host import Host, cgroup2_root, eventually


def test_boots_quickly_and_shows_nothing_of_the_machine():
    with Host(users={"alice": []}) as host:
        assert host.boot_seconds < 15
        assert host.run("systemctl", "is-system-running").out.strip() == "running"
        assert sorted(os.listdir(host.path("/home"))) == ["alice"]
        assert not set(os.listdir(host.path("/root"))) - {".ssh"}
        assert host.run("ls", "/usr/local").out == ""
        assert host.run("cat", "/etc/machine-id").out.strip() == host.machine_id
        here = pathlib.Path(__file__)
        assert not host.path(here).exists()
        assert host.run("ip", "-o", "link").out.count("\n") == 1
        assert host.boot_seconds > 0


def test_two_hosts_at_once_do_not_see_each_other():
    with Host(hostname="one") as one, Host(hostname="two") as two:
        one.write("/etc/marker", "x")
        assert not two.path("/etc/marker").exists()
        assert one.run("hostname").out == "one\n" and two.run("hostname").out == "two\n"


def test_reboot_keeps_files_and_journal(tmp_path):
    with Host() as host:
        before = host.run("cat", "/proc/sys/kernel/random/boot_id").out
        host.write("/etc/marker", "kept")
        host.run("logger", "-t", "marker", "before the reboot")
        host.await_journal(SYSLOG_IDENTIFIER="marker")
        host.reboot()
        assert host.path("/etc/marker").read_text() == "kept"
        assert host.run("cat", "/proc/sys/kernel/random/boot_id").out != before
        assert host.journal(SYSLOG_IDENTIFIER="marker")


def test_the_clock_moves_for_everyone_but_monotonic_time_does_not(tmp_path):
    key = keygen(tmp_path / "k")
    with Host(users={"alice": []}, clock=True, files={"/etc/ssh/keys/alice": key.line + "\n",
                                                      "/etc/ssh/sshd_config.d/k.conf": "AuthorizedKeysFile /etc/ssh/keys/%u\n"}) as host:
        boottime = "python3 -c 'import time; print(time.clock_gettime(time.CLOCK_BOOTTIME))'"
        up = float(host.sh(boottime).out)
        host.set_clock(86400, synchronised=False)
        assert abs(float(host.ssh("alice", key.path, "date +%s").out) - time.time() - 86400) < 5
        assert "synchronized: no" in host.run("timedatectl").out
        assert 0 <= float(host.sh(boottime).out) - up < 60
        host.set_clock(frozen_at=1000000000)
        assert host.ssh("alice", key.path, "date +%s; sleep 1.1; date +%s").out == "1000000000\n1000000000\n"
        host.set_clock(0)
        assert "synchronized: yes" in host.run("timedatectl").out


def test_nothing_is_left_even_when_the_tests_are_killed():
    program = textwrap.dedent("""
        import sys, time
        from tests.system.lib.host import Host
        host = Host().start()
        print(host.machine, host.leader, flush=True)
        time.sleep(60)
    """)
    root = pathlib.Path(__file__).parents[2]
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root)
        machine, leader = process.stdout.readline().decode().split()
        process.send_signal(number)
        process.wait()
        process.stdout.close()
        eventually(f"the host's PID 1 is gone after {number.name}", lambda leader=leader: not alive(leader))
        assert machine not in pathlib.Path("/proc/self/mountinfo").read_text()
        if number == signal.SIGTERM:
            assert not (cgroup2_root() / machine).exists()
    with Host() as host:   # sweeps what SIGKILL kept us from removing: an empty cgroup and a directory
        assert host.leader and not (cgroup2_root() / machine).exists()


def alive(pid) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
