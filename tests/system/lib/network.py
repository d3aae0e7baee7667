"""A network of test hosts: a bridge in a namespace of its own, joined by veth pairs. Nothing of it is seen by this machine's own network.

Members are processes' network namespaces (a booted host's PID 1) or namespaces made here (a laptop). All goes with the network.
"""
import os
import secrets

from .host import call


def ip(*argv):
    result = call(["ip", *argv])
    assert result.ok, result
    return result


class Network:
    def __init__(self, prefix="10.77.0"):
        self.name = f"hp{os.getpid()}{secrets.token_hex(2)}"
        self.prefix = prefix
        self._members = 0
        self._made = []
        self._names = {}

    def __enter__(self):
        ip("netns", "add", self.name)
        self._made.append(self.name)
        self._in_switch("link", "add", "br0", "type", "bridge")
        self._in_switch("link", "set", "br0", "up")
        return self

    def __exit__(self, *_):
        for name in reversed(self._made):
            call(["ip", "netns", "del", name])

    def _in_switch(self, *argv):
        return ip("-n", self.name, *argv)

    def _wire(self, target, number) -> str:
        """`target`: what `ip link set netns` takes. The address."""
        ours, theirs = f"p{number}", f"q{self.name[2:]}{number}"[:15]
        self._in_switch("link", "add", ours, "type", "veth", "peer", "name", theirs)
        self._in_switch("link", "set", ours, "master", "br0", "up")
        self._in_switch("link", "set", theirs, "netns", str(target), "name", "fleet0")
        return f"{self.prefix}.{number}"

    def join(self, host) -> str:
        """Gives a booted host an address; returns it."""
        self._members += 1
        number = self._members + 10
        address = self._wire(host.leader, number)
        for argv in (["addr", "add", f"{address}/24", "dev", "fleet0"], ["link", "set", "fleet0", "up"]):
            result = call(["nsenter", "-t", host.leader, "-n", "ip", *argv])
            assert result.ok, result
        self._names[host.hostname] = number
        return address

    def laptop(self) -> "Laptop":
        """A namespace for programs of this machine: a person's own computer."""
        self._members += 1
        number = self._members + 10
        name = f"{self.name}l{number}"
        ip("netns", "add", name)
        self._made.append(name)
        address = self._wire(name, number)
        for argv in (["addr", "add", f"{address}/24", "dev", "fleet0"], ["link", "set", "fleet0", "up"], ["link", "set", "lo", "up"]):
            ip("-n", name, *argv)
        return Laptop(name, address)

    def unplug(self, host):
        self._in_switch("link", "set", f"p{self._names[host.hostname]}", "down")

    def plug(self, host):
        self._in_switch("link", "set", f"p{self._names[host.hostname]}", "up")


class Laptop:
    def __init__(self, namespace, address):
        self.namespace, self.address = namespace, address

    def argv(self, *argv):
        return ["ip", "netns", "exec", self.namespace, *argv]

    def run(self, *argv, **kw):
        return call(self.argv(*argv), **kw)


def only_ssh(host):
    """From here on the host takes part in nothing but ssh sessions that others begin."""
    rules = ("table inet cut { chain in { type filter hook input priority 0; policy drop; iif lo accept; tcp dport 22 accept; }; "
             "chain out { type filter hook output priority 0; policy drop; oif lo accept; tcp sport 22 accept; }; }")
    result = call(["nsenter", "-t", host.leader, "-n", "nft", "-f", "-"], stdin=rules)
    assert result.ok, result


def all_again(host):
    result = call(["nsenter", "-t", host.leader, "-n", "nft", "delete", "table", "inet", "cut"])
    assert result.ok, result
