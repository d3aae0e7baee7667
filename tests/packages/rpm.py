"""rpm packages for tests: those of this tree, the same under the next version's number, and a stand-in for the system's own packages, of which the
rpm database of a Debian host knows nothing."""
import os
import pathlib
import re
import shutil
import subprocess

from tests.system.lib.host import call

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = ROOT / "packaging/rpm/hallpass.spec"
LINT = ROOT / "packaging/rpm/rpmlint.toml"
NAMES = ("hallpass", "hallpass-host", "hallpass-hub")


class Rpms:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        found = sorted(self.folder.glob("*.rpm"))
        self.files = {query(p, "%{NAME}"): p for p in found if not p.name.endswith(".src.rpm")}
        self.source = next((p for p in found if p.name.endswith(".src.rpm")), None)
        assert set(NAMES) <= set(self.files), f"no packages in {folder}: packaging/build rpm {folder}"
        self.version = query(self.files["hallpass"], "%{VERSION}")

    def __getitem__(self, name):
        return self.files[name]

    def host(self):
        return [self.files["hallpass"], self.files["hallpass-host"]]


def query(package, form) -> str:
    r = call(["rpm", "-qp", "--nosignature", "--qf", form, package])
    assert r.ok, repr(r)
    return r.out


def rows(package, form) -> list:
    """A line for each of the package's files."""
    return [line.split("\t") for line in query(package, f"[{form}\\n]").splitlines()]


def requires(package) -> set:
    return {line.strip() for line in call(["rpm", "-qp", "--nosignature", "--requires", package]).out.splitlines()}


def build(out, tree=ROOT, **env) -> None:
    made = call([tree / "packaging/build", "rpm", out], timeout=3600, env={**os.environ, **env})
    assert made.ok, repr(made)


def tree_of(rpms, work) -> pathlib.Path:
    """The tree that the source package holds, unpacked: in no repository, and not being worked on."""
    unpack(rpms.source, work / "source")
    subprocess.run(["tar", "-xzf", next((work / "source").glob("*.tar.gz")), "-C", work], check=True)
    return work / f"hallpass-{rpms.version}"


def unpack(package, folder) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cpio = subprocess.run(["rpm2cpio", package], check=True, capture_output=True).stdout
    subprocess.run(["cpio", "-idmu", "--quiet", "--no-absolute-filenames"], cwd=folder, input=cpio, check=True)


def renumbered(rpms, work) -> Rpms:
    """The same content under the next version's number, made by the same script out of a copy of the tree."""
    version = re.sub(r"^(\d+\.\d+)\.(\d+)", lambda m: f"{m[1]}.{int(m[2]) + 1}", rpms.version)
    tree, stage, out = tree_of(rpms, work), work / "stage", work / "out"
    log = tree / "packaging/deb/changelog"
    log.write_text(log.read_text().replace(f"hallpass ({rpms.version})", f"hallpass ({version})", 1))
    for name in NAMES:
        unpack(rpms[name], stage)
    # As `cmake --install` leaves them.
    zsh = stage / "usr/share/zsh"
    (zsh / "site-functions").rename(zsh / "vendor-completions")
    for page in (stage / "usr/share/man").rglob("*.gz"):
        subprocess.run(["gunzip", page], check=True)
    build(out, tree, HALLPASS_PACKAGE_STAGE=str(stage))
    newer = Rpms(out)
    assert newer.version == version
    return newer


def system_package(rpms, work) -> pathlib.Path:
    """A package that provides what the system's do, so that dependencies need not be left out of account."""
    needed = set().union(*(requires(rpms[name]) for name in NAMES))
    provided = sorted({re.sub(r" >= ", " = ", n) for n in needed if not n.startswith(("rpmlib(", "hallpass")) and n != "/bin/sh"} | {"/bin/sh"})
    work.mkdir(parents=True, exist_ok=True)
    spec = work / "system.spec"
    spec.write_text("Name: the-system\nVersion: 1\nRelease: 1\nSummary: What this system has\nLicense: none\nBuildArch: noarch\n" +
                    "".join(f"Provides: {p}\n" for p in provided) + "%description\nOnly names.\n%files\n")
    made = call(["rpmbuild", "-bb", "--define", f"_topdir {work}/top", "--define", f"_rpmdir {work}", spec])
    assert made.ok, repr(made)
    return next(work.rglob("the-system*.rpm"))


def tracked() -> set:
    listed = call(["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z"])
    return {p for p in listed.out.split("\0") if p} if listed.ok else set()


def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
