"""What people try in order to run more with sudo than their grants name. Where a trick depends on a program, it is shown to work where the
runbook allows sub-commands, so that its failing elsewhere means something."""
import shlex
import subprocess
import time

import pytest

from .lib.host import call, eventually
from .lib.many import FILES, SHOW, many, shown
from .lib.sudo import DEFAULTS, SUDOERS, SudoSite, runbook

BIN = "/opt/t"
MODES = ("allow", "deny", "check")
SECRET = "secret"
EVIL = "#!/bin/sh\necho EVIL; id -u\n"


def root(path, *tokens, **more):
    return {"as": "root", "run": [path, *tokens], **({"unbounded": True} if tokens and tokens[-1] == "**" else {}), **more}


def starters(mode):
    """Programs that start others."""
    how = {} if mode == "allow" else {"subcommands": mode}
    there = f"/srv/{mode}"
    return [root("/usr/bin/less", f"<path:{there}/>", **how), root("/usr/bin/vim.tiny", f"<path:{there}/>", **how),
            root("/usr/bin/find", there, "**", **how), root("/usr/bin/tar", "-cf", "/dev/null", there, "**", **how),
            root("/usr/bin/git", "-C", there, "**", **how)]


COMMANDS = [
    root(f"{BIN}/show", "*"), root(f"{BIN}/env", env_keep=["DEPLOY_TAG"]), root(f"{BIN}/asked", "*", password=True),
    root("/usr/bin/touch", "/tmp/started-check-ok"), root("/usr/bin/touch", "/tmp/started-deny-ok"),
    {"as": "deploy", "run": [f"{BIN}/show", "deploy"]}, {"as": "deploy", "run": "shell"}, {"as": "deploy:ops", "run": [f"{BIN}/show", "ops"]},
    {"as": "root:ops", "run": [f"{BIN}/show", "ops"]},
    {"as": "bob", "run": ["/bin/sh", "-c", "sudo\\ -n\\ /opt/t/show\\ x"]},
    root("/home/alice/tool"), root("/srv/app/tool"), root("/srv/loose/tool"), root("/srv/link/tool"), root(f"{BIN}/gone"),
    *[c for mode in MODES for c in starters(mode)],
]
SHORT = [root(f"{BIN}/short", "*", password=True)]
SHARED = [root(f"{BIN}/show", "shared")]
SETUP = f"""
echo alice:secret | chpasswd; echo bob:secret | chpasswd; groupadd -f ops; groupadd -f crew; usermod -aG ops deploy; usermod -aG crew alice
for m in {' '.join(MODES)}; do mkdir -p /srv/$m; echo text > /srv/$m/file; git -C /srv/$m init -q; done
for m in {' '.join(MODES)}; do git -C /srv/$m -c user.name=a -c user.email=a@b commit -q --allow-empty -m one; done
mkdir -p /srv/app /srv/loose /srv/crew; cp {BIN}/show /srv/app/tool; cp {BIN}/show /srv/loose/tool; chmod 777 /srv/loose
cp {BIN}/show /srv/crew/tool; chgrp crew /srv/crew; chmod 775 /srv/crew; ln -s /srv/crew /srv/link
cp {BIN}/show /home/alice/tool; chown alice: /home/alice/tool; chown alice /srv/app/tool
mkdir -p /tmp/evil; for n in show id sh touch vi; do printf '{EVIL.encode('unicode_escape').decode()}' > /tmp/evil/$n; done; cp /tmp/evil/sh /tmp/evil.sh; chmod -R 755 /tmp/evil /tmp/evil.sh
mkdir -p /var/spool/cron/crontabs /var/spool/cron/atjobs /var/spool/cron/atspool; chown root:crontab /var/spool/cron/crontabs; chmod 1730 /var/spool/cron/crontabs
chown daemon:daemon /var/spool/cron/at*; chmod 1770 /var/spool/cron/at*; touch /var/spool/cron/atjobs/.SEQ; chown daemon:daemon /var/spool/cron/atjobs/.SEQ
"""
PRELOAD = '__attribute__((constructor)) void f(void) { write(1, "EVIL\\n", 5); }'


@pytest.fixture(scope="module")
def site(stage, tmp_path_factory):
    work = tmp_path_factory.mktemp("preload")
    (work / "evil.c").write_text("#include <unistd.h>\n" + PRELOAD)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", work / "evil.so", work / "evil.c"], check=True)
    files = {f"{BIN}/{n}": (0o755, SHOW) for n in ("show", "asked", "short")}
    files |= {**FILES, f"{BIN}/env": (0o755, "#!/usr/bin/python3\nimport os\nprint(*sorted(f'{k}={v!r}' for k, v in os.environ.items()), sep='\\n')\n")}
    books = {"tools": runbook(COMMANDS), "print": runbook([root("/usr/bin/printenv", "SUDO_COMMAND")]), "short": runbook(SHORT), "hashed": "", "shared": runbook(SHARED, account="deploy", shared_sudo=True)}
    hashed = subprocess.run(["sha256sum"], input=SHOW.encode(), capture_output=True, check=True).stdout.split()[0].decode()
    books["hashed"] = runbook([root(f"{BIN}/hashed", "*", sha256=hashed), root(f"{BIN}/asked-hashed", "*", sha256=hashed, password=True)])
    with SudoSite(stage, books, sudoers=SUDOERS, files=files) as s:
        s.host.await_journal(HALLPASS_EVENT="policy_accepted")
        s.host.sh(SETUP, check=True)
        s.stage = stage
        s.host.write("/tmp/evil.so", (work / "evil.so").read_bytes(), 0o755)
        for who, book in (("alice", "tools"), ("alice", "hashed"), ("bob", "quick"), ("dave", "print")):
            s.keep.add(s.grant(who, book, by="ana" if who == "bob" else "bob", duration=3000).id)
        yield s


def show(word="x"):
    return ["sudo", "-n", f"{BIN}/show", word]


def refused(result, *words):
    assert result.code != 0 and "EVIL" not in result.both and "end" not in result.out.split(), f"it ran: {result!r}"
    for word in words:
        assert word in result.err, repr(result)


def test_the_grant_works(site):
    assert [shown(r) for r in many(site, "alice", [show()] * 2)] == [[b"x"]] * 2


# --- options and variables of sudo's own
OPTIONS = {
    "user by number": (["-u", "#0"], "it is for the user root, not '#0'"),
    "user by a large number": (["-u", "#4294967295"], ""),
    "user by -1": (["-u", "#-1"], ""),
    "other user": (["-u", "bob"], "it is for the user"),
    "group": (["-g", "ops"], ""),
    "group of the user": (["-u", "root", "-g", "root"], "it is not for -g"),
    "user and group": (["-u", "root", "-g", "deploy"], "it is not for -g"),
    "root directory": (["-R", "/tmp"], "leave that out"),
    "directory": (["-D", "/tmp"], "leave that out"),
    "time": (["-T", "5"], "leave that out"),
    "host": (["-h", "localhost"], ""),
    "groups": (["-P"], "leave that out"),
    "descriptors": (["-C", "9"], "leave that out"),
    "role": (["-r", "x"], ""),
    "environment": (["-E"], "leave that out"),
    "environment, long": (["--preserve-env"], "leave that out"),
    "a variable": (["--preserve-env=LD_PRELOAD"], "variable"),
    "a variable, short for it": (["--preserve-e=FOO"], "variable"),
    "variable": (["FOO=1"], "variable"),
    "variable that loads": (["LD_PRELOAD=/tmp/evil.so"], "variable"),
    "variable, path": (["PATH=/tmp/evil"], "variable"),
    "variable after --": (["--", "FOO=1"], "variable"),
    "shell": (["-s"], ""),
    "login shell": (["-i"], ""),
    "edit": (["-e"], ""),
}
HARMLESS = {"bell": ["-B"], "home": ["-H"], "end of options": ["--"], "user": ["-u", "root"], "no update": ["-N"], "forget": ["-k"],
            "prompt": ["-p", "%u-R"], "askpass": ["-A"]}


def test_options(site):
    answers = many(site, "alice", [["sudo", "-n", *o, f"{BIN}/show", "x"] for o, _ in OPTIONS.values()])
    listed = many(site, "alice", [["sudo", "-n", *o, "-l", f"{BIN}/show", "x"] if "--" not in o else show() for o, _ in OPTIONS.values()])
    for (case, (_, words)), answer, said in zip(OPTIONS.items(), answers, listed):
        assert answer.code != 0 and answer.out == "", f"{case}: {answer!r}"
        assert words in answer.err and "sudo" in answer.err, f"{case}: {answer!r}"
        assert case == "variable after --" or (said.code != 0 and BIN not in said.out), f"{case}: {said!r}"
    for case, answer in zip(HARMLESS, many(site, "alice", [["sudo", "-n", *o, f"{BIN}/show", "x"] for o in HARMLESS.values()])):
        assert shown(answer) == [b"x"], f"{case}: {answer!r}"


def test_as_another_user_and_group(site):
    """`as = "deploy"` is not for -g, not even a group that deploy is in; `as = "deploy:ops"` is for that one only."""
    def run(options, word):
        return ["sudo", "-n", *options, f"{BIN}/show", word]
    good = many(site, "alice", [run(["-u", "deploy"], "deploy"), run(["-u", "deploy", "-g", "ops"], "ops"), run(["-u", "root", "-g", "ops"], "ops")])
    assert [shown(g) for g in good] == [[b"deploy"], [b"ops"], [b"ops"]], good
    bad = [run(["-u", "deploy", "-g", "ops"], "deploy"), run(["-u", "deploy", "-g", "deploy"], "deploy"), run(["-u", "deploy", "-g", "root"], "ops"),
           run(["-u", "deploy"], "ops"), run(["-u", "deploy"], "x"), run(["-g", "ops"], "ops"), run(["-u", "deploy", "-g", "#0"], "ops"),
           run(["-u", "#0", "-g", "ops"], "ops")]
    for answer in many(site, "alice", bad):
        refused(answer, "hallpass")
    alone, = many(site, "alice", [run(["-g", "ops"], "ops")])   # sudo runs that as the caller
    refused(alone, "it is for the user root, not alice")


def test_shell_of_ones_own(site):
    evil = {"SHELL": "/tmp/evil.sh"}
    good = many(site, "alice", [["sudo", "-n", "-u", "deploy", "-i", "id", "-un"], ["sudo", "-n", "-u", "deploy", "-s", "id", "-un"],
                                {"argv": ["sudo", "-n", "-u", "deploy", "-i", "id", "-un"], "env": evil}])
    assert [g.out for g in good] == ["deploy\n"] * 3, good
    for argv in (["-u", "deploy", "-s"], ["-u", "deploy", "-s", "id"], ["-u", "deploy", "/tmp/evil.sh"], ["-s"], ["-i"], ["-u", "deploy", "-g", "ops", "-s"]):
        answer, = many(site, "alice", [{"argv": ["sudo", "-n", *argv], "env": evil}])
        refused(answer)
    other, mine = many(site, "alice", [{"argv": ["sudo", "-n", "-u", "deploy", "-s"], "env": evil}, ["sudo", "-n", "-s"]])
    refused(other, "the shell must be one of /bin/bash /bin/sh")
    refused(mine, "it allows: sudo -u deploy -i")


GAMES = {"LD_PRELOAD": "/tmp/evil.so", "LD_LIBRARY_PATH": "/tmp/evil", "LD_AUDIT": "/tmp/evil.so", "PYTHONPATH": "/tmp/evil", "PYTHONSTARTUP": "/tmp/evil/sh",
         "PYTHONINSPECT": "1", "PYTHONWARNINGS": "x", "PERL5OPT": "-Mx", "PERL5LIB": "/tmp/evil", "BASH_ENV": "/tmp/evil/sh", "ENV": "/tmp/evil/sh", "IFS": "x",
         "SHELLOPTS": "xtrace", "BASH_FUNC_id%%": "() { echo EVIL; }", "PAGER": "/tmp/evil/sh", "GIT_PAGER": "/tmp/evil/sh", "GIT_DIR": "/tmp/evil",
         "GIT_CONFIG_GLOBAL": "/tmp/evil/x", "GIT_CONFIG_COUNT": "1", "GIT_EXTERNAL_DIFF": "/tmp/evil/sh", "LESSOPEN": "|/tmp/evil/sh", "LESS": "x",
         "EDITOR": "/tmp/evil/sh", "VISUAL": "/tmp/evil/sh", "SUDO_EDITOR": "/tmp/evil/sh", "HOME": "/tmp/evil", "TMPDIR": "/tmp/evil", "GCONV_PATH": "/tmp/evil",
         "NLSPATH": "/tmp/evil/%N", "LOCPATH": "/tmp/evil", "MALLOC_TRACE": "/tmp/evil/trace", "RESOLV_HOST_CONF": "/etc/shadow", "TERMINFO": "/tmp/evil",
         "SUDO_COMMAND": "x", "SUDO_ASKPASS": "/tmp/evil/sh", "SUDO_USER": "root", "SYSTEMD_PAGER": "/tmp/evil/sh", "SYSTEMD_EDITOR": "/tmp/evil/sh",
         "XDG_CONFIG_HOME": "/tmp/evil", "NODE_OPTIONS": "--require=/tmp/x", "RUBYOPT": "-rx", "JAVA_TOOL_OPTIONS": "-x", "OPENSSL_CONF": "/tmp/evil/x",
         "GLIBC_TUNABLES": "glibc.malloc.check=3", "FOO": "1"}


def test_environment(site):
    path = "/tmp/evil:/usr/bin:/bin"
    quiet, kept, set_, named = many(site, "alice", [
        {"argv": ["sudo", "-n", f"{BIN}/env"], "env": {**GAMES, "PATH": path}},
        {"argv": ["sudo", "-n", f"{BIN}/env"], "env": {"DEPLOY_TAG": "7"}},
        ["sudo", "-n", "DEPLOY_TAG=8", f"{BIN}/env"],
        {"argv": ["sudo", "-n", "--preserve-env=DEPLOY_TAG", f"{BIN}/env"], "env": {"DEPLOY_TAG": "9"}}])
    assert quiet.ok and not [n for n in GAMES if f"\n{n}=" in quiet.out and n not in ("HOME", "SUDO_COMMAND", "SUDO_USER")], quiet.out
    assert "HOME='/root'" in quiet.out and "SUDO_USER='alice'" in quiet.out and "evil" not in quiet.out, quiet.out
    for answer, value in ((kept, 7), (set_, 8), (named, 9)):
        assert f"DEPLOY_TAG='{value}'" in answer.out, repr(answer)
    for words in (["DEPLOY_TAG=1", "FOO=1"], ["--preserve-env=DEPLOY_TAG,FOO"], ["--preserve-env=DEPLOY_TAG", "--preserve-env"], ["DEPLOY_TAG=1", "-E"]):
        refused(many(site, "alice", [{"argv": ["sudo", "-n", *words, f"{BIN}/env"], "env": {"DEPLOY_TAG": "1", "FOO": "1"}}])[0])


def test_first_in_the_path(site):
    answers = many(site, "alice", [{"argv": ["sudo", "-n", name, "x"], "env": {"PATH": "/tmp/evil:/usr/bin"}} for name in ("show", "id", "touch")])
    for answer in answers:
        refused(answer)


def test_relative_to_where_one_stands(site):
    for cwd in ("/tmp/evil", BIN):
        refused(many(site, "alice", [{"argv": ["sudo", "-n", "./show", "x"], "cwd": cwd}])[0], "is not the program that it names")


# --- programs that somebody else than root can change
def test_programs_that_the_caller_can_change(site):
    for path, what in (("/home/alice/tool", "/home/alice"), ("/srv/app/tool", "/srv/app/tool"), ("/srv/loose/tool", "/srv/loose"), ("/srv/link/tool", "/srv/crew")):
        words = f"{what} can be changed by others than root"
        ran, listed = many(site, "alice", [["sudo", "-n", path], ["sudo", "-n", "-l", path]])
        refused(ran, words)
        assert not listed.ok, repr(listed)
    gone, = many(site, "alice", [["sudo", "-n", f"{BIN}/gone"]])
    refused(gone, f"{BIN}/gone is no program that can be looked at")


HOLD = '''
import os, signal, subprocess, sys, time
argv, act, wait, secret = sys.argv[5:], sys.argv[1], sys.argv[2], sys.argv[3]
p = subprocess.Popen(["sudo", "-S", "-p", "prompt", *argv], stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
said = b""
while b"prompt" not in said:
    more = os.read(p.stderr.fileno(), 100)
    if not more: break
    said += more
if act == "stop": os.kill(p.pid, signal.SIGSTOP)
open(sys.argv[4], "w").close()
while not os.path.exists(wait): time.sleep(0.02)
if act == "stop": os.kill(p.pid, signal.SIGCONT)
out, err = p.communicate(secret.encode() + b"\\n", timeout=20)
sys.stdout.buffer.write(out); sys.stderr.buffer.write(said + err); sys.exit(p.returncode)
'''


def held(site, act, argv, meanwhile, tag):
    """alice's sudo waits at its prompt (stopped, where `act` is "stop") while meanwhile() happens; then she types her password."""
    ready, go = f"/tmp/ready-{tag}", f"/tmp/go-{tag}"
    line = shlex.join(["python3", "-c", HOLD, act, go, "secret", ready, *argv])
    with site.host.background_ssh("alice", site.fleet.path("alice"), line) as p:
        try:
            eventually("sudo asks for a password", lambda: site.host.path(ready).exists() or p.poll() is not None)
            meanwhile()
        finally:
            site.host.path(go).touch()
        out = p.communicate(timeout=30)[0].decode()
    return p.returncode, out


def test_password_is_asked(site):
    code, out = held(site, "wait", [f"{BIN}/asked", "x"], lambda: None, "plain")
    assert code == 0 and "78\nend\n" in out, out
    refused(site.type("alice", f"sudo -n {BIN}/asked x"), "password is required")


@pytest.mark.parametrize("act", ["stop", "wait"])
def test_prompt_until_after_the_end(site, act):
    grant = site.grant("alice", "short", duration=4)
    end = time.time() + 4.5

    def meanwhile():
        time.sleep(max(0.0, end - time.time()))
    code, out = held(site, act, [f"{BIN}/short", "x"], meanwhile, f"end-{act}")
    assert code != 0 and "end" not in out.splitlines() and f"grant {grant.id} has ended" in out, out


def test_revoked_at_the_prompt(site):
    grant = site.grant("alice", "short", duration=600)

    def meanwhile():
        site.cease(grant)
        site.settle()
    code, out = held(site, "wait", [f"{BIN}/short", "x"], meanwhile, "revoked")
    assert code != 0 and "end" not in out.splitlines() and f"grant {grant.id}" in out, out


def test_replaced_between_check_and_run(site):
    for name in ("hashed", "asked-hashed"):
        site.host.write(f"{BIN}/{name}", SHOW, 0o755)
    good, = many(site, "alice", [["sudo", "-n", f"{BIN}/hashed", "x"]])
    assert shown(good) == [b"x"], repr(good)
    site.host.write(f"{BIN}/hashed", EVIL, 0o755)
    ran, listed = many(site, "alice", [["sudo", "-n", f"{BIN}/hashed", "x"], ["sudo", "-n", "-l", f"{BIN}/hashed", "x"]])
    refused(ran, f"{BIN}/hashed is not the file with the SHA-256 that it names")
    assert not listed.ok, repr(listed)
    # After sudoers has read it: what was checked is what runs, or nothing.
    code, out = held(site, "wait", [f"{BIN}/asked-hashed", "x"], lambda: site.host.write(f"{BIN}/asked-hashed", EVIL, 0o755), "replaced")
    assert "EVIL" not in out, out


# --- sub-commands
def started(mode, what):
    return f"/tmp/started-{mode}-{what}"


def in_terminal(*argv, stdin=""):
    return {"argv": ["script", "-qec", shlex.join(argv), "/dev/null"], "stdin": stdin, "env": {"TERM": "vt100"}}


def tricks(mode, what):
    t = started(mode, what)
    there = f"/srv/{mode}"
    sudo = ["sudo", "-n"]
    return {
        "less": in_terminal(*sudo, "/usr/bin/less", f"{there}/file", stdin=f"!/usr/bin/touch {t}\n\nq"),
        "vi": in_terminal(*sudo, "/usr/bin/vim.tiny", f"{there}/file", stdin=f":!/usr/bin/touch {t}\r\r:q!\r"),
        "find": [*sudo, "/usr/bin/find", there, "-maxdepth", "0", "-exec", "/bin/sh", "-c", f"/usr/bin/touch {t}", ";"],
        "tar": [*sudo, "/usr/bin/tar", "-cf", "/dev/null", there, "--checkpoint=1", f"--checkpoint-action=exec=/usr/bin/touch {t}"],
        "git pager": in_terminal(*sudo, "/usr/bin/git", "-C", there, "-c", f"core.pager=/usr/bin/touch {t}", "-p", "log"),
        "git alias": [*sudo, "/usr/bin/git", "-C", there, "-c", f"alias.x=!/usr/bin/touch {t}", "x"],
        "git editor": [*sudo, "/usr/bin/git", "-C", there, "-c", f"core.editor=/usr/bin/touch {t};", "-c", "user.name=a",
                       "-c", "user.email=a@b", "commit", "--amend", "--allow-empty"],
    }


@pytest.mark.parametrize("what", list(tricks("", "")))
def test_sub_commands(site, what):
    calls = [tricks(mode, what.replace(" ", "-"))[what] for mode in MODES]
    before = site.host.cursor()
    answers = many(site, "alice", calls)
    ran = {mode: site.host.path(started(mode, what.replace(" ", "-"))).exists() for mode in MODES}
    assert ran == {"allow": True, "deny": False, "check": False}, f"{ran}: {answers}"
    told = site.host.await_journal(HALLPASS_EVENT="sudo_refused", after=before)   # by "check"; "deny" is the program's own EACCES
    assert started("check", what.replace(" ", "-")) in told["HALLPASS_COMMAND"] and ", started by /usr/bin/" in told["MESSAGE"], told


def test_sub_commands_by_a_relative_path(site):
    """`./touch` where the process stands, and where sudo was typed, are two files."""
    site.host.path(started("check", "ok")).unlink(missing_ok=True)
    answer, = many(site, "alice", [{"argv": ["sudo", "-n", "/usr/bin/find", "/srv/check", "/tmp/evil/id", "-maxdepth", "0", "-execdir", "./touch",
                                             started("check", "ok"), ";"], "cwd": "/usr/bin", "env": {"PATH": "/usr/bin:/bin"}}])
    assert "EVIL" not in answer.both, repr(answer)


def test_sub_commands_that_the_runbook_names(site):
    def find(mode, file):
        return ["sudo", "-n", "/usr/bin/find", f"/srv/{mode}", "-maxdepth", "0", "-exec", "/usr/bin/touch", file, ";"]
    many(site, "alice", [find("check", started("check", "ok")), find("check", started("check", "other")), find("deny", started("deny", "ok"))])
    there = {f: site.host.path(f).exists() for f in (started("check", "ok"), started("check", "other"), started("deny", "ok"))}
    assert there == {started("check", "ok"): True, started("check", "other"): False, started("deny", "ok"): False}


KILL = '''
import os, signal, subprocess, sys, time
begun, argv = sys.argv[1], sys.argv[2:]
def timers():
    for which in (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF): signal.setitimer(which, 0.04)
p = subprocess.Popen(["sudo", "-n", *argv], preexec_fn=timers, stderr=subprocess.DEVNULL)
while p.poll() is None and not os.path.exists(begun): time.sleep(0.001)
told = "over too soon"
while p.poll() is None:
    try: os.kill(p.pid, signal.SIGKILL); told = "killed"
    except PermissionError: told = "not permitted"
print(p.returncode, told)
'''


def test_killing_the_sudo_that_checks(site):
    """What waits for sudo's word runs when sudo dies: neither a signal of the caller's nor his timers may end it."""
    begun, evil = started("check", "ok"), "/tmp/started-by-a-kill"
    for _ in range(3):
        site.host.path(begun).unlink(missing_ok=True)
        answer, = many(site, "alice", [["python3", "-c", KILL, begun, "/usr/bin/find", "/srv/check", "-exec", "/usr/bin/touch", begun, ";",
                                        "-exec", "/bin/sh", "-c", f": > {evil}", ";"]])
        assert answer.out in ("0 not permitted\n", "1 not permitted\n"), repr(answer)
    assert not site.host.path(evil).exists()


# --- Defaults of the site's that would help
@pytest.fixture
def site_defaults(site):
    sudoers, prepared = site.host.path("/etc/sudoers"), site.host.path(DEFAULTS)
    before = sudoers.read_text()

    def put(line):
        site.host.write("/etc/sudoers", f"{line}\n{before}", mode=0o440)
        eventually("they are taken over", lambda: prepared.exists() and ("TAKEN_OVER" in prepared.read_text()) == bool(line))
    yield lambda line: put(f'Defaults env_keep += "TAKEN_OVER"\n{line}')
    put("")


def test_home_that_the_site_keeps(site, site_defaults):
    """A program reads its settings there, and some of them name programs."""
    site_defaults('Defaults env_keep += HOME')
    answer, = many(site, "alice", [{"argv": ["sudo", "-n", f"{BIN}/env"], "env": {"HOME": "/tmp/evil"}}])
    assert "HOME='/root'" in answer.out, repr(answer)


def test_log_server_that_does_not_answer(site, site_defaults):
    """sudo 1.9.13 crashes then when it refuses a sub-command, and what it refused runs."""
    site_defaults("Defaults log_servers=127.0.0.1:1, ignore_logfile_errors, ignore_iolog_errors")
    file = started("check", "log-server")
    calls = [["sudo", "-n", "/usr/bin/find", "/srv/check", "-maxdepth", "0", "-exec", *words, file, ";"] for words in (["/usr/bin/touch"], ["/usr/bin/cp", "/etc/hostname"])]
    for answer in many(site, "alice", calls * 4):
        assert answer.code == 0 and "Permission denied" in answer.err, repr(answer)
    assert not site.host.path(file).exists()


# --- whose session it is
NO_SUBJECT = "a password is required"


def test_other_accounts(site):
    """Nobody else gets alice's powers, not in her session either; and a session in which nobody may sudo is no way in."""
    refused(many(site, "bob", [show()])[0])
    via_grant = site.type("alice", "sudo -n -u bob /bin/sh -c 'sudo -n /opt/t/show x'")
    refused(via_grant, NO_SUBJECT)
    refused(site.type("alice", "echo secret | su bob -c 'sudo -n /opt/t/show x'"), NO_SUBJECT)
    refused(site.type("bob", "echo secret | su alice -c 'sudo -n /opt/t/show x'"), NO_SUBJECT)
    assert shown(site.type("alice", "echo secret | su alice -c 'sudo -n /opt/t/show x'")) == [b"x"]   # herself, in her session


def test_shared_account_without_shared_sudo(site):
    """The policy says so, and where it does not the snapshot that a host believes does not either."""
    site.grant("alice", "shared", duration=600)
    assert shown(site.type("alice", f"sudo -n {BIN}/show shared", account="deploy")) == [b"shared"]
    site.fleet.runbooks["shared"] = runbook(SHARED, account="deploy")
    text = site.fleet.policy()
    site.fleet.runbooks["shared"] = runbook(SHARED, account="deploy", shared_sudo=True)
    file = site.fleet.dir / "shared.toml"
    file.write_text(text)
    said = call([site.stage / "usr/bin/hallpass", "policy", "check", file])
    assert not said.ok and "where people can act as each other" in said.both, repr(said)


def test_powers_of_another_account(site):
    """On the shared account alice has what its grants give, not what hers give on her own."""
    site.grant("alice", "deploy", duration=600)
    refused(site.type("alice", f"sudo -n {BIN}/show x", account="deploy"), "no grant of yours covers")


OUTSIDE = {
    "no audit session": ["systemd-run", "-q", "--pipe", "--wait", "--uid=alice", "sudo", "-n", f"{BIN}/show", "x"],
    "another user's process": ["setpriv", "--reuid", "alice", "--regid", "alice", "--init-groups", "sudo", "-n", f"{BIN}/show", "x"],
    "su of root": ["su", "alice", "-c", f"sudo -n {BIN}/show x"],
    "login of root": ["su", "-", "alice", "-c", f"sudo -n {BIN}/show x"],
}


def test_started_elsewhere(site):
    for case, argv in OUTSIDE.items():
        answer = site.host.run(*argv)
        assert not answer.ok and "end" not in answer.out, f"{case}: {answer!r}"


@pytest.mark.parametrize("way", ["systemd-run -q --user --pipe --wait", "systemd-run -q --user --scope", "systemd-run -q --user --scope --slice=app.slice"])
def test_out_of_the_session(site, way):
    refused(site.type("alice", f"{way} sudo -n {BIN}/show x"), NO_SUBJECT)


def test_moved_to_another_control_group(site):
    line = f"echo $$ > /tmp/moving; until [ -e /tmp/moved ]; do sleep 0.02; done; exec sudo -n {BIN}/show x"
    for target in ("/system.slice/ssh.service", "/"):
        for f in ("/tmp/moving", "/tmp/moved"):
            site.host.path(f).unlink(missing_ok=True)
        with site.host.background_ssh("alice", site.fleet.path("alice"), line) as p:
            pid = eventually("the shell's number", lambda: site.host.path("/tmp/moving").exists() and site.host.path("/tmp/moving").read_text().strip())
            site.host.sh(f"echo {pid} > /sys/fs/cgroup{target}/cgroup.procs || echo {pid} > /sys/fs/cgroup/init.scope/cgroup.procs; touch /tmp/moved", check=True)
            out = p.communicate(timeout=20)[0].decode()
        assert p.returncode != 0 and "end" not in out.split() and NO_SUBJECT in out, out


def test_at_and_cron(site):
    job = f"sudo -n {BIN}/show x > /tmp/JOB.out 2>&1; echo done >> /tmp/JOB.out"
    site.type("alice", f"echo '@reboot {job.replace('JOB', 'cron')}' | crontab -")
    site.host.sh("rm -f /run/crond.reboot; systemctl unmask cron; systemctl start cron; systemctl start atd", check=True)
    r = site.type("alice", f"echo {shlex.quote(job.replace('JOB', 'at'))} | at now")
    assert r.ok, repr(r)
    for name in ("cron", "at"):
        out = site.host.path(f"/tmp/{name}.out")
        eventually(f"{name}'s job", lambda out=out: out.exists() and "done" in out.read_text(), within=15)
        assert NO_SUBJECT in out.read_text() and "end" not in out.read_text().split(), out.read_text()


# --- what sudo itself is started with
SHELLS = {
    "no stderr": "exec 2>&-; {}", "no stdin": "exec 0<&-; {}", "nothing open": "exec 0<&- 2>&-; {}",
    "no descriptors": "ulimit -n 3; {}", "few descriptors": "ulimit -n 6; {}", "little memory": "ulimit -v 12000; {}", "hardly any memory": "ulimit -v 3000; {}",
    "no file size": "ulimit -f 0; {}", "no processes": "ulimit -u 1; {}", "small stack": "ulimit -s 64; {}", "no time": "ulimit -t 1; {}",
    "no locked memory": "ulimit -l 0; {}", "no signals": "ulimit -i 0; {}", "no data": "ulimit -d 100; {}",
    "descriptors open": "for i in $(seq 3 200); do eval \"exec $i</dev/null\"; done; {}", "TERM blocked": "trap '' TERM HUP INT ALRM; {}",
    "child signals ignored": "trap '' CHLD PIPE; {}", "another umask": "umask 777; {}", "a directory that is gone": "mkdir -p /tmp/gone && cd /tmp/gone && rmdir /tmp/gone; {}",
    "no privileges to come": "setpriv --no-new-privs {}", "user namespace": "unshare -Ur {}", "its own /proc": "unshare -Urpfm --mount-proc {}",
     "a name of its own": "exec -a sudoedit {}", "no name": "exec -a '' {}",
}


@pytest.mark.parametrize("who", ["alice", "dave"])
def test_poor_surroundings(site, who):
    """Never more than before, whatever is missing; the allowed command may run or fail."""
    good, bad = (f"sudo -n {BIN}/show x", f"sudo -n {BIN}/show x y") if who == "alice" else ("sudo -n /usr/bin/id", f"sudo -n {BIN}/show x")
    script = "".join(f"echo '## {case}'; ( {how.format(bad)} ) 2>&1\n" for case, how in SHELLS.items())
    answer = site.ssh(who, who, "bash", stdin=script + f"echo '## good'; {good}\n")
    parts = dict(p.split("\n", 1) for p in answer.out.split("## ")[1:])
    assert set(parts) == {*SHELLS, "good"}, repr(answer)
    for case, out in parts.items():
        assert case == "good" or "end" not in out.split(), f"{case}: {out}"
    assert "end" in parts["good"].split() or "uid=0" in parts["good"], parts["good"]
    script = "".join(f"echo '## {case}'; ( {how.format(good)} ) 2>/dev/null\n" for case, how in SHELLS.items())
    parts = dict(p.split("\n", 1) for p in site.ssh(who, who, "bash", stdin=script).out.split("## ")[1:])
    for case in ("no stderr", "no stdin", "nothing open", "little memory", "no locked memory", "descriptors open", "another umask"):
        assert parts[case] in ("78\nend\n", "uid=0(root) gid=0(root) groups=0(root)\n"), f"{case}: {parts[case]}"


def test_no_way_to_make_the_plugin_give_up(site):
    """Where the site's rules count for nothing in a session, starving sudo does not bring them back."""
    toml = site.host.path("/etc/hallpass/host.toml")
    before = toml.read_text()
    try:
        toml.write_text(before + 'standing_sudo = "deny"\n')
        site.host.restart("hallpass-agent")
        eventually("standing rules are off", lambda: not site.type("dave", "sudo -n /usr/bin/id").ok)
        tried = {**SHELLS, **{f"{kib} KiB": f"ulimit -v {kib}; {{}}" for kib in range(3500, 9000, 250)},
                 **{f"{n} descriptors": f"ulimit -n {n}; {{}}" for n in range(4, 24)},
                 "a file size, heeded": "trap '' XFSZ; ulimit -f 0; {}"}
        # Neither for a command that no grant covers nor for one that a grant covers in its own way.
        script = "".join(f"echo '## {case}'; ( {how.format(line)} ) 2>&1\n" for line in ("sudo -n /usr/bin/id", "sudo -n printenv SUDO_COMMAND")
                         for case, how in tried.items())
        cursor = site.host.cursor()
        out = site.ssh("dave", "dave", "bash", stdin=script).out
        assert out.count("## ") == 2 * len(tried) and "uid=0" not in out and "/usr/bin/printenv SUDO_COMMAND" in out, out
        assert out.count("nothing is run with so little") > 1, out   # it came to that
        site.host.cursor()
        assert not site.host.journal(HALLPASS_EVENT="sudo_allowed", HALLPASS_WHY="standing", after=cursor)
    finally:
        toml.write_text(before)
        site.host.restart("hallpass-agent")
        eventually("standing rules count again", lambda: site.type("dave", "sudo -n /usr/bin/id").ok)


def test_several_at_once(site):
    line = " & ".join([f"sudo -n {BIN}/show {w} > /tmp/at-once-{w}" if w != "bad" else f"sudo -n {BIN}/show a b" for w in ("a", "bad", "b", "bad", "c", "bad", "d")]) + " & wait"
    answer = site.type("alice", line)
    assert answer.out == "" and site.host.sh("cat /tmp/at-once-?").out == "61\nend\n62\nend\n63\nend\n64\nend\n", repr(answer)
    assert answer.err.count("it takes 1 argument, not 2") == 3, repr(answer)


def test_loaded_into_sudo_itself(site):
    answer, = many(site, "alice", [{"argv": show(), "env": {"LD_PRELOAD": "/tmp/evil.so", "LD_LIBRARY_PATH": "/tmp/evil", "PATH": "/usr/bin:/bin"}}])
    assert shown(answer) == [b"x"] and "EVIL" not in answer.both, repr(answer)
    real, = many(site, "alice", [{"argv": ["/usr/bin/true"], "env": {"LD_PRELOAD": "/tmp/evil.so"}}])
    assert "EVIL" in real.out   # the trick is one
