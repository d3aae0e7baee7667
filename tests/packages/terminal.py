"""A terminal: somebody's shell behind a pty, typed into line by line as a person would, with what then appears."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from ..docs.guide import QUESTION
from ..system.lib.host import _die_with_parent

# Debian's prompts: alice@web-3:~$ and, of bash while a line goes on, >
PROMPT = re.compile(r"(?:^|\n)[a-z_][\w-]*@[\w-]+:[^\n]*?[$#] $")
CONTINUED = re.compile(r"(?:^|\n)> $")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\x1b[78=>]|\r")


class Stuck(AssertionError):
    pass


class Terminal:
    """`argv` starts a shell; its first prompt is awaited."""

    def __init__(self, argv):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 2000, 0, 0))
        self._process = subprocess.Popen([str(a) for a in argv], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                         preexec_fn=_die_with_parent, env={**os.environ, "TERM": "dumb", "LC_ALL": "C.UTF-8"})
        os.close(slave)
        self._master, self._seen = master, ""
        self.greeting = self._until("the first prompt", [PROMPT], 30)[0]

    def _read(self, left) -> str:
        if not select.select([self._master], [], [], max(left, 0))[0]:
            return ""
        try:
            return os.read(self._master, 65536).decode("utf-8", "replace")
        except OSError:
            return ""

    def _until(self, what, patterns, timeout):
        """What appeared before the first of `patterns` at the end, and which it was."""
        deadline, raw = time.monotonic() + timeout, self._seen
        while True:
            text = CONTROL.sub("", raw)
            for pattern in patterns:
                found = pattern.search(text)
                if found and not (more := self._read(0.1)):   # it is the end, unless more comes
                    self._seen = ""
                    return text[:found.start()] + ("\n" if found[0].startswith("\n") else ""), pattern, text[found.start():]
                if found:
                    raw += more
                    break
            else:
                more = self._read(deadline - time.monotonic())
                if not more:
                    raise Stuck(f"{'the terminal is closed' if time.monotonic() < deadline else f'after {timeout} s no {what}'}:\n{text}")
                raw += more

    def _send(self, line):
        os.write(self._master, (line + "\n").encode())

    def type(self, lines, answers=(), timeout=180) -> str:
        """Types one command, of one or more lines, and the answers to its questions. What it wrote."""
        answers, out = list(answers), ""
        for number, line in enumerate(lines):
            self._send(line)
            last = number == len(lines) - 1
            while True:
                text, met, tail = self._until(f"prompt after {line!r}", [PROMPT, CONTINUED, QUESTION], timeout)
                out += text.removeprefix(line + "\n") if text.startswith(line) else text
                line = "\0"
                if met is not QUESTION:
                    break
                if not answers:
                    raise Stuck(f"it asks, and the page does not say what to type:\n{out}{tail}")
                out += tail.lstrip("\n") if out.endswith("\n") else tail
                line = answers.pop(0)
                self._send(line)
                out += line + "\n"
            if (met is CONTINUED) == last:
                raise Stuck(f"{'the command is not complete' if last else 'the command ended early'}: {lines}\n{out}")
        return out

    def appears(self, timeout=180) -> str:
        """What comes by itself, until the prompt is back."""
        return self._until("prompt again", [PROMPT], timeout)[0]

    def status(self) -> int:
        """Of the last command."""
        return int(self.type(["echo $?"]).split()[-1])

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._master)
