"""The runbook library on a host: every line that docs/runbooks/*.toml says works is typed over ssh and works, every line that it says is
refused is refused, each by a person who has that one grant and nothing else. nginx, PostgreSQL, apt and systemd are real."""
import re
import shlex
import time
import warnings

import pytest

from ..docs import runbook_files
from .lib import runbook_host
from .lib.host import eventually
from .lib.many import many, shown
from .lib.runbook_host import STAND_INS, RunbookSite

BOOKS = {b.name: b for b in runbook_files.library()}
ENDLESS = (r"-f$", r"tail -F ", r"\bstrace\b")     # these lines are ended after a second
LATER = ("sudo systemctl reboot",)
REFUSAL = "hallpass: no grant of yours covers"


@pytest.fixture(scope="module")
def site(stage):
    with RunbookSite(stage, BOOKS) as s:
        yield s


def is_endless(line):
    return line.startswith("sudo ") and any(re.search(end, line) for end in ENDLESS)


def typed(site, name, line):
    """The line as a shell command; 4711 stands for the process that the runbook is about."""
    if name == "process-end":
        line = f"until pid=$(pgrep -u shop -x shop-worker); do sleep 0.02; done; {line.replace('4711', '$pid')}"
    elif name == "postgres-backend":
        line = line.replace("4711", site.sleeping_backend())
    if is_endless(line):
        line = f"timeout 1 {line}"
    if line.startswith("sudoedit"):
        line = f"EDITOR=edit {line}"
    return ["bash", "-c", line]


def words_for_program(line):
    """What sudo hands to the program of this line."""
    words = shlex.split(line)[1:]
    while words[0].startswith("-"):
        words = words[2:] if words[0] in ("-u", "-g") else words[1:]
    return words


def fault(site, line, answer):
    """Why this answer is not that of a line that works."""
    if line.startswith("sudo "):
        program, *arguments = words_for_program(line)
        if program in site.stood_in:
            return None if shown(answer) == [a.encode() for a in arguments] else f"its stand-in was not run with these words: {answer!r}"
    if is_endless(line):
        return None if answer.code == 124 and answer.both else f"it printed nothing, or ended: {answer!r}"
    good = (0, 3) if " status " in line else (0,)   # 3: a unit that does not run at the moment
    return None if answer.code in good else repr(answer)


@pytest.mark.parametrize("name", BOOKS)
def test_lines_that_work_and_lines_that_are_refused(site, name):
    book = BOOKS[name]
    lines = [line for line in book.works if line not in LATER]
    account = site.account(name)
    site.host.run("systemctl", "start" if name == "network-look" else "stop", "knocking", check=True)
    answers = many(site, name, [typed(site, name, line) for line in [*lines, *book.refused]], account=account)
    wrong = {line: why for line, answer in zip(lines, answers) if (why := fault(site, line, answer))}
    for line, answer in zip(book.refused, answers[len(lines):]):
        if answer.code != 1 or answer.out or REFUSAL not in answer.err:
            wrong[line] = f"not refused: {answer!r}"
    assert not wrong, "\n".join(f"{line}\n  {why}" for line, why in wrong.items())


def test_which_programs_only_stood_in(site):
    """Says so in pytest's summary: for these the words were judged by sudo, but the program itself did not run."""
    named = {line for b in BOOKS.values() for line in b.works if line.startswith("sudo ")}
    programs = {words_for_program(line)[0] for line in named if line not in LATER}
    only = sorted(p for p in programs if p in site.stood_in)
    assert set(STAND_INS) <= {*only, *site.stood_in}
    assert len(programs) - len(only) >= 15, f"hardly any program is real: {only}"
    warnings.warn(f"not run, matched only (a stand-in took the program's place): {', '.join(f'{p} ({site.stood_in[p]})' for p in only)}")


def test_grants_say_what_they_give(site):
    """sudo -l of each runbook: its commands with the choices filled in, and nothing of another runbook."""
    for name, words in (("service-control", "/usr/bin/systemctl {restart,try-restart,reload} nginx"), ("reboot", "/usr/sbin/shutdown -r +{5,15,30}")):
        answer, = many(site, name, [["sudo", "-n", "-l"]])
        assert answer.ok and words in answer.out and "psql" not in answer.out, repr(answer)
