"""The few rtnetlink requests that a sandbox's network takes, without a process per request.

`ip -batch` costs two processes a sandbox (3.4 ms), pyroute2 twice the memory of the whole keeper
and 0.5 s of its start; these are a few messages. https://docs.kernel.org/userspace-api/netlink/intro.html
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from types import TracebackType
from typing import Final, Self

LOOPBACK: Final = 1
"""The index of `lo` in every network namespace."""
ADDRESS_CHANGES: Final = 0x10
"""RTMGRP_IPV4_IFADDR: hear of addresses that come and go."""
ROUTE_CHANGES: Final = 0x40
"""RTMGRP_IPV4_ROUTE."""

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _GETADDR = 20, 22
_NEWROUTE, _GETROUTE = 24, 26
_NEWRULE = 32
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
_UP = 0x1
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_AF_SPEC, _IFLA_NET_NS_FD = 3, 4, 18, 26, 28
_IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 31, 32
_INET6_ADDR_GEN_MODE, _GENERATE_NONE = 8, 1
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_FRA_DST, _FRA_PRIORITY, _FRA_IP_PROTO, _FRA_DPORT_RANGE = 1, 6, 22, 24
_TO_TABLE = 1
_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_UNIVERSE, _SCOPE_LINK = 254, 4, 0, 253
_UNICAST, _PROHIBIT = 1, 8
_ONLINK = 4
_HEADER: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBI")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_RULE: Final = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERROR_NUMBER: Final = struct.Struct("=i")


class Netlink:
    """An rtnetlink socket of the network namespace it is made in, wherever it is used later."""

    def __init__(self, groups: int = 0) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self.socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self.socket.bind((0, groups))
        self._sequence = 0
        self._held: list[tuple[int, int, bytes, int]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is asked for meanwhile is sent at once at the end, in the same order.

        Whoever asks hears of no failure; the first one is raised at the end. What came after it
        may have been done.
        """
        held = self._held = []
        try:
            yield
        finally:
            self._held = None
        if held:
            self._request_all(held)

    def set_up(self, index: int) -> None:
        """Switch a device on."""
        self._request(_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, _UP, _UP))

    def keep_from_ipv6(self, index: int) -> None:
        """A device that is off will give itself no address of IPv6 when it is switched on.

        Not by a file below /proc/sys: to find one takes longer with each namespace there is.
        """
        mode = _attribute(_INET6_ADDR_GEN_MODE, bytes((_GENERATE_NONE,)))
        family = _attribute(_IFLA_AF_SPEC, _attribute(socket.AF_INET6, mode))
        body = _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + family
        # A kernel without IPv6 has none to give.
        self._request(_NEWLINK, 0, body, allowed=errno.EAFNOSUPPORT)

    def add_veth(
        self,
        name: str,
        peer: str,
        peer_namespace: int,
        *,
        mtu: int,
        index: int = 0,
        peer_index: int = 0,
    ) -> int:
        """A pair of devices, this one on, its peer elsewhere and off; answer this one's index.

        Where the caller gives no index, the kernel does. With one queue: the kernel would make one
        for each processor, and then wait until nobody can see the others.
        """
        same = _number(_IFLA_MTU, mtu)
        same += _number(_IFLA_NUM_TX_QUEUES, 1) + _number(_IFLA_NUM_RX_QUEUES, 1)
        there = (
            _LINK.pack(socket.AF_UNSPEC, 0, peer_index, 0, 0)
            + _text(_IFLA_IFNAME, peer)
            + _number(_IFLA_NET_NS_FD, peer_namespace)
            + same
        )
        kind = _text(_INFO_KIND, "veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, there))
        here = (
            _LINK.pack(socket.AF_UNSPEC, 0, index, _UP, _UP)
            + _text(_IFLA_IFNAME, name)
            + same
            + _attribute(_IFLA_LINKINFO, kind)
        )
        self._request(_NEWLINK, _CREATE | _EXCLUSIVE, here)
        return index or self.index(name)

    def index(self, name: str) -> int:
        """The index of a device; `OSError` when there is none of that name."""
        found: int = _LINK.unpack_from(self._link(name))[2]
        return found

    def mtu(self, name: str) -> int:
        attributes = _attributes(self._link(name)[_LINK.size :])
        found: int = struct.unpack("=I", attributes[_IFLA_MTU])[0]
        return found

    def _link(self, name: str) -> bytes:
        request = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _text(_IFLA_IFNAME, name)
        self._send(_GETLINK, 0, request)
        return next(self._answers())[1]

    def delete_link(self, name: str) -> None:
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _text(_IFLA_IFNAME, name)
        self._request(_DELLINK, 0, body)

    def add_address(self, index: int, address: IPv4Address, prefix: int) -> None:
        body = _ADDRESS.pack(socket.AF_INET, prefix, 0, _SCOPE_UNIVERSE, index)
        body += _attribute(_IFA_LOCAL, address.packed) + _attribute(_IFA_ADDRESS, address.packed)
        self._request(_NEWADDR, _CREATE | _EXCLUSIVE, body)

    def add_default_route(self, index: int, gateway: IPv4Address) -> None:
        """By a gateway that need not be in a subnet of the device's own address."""
        body = _route(0, _SCOPE_UNIVERSE, _UNICAST, _ONLINK)
        body += _attribute(_RTA_GATEWAY, gateway.packed) + _number(_RTA_OIF, index)
        self._request(_NEWROUTE, _CREATE | _EXCLUSIVE, body)

    def add_host_route(self, address: IPv4Address, index: int) -> None:
        body = _route(32, _SCOPE_LINK, _UNICAST, 0)
        body += _attribute(_RTA_DST, address.packed) + _number(_RTA_OIF, index)
        self._request(_NEWROUTE, _CREATE | _EXCLUSIVE, body)

    def prohibit(self, address: IPv4Address, prefix: int = 32) -> None:
        """Refuse, at once, to send anything there."""
        body = _route(prefix, _SCOPE_UNIVERSE, _PROHIBIT, 0)
        self._request(_NEWROUTE, _CREATE, body + _attribute(_RTA_DST, address.packed))

    def only_port(self, address: IPv4Address, port: int) -> None:
        """Refuse, at once, every other port of that address."""
        destination = _attribute(_FRA_DST, address.packed)
        ports = _attribute(_FRA_DPORT_RANGE, struct.pack("=HH", port, port))
        for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            which = _attribute(_FRA_IP_PROTO, bytes((protocol,))) + ports
            body = _RULE.pack(socket.AF_INET, 32, 0, 0, _TABLE_MAIN, 0, 0, _TO_TABLE, 0)
            body += destination + which + _number(_FRA_PRIORITY, 100)
            self._request(_NEWRULE, _CREATE | _EXCLUSIVE, body)
        body = _RULE.pack(socket.AF_INET, 32, 0, 0, 0, 0, 0, _PROHIBIT, 0)
        body += destination + _number(_FRA_PRIORITY, 101)
        self._request(_NEWRULE, _CREATE | _EXCLUSIVE, body)

    def addresses(self) -> list[tuple[int, IPv4Address]]:
        """(device index, address) of every IPv4 address here, those of `lo` too."""
        self._send(_GETADDR, _DUMP, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0))
        found = []
        for kind, body in self._answers():
            if kind == _NEWADDR:
                attributes = _attributes(body[_ADDRESS.size :])
                local = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
                if local is not None:
                    found.append((_ADDRESS.unpack_from(body)[4], IPv4Address(local)))
        return found

    def has_default_route(self) -> bool:
        self._send(_GETROUTE, _DUMP, _route(0, _SCOPE_UNIVERSE, _UNICAST, 0))
        routes = [_ROUTE.unpack_from(body) for kind, body in self._answers() if kind == _NEWROUTE]
        return any(prefix == 0 and kind == _UNICAST for _, prefix, *_, kind, _ in routes)

    def forget_changes(self) -> None:
        """Read away what the groups of this socket reported."""
        try:
            while self.socket.recv(65536, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            pass
        except OSError:  # ENOBUFS: more changes than fit. That there were some is all we need.
            pass

    def _request(self, kind: int, flags: int, body: bytes, *, allowed: int = 0) -> None:
        """`allowed`: the number of an error that is none here."""
        request = kind, flags, body, allowed
        if self._held is not None:
            self._held.append(request)
        else:
            self._request_all([request])

    def _request_all(self, requests: list[tuple[int, int, bytes, int]]) -> None:
        """The kernel answers for each that fails, and for the last one."""
        messages: list[bytes] = []
        allowed: dict[int, int] = {}
        for kind, flags, body, number in requests:
            last = _ACK if len(messages) == len(requests) - 1 else 0
            messages.append(self._message(kind, flags | last, body))
            allowed[self._sequence] = number
        self.socket.send(b"".join(messages))
        failed = 0
        for sequence, number in self._outcomes(self._sequence):
            if number and not failed and number != allowed.get(sequence):
                failed = number
        if failed:
            raise _error(failed)

    def _outcomes(self, last: int) -> Iterator[tuple[int, int]]:
        """(sequence number, number of the error or 0) of each answer, up to the last request's."""
        while True:
            data = self.socket.recv(1 << 17)
            while data:
                length, _, _, sequence, _ = _HEADER.unpack_from(data)
                yield sequence, -_ERROR_NUMBER.unpack_from(data, _HEADER.size)[0]
                if sequence == last:
                    return
                data = data[-(-length // 4) * 4 :]

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self.socket.send(self._message(kind, flags, body))

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence += 1
        length = _HEADER.size + len(body)
        padding = bytes(-length % 4)
        return _HEADER.pack(length, kind, _REQUEST | flags, self._sequence, 0) + body + padding

    def _answers(self) -> Iterator[tuple[int, bytes]]:
        """(type, body) of every message up to the end of a dump."""
        while True:
            data = self.socket.recv(1 << 17)
            while data:
                length, kind, _, _, _ = _HEADER.unpack_from(data)
                body = data[_HEADER.size : length]
                data = data[-(-length // 4) * 4 :]
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise _error(-_ERROR_NUMBER.unpack_from(body)[0])
                yield kind, body


def _error(number: int) -> OSError:
    return OSError(number, f"netlink: {os.strerror(number)}")


def _route(prefix: int, scope: int, kind: int, flags: int) -> bytes:
    family = socket.AF_INET
    return _ROUTE.pack(family, prefix, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, scope, kind, flags)


def _attribute(kind: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(padding)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[-(-length // 4) * 4 :]
    return found
