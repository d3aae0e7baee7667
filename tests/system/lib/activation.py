"""hallpass switched on and off by its own commands, and what of the host they may change."""
import hashlib
import json
import os
import stat

from .host import eventually
from .site import Site

# The one who confirms: his way in needs no grant, and his way to root no password.
SUDOERS = {"/etc/sudoers.d/rescue": (0o440, "rescue ALL=(ALL) NOPASSWD: ALL\n")}
HIDDEN = ("hallpass-new", "hallpass-before", "hallpass-original", "hallpass-changed")


def plain_site(stage, **options) -> Site:
    """A host with everything installed and configured, and nothing switched on."""
    return Site(stage, enforce=False, files={**SUDOERS, **options.pop("files", {})}, **options)


def host_command(site, *args, timeout=120, **kw):
    return site.host.run("hallpass", "host", *args, timeout=timeout, **kw)


def confirm(site):
    return site.ssh("rescue", site.rescue, "sudo hallpass host confirm")


def activation(site) -> dict:
    return json.loads(host_command(site, "activation", "--json", check=True).out)


def switch_on(site, *options) -> None:
    """`hallpass host enable`, confirmed as people do."""
    enabled = host_command(site, "enable", *options)
    assert enabled.ok, repr(enabled)
    confirmed = confirm(site)
    assert confirmed.ok, repr(confirmed)


# The self-test makes an account and removes it again: their bytes are as before, and their time is not.
ACCOUNTS = {"passwd", "shadow", "group", "gshadow", "subuid", "subgid"}


def manifest(site, top="/etc") -> dict:
    """Every file below `top` with its bytes, mode, owner and time; directories without their time, files of accounts too."""
    found = {}
    root = site.host.path(top)
    for folder, names, files in os.walk(root):
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            if name.rstrip("-") in ACCOUNTS and name.endswith("-") or name == ".pwd.lock":
                continue
            entry = [stat.filemode(info.st_mode), info.st_uid, info.st_gid]
            if stat.S_ISREG(info.st_mode):
                with open(path, "rb") as f:
                    entry += [hashlib.sha256(f.read()).hexdigest(), None if name in ACCOUNTS else info.st_mtime_ns]
            elif stat.S_ISLNK(info.st_mode):
                entry += [os.readlink(path)]
            found[os.path.relpath(path, root)] = entry
    return found


def changed(before: dict, after: dict) -> dict:
    return {name: (before.get(name), after.get(name)) for name in {*before, *after} if before.get(name) != after.get(name)}


def hidden_files(site, top="/etc") -> list:
    return [name for name in manifest(site, top) if name.endswith(HIDDEN)]


def await_mode(site, mode, within=60) -> dict:
    """Waits until nothing is pending any more and the mode is this one."""
    def probe():
        now = activation(site)
        return now if now["mode"] == mode and not now["pending"] else None
    return eventually(f"the mode is {mode}", probe, within=within, every=0.2)
