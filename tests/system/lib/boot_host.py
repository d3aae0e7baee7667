"""Turns the process it runs in into a throw-away host: an overlay of / (or of another release's tree) booted by systemd-nspawn.

Run by host.py as PID 1 of a PID namespace and in a mount namespace of its own (`unshare --pid --kill-child --mount`): every mount made
here is seen by nobody else and goes with the last process of the host; and when this process ends, the kernel ends all of the host's.
The kernel kills `unshare` when the tests die and this process when `unshare` dies, so not even SIGKILL leaves a host behind.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

BASE = pathlib.Path("/run/host")          # on a private tmpfs: nothing is written to the machine's own file systems
MERGED = BASE / "merged"
UPPER = BASE / "upper"
REBOOT = 133

# What a host shows of the machine it is made from. Everything else at the top (build trees, other people's files) is not there.
KEPT = {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "tmp", "usr", "var", "srv", "home", "root",
        "opt", "mnt", "media"}
EMPTY = {"home": 0o755, "root": 0o700, "srv": 0o755, "opt": 0o755, "mnt": 0o755, "media": 0o755, "tmp": 0o1777, "usr/local": 0o755,
         "var/log": 0o755, "var/tmp": 0o1777, "var/spool": 0o755, "var/mail": 0o755, "var/cache": 0o755, "var/lib/systemd": 0o755,
         "var/lib/hallpass": 0o700, "etc/hallpass": 0o755, "etc/systemd/system": 0o755, "etc/systemd/user": 0o755,
         "etc/ssh": 0o755, "etc/cron.d": 0o755, "etc/cron.daily": 0o755, "etc/sudoers.d": 0o750, "etc/profile.d": 0o755}
# Units a login needs nothing of; without them a host is up in two seconds.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "console-getty.service", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "e2scrub_reap.service", "fstrim.timer", "getty.target", "ldconfig.service", "man-db.timer", "networking.service",
          "systemd-firstboot.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service",
          "systemd-machine-id-commit.service", "systemd-network-generator.service",
          "systemd-networkd.service", "systemd-pstore.service", "systemd-random-seed.service", "systemd-resolved.service",
          "systemd-timesyncd.service", "systemd-update-done.service", "systemd-update-utmp.service",
          "systemd-update-utmp-runlevel.service", "systemd-tmpfiles-clean.timer", "cron.service", "exim4.service",
          "postgresql.service", "unattended-upgrades.service"]


def run(*argv, **kw):
    subprocess.run([str(a) for a in argv], check=True, **kw)


def opaque(path: pathlib.Path, mode: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    os.setxattr(path, "trusted.overlay.opaque", b"y")


def mount_overlay(base: pathlib.Path, size: str) -> None:
    run("mount", "-t", "tmpfs", "-o", f"mode=0755,size={size}", "hallpass-test", "/run")
    for d in (UPPER, BASE / "work", MERGED):
        d.mkdir(parents=True)
    for entry in os.listdir(base):
        if entry not in KEPT and entry != "lost+found":
            os.mknod(UPPER / entry, 0o600 | 0o020000, os.makedev(0, 0))   # overlayfs's whiteout
    for name, mode in EMPTY.items():
        opaque(UPPER / name, mode)
    # Parents made on the way must look like the machine's own.
    for name in ("usr", "var", "etc", "var/lib", "etc/systemd"):
        if (UPPER / name).is_dir():
            shutil.copystat(base / name, UPPER / name)
    run("mount", "-t", "overlay", "-o", f"lowerdir={base},upperdir={UPPER},workdir={BASE}/work", "overlay", MERGED)


def write(path: str, text: str, mode: int = 0o644) -> None:
    target = MERGED / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    target.write_text(text)
    target.chmod(mode)


def plain_debian(config: dict) -> None:
    """A host of its own: name, ids, keys; sshd and PAM as the distribution delivers them."""
    base = pathlib.Path(config["base"])
    name = config["hostname"]
    write("/etc/machine-id", config["machine_id"] + "\n", 0o444)
    write("/etc/hostname", name + "\n")
    write("/etc/hosts", f"127.0.0.1 localhost {name}\n::1 localhost\n")
    write("/etc/motd", "")
    for f in ("/var/.updated", "/etc/.updated"):
        write(f, "")
    for f in ("/etc/fstab", "/etc/environment"):
        write(f, "")
    shutil.rmtree(MERGED / "etc/update-motd.d", ignore_errors=True)
    for gone in ("etc/ld.so.preload", "etc/default/ssh", "etc/nologin"):
        (MERGED / gone).unlink(missing_ok=True)
    system = MERGED / "etc/systemd/system"
    for unit in MASKED:
        (system / unit).symlink_to("/dev/null")
    wants = system / "multi-user.target.wants"
    wants.mkdir()
    (wants / "ssh.service").symlink_to("/lib/systemd/system/ssh.service")
    (system / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    write("/etc/systemd/journald.conf.d/test.conf", "[Journal]\nStorage=persistent\nSystemMaxUse=200M\nForwardToConsole=no\n")
    write("/etc/systemd/system.conf.d/test.conf", "[Manager]\nDefaultTimeoutStopSec=5s\nShowStatus=no\n")
    (MERGED / "var/log/journal").mkdir()
    for d in ("var/lib/systemd/linger", "var/lib/systemd/catalog", "var/cache/ldconfig"):
        (MERGED / d).mkdir(parents=True, exist_ok=True)
    shutil.copy(base / "usr/share/openssh/sshd_config", MERGED / "etc/ssh/sshd_config")
    shutil.copy(base / "etc/ssh/ssh_config", MERGED / "etc/ssh/ssh_config")
    (MERGED / "etc/ssh/sshd_config.d").mkdir()
    (MERGED / "etc/ssh/ssh_config.d").mkdir()
    write("/etc/ssh/sshd_config.d/00-test.conf", "HostKey /etc/ssh/ssh_host_ed25519_key\nMaxStartups 100\n")
    write("/etc/ssh/ssh_host_ed25519_key", config["host_key"], 0o600)
    write("/etc/ssh/ssh_host_ed25519_key.pub", config["host_key_pub"])


def accounts(config: dict) -> None:
    chroot = ["chroot", MERGED]
    for group in config["groups"]:
        run(*chroot, "groupadd", "-f", group, stderr=subprocess.DEVNULL)
    for user, groups in config["users"].items():
        # "*" is no password, but unlike "!" not a locked account, which sshd without PAM would refuse.
        extra = ["-G", ",".join(groups)] if groups else []
        run(*chroot, "useradd", "-m", "-s", "/bin/bash", "-p", "*", "-K", "MAIL_DIR=/nonexistent", *extra, user)


def install(config: dict) -> None:
    for tree in config["trees"]:
        run("cp", "-a", "--no-preserve=ownership", f"{tree}/.", MERGED)
    MERGED.chmod(0o755)   # cp gave / the mode of the tree's own top, which may be a private temporary directory
    for path, (mode, text) in config["files"].items():
        write(path, text, mode)
    for path in config["links"]:
        link = MERGED / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(config["links"][path])
    for argv in config["before_boot"]:
        run("chroot", MERGED, *argv)


def main() -> None:
    config = json.load(sys.stdin)
    os.umask(0o022)
    with open(os.path.join(config["cgroup"], "cgroup.procs"), "w") as f:
        f.write("0")
    mount_overlay(pathlib.Path(config["base"]), config["size"])
    plain_debian(config)
    accounts(config)
    install(config)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.environ["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
    argv = ["systemd-nspawn", "-q", "-D", str(MERGED), "-b", f"--machine={config['machine']}", f"--hostname={config['hostname']}",
            "--link-journal=no", "--register=no", "--keep-unit", "--console=pipe", "--private-network", "--resolv-conf=off",
            "--timezone=off", "--notify-ready=yes", "--kill-signal=SIGRTMIN+4",
            *[f"--bind={here}:{there}" for here, there in config["binds"].items()]]
    code = REBOOT
    while code == REBOOT:   # with --keep-unit nspawn leaves starting again to its caller
        code = subprocess.run(argv).returncode
    sys.exit(code)


main()
