"""hallpass-fetch under a directory of its own (`--root`), without a booted host."""
import json
import os
import pathlib
import signal
import subprocess

from .file_server import as_json


class LocalFetch:
    def __init__(self, build, root, fleet, log):
        self.program, self.root, self.log = pathlib.Path(build) / "agent/fetch/hallpass-fetch", pathlib.Path(root), log
        self.mirror = self.root / "var/lib/hallpass-mirror"
        self.errors = self.root / "fetch.log"
        self.process = None
        for d in (self.mirror, self.root / "etc/hallpass", self.root / "run/hallpass"):
            d.mkdir(parents=True)
        (self.root / "etc/hallpass/trust.toml").write_text(fleet.trust() + log.trust())

    def configure(self, *urls, more=""):
        (self.root / "etc/hallpass/fetch.toml").write_text(f'urls = {json.dumps(list(urls))}\nanswer_timeout = "2s"\npoll = "1s"\n{more}')

    def in_force(self, version, log=None):
        """What the agent would say; `log`: (size, root) that it has followed."""
        policy = {"version": version, "digest": "", "valid_until": ""} if version else None
        followed = {"size": log[0], "root": "sha256:" + log[1].hex()} if log else None
        path = self.root / "run/hallpass/status.json"
        path.with_suffix(".new").write_text(json.dumps({"hallpass": "status/1", "policy": policy, "log": followed}))
        path.with_suffix(".new").rename(path)

    def argv(self, *more):
        return [str(self.program), "--root", str(self.root), *more]

    def once(self, *urls, more=""):
        """One round; the CompletedProcess."""
        if urls:
            self.configure(*urls, more=more)
        return subprocess.run(self.argv("--once", "--verbose"), capture_output=True, text=True, check=False, timeout=60)

    def start(self, *urls, more=""):
        self.configure(*urls, more=more)
        self.process = subprocess.Popen(self.argv("--verbose"), stderr=self.errors.open("ab"), stdin=subprocess.DEVNULL)
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(10)
        code, self.process = self.process.returncode if self.process else None, None
        return code

    # --- what it did
    def said(self) -> str:
        return self.errors.read_text() if self.errors.exists() else ""

    def note(self):
        path = self.mirror / "checkpoint"
        return path.read_bytes() if path.exists() else None

    def size(self) -> int:
        note = self.note()
        return int(note.split(b"\n")[1]) if note else 0

    def status(self):
        return as_json(self.mirror / "fetch-status.json")

    def files(self, below="tile"):
        return sorted(str(p.relative_to(self.mirror)) for p in (self.mirror / below).rglob("*") if p.is_file())

    def everything(self):
        """Names and contents of what an agent may read."""
        return {str(p.relative_to(self.mirror)): p.read_bytes() for p in self.mirror.rglob("*")
                if p.is_file() and p.name not in ("fetch-status.json", "position.json")}

    def rss_anon_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise AssertionError("no RssAnon")

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None and os.path.exists(f"/proc/{self.process.pid}")
