"""A production host with hallpass on it, set up as docs/operations.md says, and the fleet it belongs to."""
import pathlib
import time

from .fleet import Fleet, keygen
from .host import Host, call, eventually

INBOX = "/srv/hallpass"
KEYS = "/usr/libexec/hallpass/hallpass-keys"
SNAPSHOT = "/var/lib/hallpass/admissions.mdb"
EXEMPT_KEYS = "/home/rescue/.ssh/authorized_keys"


def sshd_conf(stage, options="", more="") -> str:
    """The packaged sshd drop-in; `more` stands before its Match block."""
    text = (pathlib.Path(stage) / "usr/share/hallpass/sshd/hallpass.conf").read_text()
    assert text.count(f"{KEYS} %u") == 1 and text.count("\nMatch Group") == 1
    return text.replace(f"{KEYS} %u", f"{KEYS} {options} %u".replace("  ", " ")).replace("\nMatch Group", f"\n{more}\nMatch Group")


def pam_sshd(options="") -> str:
    """The distribution's /etc/pam.d/sshd with hallpass's three lines."""
    out = []
    for line in pathlib.Path("/etc/pam.d/sshd").read_text().splitlines():
        if "pam_hallpass" in line:
            continue
        if line.split() == ["@include", "common-account"]:
            out.append(f"account required pam_hallpass.so {options}")
        if line.split() == ["@include", "common-session"]:
            out.append(f"session requisite pam_hallpass.so {options}")
        out.append(line)
        if line.split() == ["@include", "common-session"]:
            out.append(f"session required pam_hallpass.so post {options}")
    assert sum("pam_hallpass" in line for line in out) == 3
    return "\n".join(out) + "\n"


class Site:
    def __init__(self, stage, fleet=None, *, users=("alice", "bob", "carol"), shared=("deploy",), hostname="web-3",
                 labels='{ env = "prod", role = "web" }', clock=False, sshd="", pam=None, options="", host_toml="", files=None,
                 before_boot=(), binds=None, policy=True, enforce=True, size="2G"):
        self.fleet = fleet or Fleet()
        self._own_fleet = fleet is None
        self.keep = set()       # ids of grants for a whole module
        self.granted = []       # by grant(), and not revoked by cease()
        accounts = {u: [] for u in [*users, *shared]}
        accounts["rescue"] = ["hallpass-exempt"]
        self.rescue = keygen(self.fleet.dir / f"rescue-{time.monotonic_ns()}")
        pre = {"/etc/hallpass/host.toml": f'name = "{hostname}"\nlabels = {labels}\ndirectories = ["{INBOX}"]\n{host_toml}',
               "/etc/hallpass/trust.toml": self.fleet.trust(), f"{INBOX}/.keep": "",
               EXEMPT_KEYS: self.rescue.line + "\n"}
        if enforce:
            pre["/etc/systemd/system/session-.scope.d/50-hallpass.conf"] = (
                pathlib.Path(stage) / "usr/share/hallpass/systemd/50-hallpass.conf").read_text()
            pre["/etc/ssh/sshd_config.d/hallpass.conf"] = sshd_conf(stage, options, sshd)
            pre["/etc/pam.d/sshd"] = pam or pam_sshd(options.replace("--", ""))
        if policy:
            text = self.fleet.policy()
            pre[f"{INBOX}/policy.toml"] = text
            pre[f"{INBOX}/policy.toml.sig"] = self.fleet.sign_policy(text)
        pre.update(files or {})
        self.host = Host(hostname=hostname, users=accounts, groups=["hallpass-exempt"], trees=[stage], files=pre, clock=clock,
                         before_boot=before_boot, binds=binds, size=size,
                         links={"/etc/systemd/system/multi-user.target.wants/hallpass-agent.service":
                                "/usr/lib/systemd/system/hallpass-agent.service"})

    def __enter__(self):
        self.host.__enter__()
        return self

    def __exit__(self, *_):
        self.host.stop()
        if self._own_fleet:
            self.fleet.close()

    # --- statements
    def put(self, *statements, name=None):
        """Puts statements into the host's directory, one file each, by rename as writers should."""
        for s in statements:
            self.host.write(f"{INBOX}/{name or s.file}", s.line + "\n")
        return statements[0]

    def publish_policy(self, **kw):
        """Signs and delivers the fleet's next policy; the one before stays as policy-N.toml."""
        for f in ("policy.toml", "policy.toml.sig"):
            old = self.host.path(f"{INBOX}/{f}")
            if old.exists():
                self.host.write(f"{INBOX}/{f.replace('policy', f'policy-{self.fleet.version}', 1)}", old.read_bytes())
        signers = kw.pop("signers", ("ana", "ben"))
        text = self.fleet.policy(**kw)
        self.host.write(f"{INBOX}/policy.toml.sig", self.fleet.sign_policy(text, signers))
        self.host.write(f"{INBOX}/policy.toml", text)

    def grant(self, subject="alice", runbook="login", by="bob", wait=True, key=None, **kw):
        """A request with its approval, delivered. Waits until the host admits it."""
        approval = {k: kw.pop(k) for k in ("decided_at",) if k in kw}
        request = self.fleet.request(subject, runbook, key=key, **kw)
        approve = self.fleet.approve(request, by if by != subject else "carol", at=approval.get("decided_at", kw.get("at")))
        self.put(request, approve)
        account = "deploy" if runbook == "deploy" else self.fleet.accounts.get(subject, subject)
        self.granted.append((request, account))
        if wait:
            self.await_admitted(account, self.fleet.key(subject))
        return request

    def cease(self, *requests, by="ana"):
        """Revokes, so that the next test starts without."""
        for r in requests:
            self.put(self.fleet.revoke(by=by, request=r))
            self.granted = [g for g in self.granted if g[0] is not r]

    def cease_all(self):
        """What a test left, also a failed one, must not help the next."""
        left = [g for g in self.granted if g[0].id not in self.keep]
        self.cease(*[g[0] for g in left])
        kept = {(g[0].members["subject"], g[1]) for g in self.granted}
        for subject, account in {(g[0].members["subject"], g[1]) for g in left} - kept:
            self.await_refused(account, self.fleet.key(subject))

    # --- what the host thinks
    def key_line(self, account, key) -> str:
        """What hallpass-keys answers sshd for this key: nothing, a key, or a key with `why` as its command."""
        blob_type, blob = key.line.split()[:2]
        return self.host.run(KEYS, account, key.fingerprint, blob_type, blob).out.strip()

    def admits(self, account, key) -> bool:
        line = self.key_line(account, key)
        return bool(line) and "command=" not in line

    def await_admitted(self, account, key, within=15):
        try:
            eventually(f"{account} admits {key.path.name}", lambda: self.admits(account, key), within=within)
        except AssertionError as e:
            raise AssertionError(f"{e}; hallpass-keys says: {self.key_line(account, key)!r}") from None

    def await_refused(self, account, key, within=15):
        eventually(f"{account} refuses {key.path.name}", lambda: not self.admits(account, key), within=within)

    def settle(self):
        """Waits until the agent has looked at everything that lies in the directory now: a marker of ours comes back refused."""
        marker = f"{INBOX}/marker-{time.monotonic_ns()}.grant"
        self.host.write(marker, "not a statement\n")
        self.host.await_journal(HALLPASS_EVENT="statement_refused", where=lambda e: marker in str(e.get("HALLPASS_FILE", "")), within=15)
        self.host.path(marker).unlink()

    # --- logins
    def ssh(self, account, who, *args, **kw):
        """`who`: a person of the fleet (first key), a Key or a path."""
        key = self.fleet.path(who) if isinstance(who, str) else getattr(who, "path", who)
        return self.host.ssh(account, key, *args, **kw)

    def assert_in(self, account, who, **kw):
        result = self.ssh(account, who, "echo in as $(id -un)", **kw)
        assert result.code == 0 and result.out == f"in as {account}\n", f"not admitted: {result!r}"
        return result

    def assert_refused(self, account, who, *words, **kw):
        result = self.ssh(account, who, "echo in as $(id -un)", **kw)
        assert result.code != 0 and "in as" not in result.out, f"admitted: {result!r}"
        for word in words:
            assert word in result.both, f"{word!r} is not in the answer: {result!r}"
        return result

    def netns(self, *argv, **kw):
        """A process of this machine in the host's network."""
        return call(["nsenter", "-t", self.host.leader, "-n", *argv], **kw)
