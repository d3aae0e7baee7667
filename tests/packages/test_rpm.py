"""The rpm packages: what they say of themselves, and their life on a real host whose packages rpm does not know. Built and installed on Debian, with
Debian's directories; on Fedora and RHEL the spec is only parsed."""
import os
import pathlib
import re
import subprocess
import tarfile

import pytest

from tests.system.lib.host import call

from . import rpm
from .conftest import CACHE, source_digest
from .machine import Machine

DB = ("--dbpath", "/var/lib/rpm-test")
UNITS = ("hallpass-agent", "hallpass-fetch", "hallpass-notify")
ACCOUNTS = {"hallpass-drop", "hallpass-fetch", "hallpass-notify"}


@pytest.fixture(scope="session")
def rpms():
    """The packages of this tree; HALLPASS_RPMS: built already."""
    folder = pathlib.Path(os.environ.get("HALLPASS_RPMS", CACHE / "rpm"))
    mark = folder / "source"
    if not os.environ.get("HALLPASS_RPMS") and not (mark.exists() and mark.read_text() == source_digest()):
        rpm.clear(folder)
        rpm.build(folder, HALLPASS_PACKAGE_CCACHE="1")
        mark.write_text(source_digest())
    return rpm.Rpms(folder)


@pytest.fixture(scope="session")
def newer(rpms, tmp_path_factory):
    return rpm.renumbered(rpms, tmp_path_factory.mktemp("newer-rpm"))


@pytest.fixture(scope="session")
def system(rpms, tmp_path_factory):
    return rpm.system_package(rpms, tmp_path_factory.mktemp("system-rpm"))


# --- what they say

def test_rpmlint_is_content(rpms):
    r = call(["rpmlint", "-c", rpm.LINT, rpm.SPEC, rpms.source, *rpms.files.values()], timeout=300)
    assert r.ok and re.search(r" 0 errors, 0 warnings", r.out), r.both


def test_files_are_roots_and_nobody_elses_to_write(rpms):
    seen = set()
    for package in rpms.files.values():
        for path, mode, user, group, flags in rpm.rows(package, "%{FILENAMES}\t%{FILEMODES:octal}\t%{FILEUSERNAME}\t%{FILEGROUPNAME}\t%{FILEFLAGS}"):
            bits = int(mode, 8)
            assert (user, group) == ("root", "root"), path
            assert bits & 0o170000 == 0o120000 or bits & 0o7022 == 0, f"{path} has mode {mode}"
            assert int(flags) & 1 == 0, f"{path}: nobody's configuration comes from a package"
            seen.add(path)
    for part in ("/usr/lib/hallpass/hallpass_sudo.so", "/usr/libexec/hallpass/ctl", "/usr/bin/hallpass", "/usr/sbin/hallpass-hub",
                 "/usr/lib/systemd/system/multi-user.target.wants/hallpass-way-back.service"):
        assert part in seen, part
    for program in (p for p in seen if re.match(r"/usr/s?bin/", p)):
        assert [p for p in seen if re.match(rf"/usr/share/man/man[18]/{pathlib.Path(program).name}\.[18]\.gz", p)], f"{program} has no manual page"
    assert {p for p in seen if p.startswith("/etc/")} == {"/etc/hallpass"}
    assert not [p for p in seen if "session-.scope.d" in p], "a drop-in for everybody's sessions is for `hallpass host enable`"


def test_every_installed_file_is_in_a_package(rpms, stage):
    """And in one only."""
    listed = [path for package in rpms.files.values() for path, _ in rpm.rows(package, "%{FILENAMES}\t%{FILEMODES}")]
    files = {re.sub(r"\.gz$", "", p) for p in listed}
    missing = {"/" + str(p.relative_to(stage)) for p in stage.rglob("*") if not p.is_dir()} - files
    assert missing == {"/usr/share/zsh/vendor-completions/_hallpass"}, "packaging/rpm/hallpass.spec does not name them"
    assert {p for p in listed if listed.count(p) > 1} == {"/etc/hallpass"}


def test_who_needs_whom(rpms):
    own = f"hallpass = {rpms.version}-1"
    host, hub, cli = (rpm.requires(rpms[n]) for n in ("hallpass-host", "hallpass-hub", "hallpass"))
    assert {own, "systemd >= 244", "openssh-server >= 8.0", "pam"} <= host and own in hub
    assert any(r.startswith("libpam.so") for r in host) and any(r.startswith("libsystemd.so") for r in host)
    assert not [r for r in cli if re.match(r"(systemd|pam|libsystemd|libpam|hallpass)", r)], "the command needs neither systemd nor PAM"
    assert "sudo >= 1.9.5" in call(["rpm", "-qp", "--nosignature", "--recommends", rpms["hallpass-host"]]).out


def test_the_source_package_holds_the_tree(rpms, tmp_path):
    rpm.unpack(rpms.source, tmp_path)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as tar:
        members = {m.name.partition("/")[2]: m for m in tar.getmembers() if not m.isdir()}
    tracked = {p for p in rpm.tracked() if (rpm.ROOT / p).exists()}
    if not os.environ.get("HALLPASS_RPMS") and tracked:
        assert set(members) == tracked
    assert "CMakeLists.txt" in members and {m.uid for m in members.values()} == {0} and len({m.mtime for m in members.values()}) == 1
    parsed = call(["rpmspec", "-P", tmp_path / "hallpass.spec"])
    assert parsed.ok and f"Version:        {rpms.version}" in parsed.out, repr(parsed)


FEDORA = {"fedora": "41", "_unitdir": "/usr/lib/systemd/system", "_sysusersdir": "/usr/lib/sysusers.d", "_tmpfilesdir": "/usr/lib/tmpfiles.d",
          "_journalcatalogdir": "/usr/lib/systemd/catalog", "_sbindir": "/usr/bin",
          "systemd_post()": "update-helper install-system-units %*", "systemd_preun()": "update-helper remove-system-units %*",
          "systemd_postun_with_restart()": "update-helper mark-restart-system-units %*"}


def test_the_macros_of_another_system_are_used(tmp_path):
    macros = [word for name, body in FEDORA.items() for word in ("--define", f"{name} {body}")]
    there, here = (call(["rpmspec", "-P", *words, rpm.SPEC]) for words in (macros, ["--undefine", "systemd_post"]))
    assert there.ok and here.ok, there.err + here.err
    assert "update-helper install-system-units hallpass-agent.service" in there.out and "systemctl --no-reload preset" not in there.out
    assert "systemctl --no-reload preset hallpass-agent.service" in here.out and "update-helper" not in here.out
    assert "\n/usr/bin/hallpass-agent\n" in there.out and "\n/usr/sbin/hallpass-agent\n" in here.out
    for text in (there.out, here.out):
        assert not re.search(r"%\{?[a-z_]+", re.sub(r"%(description|package|prep|build|install|post|preun|postun|files|doc|dir|changelog|attr)\b|%%", "", text)), \
            "a macro that nobody knows"


def test_two_packings_are_identical(rpms, stage, tmp_path):
    """Of one tree in two folders, to the bit. What the compiler makes is compared by test_two_builds_are_identical."""
    made, tree = [], rpm.tree_of(rpms, tmp_path / "tree")
    for n in ("one", "two/deeper"):
        rpm.build(tmp_path / n, tree, HALLPASS_PACKAGE_STAGE=str(stage), HALLPASS_PACKAGE_WORK=str(tmp_path / n / "work"))
        made.append({p.name: p.read_bytes() for p in (tmp_path / n).glob("*.rpm")})
    assert set(made[0]) == set(made[1]) and len(made[0]) == 4
    for name in made[0]:
        assert made[0][name] == made[1][name], f"{name} differs"


@pytest.mark.soak
def test_two_builds_are_identical(rpms, tmp_path):
    rpm.build(tmp_path / "another/folder", rpm.tree_of(rpms, tmp_path / "tree"), HALLPASS_PACKAGE_WORK=str(tmp_path / "work/elsewhere"))
    for package in (*rpms.files.values(), rpms.source):
        assert (tmp_path / "another/folder" / package.name).read_bytes() == package.read_bytes(), f"{package.name} differs"


# --- in a tree that nobody has booted, as images are made

@pytest.fixture
def root(tmp_path):
    """An overlay of /, as `rpm --root` wants it."""
    upper, work, merged = (tmp_path / n for n in ("upper", "work", "merged"))
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
    for d in (upper, work, merged):
        d.mkdir()
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", merged], check=True)
    for part in ("etc/hallpass", "var/lib/hallpass"):
        subprocess.run(["rm", "-rf", merged / part], check=True)
    yield merged
    subprocess.run(["umount", "-l", merged], check=True)
    subprocess.run(["umount", "-l", tmp_path], check=True)


def test_into_a_tree(root, rpms, newer, system):
    def run(*words):
        return call(["rpm", "--root", root, *DB, "--nosignature", *words], timeout=120)

    def wanted():
        return sorted(p.name for p in (root / "etc/systemd/system").rglob("hallpass-*"))

    def doors():
        return call(["sh", "-c", f"cd {root}/etc && cat passwd group | grep -v hallpass | sha256sum && find pam.d ssh sudo.conf sudoers* polkit-1 "
                                 "-type f 2>/dev/null | sort | xargs sha256sum"]).out
    before = doors()
    alone = run("-i", rpms["hallpass-host"])
    assert not alone.ok and "hallpass = " in alone.err
    for words in (("-i", system, *rpms.host()), ("-U", *newer.host()), ("-U", "--oldpackage", *rpms.host())):
        r = run(*words)
        assert r.ok and "scriptlet failed" not in r.both, repr(r)
        assert wanted() == [f"{u}.service" for u in UNITS]
        assert call(["chroot", root, "/usr/libexec/hallpass/ctl", "--help"]).ok
        assert doors() == before
    assert run("-V", "hallpass", "hallpass-host").out == ""
    accounts = {line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()}
    assert ACCOUNTS <= accounts
    needed = run("-e", "hallpass")
    assert not needed.ok and "needed by" in needed.err
    gone = run("-e", "hallpass-host", "hallpass")
    assert gone.ok, repr(gone)
    assert wanted() == [] and doors() == before and not (root / "usr/libexec/hallpass").exists()


# --- on a host

class Life:
    pass


@pytest.fixture(scope="module")
def life():
    return Life()


@pytest.fixture(scope="module")
def machine():
    with Machine(configured=False) as m:
        yield m


def on(machine, *words, check=True):
    r = machine.host.run("rpm", *DB, "--nosignature", *words, timeout=120)
    assert not check or r.ok, repr(r)
    return r


def same_doors(before, after):
    for what in before:
        assert before[what] == after[what], f"{what} is not as before"


def is_active(machine, unit):
    return machine.host.run("systemctl", "is-active", unit).out.strip()


def test_installed_it_changes_nobodys_access(machine, rpms, system, life):
    files = machine.bring([system, *rpms.host()])
    life.doors = machine.doors()
    r = on(machine, "-i", *files)
    assert "failed" not in r.both, repr(r)
    same_doors(life.doors, machine.doors())
    assert on(machine, "-V", "hallpass", "hallpass-host").out == ""
    assert machine.host.path("/var/lib/hallpass-drop/in").stat().st_mode & 0o777 == 0o700
    assert [is_active(machine, u) for u in UNITS] == ["inactive"] * 3, "rpm starts nothing by itself"
    assert machine.host.run("systemctl", "is-enabled", *[f"{u}.service" for u in UNITS], "hallpass-way-back.service").out.split() == ["enabled"] * 3 + ["static"]
    assert "hallpass" in machine.host.run("journalctl", "--list-catalog").out


def test_switched_on(machine, life):
    machine.configure()
    assert machine.hallpass("status").ok
    machine.hallpass("enable", "--sudo")
    machine.confirm()
    assert not machine.logs_in("bob") and machine.logs_in("ops") and machine.sudo_works()
    machine.grant("alice", "login")
    machine.works()


def change(machine, rpms, *words):
    """Under a live session: its time goes on, the agent is the new one's, and access is as it was."""
    session = machine.host.background_ssh("alice", machine.keys["alice"], "echo up; exec cat")
    assert any(line == b"up\n" for line in iter(session.stdout.readline, b""))
    agent, doors = machine.agent_pid(), machine.doors()
    on(machine, "-U", *words, *machine.bring(rpms.host()))
    assert on(machine, "-q", "--qf", "%{VERSION}", "hallpass-host").out == rpms.version
    assert machine.agent_pid() not in (agent, "0"), "the agent of the other version still runs"
    session.stdin.write(b"still here\n")
    session.stdin.flush()
    assert session.stdout.readline() == b"still here\n"
    session.stdin.close()
    assert session.wait(20) == 0
    same_doors(doors, machine.doors())


def test_update_and_back(machine, rpms, newer):
    change(machine, newer)
    change(machine, rpms, "--oldpackage")


def test_what_still_needs_it_keeps_it(machine, life):
    """The files of PAM cannot be changed at that moment: nothing may go, or nobody would get in."""
    h = machine.host
    h.sh("mount --bind /etc/pam.d /etc/pam.d && mount -o remount,bind,ro /etc/pam.d", check=True)
    try:
        kept = on(machine, "-e", "hallpass-host", check=False)
    finally:
        h.run("umount", "/etc/pam.d", check=True)
    assert not kept.ok and "/etc/pam.d/sshd" in kept.both, repr(kept)
    assert on(machine, "-q", "hallpass-host").ok
    assert on(machine, "-V", "hallpass-host").out == "", "some of it is gone"
    machine.works()


def test_removed_it_leaves_access_as_it_was(machine, life):
    on(machine, "-e", "hallpass-host", "hallpass")
    same_doors(life.doors, machine.doors())
    assert [is_active(machine, u) for u in UNITS] == ["inactive"] * 3
    assert machine.host.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").out == ""
    left = machine.host.sh("find / -xdev -name '*hallpass*' -not -path '/proc/*' -not -path '/srv/*' -not -path '/tmp/*' -not -path '/var/lib/systemd/*' -not -path '/run/*' "
                           "-not -path '/var/lib/hallpass*' -not -path '/var/spool/hallpass*' | sort").out.split()
    assert left == ["/etc/hallpass"], "what people and programs wrote stays, nothing else"
