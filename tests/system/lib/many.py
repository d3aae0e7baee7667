"""Many sudo calls in one session: exact argument vectors, which no shell has read, and what each of them did."""
import json

from .host import Result

# Prints its arguments, each as hexadecimal digits on a line. A copy under any name does the same.
SHOW = "#!/bin/sh\nfor a; do printf %s \"$a\" | od -An -v -tx1 | tr -d ' \\n'; echo; done\necho end\n"

DRIVER = '''#!/usr/bin/python3
"""Reads [{"argv": [hex, ...], "cwd": ..., "env": {...}, "stdin": ...}, ...] and runs them one after another."""
import json, os, subprocess, sys
answers = []
for case in json.load(sys.stdin):
    argv = [bytes.fromhex(word) for word in case["argv"]]
    env = {**os.environ, **case["env"]} if case["env"] else None
    try:
        p = subprocess.run(argv, cwd=case["cwd"], env=env, input=case["stdin"].encode(), capture_output=True, timeout=20)
        answers.append([p.returncode, p.stdout.hex(), p.stderr.hex()])
    except subprocess.TimeoutExpired as e:
        answers.append([-99, (e.stdout or b"").hex(), b"still running".hex()])
    except OSError as e:
        answers.append([-98, "", str(e).encode().hex()])
json.dump(answers, sys.stdout)
'''
DRIVER_PATH = "/usr/local/bin/many"
FILES = {DRIVER_PATH: (0o755, DRIVER)}


def _bytes(word):
    return word if isinstance(word, bytes) else word.encode()


def many(site, who, calls, *, account=None, timeout=60):
    """calls: argument vectors, or dicts with argv, cwd, env, stdin. A Result for each."""
    calls = [c if isinstance(c, dict) else {"argv": c} for c in calls]
    text = json.dumps([{"argv": [_bytes(w).hex() for w in c["argv"]], "cwd": c.get("cwd"), "env": c.get("env"), "stdin": c.get("stdin", "")} for c in calls])
    answer = site.ssh(account or who, who, DRIVER_PATH, stdin=text, timeout=timeout)
    assert answer.ok, repr(answer)
    return [Result([repr(_bytes(w))[1:] for w in c["argv"]], code, bytes.fromhex(out), bytes.fromhex(err), 0)
            for c, (code, out, err) in zip(calls, json.loads(answer.out), strict=True)]


def shown(result):
    """The arguments that SHOW was run with; None: it did not run to its end."""
    lines = result.out.splitlines()
    return [bytes.fromhex(line) for line in lines[:-1]] if lines and lines[-1] == "end" and result.ok else None
