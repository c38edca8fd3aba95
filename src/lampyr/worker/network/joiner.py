"""The program that gives one sandbox a user-mode network stack: it forks, joins, and becomes it.

It is started ahead and waits, so that a start pays neither for the interpreter nor its imports.
What it reads on standard input are three lines: the sandbox's process id, the addresses to
refuse, the words of the stack's command. A child in the sandbox's namespaces adds routes that
refuse those addresses — a function has no capability to take them away — and only then
does this process become the stack. The child stays until a default route is there and says so
on standard output, where the stack's own messages go too.
"""

import os
import select
import signal
import sys
from ipaddress import IPv4Network
from typing import Final

from lampyr.worker.network import linux
from lampyr.worker.network.netlink import ROUTE_CHANGES, Netlink
from lampyr.worker.network.ruleset import NAMESERVER

READY_SECONDS: Final = 10.0
READY: Final = b"lampyr: the network is ready\n"


def main() -> None:
    pid, addresses, command = (sys.stdin.readline().rstrip("\n") for _ in range(3))
    if not command:
        return  # Lampyr ended before a sandbox came.
    networks = [IPv4Network(word) for word in addresses.split()]
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        _join(int(pid), networks, tell)
    os.close(tell)
    os.waitpid(child, 0)
    if os.read(told, 1) != b"1":
        sys.exit("could not join the sandbox's network")
    words = command.split("\0")
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # pasta fails where it is ignored already.
    os.execv(words[0], words)  # noqa: S606  (a shell is what it must not have)


def _join(pid: int, networks: list[IPv4Network], tell: int) -> None:
    """In a grandchild, so that nobody need wait for it; never returns."""
    if os.fork() == 0:
        user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        linux.enter(user, linux.CLONE_NEWUSER)
        linux.enter(network)
        with Netlink() as netlink, Netlink(ROUTE_CHANGES) as changes:
            for refused in networks:
                netlink.prohibit(refused.network_address, refused.prefixlen)
            # slirp4netns takes every port there for the same port of the host's name server,
            # and that may well be a loopback address.
            netlink.only_port(NAMESERVER, 53)
            changes.forget_changes()
            os.write(tell, b"1")
            os.close(tell)
            poll = select.poll()
            poll.register(changes.socket, select.POLLIN)
            while not netlink.has_default_route():
                if not poll.poll(READY_SECONDS * 1000):
                    os._exit(1)
                changes.forget_changes()
        os.write(1, READY)
    os._exit(0)
