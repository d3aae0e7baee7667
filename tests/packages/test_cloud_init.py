"""packaging/cloud-init/hallpass.yaml, really applied by cloud-init on a booted host, and confirmed by the first login."""
import json
import os
import re
import shutil
import tomllib

import pytest
import yaml

from tests.system.lib.fleet import Fleet, keygen
from tests.system.lib.host import Host, call

from .ansible import ROOT

USER_DATA = ROOT / "packaging/cloud-init/hallpass.yaml"
INBOX, REPOSITORY, SEED = "/srv/hallpass", "/srv/repository", "/var/lib/cloud/seed/nocloud"
STAGES = [["init", "--local"], ["init"], ["modules", "--mode", "config"], ["modules", "--mode", "final"]]
# What the host of a test has already: a network, a name, a locale and the key that it is known by.
IMAGE = ("datasource_list: [NoCloud]\nnetwork: {config: disabled}\npreserve_hostname: true\nlocale: C.UTF-8\nssh_deletekeys: false\n"
         "ssh_genkeytypes: [ed25519]\n")


def once(pattern, replacement, text):
    changed, count = re.subn(pattern, lambda _: replacement, text, flags=re.M | re.S)
    assert count == 1, f"{pattern} stands {count} times in {USER_DATA}"
    return changed


def user_data(fleet, rescue, with_packages):
    """The packaged file with a site's own key, trust and repository, as its first lines ask for."""
    text = USER_DATA.read_text()
    text = once(r"ssh-ed25519 \S+ breakglass$", rescue.line, text)
    trust = "".join(f"      {line}\n" if line else "\n" for line in fleet.trust().splitlines())
    text = once(r"(?<=/trust\.toml\n    permissions: \"0644\"\n    content: \|\n).*?(?=  - path: /etc/hallpass/host\.toml)", trust, text)
    text = once(r'^      mirror = "/var/lib/hallpass-mirror"$', f'      directories = ["{INBOX}"]', text)
    if with_packages:
        return once(r'^      source: .*?$', f'      source: "deb [trusted=yes] file:{REPOSITORY} ./"', text)
    return once(r"^packages:\n.*?\n\n", "", once(r"^apt:\n.*?\n\n", "", text))


@pytest.fixture(scope="module")
def fleet():
    f = Fleet()
    yield f
    f.close()


@pytest.fixture
def host(request, fleet, tmp_path):
    """A new instance that cloud-init has not seen yet. HALLPASS_STAGE: hallpass is in its image."""
    rescue = keygen(tmp_path / "breakglass")
    trees, binds = [], {}
    if os.environ.get("HALLPASS_STAGE"):
        trees = [request.getfixturevalue("stage")]
    else:
        debs = request.getfixturevalue("debs")
        repository = tmp_path / "repository"
        repository.mkdir(mode=0o755)   # apt reads it as a user of its own
        for deb in debs.host():
            shutil.copy(deb, repository)
        (repository / "Packages").write_text(call(["dpkg-scanpackages", "."], cwd=repository).out)
        binds = {repository: REPOSITORY}
    policy = fleet.policy()
    files = {f"{INBOX}/policy.toml": policy, f"{INBOX}/policy.toml.sig": fleet.sign_policy(policy),
             f"{SEED}/user-data": user_data(fleet, rescue, not trees), f"{SEED}/meta-data": "instance-id: i-1\nlocal-hostname: web-9\n",
             "/etc/cloud/cloud.cfg.d/99-test.cfg": IMAGE, "/etc/apt/sources.list.d/debian.sources": ""}
    with Host(hostname="web-9", trees=trees, files=files, binds=binds) as h:
        h.rescue = rescue.path
        yield h


def activation(host):
    now = json.loads(host.run("hallpass", "host", "activation", "--json", check=True).out)
    return now["mode"], now["sudo"], now["pending"]


def test_schema(tmp_path):
    """Without the first line: this cloud-init validates no templates that have not been rendered."""
    plain = tmp_path / "user-data.yaml"
    plain.write_text(USER_DATA.read_text().replace("## template: jinja\n", "", 1))
    said = call(["cloud-init", "schema", "--config-file", plain])
    assert said.ok and "Valid cloud-config" in said.both, repr(said)
    assert USER_DATA.read_text().startswith("## template: jinja\n#cloud-config\n") and yaml.safe_load(plain.read_text())["runcmd"]


def test_a_new_host_enforces_when_its_first_login_confirms(host):
    for stage in STAGES:
        done = host.run("cloud-init", *stage, timeout=120)
        assert done.ok, f"{done!r}\n{host.sh('cat /var/log/cloud-init-output.log').out}"
    rendered = host.run("cloud-init", "schema", "--system")
    assert rendered.ok, repr(rendered)
    output = host.sh("tail -n 100 /var/log/cloud-init-output.log").out
    told = tomllib.loads(host.run("cat", "/etc/hallpass/host.toml").out)
    assert told == {"name": "web-9", "labels": {"env": "prod", "role": "web"}, "directories": [INBOX]}
    assert activation(host) == ("enforce", True, True), output
    at = host.ssh("breakglass", host.rescue, "sudo hallpass host confirm")
    assert at.ok, repr(at)
    assert activation(host) == ("enforce", True, False)
