"""Two network namespaces that a pair of interfaces joins, and that a cut parts. Root is needed.

The addresses are of 127.0.0.0/8, which is not the loopback interface's there: a program that speaks without TLS to its
own machine alone speaks to the other namespace, and a cut is a cut. Neither has a way out of the machine."""

import contextlib
import ctypes
import os
import subprocess

HERE, THERE = "127.99.0.1", "127.99.0.2"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Space:
    """A network namespace."""

    def __init__(self, name, interface, address):
        self.name, self.interface, self.address = name, interface, address
        ip("netns", "add", name)

    def furnish(self):
        ip("-n", self.name, "link", "set", "lo", "up")
        # The kernel gave it all of 127.0.0.0/8.
        ip("-n", self.name, "address", "del", "127.0.0.1/8", "dev", "lo")
        ip("-n", self.name, "address", "add", "127.0.0.1/32", "dev", "lo")
        subprocess.run(self.command(["sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"]), check=True)
        ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", self.interface)
        self.link(True)

    def link(self, up):
        ip("-n", self.name, "link", "set", self.interface, "up" if up else "down")

    def command(self, words):
        """The same, in here."""
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    @contextlib.contextmanager
    def entered(self):
        """Sockets that this thread makes meanwhile are in here."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as away:
            setns(away)
            try:
                yield
            finally:
                setns(home)

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def setns(handle):
    if LIBC.setns(handle.fileno(), CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Wire:
    """Both namespaces."""

    def __init__(self):
        mark = os.getpid()
        self.here = Space(f"backroom-box-{mark}", "wan0", HERE)
        self.there = Space(f"backroom-far-{mark}", "wan1", THERE)
        ip("link", "add", "wan0", "netns", self.here.name, "type", "veth", "peer", "name", "wan1", "netns", self.there.name)
        self.here.furnish()
        self.there.furnish()
        self.cuts = 0

    def cut(self):
        """In turn, as the shop's own cable (the box knows at once) and as one far away (packets vanish)."""
        (self.here if self.cuts % 2 == 0 else self.there).link(False)
        self.cuts += 1

    def mend(self):
        self.here.link(True)
        self.there.link(True)

    def remove(self):
        self.here.remove()
        self.there.remove()
