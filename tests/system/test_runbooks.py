"""The runbook library on a host: every line that docs/runbooks/*.toml says works is typed over ssh and works, every line that it says is
refused is refused, each by a person who has that one grant and nothing else. So is the table of tokens in docs/writing-runbooks.md. nginx, PostgreSQL, apt and systemd are real."""
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
ALL = {**BOOKS, "tokens": runbook_files.token_book()}     # and the table of the guide
ENDLESS = (r"journalctl .* -f$", r"tail -F ")     # of these the first line is awaited
LATER = ("sudo systemctl reboot",)
# Lines of which the output is worth a look; of the others it is enough that they end well.
PRINTS = {
    "sudo journalctl -u nginx -n 200": "Started nginx.service", "sudo journalctl -u nginx --since -1h": "Started nginx.service",
    "sudo systemctl status nginx": r"Active: active", "systemctl list-timers": "ACTIVATES",
    "sudo journalctl -u nginx -f": ".", "sudo tail -F /var/log/nginx/error.log": "upstream timed out",
    "sudo tail -n 100 /var/log/nginx/error.log": "upstream timed out", "sudo gzip -dc /var/log/nginx/access.log.2.gz": "^old$",
    'sudo grep -F -e "upstream timed out" -- /var/log/nginx/error.log': "^upstream timed out$",
    "sudo openssl x509 -in /etc/letsencrypt/live/shop.example.org/fullchain.pem -noout -subject -dates": "shop.example.org(.|\n)*notAfter=",
    "sudo ss -tlnp": r":80 .*\"nginx\"", "sudo tcpdump -nqi lo -s 96 -c 3 port 80": r"^\S+ IP 127\.0\.0\.1\.\d+ > 127\.0\.0\.1\.80: tcp 0$",
    "sudo lsof -nP -p 1": "systemd", "sudo cat /proc/1/io": "rchar: ", "sudo timeout 2 /usr/bin/strace -c -f -p 1": "attached",
    "sudo du -xhd 1 /var": "/var$", "sudo -i id -un": "^root$", "sudo -s id -un": "^root$", "id -un": "^deploy$",
    'sudo -u dbreport psql -X -P pager=off -d shop -c "table report.stuck_payments"': r"^ *100$",
    'sudo -u dbops psql -X -x -P pager=off -d postgres -c "table pg_stat_activity"': "pg_sleep",
}
REFUSAL = "hallpass: no grant of yours covers"


@pytest.fixture(scope="module")
def site(stage):
    with RunbookSite(stage, ALL) as s:
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
        line = f"exec 3< <(exec {line}); pid=$!; read -r -t 30 first <&3 || exit 9; echo \"$first\"; kill $pid"
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
        if program.rpartition("/")[2] in site.stood_in:
            return None if shown(answer) == [a.encode() for a in arguments] else f"its stand-in was not run with these words: {answer!r}"
    if line in PRINTS and not re.search(PRINTS[line], answer.both, re.M):
        return f"it did not print {PRINTS[line]}: {answer!r}"
    # 3: a unit that does not run at the moment. 124: ended by timeout
    good = (0, 3) if " status " in line else (0, 124) if " timeout " in line else (0,)
    return None if answer.code in good else repr(answer)


@pytest.mark.parametrize("name", ALL)
def test_lines_that_work_and_lines_that_are_refused(site, name):
    book = ALL[name]
    lines = [line for line in book.works if line not in LATER]
    account = site.account(name)
    commands = [typed(site, name, line) for line in [*lines, *book.refused]]
    if name == "network-look":     # something for tcpdump
        commands = [["bash", "-c", "while sleep 0.05; do (: <>/dev/tcp/127.0.0.1/80); done >/dev/null 2>&1 & echo $! >knocking"], *commands,
                    ["bash", "-c", "kill $(cat knocking)"]]
    answers = many(site, name, commands, account=account)
    if name == "network-look":
        answers = answers[1:-1]
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


# --- PostgreSQL
def psql(role, *words, stdin=""):
    return {"argv": ["sudo", "-n", "-u", role, "psql", "-X", *words], "stdin": stdin}


AT_THE_PROMPT = {
    "a shell": (r"\! touch /tmp/escaped-1", "Permission denied|Operation not permitted|failed"),
    "a program that takes the rows": (r"\copy customers to program 'touch /tmp/escaped-2'", "Permission denied|Operation not permitted|exit code"),
    "a program that gets the output": (r"\o |touch /tmp/escaped-5", "Permission denied|Operation not permitted|failed"),
    "a program that the server starts": ("copy customers to program 'touch /tmp/escaped-3'", "pg_execute_server_program"),
    "a program that the server reads from": ("copy customers from program 'touch /tmp/escaped-4'", "permission denied|pg_execute_server_program"),
    "a file of the server": ("select pg_read_file('/etc/passwd')", "permission denied for function"),
    "an editor": (r"\e", "Permission denied|Operation not permitted|could not start"),
    "a new row": ("insert into customers values (101, 'new')", "permission denied for table customers"),
    "fewer rows": ("delete from customers", "permission denied for table customers"),
    "another schema": ("create table mine (n int)", "permission denied for schema public"),
    "another role": ("set role postgres", "permission denied to set role"),
}


def test_postgres_read_reads_and_does_nothing_else(site):
    words = ["-P", "pager=off", "-d", "shop"]
    rows, *answers = many(site, "postgres-read", [psql("dbread", *words, stdin="select count(*) from customers;\n"),
                                                  *[psql("dbread", *words, stdin=f"{sql}{'' if sql.startswith(chr(92)) else ';'}\n") for sql, _ in AT_THE_PROMPT.values()]])
    assert re.search(r"^ *100$", rows.out, re.M), repr(rows)
    for (case, (_, why)), answer in zip(AT_THE_PROMPT.items(), answers, strict=True):
        assert re.search(why, answer.err), f"{case}: {answer!r}"
    assert site.host.sh("ls /tmp/escaped-*").out == ""
    assert site.ask_postgres("select count(*) from customers", "shop") == "100"


def test_what_postgres_read_holds_back_works_elsewhere(site):
    """The same tricks without the runbook: by dbread's own psql, and by the superuser."""
    dbread = site.host.run(f"{runbook_host.POSTGRES}/psql", "-X", "-d", "shop", user="dbread", cwd="/", stdin="\\! touch /tmp/shown-1\n")
    site.ask_postgres("copy customers to program 'touch /tmp/shown-3'", "shop")
    assert site.host.sh("stat -c '%U %n' /tmp/shown-*").out == "dbread /tmp/shown-1\npostgres /tmp/shown-3\n", repr(dbread)


def test_postgres_backend_ends_what_has_the_number(site):
    def call(verb, *pids):
        return many(site, "postgres-backend", [psql("dbops", "-d", "postgres", "-v", f"pid={pid}", "-f", f"/usr/local/share/runbooks/{verb}-backend.sql")
                                               for pid in pids])
    for verb in ("cancel", "end"):
        pid = site.sleeping_backend()
        answer, = call(verb, pid)
        assert answer.ok and re.search(r"^ *t$", answer.out, re.M), repr(answer)
        assert site.sleeping_backend(other_than=pid) != pid
    server = site.host.run("systemctl", "show", "-p", "MainPID", "--value", "postgres-test").out.strip()
    *tricks, of_server = call("end", "1'; drop table customers; --", "1); drop table customers; --", "1\\; drop table customers", server)
    for answer in tricks:
        assert "invalid input syntax for type integer" in answer.err, repr(answer)
    assert "is not a PostgreSQL backend process" in of_server.err, repr(of_server)
    assert site.ask_postgres("select count(*) from customers", "shop") == "100"


def test_the_dump_is_made_by_the_unit_alone(site):
    answer, = many(site, "job-run", [["sudo", "-n", "systemctl", "start", "pg-dump.service"]])
    assert answer.ok, repr(answer)
    dump = "/var/backups/postgresql/shop.dump"
    assert site.host.run("stat", "-c", "%U %a", dump).out == "postgres 600\n"
    assert "TABLE DATA public customers" in site.host.run(f"{runbook_host.POSTGRES}/pg_restore", "-l", dump).out


# --- nginx
FETCH = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1/').read().decode(), end='')"


def test_a_site_is_changed_tested_and_served(site):
    def workers():
        return set(site.host.run("pgrep", "-P", site.host.run("systemctl", "show", "-p", "MainPID", "--value", "nginx").out.strip()).out.split())

    def change(expression):
        return [{"argv": ["sudoedit", "-n", "/etc/nginx/sites-available/shop.conf"], "env": {"EDITOR": f"sed -i {expression}"}},
                ["sudo", "-n", "nginx", "-t"], ["sudo", "-n", "systemctl", "reload", "nginx"]]
    site.host.run("systemctl", "start", "nginx", check=True)
    before = eventually("workers", workers)
    assert site.netns("/usr/bin/python3", "-c", FETCH).out == "one\n"
    edited, tested, reloaded = many(site, "nginx-site", change("s/one/two/"))
    assert edited.ok and tested.ok and "test is successful" in tested.err and reloaded.ok, (edited, tested, reloaded)
    eventually("new workers", lambda: workers().isdisjoint(before) and workers())
    assert site.netns("/usr/bin/python3", "-c", FETCH).out == "two\n"
    assert site.host.run("stat", "-c", "%U:%G %a", "/etc/nginx/sites-available/shop.conf").out == "root:root 644\n"

    edited, tested, _ = many(site, "nginx-site", change("s/return/retrun/"))
    assert edited.ok and not tested.ok and "retrun" in tested.err, repr(tested)
    assert site.netns("/usr/bin/python3", "-c", FETCH).out == "two\n"
    assert all(r.ok for r in many(site, "nginx-site", change("s/retrun/return/")))


# --- pagers, packages, releases
def test_no_pager_on_a_terminal(site):
    """Where journalctl would start less, it says that it may not, prints by itself and ends. (With a pager this would wait for a key.)"""
    site.host.sh("for n in $(seq 60); do printf 'MESSAGE=line %s\\nOBJECT_SYSTEMD_UNIT=nginx.service\\n' $n | logger --journald; done; journalctl --sync", check=True)
    answer = site.ssh("service-logs", "service-logs", "-tt", "TERM=xterm sudo journalctl -u nginx -n 60", stdin="", timeout=20)
    assert answer.ok and len(re.findall(r"line \d+", answer.out)) == 60, repr(answer)
    answer = site.ssh("service-control", "service-control", "-tt", "TERM=xterm sudo systemctl status nginx", stdin="", timeout=20)
    assert answer.ok and "active (running)" in answer.out, repr(answer)


def test_a_package_is_updated(site):
    """The new version, its scripts as root, and the configuration that was changed by hand kept."""
    lines = [line for line in BOOKS["package-update"].works if "apt-get" in line]
    answers = many(site, "package-update", [typed(site, "package-update", line) for line in lines])
    assert len(answers) == 3 and all(a.ok for a in answers), answers
    assert site.host.run("dpkg-query", "-W", "-f", "${Version}", "shop").out == "1.1"
    assert site.host.run("cat", "/root/scripts-ran").out == "1.0 by root\n1.1 by root\n"
    assert site.host.run("cat", "/etc/shop.conf").out == "value=by hand\n"


def test_a_release_is_switched(site):
    line = next(line for line in BOOKS["release-switch"].works if " ln " in line)
    answer, = many(site, "release-switch", [typed(site, "release-switch", line)])
    assert answer.ok, repr(answer)
    assert site.host.sh("readlink /srv/shop/current; stat -c %U /srv/shop/current; ls /srv/shop").out == "/srv/shop/releases/2026-11-20\ndeploy\ncurrent\nreleases\n"


def test_the_host_reboots(site):
    """Last: what stands in the lines above is gone afterwards. The grant is not."""
    assert BOOKS["reboot"].works[-1] in LATER
    running = site.host.run("systemctl", "is-active", "shop").out
    site.host.reboot(by=lambda: site.ssh("reboot", "reboot", LATER[0]))
    assert running == "active\n" and site.host.run("systemctl", "is-active", "shop").out == "inactive\n"
    site.await_admitted("reboot", site.fleet.key("reboot"))
    answer, = many(site, "reboot", [["sudo", "-n", "-l", "systemctl", "reboot"]])
    assert answer.ok, repr(answer)
