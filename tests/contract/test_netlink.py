"""Requests for network devices that are sent together."""

import contextlib
import errno
import os
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from lampyr.worker.network import linux
from lampyr.worker.network.netlink import LOOPBACK, Netlink
from tests.contract.sandbox_benches import as_root

pytestmark = as_root
ADDRESS = IPv4Address("192.0.2.1")
OTHER = IPv4Address("192.0.2.2")


@pytest.fixture
def netlink() -> Iterator[Netlink]:
    """Of a network namespace of its own."""
    home = linux.current_network()
    linux.unshare(linux.CLONE_NEWNET)
    try:
        with Netlink() as opened:
            yield opened
    finally:
        linux.enter(home)
        os.close(home)


def addresses(netlink: Netlink) -> set[IPv4Address]:
    return {address for index, address in netlink.addresses() if index == LOOPBACK}


def _add_and_delete(netlink: Netlink) -> None:
    """Of these the last fails, as there is no such device."""
    with netlink.together():
        netlink.set_up(LOOPBACK)
        netlink.add_address(LOOPBACK, ADDRESS, 32)
        netlink.delete_link("none")


def test_all_of_them_are_done_when_the_block_ends(netlink: Netlink) -> None:
    with netlink.together():
        netlink.set_up(LOOPBACK)
        netlink.add_address(LOOPBACK, ADDRESS, 32)
        netlink.add_address(LOOPBACK, OTHER, 32)
    assert {ADDRESS, OTHER} <= addresses(netlink)


def test_the_first_failure_is_raised_at_the_end(netlink: Netlink) -> None:
    netlink.add_address(LOOPBACK, ADDRESS, 32)
    with pytest.raises(FileExistsError):
        _add_and_delete(netlink)
    netlink.add_address(LOOPBACK, OTHER, 32)
    assert OTHER in addresses(netlink), "the socket serves on"


def test_the_last_failure_is_heard_too(netlink: Netlink) -> None:
    with pytest.raises(OSError, match="netlink") as raised:
        _add_and_delete(netlink)
    assert raised.value.errno == errno.ENODEV
    assert netlink.index("lo") == LOOPBACK


def test_nothing_is_sent_where_the_block_fails(netlink: Netlink) -> None:
    with contextlib.suppress(ZeroDivisionError), netlink.together():
        netlink.add_address(LOOPBACK, ADDRESS, 32)
        raise ZeroDivisionError
    assert ADDRESS not in addresses(netlink)
