"""What the agent costs while it only waits, with 10 000 live grants of two signatures each."""
import pathlib
import time

from tests.system.lib.local_agent import LocalAgent

from .conftest import FleetOfMany, equip

GRANTS = 10000
LIMIT_MIB = 24.0
WATCHED_SECONDS = 150
# In any two minutes and a half: two or three looks at the files. The rest is for the end of start-up work.
LIMIT_WAKE_UPS_A_MINUTE = 1.5


def counters(pid):
    """Wake-ups (each ends one voluntary sleep) and processor time in ms."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    switches = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("voluntary_ctxt_switches"))
    return switches, int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def test_agent(build, figures, tmpfs, tmp_path):
    fleet = FleetOfMany(build, tmp_path / "fleet", GRANTS)
    # Its sleeps are to be counted, not those of a disk.
    agent = LocalAgent(build, tmpfs(tmp_path / "host"), fleet)
    equip(agent, fleet)
    for f in fleet.files():
        agent.put_file(f.name, f.read_bytes())
    started = time.monotonic()
    agent.start()
    try:
        agent.until(lambda: agent.status().get("admissions", -1) == GRANTS or len(agent.admitted()) == GRANTS, 300, "10 000 admissions")
        print(f"  admitted all after {time.monotonic() - started:.1f} s")
        figures.figure("agent-rss-anon-mib-fresh", agent.rss_anon_kib() / 1024, LIMIT_MIB)
        time.sleep(65)  # one look at everything
        switches, cpu = counters(agent.process.pid)
        looks = []
        end = time.monotonic() + WATCHED_SECONDS
        while time.monotonic() < end:
            time.sleep(1)
            now, used = counters(agent.process.pid)
            if now != switches:
                looks.append((now - switches, used - cpu))
            switches, cpu = now, used
        figures.figure("agent-rss-anon-mib", agent.rss_anon_kib() / 1024, LIMIT_MIB)
        print(f"  in {WATCHED_SECONDS} s it woke in {len(looks)} of the seconds: " +
              ", ".join(f"{n} times for {ms:.0f} ms of processor" for n, ms in looks))
        wakes = sum(n for n, _ in looks)
        figures.figure("agent-wake-ups-a-minute", wakes * 60 / WATCHED_SECONDS, LIMIT_WAKE_UPS_A_MINUTE)
    finally:
        agent.stop()
