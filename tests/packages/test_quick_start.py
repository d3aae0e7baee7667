"""docs/quick-start.md, typed word by word into the terminals of a booted host by somebody who does only what the page says."""
import pathlib
import re

from ..system.lib.fleet import keygen
from ..system.lib.host import Host
from .reader import Reader
from .terminal import Terminal

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/quick-start.md"
LIMIT = 120   # seconds from the first `hallpass host enable` to the first admitted login
YOU = "maria"
FILES = ["/etc/pam.d/sshd", "/etc/ssh/sshd_config", "/etc/sudo.conf", "/etc/sudoers"]   # left as they were


class Desk:
    """The terminals that the page speaks of; its table says how each begins."""

    def __init__(self, host, key):
        self.host, self.key = host, key
        self.open = {}
        self.starts = dict(re.findall(r"^\| `# ([^`]+)` \|.*`(sudo -iu \w+)` \|$", PAGE.read_text(), re.M))
        assert sorted(self.starts) == ["as alice", "as bob"]

    def __call__(self, name) -> list:
        if name == "in a new ssh login":
            return [self.login()]
        if name not in self.open:
            self.open[name] = self.login()
            if name in self.starts:
                self.open[name].type([self.starts[name]])
            else:
                assert name == "on the server", f"who is this: {name}"
        return [self.open[name]]

    def login(self) -> Terminal:
        return Terminal(self.host.ssh_argv(YOU, self.key, options=["RequestTTY=force"]))

    def close(self):
        for terminal in self.open.values():
            terminal.close()


def machine(trees=(), files=None):
    """A fresh Debian, and somebody who may use sudo there."""
    sudoers = {"/etc/sudoers": (0o440, pathlib.Path("/etc/sudoers").read_text()),
               f"/etc/sudoers.d/{YOU}": (0o440, f"{YOU} ALL=(ALL:ALL) NOPASSWD: ALL\n")}
    return Host(hostname="demo-1", users={YOU: []}, trees=trees, files={**sudoers, **(files or {})},
                before_boot=[["rm", "-f", "/etc/systemd/system/cron.service"]], clock=True)   # one that is called synchronised


def without_packages(host):
    """What installing the packages does, where their files lie already."""
    def install():
        host.sh("systemd-sysusers && systemd-tmpfiles --create --prefix=/var/spool/hallpass --prefix=/var/lib/hallpass-drop && "
                "journalctl --update-catalog && systemctl daemon-reload && systemctl enable hallpass-agent", check=True)
    return {"sudo apt install": install, "sudo apt purge": lambda: None}


def follow_page(host, tmp_path, instead):
    """Types the page; the seconds from the first `enable` to the first admitted login."""
    key = keygen(tmp_path / "you")
    host.write(f"/home/{YOU}/.ssh/authorized_keys", key.line + "\n")
    host.run("chown", "-R", f"{YOU}:", f"/home/{YOU}", check=True)
    desk = Desk(host, key.path)
    reader = Reader(PAGE, desk, instead)
    try:
        reader.follow()
    finally:
        desk.close()
    enabled = next(at for at, line in reader.typed if " host enable" in line)
    admitted = int(host.journal(HALLPASS_EVENT="login_admitted")[0]["__REALTIME_TIMESTAMP"]) / 1e6
    print(f"\nquick start: {admitted - enabled:.1f} s from `hallpass host enable` to the first admitted login (limit {LIMIT} s)")
    return admitted - enabled


def test_word_by_word_on_a_staged_tree(stage, tmp_path):
    with machine([stage]) as host:
        assert follow_page(host, tmp_path, without_packages(host)) < LIMIT


def test_word_by_word_from_packages(debs, tmp_path):
    """All of it, the first line and the last one too."""
    with machine() as host:
        host.sh("rm -f /usr/sbin/policy-rc.d; rm -rf /var/lib/hallpass; rmdir /etc/hallpass; mkdir -p /var/cache/apt/archives/partial; touch /var/log/dpkg.log", check=True)
        for deb in debs.host():
            host.write(f"/home/{YOU}/{deb.name}", deb.read_bytes())
        before = host.run("sha256sum", *FILES).out
        assert follow_page(host, tmp_path, {}) < LIMIT
        assert host.run("sha256sum", *FILES).out == before, "a file is not as it was"
        assert not host.path("/usr/bin/hallpass").exists()
