#!/usr/bin/python3
"""Checks that includes go only where docs/architecture.md ("Source tree") lets them: prints each that does not, one a line."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# folder -> folders of ours that it may include. The longest matching folder counts.
MAY_USE = {
    "core/values": ["core/values"],
    "core": ["core", "core/log", "core/values"],
    "core/log": ["core/log", "core", "core/values"],
    "core/edge": ["core/edge", "core", "core/log", "core/values"],
    "core/net": ["core/net", "core/values"],
    "host": ["host", "core/values"],
    "pam": ["pam", "host", "core/values"],
    "sudo_plugin": ["sudo_plugin", "host", "core/values"],
    "notify": ["notify", "core", "core/values", "core/edge"],
    "agent": ["agent", "notify", "core", "core/log", "core/values", "core/edge", "host"],
    "agent/fetch": ["agent/fetch", "core", "core/log", "core/values", "core/edge", "core/net"],
    "agent/drop": ["agent/drop", "core", "core/log", "core/values", "core/edge"],
    "hub": ["hub", "notify", "core", "core/log", "core/values", "core/edge", "core/net"],
    "agent/setup": ["agent/setup", "agent", "notify", "core", "core/values", "core/edge", "host"],
    "agent/ctl": ["agent/ctl", "agent/setup", "agent", "core", "core/values", "core/edge", "host"],
    "cli": ["cli", "core", "core/log", "core/values", "core/edge", "core/net"],
}
# folder -> libraries and system headers that must not come in.
PARSERS = r"openssl/|nlohmann/|toml\+\+/|systemd/|CLI/|fmt/|date/"
IO = r"fcntl\.h|unistd\.h|sys/(?!types\.h)|dirent\.h|fstream|filesystem|iostream|ctime|time\.h|thread|mutex|syslog\.h"
MUST_NOT = {
    "core/values": PARSERS + "|flatbuffers/|lmdb\\.h|security/|" + IO,
    "core": r"systemd/|lmdb\.h|flatbuffers/|security/|CLI/|fmt/|date/|" + IO,
    "core/net": r"systemd/|lmdb\.h|flatbuffers/|security/|CLI/|fmt/|date/|openssl/|nlohmann/",
    "core/edge": r"systemd/|lmdb\.h|flatbuffers/|security/|CLI/|fmt/",
    "host": PARSERS + "|security/",
    "pam": PARSERS,
    "sudo_plugin": PARSERS + "|security/",
    "notify": r"systemd/|lmdb\.h|flatbuffers/|security/|fmt/|date/",
    "agent": r"security/|curl/",
    "agent/fetch": r"security/|curl/|lmdb\.h|flatbuffers/",
    "agent/drop": r"security/|curl/|lmdb\.h|flatbuffers/|systemd/",
    "hub": r"security/|systemd/|flatbuffers/",
    "cli": r"security/|systemd/|lmdb\.h|flatbuffers/",
}
OURS = {f.split("/")[0] for f in MAY_USE} | {"tests"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def folder_of(path: str, table) -> "str | None":
    parts = path.split("/")[:-1]
    while parts:
        if "/".join(parts) in table:
            return "/".join(parts)
        parts.pop()
    return None


def faults(name: str, text: str):
    folder = folder_of(name, MAY_USE)
    never = f"(?:{MUST_NOT[folder_of(name, MUST_NOT)]})"
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        included = match[2]
        if match[1] == '"':
            if included.split("/")[0] not in OURS or "/" not in included:
                yield f'{name}:{number}: "{included}": ours are included by their path from the root, others in <>'
            elif folder_of(included, MAY_USE) not in MAY_USE[folder]:
                yield f'{name}:{number}: {folder}/ must not use "{included}"'
        elif re.match(never, included):
            yield f"{name}:{number}: {folder}/ must not use <{included}>"


def main() -> int:
    found, looked = [], 0
    for top in sorted({f.split("/")[0] for f in MAY_USE}):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".h", ".cc", ".c"):
                looked += 1
                found += faults(str(path.relative_to(ROOT)), path.read_text())
    # The check itself must be able to fail.
    assert list(faults("pam/x.cc", "#include <openssl/evp.h>\n")) and list(faults("core/x.cc", '#include "host/events.h"\n'))
    assert not list(faults("pam/x.cc", '#include "host/events.h"\n#include <string>\n')) and looked
    print("\n".join(found) if found else f"{looked} files, every include points down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
