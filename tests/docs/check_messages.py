#!/usr/bin/env python3
"""docs/troubleshooting.md has every sentence that people meet when something is refused, word for word.

The sentences are read out of the sources: string literals, adjacent ones joined, cut at the values that stand between them. A piece of three
words or more must stand in the page. For sshd's and sudo's modules that is all of them; for programs, those of errors and warnings.

usage: check_messages.py ROOT
"""
import pathlib
import re
import sys

PAGE = "docs/troubleshooting.md"
MODULES = ["pam/*.cc", "sudo_plugin/*.cc", "agent/ctl/preconditions.cc"]
PROGRAMS = ["cli/carry.cc", "cli/cmd_carry.cc", "cli/cmd_decide.cc", "cli/cmd_misc.cc", "cli/cmd_policy_publish.cc", "cli/cmd_policy_sign.cc",
            "cli/cmd_request.cc", "cli/cmd_revoke.cc", "cli/context.cc", "cli/deliver.cc", "cli/grants.cc", "cli/hub_client.cc", "cli/identity.cc",
            "cli/signer.cc", "cli/wait.cc", "cli/workspace.cc", "agent/ctl/*.cc", "agent/sessions.cc"]
# What stands in the sources of modules and is said to nobody at a terminal. A name that is not needed any more is an error, too.
NOT_SAID = {
    "messages of journal entries": [
        "admitted by grant", "damaged records in the store of admissions were skipped", "by the exempt group", "unknown option of pam_hallpass.so:",
        "pam_hallpass.so failed inside and refused a login", "registered under grant", "has no audit id of its own:", "not executed, errno",
        "sudo failed, errno", "sudo under grants does not work:", "by the site's own sudo rules", "ran with sudo ended:"],
    "what sudoers reads": [
        "env_reset, !setenv, always_set_home, secure_path=\"", "\", runas_default=root", "intercept_type=trace, intercept_verify",
        "!exempt_group, !preserve_groups, !closefrom_override, !fast_glob, !sudoedit_follow, sudoedit_checkdir,"],
    "no refusal": [
        "hallpass sudo plugin version %s", "may run the following on", "a shell (sudo -i, sudo -s)", "usage: hallpass-keys [--mode=observe] USER"],
}
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
RUN = re.compile(r'(?:"(?:[^"\\\n]|\\.)*"\s*)+')
ERRORS = re.compile(r"\{Errc::|\{[\w.()>-]*error\(\)\.code|\b(?:warn|fail|complain|refuse|warning|error|write_terminals)(?=\()")


def source(path):
    text = re.sub(r"^#.*$", "", path.read_text(), flags=re.M)
    return re.sub(r'^((?:[^"\n]|"(?:[^"\\\n]|\\.)*")*?)//.*$', r"\1", text, flags=re.M)


def pieces(text):
    for run in RUN.finditer(text):
        joined = "".join(LITERAL.findall(run[0])).replace(r"\"", '"').replace(r"\r", "").replace(r"\n", "\n")
        for piece in re.split(r"\{[^}]*\}|\n", joined):
            if len(re.findall(r"[A-Za-z']{2,}", piece)) >= 3 and " " in piece.strip():
                yield piece.strip()


def balanced(text, at):
    """From the bracket at or behind `at` to its counterpart."""
    at = min((i for i in (text.find("{", at), text.find("(", at)) if i >= 0), default=at)
    depth, i = 0, at
    while i < len(text):
        literal = LITERAL.match(text, i)
        if literal:
            i = literal.end()
            continue
        depth += (text[i] in "({") - (text[i] in ")}")
        i += 1
        if depth == 0:
            break
    return text[at:i]


def said(root):
    """(piece, file) of everything that must be explained."""
    for pattern in MODULES:
        for path in sorted(root.glob(pattern)):
            for piece in pieces(source(path)):
                yield piece, path
    for pattern in PROGRAMS:
        for path in sorted(root.glob(pattern)):
            text = source(path)
            for found in ERRORS.finditer(text):
                for piece in pieces(balanced(text, found.start())):
                    yield piece, path


def plain(text):
    return re.sub(r"\s+", " ", text.replace("`", ""))


def faults(root):
    page = plain((root / PAGE).read_text())
    silent = {piece for group in NOT_SAID.values() for piece in group}
    seen, told = set(), set()
    for piece, path in said(root):
        hidden = next((s for s in silent if piece.startswith(s)), None)
        if hidden:
            seen.add(hidden)
        elif plain(piece) not in page and piece not in told:
            told.add(piece)
            yield f"{path.relative_to(root)}: {PAGE} has no entry with: {piece}"
    for piece in sorted(silent - seen):
        yield f"check_messages.py leaves out a sentence that no module says any more: {piece}"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    count = len({piece for piece, _ in said(root)})
    found = list(faults(root))
    if count < 150:   # the sources are not read as they should be
        found.append(f"only {count} sentences were found in the sources")
    print("\n".join(found) or f"{count} sentences have their entry")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
