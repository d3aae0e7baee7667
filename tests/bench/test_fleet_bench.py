"""What a fleet costs: a hub with 10 000 hosts, the way of an approval, a new host, statements a second, and files for 100 000."""
import contextlib
import os
import subprocess
import time

import pytest

from tests.system.lib.hub import await_metric, client_context, server_certificate

from .conftest import median
from .fleet_parts import FLEET_NAME, Agents, DiskHub, ExampleNginx, FleetHost, Signed, load, many_files, percentile
from .test_publish import Renames, make_durable, quiet, undisturbed

AGENTS, FOLLOWERS = 10000, 16
LIMIT_HUB_MIB, LIMIT_TOLD_SECONDS = 300.0, 1.0
IDLE_AGENTS, APPROVALS = 1000, 110
LIMIT_FLUSHES, LIMIT_BESIDE_MS, LIMIT_P99_MS = 3, 20.0, 250.0
# What lies in the way of one approval until readers see the snapshot; the hub counts its own. The fetcher: the new checkpoint. The agent:
# the ledger's pages, its header, the snapshot. Each also flushes a directory after the name is there.
FETCH_FLUSHES, AGENT_FLUSHES = 1, 3
BARE_FILES = 6  # as many flushes as with the hub's 8
ENTRIES, LIVE = 1000000, 1000
LIMIT_RECEIVED_KIB, LIMIT_READY_SECONDS = 1024.0, 2.0
LIMIT_POST = {1: 4.0, 64: 10.0}
STATEMENT_BYTES = 1400
POLLED_EVERY, HOSTS = 10, 100000


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_ten_thousand(build, figures, disk, tls):
    many_files()
    fleet = Signed(build, disk / "fleet", 10)
    certificates = server_certificate(disk) if tls else None
    tables = '[tls]\ncertificate = "{}"\nkey = "{}"\n'.format(*certificates["server"]) if tls else ""
    with DiskHub(build, fleet, disk, tables=tables, policy=False) as hub:
        hub.tls = client_context(certificates) if tls else None
        hub.post_policy()
        empty = hub.memory()
        trust = disk / "trust.toml"
        trust.write_text(fleet.trust() + "\n" + hub.trust_of_log())
        more = ["--ca", certificates["ca"][0]] if tls else []
        with Agents(build, hub.port, AGENTS, "--verify", FOLLOWERS, "--trust", trust, *more) as agents:
            print(f"  {AGENTS} agents wait after {agents.until('ready', 120)['took']:.1f} s ({load()})")
            await_metric(hub, "hallpass_hub_long_polls", AGENTS)
            waiting = hub.memory()
            agents.prefer(hub.process.pid)
            first, last = [], []
            for line in fleet.lines("request"):
                begin = time.monotonic()
                assert hub.post(line).status == 200
                told = agents.until("told", 30, size=hub.size(), agents=AGENTS)
                first.append(told["first"] - begin)
                last.append(told["last"] - begin)
                assert agents.until("verified", 30, size=told["size"])["refused"] == 0
                await_metric(hub, "hallpass_hub_long_polls", AGENTS)
            after = hub.memory()
            ended = agents.end()
    assert ended["broken"] == ended["refused"] == 0, ended
    name = "tls" if tls else "plain"
    print(f"  hub: RssAnon, VmRSS, most VmRSS in MiB: alone {empty[0]:.0f}, {empty[1]:.0f}, {empty[2]:.0f}; with {AGENTS} waiting "
          f"{waiting[0]:.0f}, {waiting[1]:.0f}, {waiting[2]:.0f}; told {len(last)} times {after[0]:.0f}, {after[1]:.0f}, {after[2]:.0f}")
    print(f"  from the POST in ms: the first told after {median(first) * 1e3:.0f}, all after {median(last) * 1e3:.0f}, "
          f"at worst {max(last) * 1e3:.0f}")
    figures.figure(f"hub-rss-mib-{name}", max(waiting[1], after[1]), LIMIT_HUB_MIB, f"{AGENTS} long polls")
    figures.figure(f"hub-told-seconds-{name}", median(last), LIMIT_TOLD_SECONDS, f"{len(last)} statements, {load()}")


def test_approve(build, figures, disk, tmpfs):
    """From the POST of the deciding approval to the snapshot that admits."""
    fleet = Signed(build, disk / "fleet", APPROVALS)
    requests, approvals = fleet.lines("request"), fleet.lines("approve")
    undisturbed()
    hub = DiskHub(build, fleet, disk)
    host = FleetHost(build, disk / "host", fleet, hub)
    tmpfs(host.agent.run_dir)
    plain = disk / "plain"
    plain.mkdir()
    try:
        # The host is in the middle of them, for the hub tells one after another.
        with contextlib.ExitStack() as held:
            earlier = held.enter_context(Agents(build, hub.port, IDLE_AGENTS // 2))
            earlier.neglect()
            earlier.until("ready", 60)
            for i in range(0, len(requests), 64):
                assert hub.post(*requests[i:i + 64]).status == 200
            host.start()
            host.agent.until(lambda: host.size() == hub.size(), 30, "the agent follows")
            later = held.enter_context(Agents(build, hub.port, IDLE_AGENTS // 2))
            later.neglect()
            later.until("ready", 60)
            renames = Renames(host.agent.state)
            connection = hub.connect()

            def approve(line):
                renames.drain()
                begin = time.perf_counter()
                assert hub.post(line, connection=connection).status == 200
                answered.append(time.perf_counter() - begin)
                renames.wait_for("admissions.mdb")
                return time.perf_counter() - begin

            os.sync()
            flushes_before = hub.counted("hallpass_hub_flushes_total")
            taken, answered, bare = [], [], []
            for line in approvals:
                quiet(host.agent)
                start = time.perf_counter()
                for _ in range(BARE_FILES):
                    make_durable(plain, b"b" * STATEMENT_BYTES)
                bare.append((time.perf_counter() - start) / (2 * BARE_FILES))
                quiet(host.agent)
                taken.append(approve(line))
            by_hub = (hub.counted("hallpass_hub_flushes_total") - flushes_before) / APPROVALS
            assert len(host.agent.admitted()) == len(approvals)
            assert earlier.end()["broken"] == later.end()["broken"] == 0
    finally:
        host.stop()
        hub.close()
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    flushes = by_hub + FETCH_FLUSHES + AGENT_FLUSHES
    least = median(bare) * flushes * 1e3
    p50, p99 = median(taken) * 1e3, percentile(taken, 0.99) * 1e3
    print(f"  approve to admitted in ms: p50 {p50:.1f}, p90 {percentile(taken, 0.9) * 1e3:.1f}, p99 {p99:.1f}, worst {max(taken) * 1e3:.1f} "
          f"(answered by the hub: p50 {median(answered) * 1e3:.1f}); {flushes:.1f} bare flushes {least:.1f} ({by_hub:.1f} of the hub, {FETCH_FLUSHES} of the fetcher, {AGENT_FLUSHES} of the agent)")
    figures.figure("approve-p50-ms", p50, LIMIT_FLUSHES * least + LIMIT_BESIDE_MS, f"{APPROVALS} approvals beside {IDLE_AGENTS} agents, {load()}")
    figures.figure("approve-p99-ms", p99, LIMIT_P99_MS)


def test_new_host(build, figures, disk):
    """A host with nothing, before a log of a million entries."""
    fleet = Signed(build, disk / "fleet", (LIVE + 256) // 2)
    hub = DiskHub(build, fleet, disk, policy=False)
    try:
        hub.stop()
        subprocess.run([str(build / "tests/bench/make_old_log"), FLEET_NAME, str(fleet.dir), str(hub.dir), str(ENTRIES), str(LIVE)], check=True)
        begin = time.monotonic()
        assert hub.start() == ENTRIES
        print(f"  the hub serves {ENTRIES} entries {time.monotonic() - begin:.2f} s after its start, with {hub.memory()[1]:.0f} MiB")
        with ExampleNginx(hub, disk / "nginx") as nginx:
            for name, url in (("hub", f"http://127.0.0.1:{hub.port}"), ("nginx", nginx.url)):
                fetched, ready, received = [], [], 0
                for n in range(5):
                    host = FleetHost(build, disk / f"{name}-{n}", fleet, hub, url)
                    begin = time.monotonic()
                    done = host.fetch.once(url, more=host.more)
                    fetched.append(time.monotonic() - begin)
                    assert done.returncode == 0, done.stderr
                    judged = host.agent.once()
                    ready.append(time.monotonic() - begin)
                    # That this machine's clock is not synchronised is no fault of what is measured.
                    other = [p for p in host.agent.status()["problems"] if "clock is not synchronised" not in p]
                    assert judged.returncode in (0, 1) and not other, other
                    assert len(host.agent.admitted()) >= LIVE // 2 and host.fetch.size() == ENTRIES
                    received = max(received, host.fetch.status()["received"])
                    kept = sum(p.stat().st_size for p in host.fetch.mirror.rglob("*") if p.is_file())
                print(f"  by {name}: {received / 1024:.0f} KiB received for {kept / 1024:.0f} KiB kept; fetched after "
                      f"{median(fetched):.2f} s, ready after {median(ready):.2f} s, at worst {max(ready):.2f} s")
                figures.figure(f"new-host-kib-{name}", received / 1024, LIMIT_RECEIVED_KIB, f"{ENTRIES} entries, {LIVE} live statements")
                figures.figure(f"new-host-seconds-{name}", median(ready), LIMIT_READY_SECONDS, load())
    finally:
        hub.close()


def test_statements(build, figures, disk):
    """Statements a second by one client over HTTP, durable when it is told so, beside bare flushes."""
    rounds, batches = 8, {1: 10, 64: 2}
    fleet = Signed(build, disk / "fleet", rounds * sum(n * size for size, n in batches.items()))
    lines = iter(fleet.lines("request"))
    plain = disk / "plain"
    plain.mkdir()
    with DiskHub(build, fleet, disk) as hub:
        connection = hub.connect()
        os.sync()
        for size, count in batches.items():
            ours, bare, flushes = [], [], 0
            for _ in range(rounds):
                bodies = ["".join(next(lines) for _ in range(size)) for _ in range(count)]
                before = hub.counted("hallpass_hub_flushes_total")
                begin = time.perf_counter()
                for body in bodies:
                    assert hub.post(body, connection=connection).status == 200
                ours.append((time.perf_counter() - begin) / count)
                flushed = hub.counted("hallpass_hub_flushes_total") - before
                begin = time.perf_counter()
                for _ in range(flushed // 2):
                    make_durable(plain, b"b" * STATEMENT_BYTES)
                bare.append((time.perf_counter() - begin) / count)
                flushes += flushed
            print(f"  batches of {size}: {size / median(ours):.0f} statements/s, {median(ours) * 1e3:.1f} ms a batch; "
                  f"{flushes / rounds / count:.1f} bare flushes {median(bare) * 1e3:.1f} ms ({load()})")
            figures.ratio(f"hub-post-{size}", median(ours) / median(bare), LIMIT_POST[size], f"{rounds * count} batches")


def test_files(build, figures, disk):
    """nginx answers as often as 100 000 hosts ask that have only files: 10 000 times a second."""
    fleet = Signed(build, disk / "fleet", 1)
    many_files()
    rate = HOSTS / POLLED_EVERY
    with DiskHub(build, fleet, disk) as hub, ExampleNginx(hub, disk / "nginx") as nginx:
        with Agents(build, nginx.port, AGENTS, "--every", AGENTS / rate) as agents:
            agents.until("ready", 60)
            time.sleep(1)
            shares = []
            for _ in range(5):
                begin, used = time.monotonic(), nginx.processor()
                time.sleep(2)
                shares.append((nginx.processor() - used) / (time.monotonic() - begin))
            ended = agents.end()
    assert ended["broken"] == ended["refused"] == 0, ended
    print(f"  {AGENTS} connections, {rate:.0f} requests/s for 10 s; {ended['answers']} answers, {ended['late']} not in time; nginx "
          f"{median(shares) * 100:.0f} % of a core (from {min(shares) * 100:.0f} to {max(shares) * 100:.0f}), {median(shares) / rate * 1e6:.1f} µs a request")
    assert ended["late"] < 0.02 * ended["answers"], "this machine did not ask as often as it should"
    figures.figure("nginx-core-share", median(shares), 1.0, f"{HOSTS} hosts polling every {POLLED_EVERY} s, {load()}")
