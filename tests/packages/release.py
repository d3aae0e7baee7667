"""Another release of Debian: its tree (made once, by debootstrap), and packages built inside it from the tracked files."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from tests.system.lib.host import call

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build/packages"
MIRROR = os.environ.get("HALLPASS_MIRROR", "http://deb.debian.org/debian")
BUILD = ("build-essential", "cmake", "debhelper", "dpkg-dev", "flatbuffers-compiler", "g++", "libboost-dev", "libcli11-dev", "libcurl4-openssl-dev", "libflatbuffers-dev",
         "libfmt-dev", "libhowardhinnant-date-dev", "liblmdb-dev", "libpam0g-dev", "libssl-dev", "libsystemd-dev", "libtomlplusplus-dev", "libxxhash-dev",
         "ninja-build", "nlohmann-json3-dev", "pkg-config", "scdoc", "systemd-dev", "zlib1g-dev")
HOST = ("at", "ca-certificates", "cron", "dbus", "iproute2", "less", "libpam-systemd", "openssh-client", "openssh-server", "openssh-sftp-server", "pamtester",
        "passwd", "polkitd", "procps", "python3", "sudo", "systemd", "systemd-sysv", "tzdata", "util-linux")


def tree(suite) -> pathlib.Path:
    """The release's files, with a compiler and with what a host has; made once (1.3 GB)."""
    path = CACHE / suite
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        new = path.with_name(suite + ".new")
        shutil.rmtree(new, ignore_errors=True)
        made = call(["debootstrap", "--variant=minbase", f"--include={','.join(BUILD + HOST)}", suite, new, MIRROR], timeout=1800)
        if not made.ok:
            raise RuntimeError(f"debootstrap {suite}: {made.both[-3000:]}")
        for deb in (new / "var/cache/apt/archives").glob("*.deb"):
            deb.unlink()
        new.rename(path)
    return path


def build_debs(suite, files, out: pathlib.Path, options="") -> None:
    """packaging/build deb inside the release; `files`: the tracked files. Nothing of it stays but the packages in `out`."""
    lower = tree(suite)
    work = pathlib.Path(tempfile.mkdtemp(prefix=f"hallpass-build-{suite}-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=6G", "hallpass-build", work], check=True)
    try:
        for name in ("upper", "work", "root"):
            (work / name).mkdir()
        root = work / "root"
        subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={work}/upper,workdir={work}/work", "overlay", root], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
        for path in files:
            target = root / "src" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, target)
        made = call(["chroot", root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"DEB_BUILD_OPTIONS={options}", "/src/packaging/build", "deb", "/out"], timeout=5400)
        if not made.ok:
            raise RuntimeError(f"{suite}: {made!r}")
        shutil.copytree(root / "out", out, dirs_exist_ok=True)
    finally:
        subprocess.run(["umount", "-R", "-l", work], check=True)
        work.rmdir()
