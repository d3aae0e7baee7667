"""Argument patterns through real ssh, sudo and sudoers: what stock rules let through wrongly, and every documented example."""
import json
import pathlib
import re
import subprocess

import pytest

from .lib.fleet import Fleet
from .lib.many import FILES, SHOW, many, shown
from .lib.sudo import SUDOERS, SudoSite, runbook

VECTORS = json.loads((pathlib.Path(__file__).resolve().parents[1] / "vectors/argpat/examples.json").read_text())["examples"]
MATCHES = [v for v in VECTORS if "expect" in v]
ERRORS = [v for v in VECTORS if "parse_error" in v]
DIR = "/opt/p"

# program, stock rule's arguments, the same meant in our patterns, what it is for, what stock sudo lets through as well.
STOCK = {
    "second file": ("cat", "/var/log/messages*", ["/var/log/messages*"], ["/var/log/messages.1"], [["/var/log/messages", "/etc/shadow"]]),
    "climbing": ("cat", "/var/log/messages*", ["/var/log/messages*"], ["/var/log/messages"], [["/var/log/messages/../../../etc/shadow"]]),
    "climbing past a regular expression": ("recat", "^/var/log/messages[^[:space:]]*$", ["/var/log/messages*"], ["/var/log/messages"],
                                           [["/var/log/messages/../../../etc/shadow"]]),
    "file put between": ("tail", "-n [0-9]* /var/log/*", ["-n", "<int:0..9999>", "/var/log/*"], ["-n", "5", "/var/log/x"],
                         [["-n", "5", "/etc/shadow", "/var/log/x"]]),
    "option behind": ("systemctl", "restart *", ["restart", "*"], ["restart", "nginx"], [["restart", "nginx", "--root=/tmp"]]),
    "option in the place of an operand": ("systemctl", "restart *", ["restart", "*"], ["restart", "nginx"], [["restart", "--root=/tmp"]]),
    "another name": ("passwd", "[A-Za-z]*", ["{bob,carol}"], ["bob"], [["root"], ["alice", "--root", "/tmp/evil"]]),
    "number put behind": ("kill", "-[0-9]* [0-9]*", ["-{9,15}", "<int:2..4194304>"], ["-9", "17"], [["-9", "1", "-1"]]),
    "boundaries": ("echo", "a b", ["a", "b"], ["a", "b"], [["a b"]]),
    "no arguments": ("ls", "", [], [], [["-l"], [""], ["/root"]]),
    "a path that is a regular expression": ("who", "^", [], [], [["-u"]]),
}
# Not a rule of arguments: which file it is. Typed as, and the directory it is typed in.
PATHS = {"dot": ("./id", DIR), "link of the same name": ("/tmp/x/id", "/"), "way with ..": (f"{DIR}/../p/id", "/"), "way with //": (f"/opt//p/id", "/"),
         "relative": ("p/id", "/opt"), "link to the directory": ("/tmp/p/id", "/")}
PATHS_NEITHER = {"link of another name": "/tmp/x/other", "hard link of another name": "/opt/q/other", "copy": "/tmp/x/copy/id", "name only": "id"}
EDIT = {
    "name with a space": ["/srv/d/motd x"],
    "link to a directory": ["/srv/e/dirlink/shadow"],
    "directory above": ["/srv/e/.."],
    "climbing": ["/srv/e/../secret"],
    "link": ["/srv/e/link"],
    "deeper": ["/srv/f/sub/b"],
    "one of two": ["/srv/e/a", "/srv/secret"],
    "two, the first": ["/srv/secret", "/srv/e/a"],
    "directory that others write to": ["/srv/e/w/c"],
    "directory": ["/srv/e/sub"],
    "relative": ["a"],
    "none": [],
    "doubled slash": ["/srv/e//a"],
    "file that is not there": ["/srv/e/new"],
}
SETUP = f"""ln -s {DIR} /opt/roots-link; ln -s id {DIR}/other-id

mkdir -p {DIR} /opt/q /tmp/x/copy /srv/d /srv/e/sub /srv/e/w /srv/f/sub
ln {DIR}/id /opt/q/other; ln -s {DIR}/id /tmp/x/id; ln -s {DIR}/id /tmp/x/other; cp {DIR}/id /tmp/x/copy/id; ln -s {DIR} /tmp/p
echo secret > /srv/secret; echo x > /srv/d/motd; echo x > '/srv/d/motd x'; echo x > /srv/e/a; echo x > /srv/e/sub/shadow; echo x > /srv/f/sub/b; echo x > /srv/f/edited
ln -s ../secret /srv/e/link; ln -s sub /srv/e/dirlink; chmod 777 /srv/e/w; echo x > /srv/e/w/c
mkdir -p /run/argpat-fixture/data/sub /run/argpat-fixture/data/w && cd /run/argpat-fixture && echo > secret && cd data
echo > a; echo > sub/b; chmod 777 w; echo > w/c; ln -s ../secret l; ln -s sub ld
"""


def run_entry(path, tokens, **more):
    return {"as": "root", "run": [path, *tokens], **({"unbounded": True} if tokens and tokens[-1] == "**" else {}), **more}


def standing(program, arguments):
    return f"dave ALL=(root) NOPASSWD: {'^' if arguments == '^' else ''}{DIR}/{program}{'$' if arguments == '^' else ' ' + arguments}\n"


@pytest.fixture(scope="module")
def site(stage):
    rules = "".join(standing(p, a) for p, a, *_ in STOCK.values())
    sudoers = f"{SUDOERS}{rules}dave ALL=(root) NOPASSWD: {DIR}/id, sudoedit /srv/d/motd*, sudoedit /srv/e/*/shadow\n"
    stock = [run_entry(f"{DIR}/a-{name.replace(' ', '-')}", ours) for name, (_, _, ours, _, _) in STOCK.items()]
    examples = [run_entry(f"{DIR}/e{i}", v["tokens"]) for i, v in enumerate(MATCHES)]
    others = [run_entry(f"{DIR}/id", []), {"as": "root", "edit": ["<path:/srv/e/>", "/srv/d/motd", "<path:/srv/f/>"]},
              run_entry(f"{DIR}/rest", ["**"]), run_entry(f"{DIR}/star", ["*"])]
    names = [p for p, *_ in STOCK.values()] + ["id", "rest", "star"] + [f"e{i}" for i in range(len(MATCHES))] + [e["run"][0].split("/")[-1] for e in stock]
    files = {f"{DIR}/{name}": (0o755, SHOW) for name in names}
    files |= {**FILES, "/usr/local/bin/append": (0o755, "#!/bin/sh\nfor f; do echo edited >> \"$f\"; done\n")}
    with SudoSite(stage, {"patterns": runbook(stock + others), "examples": runbook(examples)}, sudoers=sudoers, files=files) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        s.host.sh(SETUP, check=True)
        for who, book in (("alice", "patterns"), ("alice", "examples"), ("dave", "quick")):
            s.keep.add(s.grant(who, book, by="ana" if who == "dave" else "bob", duration=3000).id)
        yield s


def sudo(*words):
    return ["sudo", "-n", *words]


@pytest.mark.parametrize("name", STOCK)
def test_what_stock_sudo_lets_through(site, name):
    program, _, _, meant, wrong = STOCK[name]
    ours = f"{DIR}/a-{name.replace(' ', '-')}"
    if name not in ("option in the place of an operand",):
        answers = many(site, "dave", [sudo(f"{DIR}/{program}", *w) for w in [meant, *wrong] if not (program == "ls" and w == [""])])
        assert all(a.ok for a in answers), f"stock sudo refuses it: {answers}"
    good, *bad = many(site, "alice", [sudo(ours, *w) for w in [meant, *wrong]])
    assert shown(good) == [w.encode() for w in meant], repr(good)
    for answer in bad:
        assert answer.code == 1 and answer.out == "" and "nearest: grant" in answer.err, repr(answer)


def test_which_file_it_is(site):
    calls = [{"argv": sudo(typed), "cwd": cwd} for typed, cwd in PATHS.values()]
    stock = dict(zip(PATHS, many(site, "dave", calls)))
    for case in ("dot", "link of the same name", "way with .."):
        assert stock[case].ok, f"stock sudo refuses it: {stock[case]!r}"
    for case, answer in zip(PATHS, many(site, "alice", calls)):
        assert answer.code == 1 and answer.out == "", f"{case}: {answer!r}"
        why = "/tmp can be changed by others than root" if case.startswith("link") else "is not the program that it names"
        assert why in answer.err and f"it allows: sudo {DIR}/id" in answer.err, f"{case}: {answer!r}"
    for answer in many(site, "alice", [sudo(path) for path in PATHS_NEITHER.values() if path != "id"] + [{"argv": sudo("id"), "env": {"PATH": DIR}}]):
        assert not answer.ok and answer.out == "", repr(answer)
    right, linked, other = many(site, "alice", [sudo(f"{DIR}/id"), sudo("/opt/roots-link/id"), sudo("/opt/roots-link/other-id")])
    assert shown(right) == [] and shown(linked) == []
    assert not other.ok and other.out == ""


def test_files_to_edit(site):
    look = "find /srv -type f | sort | xargs -d '\\n' sha256sum; ls -a /srv /srv/*"
    before = site.host.sh(look).out
    calls = [{"argv": ["sudoedit", "-n", *files], "cwd": "/srv/e", "env": {"EDITOR": "/usr/local/bin/append"}} for files in EDIT.values()]
    for case, answer in zip(EDIT, many(site, "alice", calls)):
        own_words = {"none": "usage: ", "directory": "not a regular file"}
        assert answer.code != 0 and own_words.get(case, "hallpass: no grant of yours covers sudoedit") in answer.err, f"{case}: {answer!r}"
    assert site.host.sh(look).out == before


EDITORS = {"append -- /srv/secret": False, "/usr/local/bin/append -- /srv/secret --": False, "/usr/local/bin/append /srv/secret": True,
           "/usr/local/bin/append '--' /srv/secret": False}


def test_editors_with_arguments(site):
    """The editor is the caller's, run as the caller; it must not bring a file of its own along."""
    before = site.host.sh("cat /srv/secret; stat -c %y /srv/secret").out
    for variable in ("EDITOR", "VISUAL", "SUDO_EDITOR"):
        calls = [{"argv": ["sudoedit", "-n", "/srv/f/edited"], "env": {variable: editor}} for editor in EDITORS]
        for (editor, harmless), answer in zip(EDITORS.items(), many(site, "alice", calls)):
            assert harmless or not answer.ok, f"{variable}={editor}: {answer!r}"
    assert site.host.sh("cat /srv/secret; stat -c %y /srv/secret").out == before


def test_files_that_may_be_edited(site):
    calls = [["sudoedit", "-n", "/srv/e/a"], ["sudo", "-n", "-e", "/srv/e/a", "/srv/d/motd"]]
    for answer in many(site, "alice", [{"argv": c, "env": {"EDITOR": "/usr/local/bin/append"}} for c in calls]):
        assert answer.ok, repr(answer)
    assert site.host.sh("cat /srv/e/a /srv/d/motd").out == "x\nedited\nedited\nx\nedited\n"


def test_examples(site):
    """All of tests/vectors/argpat/examples.json, and `sudo -l CMD` says the same as running it."""
    calls = [sudo(f"{DIR}/e{i}", *v["argv"]) for i, v in enumerate(MATCHES)]
    ran = many(site, "alice", calls)
    listed = many(site, "alice", [["sudo", "-n", "-l", *c[2:]] for c in calls])
    wrong = []
    for v, answer, said in zip(MATCHES, ran, listed):
        expected = [a.encode() for a in v["argv"]] if v["expect"] else None
        if shown(answer) != expected or answer.ok != v["expect"] or said.ok != v["expect"]:
            wrong.append((v, answer, said))
        if not v["expect"] and "nearest: grant" not in answer.err:
            wrong.append((v, answer))
    assert not wrong


def test_tokens_that_are_no_patterns(stage, tmp_path):
    """What cannot be a pattern never reaches a host: the policy is refused. (Rows of the stock table that have no equal, too.)"""
    books = [["/usr/bin/cat", *v["tokens"]] for v in ERRORS] + [["/usr/bin/"], ["^/usr/bin/(id|who)$"], ["ALL"], ["!/bin/sh"], ["cat"], ["/usr/bin/*"]]
    fleet = Fleet()
    try:
        for i, run in enumerate(books):
            fleet.runbooks = {"bad": runbook([{"as": "root", "run": run}])}
            fleet.rules = [fleet.rule(["bad"], ["sre"])]
            file = tmp_path / f"{i}.toml"
            file.write_text(fleet.policy())
            r = subprocess.run([stage / "usr/bin/hallpass", "policy", "check", file], capture_output=True, text=True)
            assert r.returncode != 0 and re.search(r"\.toml:\d+: error: ", r.stdout + r.stderr), f"{run}: {r}"
    finally:
        fleet.close()


# Arguments that no pattern should ever take, under `**` and `*`, and some that both must leave as they are.
BYTES = {
    "escape": (b"\x1b[2J", False, False), "newline": (b"a\nb", False, False), "tab": (b"a\tb", False, False), "delete": (b"\x7f", False, False),
    "not UTF-8": (b"\xff\xfe", True, True), "quotes": (b"a'b\"c $(id) `id` \\ ;&|<>", True, True), "space": (b"a b", True, True),
    "4096 bytes": (b"a" * 4096, True, True), "4097 bytes": (b"a" * 4097, False, False), "131000 bytes": (b"a" * 131000, False, False),
    "a dash": (b"-rf", True, False), "empty": (b"", True, False), "dots": (b"../x", True, False), "hidden": (b".x", True, False),
    "percent": (b"%s%n%d", True, True), "bidirectional": ("\u202eabc".encode(), True, True),
}


def test_bytes_of_arguments(site):
    rest = many(site, "alice", [sudo(f"{DIR}/rest", word) for word, *_ in BYTES.values()])
    star = many(site, "alice", [sudo(f"{DIR}/star", word) for word, *_ in BYTES.values()])
    for (case, (word, by_rest, by_star)), under_rest, under_star in zip(BYTES.items(), rest, star):
        for expected, answer in ((by_rest, under_rest), (by_star, under_star)):
            assert shown(answer) == ([word] if expected else None), f"{case}: {answer!r:.2000}"
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", answer.err), f"{case}: unprintable in the words to the user: {answer.err!r}"
            assert len(answer.err) < 5000, case


def test_many_arguments(site):
    few, lots = many(site, "alice", [sudo(f"{DIR}/rest", *["x"] * 300), sudo(f"{DIR}/star", *["x"] * 20000)])
    assert shown(few) == [b"x"] * 300, repr(few)[:500]
    assert lots.code == 1 and "it takes 1 argument, not 20000" in lots.err and len(lots.err) < 5000, repr(lots)[:2000]
