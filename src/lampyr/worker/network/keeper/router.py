"""The router: a namespace between the sandboxes and the host, with one device out.

The host sees one device and one table of rules however many sandboxes run. Both go when the
last descriptor of theirs is closed: a Lampyr that was killed leaves no device and no rule.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from lampyr.worker.network import linux, ruleset
from lampyr.worker.network.keeper.forwarding import Forwarding
from lampyr.worker.network.keeper.nftables import Nftables
from lampyr.worker.network.netlink import ADDRESS_CHANGES, LOOPBACK, Netlink

_MTU_MAX = 1500
_FIRST_INDEX = 100
"""Of devices that need not be asked for theirs; the kernel's own begin at 1."""


class Router:
    """The router, and the host's side of it. `home` is the host's network namespace."""

    def __init__(self, instance: str, home: int, shared_dir: Path) -> None:
        self.instance = instance
        self.uplink = ruleset.uplink_name(instance)
        self.home = home
        self.namespace = -1
        self.mtu = _MTU_MAX
        self.changes = Netlink(ADDRESS_CHANGES)
        self._host = Netlink()
        self._forwarding = Forwarding(shared_dir, home)
        self._host_rules: Nftables | None = None
        self._rules: Nftables
        self.links: Netlink

    @property
    def host_rules_descriptors(self) -> list[int]:
        """The sockets that own the host's table: it stays for as long as one is open."""
        return self._host_rules.descriptors if self._host_rules else []

    def build(self) -> None:
        linux.unshare(linux.CLONE_NEWNET)
        self.namespace = linux.current_network()
        linux.enter(self.home)
        self._enter(self._set_up)
        with self._forwarding.lock():
            addresses = [address for _, address in self._host.addresses()]
            ours, theirs = ruleset.uplink_addresses(int(self.instance, 16), addresses)
            self.mtu = min([_MTU_MAX, *map(self._host.mtu, self._devices())])
            self._host_rules = Nftables()
            self._host_rules.run(ruleset.host_ruleset(self.instance, theirs))
            index = self._host.add_veth(self.uplink, "uplink", self.namespace, mtu=self.mtu)
            self._host.add_address(index, ours, 31)
        self._enter(lambda: self._connect(ours, theirs))
        _sysctl(f"ipv4/conf/{self.uplink}/forwarding", "1")
        _sysctl(f"ipv6/conf/{self.uplink}/disable_ipv6", "1")
        self.follow_changes()

    def adopt(self, namespace: int) -> None:
        """Go on with the router of a keeper that died; Lampyr kept it and the host's rules."""
        self.namespace = namespace
        self.mtu = self._host.mtu(self.uplink)
        self._enter(self._open)
        self.follow_changes()

    def follow_changes(self) -> None:
        """The host got or lost an address: refuse it to sandboxes, let its device forward."""
        self.changes.forget_changes()
        self._rules.run(
            ruleset.host_addresses_set(address for _, address in self._host.addresses())
        )
        with self._forwarding.lock():
            guarded = self._forwarding.enable(self._devices())
        if guarded and self._host_rules:
            self._host_rules.run(ruleset.guard(self.instance, guarded))

    def connect(self, index: int, namespace: int, inside: Netlink) -> None:
        """Give the namespace, in which the calling thread is, a device and a way out.

        `inside` may still hold its requests when this returns.
        """
        name, address = f"s{index}", ruleset.slot_address(index)
        here, device = _FIRST_INDEX + index, _FIRST_INDEX
        links, mtu = self.links, self.mtu
        with links.together():
            links.add_veth(name, "eth0", namespace, mtu=mtu, index=here, peer_index=device)
            links.add_host_route(address, here)
        inside.keep_from_ipv6(device)
        inside.set_up(device)
        inside.add_address(device, address, 32)
        inside.add_default_route(device, ruleset.GATEWAY)

    def name_sockets(self) -> tuple[socket.socket, socket.socket]:
        """(UDP, listening TCP) on port 53 of the gateway."""
        found = []

        def bind() -> None:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                opened = socket.socket(socket.AF_INET, kind)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                opened.bind((str(ruleset.GATEWAY), 53))
                opened.setblocking(False)
                found.append(opened)
            found[1].listen(64)

        self._enter(bind)
        return found[0], found[1]

    def remove(self) -> None:
        """Take the uplink away, then what was changed for it; the rules last."""
        with self._forwarding.lock():
            with contextlib.suppress(OSError):  # Never built, or gone with its peer already.
                self._host.delete_link(self.uplink)
            self._forwarding.restore()
        if self._host_rules:
            self._host_rules.close()

    def _set_up(self) -> None:
        _sysctl("ipv4/conf/all/forwarding", "1")
        _sysctl("ipv4/conf/all/rp_filter", "1")
        _sysctl("ipv6/conf/default/disable_ipv6", "1")
        self._open()
        self._rules.run(ruleset.router_ruleset([]))
        self.links.set_up(LOOPBACK)
        self.links.add_address(LOOPBACK, ruleset.GATEWAY, 32)

    def _open(self) -> None:
        self.links = Netlink()
        self._rules = Nftables()

    def _connect(self, host: IPv4Address, router: IPv4Address) -> None:
        index = self.links.index("uplink")
        self.links.set_up(index)
        self.links.add_address(index, router, 31)
        self.links.add_default_route(index, host)

    def _devices(self) -> list[str]:
        """The host's devices that have an address, but for `lo` and Lampyrs' own."""
        named = dict(socket.if_nameindex())
        found = {named.get(index, "lo") for index, _ in self._host.addresses()}
        return sorted(
            name for name in found if name != "lo" and not name.startswith(ruleset.UPLINK_PREFIX)
        )

    def _enter(self, work: Callable[[], None]) -> None:
        with linux.inside(self.namespace, self.home):
            work()


def _sysctl(name: str, value: str) -> None:
    # A path is looked up once: below /proc/sys that takes longer with each namespace there is.
    try:
        descriptor = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # A kernel without IPv6 has nothing to switch off.
        return
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
