"""A login that stays: lines typed one after another into the same session, also while nobody could log in anew."""
import itertools
import re
import select
import time

from .host import Result


class Shell:
    """`who`'s bash on `account`, over ssh and without a terminal."""

    def __init__(self, site, who, account=None):
        self._begin(site.host.background_ssh(account or who, site.fleet.path(who), "exec bash --norc 2>&1"))

    @classmethod
    def of(cls, process) -> "Shell":
        """Any bash with pipes."""
        shell = cls.__new__(cls)
        shell._begin(process)
        return shell

    def _begin(self, process):
        self._process = process
        self._counter = itertools.count()
        self._rest = b""
        self.audit = self("cat /proc/self/sessionid").out.split()[-1]   # after what login said

    def __call__(self, line, timeout=30) -> Result:
        """Standard error comes with the output: what somebody at a terminal reads."""
        mark = f"END-{id(self)}-{next(self._counter)}"
        started = time.monotonic()
        self._process.stdin.write(f"{{ {line}\n}} </dev/null\necho {mark}:$?\n".encode())
        self._process.stdin.flush()
        end = re.compile(rb"^(.*?)" + mark.encode() + rb":(\d+)\n", re.S)
        while (found := end.match(self._rest)) is None:
            left = started + timeout - time.monotonic()
            ready = left > 0 and select.select([self._process.stdout], [], [], left)[0]
            more = self._process.stdout.read1(65536) if ready else b""
            if not more:
                raise AssertionError(f"{'the session ended' if ready else f'still running after {timeout} s'}: {line}\n{self._rest!r}")
            self._rest += more
        self._rest = self._rest[found.end():]
        return Result([line], int(found.group(2)), found.group(1), b"", time.monotonic() - started)

    def close(self):
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        try:
            self._process.wait(10)
        except Exception:
            self._process.kill()
            self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
