"""A hub, hosts and a file server on this machine, as test_fleet_bench.py puts them together."""
import json
import os
import pathlib
import queue
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time

from tests.system.lib.file_server import free_port
from tests.system.lib.hub import Hub
from tests.system.lib.hub_fixtures import WIDE
from tests.system.lib.local_agent import LocalAgent
from tests.system.lib.local_fetch import LocalFetch

from .conftest import ROOT, FleetOfMany

FLEET_NAME = "acme-prod"    # tests/bench/fleet.h


class Signed(FleetOfMany):
    """Grants that are signed already, and what a Hub asks of its fleet."""
    def trust(self):
        return (self.dir / "trust.toml").read_text()

    def policy(self):
        return (self.dir / "policy.toml").read_text()

    def sign_policy(self, _text):
        return (self.dir / "policy.toml.sig").read_text()

    def lines(self, kind):
        """The statements of that kind ("request" or "approve") in the order of their grants."""
        files = [f for f in self.files() if f.name.endswith(f"-{kind}.grant")]
        return [f.read_text() for f in sorted(files, key=lambda f: int(f.name.split("-")[0]))]


class DiskHub(Hub):
    """One whose files lie below `directory`, not wherever temporary ones do."""
    def __init__(self, build, fleet, directory, **options):
        options.setdefault("limits", WIDE)
        before, tempfile.tempdir = tempfile.tempdir, str(directory)
        try:
            super().__init__(build, fleet, **options)
        finally:
            tempfile.tempdir = before

    def trust_of_log(self):
        return self.keys[self.keys.index("[log]"):]

    def memory(self):
        """MiB of (RssAnon, VmRSS, the most that VmRSS was)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return tuple(int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M)[1]) / 1024 for name in ("RssAnon", "VmRSS", "VmHWM"))

    def counted(self, metric):
        return int(re.search(rf"^{metric} (\d+)$", self.get("/metrics").text, re.M)[1])


class Agents:
    """tests/bench/fleet_agents."""
    def __init__(self, build, port, count, *more, token=Hub.TOKEN):
        self.count = count
        self._process = subprocess.Popen([str(build / "tests/bench/fleet_agents"), "--port", str(port), "--count", str(count),
                                          "--token", token, *map(str, more)], stdout=subprocess.PIPE, text=True)
        self._events, self._came = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._events.put(json.loads(line))

    def until(self, event, within, **members):
        """The first such event that was not asked for yet; followers may be done before the last agent is told, or after."""
        def fits(got):
            return got["event"] == event and all(got[k] == v for k, v in members.items())
        end = time.monotonic() + within
        while True:
            found = next((got for got in self._came if fits(got)), None)
            if found:
                self._came.remove(found)
                return found
            try:
                self._came.append(self._events.get(timeout=max(0.001, end - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"{event} {members} did not come within {within} s (fleet_agents: {self._process.poll()})") from None

    def prefer(self, *others):
        """Before everything that runs on this machine by chance (test_publish.undisturbed), these agents and the processes `others`."""
        self._schedule(os.SCHED_RR, 1, self._process.pid, *others)

    def neglect(self):
        """After what is preferred: they stand for other machines."""
        self._schedule(os.SCHED_OTHER, 0, self._process.pid)

    @staticmethod
    def _schedule(policy, priority, *pids):
        for pid in pids:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    os.sched_setscheduler(int(task.name), policy, os.sched_param(priority))
                except PermissionError as e:
                    return print(f"  not before others: {e}")
        return None

    def end(self):
        self._process.send_signal(signal.SIGTERM)
        return self.until("end", 60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


class FleetHost:
    """hallpass-fetch and hallpass-agent under a root of their own."""
    def __init__(self, build, root, fleet, hub, *urls):
        self.fetch = LocalFetch(build, root, fleet, type("Log", (), {"trust": staticmethod(hub.trust_of_log)}))
        self.agent = LocalAgent(build, root, fleet, 'name = "web-3"\nlabels = { env = "prod" }\nmirror = "/var/lib/hallpass-mirror"\n')
        (self.agent.root / "etc/hallpass/trust.toml").write_text(fleet.trust() + "\n" + hub.trust_of_log())
        (self.agent.root / "etc/hallpass/fetch.token").write_text(hub.TOKEN + "\n")
        self.urls = urls or (f"http://127.0.0.1:{hub.port}",)
        self.more = 'token_file = "/etc/hallpass/fetch.token"\n'

    def start(self):
        self.fetch.start(*self.urls, more=self.more)
        self.agent.until(self.fetch.note, 20, "the mirror has a checkpoint")
        self.agent.start()
        return self

    def stop(self):
        self.fetch.stop()
        self.agent.stop()

    def size(self):
        """How far the agent has followed the log."""
        return ((self.agent.status() or {}).get("log") or {}).get("size", 0)


class ExampleNginx:
    """nginx with the example of packaging/nginx, without TLS, before `hub`; one worker, which holds many connections."""
    def __init__(self, hub, run_dir):
        run_dir = pathlib.Path(run_dir)
        run_dir.mkdir(parents=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (run_dir / "readers.map").write_text(f'"Bearer {hub.TOKEN}" 1;\n')
        example = (ROOT / "packaging/nginx/hallpass-hub.conf").read_text()
        for old, new in (("  listen 443 ssl http2;\n", f"  listen 127.0.0.1:{self.port} backlog=4096;\n"),
                         ("  listen [::]:443 ssl http2;\n", ""), ("/etc/nginx/hallpass-readers*.map", str(run_dir / "readers.map")),
                         ("127.0.0.1:8480", f"127.0.0.1:{hub.port}"), ("/var/lib/hallpass-hub/log", str(hub.log))):
            assert old in example
            example = example.replace(old, new)
        example = re.sub(r"  ssl_[^\n]*\n", "", example)
        temp = "".join(f"{kind}_temp_path {run_dir}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (run_dir / "nginx.conf").write_text(
            f"user root;\nworker_processes 1;\nworker_rlimit_nofile 20000;\ndaemon off;\npid {run_dir}/pid;\nerror_log {run_dir}/error.log;\n"
            "events { worker_connections 19000; }\n"
            f"http {{\naccess_log off;\nkeepalive_requests 1000000;\n{temp}{example}\n}}\n")
        self._process = subprocess.Popen(["nginx", "-c", str(run_dir / "nginx.conf")], stderr=subprocess.DEVNULL)
        LocalAgent.until(lambda: self._workers() and self._listens(), 10, "nginx listens")

    def _workers(self):
        children = pathlib.Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [int(c) for c in children]

    def _listens(self):
        return f":{self.port:04X} 00000000:0000 0A" in pathlib.Path("/proc/net/tcp").read_text()

    def processor(self):
        """Seconds of processor that the worker has used."""
        fields = pathlib.Path(f"/proc/{self._workers()[0]}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(10)


def many_files(count=20000):
    """What is started from here may open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, count))


def load():
    return f"load {os.getloadavg()[0]:.1f}"


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
