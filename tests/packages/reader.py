"""Somebody who follows a page: types its blocks into the terminals that it names, and compares what appears."""
import re
import time

from ..docs import guide


class Reader:
    """`terminals(name)` gives what the page's blocks name, as a list: one block may be for several machines. `instead`: what stands in for
    commands that begin so. `before`: what is to happen, told in sentences, before a command that begins so is typed."""

    def __init__(self, page, terminals, instead=None, before=None):
        self.page, self.terminals = page, terminals
        self.instead, self.before = instead or {}, dict(before or {})
        self.ids = guide.Ids()
        self.typed = []     # (time, command)

    def follow(self):
        for step in guide.steps(self.page):
            for terminal in self.terminals(step.terminal):
                self.do(step, terminal)
        assert not self.before, f"nobody typed {list(self.before)}"

    def do(self, step, terminal):
        where = f"docs/{self.page.name}:{step.line}, {step.terminal}"
        answers, out = step.answers, ""
        if not step.lines:
            out = terminal.appears()
            print(f"[{where}]\n{out}", end="", flush=True)
        for lines in guide.commands(step.lines):
            out += self.command(where, terminal, [self.ids.typed(line) for line in lines], answers, step.shown is None)
        if any(self.stand_in(line) for line in step.lines):   # what it would have shown does not appear
            return
        if answers:
            raise AssertionError(f"{where}: nobody asked for {answers}\n{out}")
        if step.shown is not None and not self.ids.match(step.shown, out):
            raise AssertionError(f"{where}: it should show\n{step.shown}\nand shows\n{out}")
        if step.terminal.startswith("in a new "):
            terminal.close()

    def stand_in(self, line):
        return next((f for begin, f in self.instead.items() if re.match(begin, line)), None)

    def command(self, where, terminal, lines, answers, must_succeed) -> str:
        for begin in [b for b in self.before if lines[0].startswith(b)]:
            self.before.pop(begin)()
        self.typed.append((time.time(), lines[0]))
        print(f"[{where}] $ {chr(10).join(lines)}", flush=True)
        if stand_in := self.stand_in(lines[0]):
            stand_in()
            return ""
        wrote = terminal.type(lines, answers)
        print(wrote, end="", flush=True)
        del answers[:len(guide.ANSWERED.findall(wrote))]
        if must_succeed and (status := terminal.status()) != 0:
            raise AssertionError(f"{where}: exit {status}: {lines[0]}\n{wrote}")
        return wrote
