"""A small world for tests of sandbox networks: a host of their own, and an internet beside it.

Each is a network namespace without a name. The test's thread lives in the host's while the
world lasts, so what Lampyr changes there is not changed on the machine that runs the tests.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from lampyr.worker.network import linux
from lampyr.worker.network.netlink import LOOPBACK, Netlink

PUBLIC = "203.0.113.10"
NAME_SERVER = "203.0.113.53"
METADATA = "169.254.169.254"
HOST = "192.0.2.2"
HOST_TOO = "198.51.100.7"
ROUTER = "192.0.2.1"
GREETING = b"hello from the internet"


class World:
    """`host` and `internet` are descriptors of network namespaces."""

    def __init__(self) -> None:
        self.home = linux.current_network()
        self.host = _namespace()
        self.internet = _namespace()
        linux.enter(self.home)
        self.sockets: list[socket.socket] = []

    def close(self) -> None:
        linux.enter(self.home)
        for opened in self.sockets:
            opened.close()
        for descriptor in (self.host, self.internet, self.home):
            os.close(descriptor)

    def build(self) -> None:
        linux.enter(self.internet)
        with Netlink() as there:
            there.set_up(LOOPBACK)
            for address in (PUBLIC, NAME_SERVER, METADATA, *machine_name_servers()):
                there.add_address(LOOPBACK, IPv4Address(address), 32)
            linux.enter(self.host)
            with Netlink() as here:
                here.set_up(LOOPBACK)
                here.add_address(LOOPBACK, IPv4Address(HOST_TOO), 32)
                index = here.add_veth("eth0", "eth0", self.internet, mtu=1400)
                here.add_address(index, IPv4Address(HOST), 24)
                other = there.index("eth0")
                there.set_up(other)
                there.add_address(other, IPv4Address(ROUTER), 24)
                here.add_default_route(index, IPv4Address(ROUTER))
        Path("/proc/sys/net/ipv4/conf/all/forwarding").write_text("0")
        Path("/proc/sys/net/ipv4/conf/eth0/forwarding").write_text("0")

    def bind(self, namespace: int, kind: socket.SocketKind, address: str, port: int) -> Any:
        """A socket of that namespace, listening if it is TCP."""
        with linux.inside(namespace, self.host):
            opened = socket.socket(socket.AF_INET, kind)
        self.sockets.append(opened)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        opened.setblocking(False)
        if kind is socket.SOCK_STREAM:
            opened.listen(64)
        return opened


@contextmanager
def world() -> Iterator[World]:
    made = World()
    try:
        made.build()
        yield made
    finally:
        made.close()


def machine_name_servers() -> list[str]:
    """The machine's own, where they could be anybody's."""
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    found = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    return [address for address in found if not address.startswith("127.") and ":" not in address]


async def serve_internet(world: World) -> list[Any]:
    """A greeting on port 80, names on port 53 of the name servers; the caller closes them."""
    loop = asyncio.get_running_loop()
    greeting = world.bind(world.internet, socket.SOCK_STREAM, "0.0.0.0", 80)
    servers: list[Any] = [await asyncio.start_server(_greet, sock=greeting)]
    for address in (NAME_SERVER, *machine_name_servers()):
        names = world.bind(world.internet, socket.SOCK_DGRAM, address, 53)
        servers.append((await loop.create_datagram_endpoint(Names, sock=names))[0])
        names = world.bind(world.internet, socket.SOCK_STREAM, address, 53)
        servers.append(await asyncio.start_server(_name, sock=names))
    return servers


class Names(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(answer(data), addr)


def answer(question: bytes) -> bytes:
    """Every name is the public server's."""
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(PUBLIC)
    return question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:] + record


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    writer.close()


async def _name(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    length = int.from_bytes(await reader.readexactly(2))
    said = answer(await reader.readexactly(length))
    writer.write(len(said).to_bytes(2) + said)
    writer.close()


_INSIDE = """
import ctypes, encodings.idna, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
for descriptor, kind in json.loads(sys.argv[1]):
    assert libc.setns(descriptor, kind) == 0, os.strerror(ctypes.get_errno())
if sys.argv[3] == "nobody" and os.geteuid() == 0:
    os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
def connect(address, port):
    'What the other side says first, or the name of the error.'
    try:
        with socket.create_connection((address, port), timeout=5) as opened:
            return opened.recv(100).decode()
    except OSError as error:
        return type(error).__name__
def touch(address, port):
    'Whether there is another side; long enough for what is let through on one machine.'
    try:
        socket.create_connection((address, port), timeout=1).close()
        return 'connected'
    except OSError as error:
        return type(error).__name__
def touch_locally(address):
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.connect(address)
        return 'connected'
    except OSError as error:
        return type(error).__name__
QUESTION = b'\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4shop\\7example\\0\\0\\1\\0\\1'
def resolve(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.settimeout(5)
        try:
            opened.sendto(QUESTION, (server, 53))
            return address(opened.recv(512))
        except OSError as error:
            return type(error).__name__
def resolve_tcp(server):
    with socket.create_connection((server, 53), timeout=5) as opened:
        opened.sendall(len(QUESTION).to_bytes(2, 'big') + QUESTION)
        data = b''
        while more := opened.recv(512):
            data += more
        return address(data[2:])
def address(message):
    return f'rcode {message[3] & 15}' if message[3] & 15 else socket.inet_ntoa(message[-4:])
print(json.dumps(eval(sys.argv[2])))
"""


async def inside(namespaces: list[tuple[int, int]], expression: str, user: str = "nobody") -> Any:
    """The value of a Python expression in a process in these (descriptor, kind) namespaces.

    It may call `connect(address, port)`, `touch(address, port)`, `resolve(server)` and
    `resolve_tcp(server)`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-c", _INSIDE, json.dumps(namespaces), expression, user),
        stdout=subprocess.PIPE,
        pass_fds=[descriptor for descriptor, _ in namespaces],
    )
    said, _ = await process.communicate()
    return json.loads(said)


def _namespace() -> int:
    linux.unshare(linux.CLONE_NEWNET)
    return linux.current_network()
