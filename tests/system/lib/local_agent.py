"""hallpass-agent under a directory of its own (`--root`), without a booted host: for tests that kill it, starve it or fill its disk."""
import json
import os
import pathlib
import signal
import subprocess
import time

HOST_TOML = 'name = "web-3"\nlabels = { env = "prod" }\ndirectories = ["/srv/inbox"]\n'


def trust_toml(fleet) -> str:
    people = "".join(f"{a} = {json.dumps([k.line for k in fleet.keys[a]])}\n" for a in fleet.admins)
    return f'fleet = "{fleet.name}"\n[admins]\nthreshold = {fleet.threshold}\n[admins.people]\n{people}'


class LocalAgent:
    def __init__(self, build, root, fleet, host_toml=HOST_TOML):
        self.build, self.root, self.fleet = pathlib.Path(build), pathlib.Path(root), fleet
        self.inbox = self.root / "srv/inbox"
        self.state = self.root / "var/lib/hallpass"
        self.run_dir = self.root / "run/hallpass"
        self.process = None
        self.log = self.root / "agent.log"
        for d in (self.inbox, self.state, self.run_dir, self.root / "etc/hallpass"):
            d.mkdir(parents=True, exist_ok=True)
        (self.root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        (self.root / "etc/hallpass/host.toml").write_text(host_toml)
        (self.root / "etc/hallpass/trust.toml").write_text(trust_toml(fleet))

    # --- what arrives
    def put_policy(self, text=None, name="policy.toml", **kw):
        text = text or self.fleet.policy(**kw)
        self.put_file(f"{name}.sig", self.fleet.sign_policy(text))
        self.put_file(name, text)
        return text

    def put(self, statement):
        self.put_file(statement.file, statement.line + "\n")
        return statement

    def put_file(self, name, content):
        beside = self.inbox / f".{name}.new"
        beside.write_bytes(content if isinstance(content, bytes) else content.encode())
        beside.rename(self.inbox / name)

    # --- the agent
    def argv(self, *more):
        return [str(self.build / "agent/hallpass-agent"), "--root", str(self.root), *more]

    def once(self, **env):
        """Runs to the end, or to its death; the CompletedProcess."""
        return subprocess.run(self.argv("--once"), env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=60)

    def crash_env(self, **members):
        return {"LD_PRELOAD": str(self.build / "tests/support/crashpoint.so"), **{f"CRASHPOINT_{k}": str(v) for k, v in members.items()}}

    def start(self, **env):
        (self.run_dir / "status.json").unlink(missing_ok=True)
        self.process = subprocess.Popen(self.argv(), env={**os.environ, **env}, stderr=self.log.open("ab"), stdin=subprocess.DEVNULL)
        self.until(lambda: (self.run_dir / "status.json").exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(20)
        self.process = None

    def status(self):
        return json.loads((self.run_dir / "status.json").read_text())

    def rss_anon_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise AssertionError("no RssAnon")

    # --- what it did
    def withdrawn(self) -> bool:
        return (self.run_dir / "withdrawn").exists()

    def snapshot(self):
        """The whole snapshot; None: there is none. A damaged one is an error."""
        path = self.state / "admissions.mdb"
        if not path.exists():
            return None
        done = subprocess.run([str(self.build / "tests/support/dump_snapshot"), str(path), str(self.root / "etc/machine-id")],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def admitted(self):
        """Ids of the grants that readers would believe now."""
        snapshot = self.snapshot()
        if snapshot is None or self.withdrawn():
            return set()
        return {a["id"] for a in snapshot["admissions"]}

    def events(self, name=None):
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("<")]
        return [line for line in lines if name is None or line.split(">", 1)[1].startswith(name + ":")]

    @staticmethod
    def until(condition, seconds=15, what=""):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {what}")
