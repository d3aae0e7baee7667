"""Statements made by hand are accepted (every test of this folder leans on that); what `hallpass` signs satisfies ssh-keygen."""
import base64
import json
import pathlib

import pytest

from .lib.fleet import NAMESPACE, pae
from .lib.host import call


def armored(blob: bytes) -> str:
    text = base64.b64encode(blob).decode()
    lines = [text[i:i + 70] for i in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def verify(tmp_path, key, who, kind, line):
    """`ssh-keygen -Y verify` over the DSSE encoding of an envelope's payload."""
    envelope = json.loads(line)
    payload = base64.b64decode(envelope["payload"])
    assert envelope["payloadType"] == f"application/vnd.hallpass.{kind}.v1+json"
    for signature in envelope["signatures"]:
        (tmp_path / "sig").write_text(armored(base64.b64decode(signature["sig"])))
        (tmp_path / "allowed").write_text(f'{who} namespaces="{NAMESPACE[kind]}" {key.bare}\n')
        r = call(["ssh-keygen", "-Y", "verify", "-f", tmp_path / "allowed", "-I", who, "-n", NAMESPACE[kind], "-s", tmp_path / "sig"],
                 stdin=pae(kind, payload))
        assert r.ok, repr(r)
        assert signature["keyid"] == key.fingerprint
        wrong = call(["ssh-keygen", "-Y", "verify", "-f", tmp_path / "allowed", "-I", who, "-n", NAMESPACE[kind], "-s", tmp_path / "sig"],
                     stdin=pae(kind, payload + b" "))
        assert not wrong.ok
    return json.loads(payload)


def test_signed_by_hand_is_accepted(site):
    """Request, approval and policy here come from Python and `ssh-keygen -Y sign` alone."""
    grant = site.grant("alice")
    site.assert_in("alice", "alice")
    site.cease(grant)
    site.await_refused("alice", site.fleet.key("alice"))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_key_types_by_hand(new_site, kind):
    site = new_site()
    keys = {p: site.fleet.add_person(p, kind) for p in ("alice", "bob")}
    site.publish_policy()
    site.host.await_journal(HALLPASS_EVENT="policy_accepted", HALLPASS_POLICY="2")
    request = site.fleet.request("alice", key=keys["alice"])
    site.put(request, site.fleet.approve(request, key=keys["bob"]))
    site.await_admitted("alice", keys["alice"])
    site.assert_in("alice", keys["alice"])


@pytest.fixture
def people(site, build, tmp_path):
    """hallpass(person, *args): the CLI on a directory of its own, signing as that person."""
    directory = tmp_path / "statements"
    directory.mkdir()
    for name in ("policy.toml", "policy.toml.sig"):
        (directory / name).write_bytes(site.host.path(f"/srv/hallpass/{name}").read_bytes())

    def hallpass(person, *args, check=True):
        home = tmp_path / person
        (home / ".config/hallpass").mkdir(parents=True, exist_ok=True)
        (home / ".config/hallpass/config.toml").write_text(f'me = "{person}"\ndir = "{directory}"\nkey = "{site.fleet.path(person)}"\n')
        env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "NO_COLOR": "1", "USER": person}
        r = call([build / "cli/hallpass", *args], env=env)
        assert r.ok or not check, repr(r)
        return r
    hallpass.dir = directory
    return hallpass


def new_file(directory: pathlib.Path, before: set) -> pathlib.Path:
    made = set(directory.glob("*.grant")) - before
    assert len(made) == 1, made
    return made.pop()


def test_ours_pass_ssh_keygen_verify_and_open_the_door(site, people, tmp_path):
    directory = people.dir
    people("alice", "request", "login", "--target", "host=web-3", "--duration", "10m", "--reason", "502s on checkout")
    request = new_file(directory, set())
    payload = verify(tmp_path, site.fleet.key("alice"), "alice", "request", request.read_text())
    assert payload["subject"] == "alice" and payload["duration"] == 600
    listed = json.loads(people("bob", "list", "--json").out)
    ident = request.name[:14]   # k7m3-9x2d-q4fh
    assert ident in json.dumps(listed)
    people("bob", "approve", ident, "--yes")
    approval = new_file(directory, {request})
    payload = verify(tmp_path, site.fleet.key("bob"), "bob", "decision", approval.read_text())
    assert payload["decision"] == "approve" and payload["by"] == "bob"
    for f in (request, approval):
        site.host.write(f"/srv/hallpass/{f.name}", f.read_bytes())
    site.await_admitted("alice", site.fleet.key("alice"))
    site.assert_in("alice", "alice")
    before = set(directory.glob("*.grant"))
    people("alice", "revoke", ident, "--reason", "done", "--yes")
    revocation = new_file(directory, before)
    payload = verify(tmp_path, site.fleet.key("alice"), "alice", "revocation", revocation.read_text())
    site.host.write(f"/srv/hallpass/{revocation.name}", revocation.read_bytes())
    site.await_refused("alice", site.fleet.key("alice"))
    site.assert_refused("alice", "alice", "revoked")
