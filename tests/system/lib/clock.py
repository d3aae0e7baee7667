"""A test host's wall clock, moved for all its processes by clock_shim.c."""
import pathlib
import struct
import subprocess
import time

SETTINGS = "/etc/test-clock"
SHIM = "/usr/lib/test-clock.so"


class Clock:
    def __init__(self, host):
        self._host = host
        tree = host.dir / "clock"
        lib = tree / SHIM.lstrip("/")
        lib.parent.mkdir(parents=True)
        source = pathlib.Path(__file__).with_name("clock_shim.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", lib, source, "-ldl"], check=True)
        (tree / "etc").mkdir()
        (tree / SETTINGS.lstrip("/")).write_bytes(struct.pack("=qqqq", 0, 0, 1, 0))
        (tree / "etc/ld.so.preload").write_text(SHIM + "\n")
        host._trees.append(tree)

    def set(self, offset, frozen_at, synchronised, slept):
        data = struct.pack("=qqqq", int(offset * 1e9), int((frozen_at or 0) * 1e9), 1 if synchronised else 0, int(slept * 1e9))
        with open(self._host.path(SETTINGS), "r+b", buffering=0) as f:   # in place: the processes have it mapped
            f.write(data)

    @staticmethod
    def real():
        return time.time()
