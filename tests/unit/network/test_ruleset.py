"""The addresses of sandbox networks, and the rules as text."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.worker.network import ruleset

pytestmark = pytest.mark.lampyr_only
LINK_LOCAL = IPv4Network("169.254.0.0/16")
KEPT_FREE = (IPv4Network("169.254.78.0/24"), IPv4Network("169.254.169.0/24"))


@given(st.integers(0, 2**32 - 1))
def test_an_uplink_is_a_link_local_pair_that_nothing_else_here_uses(seed: int) -> None:
    first, second = ruleset.uplink_addresses(seed, ())
    assert int(first) % 2 == 0
    assert second == first + 1
    assert first in LINK_LOCAL
    assert not any(first in network for network in KEPT_FREE)


def test_an_uplink_avoids_the_addresses_that_the_host_has() -> None:
    first, second = ruleset.uplink_addresses(7, ())
    for taken in (first, second):
        assert ruleset.uplink_addresses(7, {taken}) == (first + 2, second + 2)


def test_too_many_uplinks_are_an_error_and_no_endless_search() -> None:
    taken = {IPv4Address("169.254.64.0") + n for n in range(1 << 14)}
    with pytest.raises(ValueError, match="taken"):
        ruleset.uplink_addresses(1, taken)


@given(st.integers(1, ruleset.SLOTS_MAX - 1))
def test_every_slot_has_an_address_that_is_no_uplinks(index: int) -> None:
    address = ruleset.slot_address(index)
    assert address in IPv4Network("169.254.128.0/17")


def test_device_names_fit_what_the_kernel_allows() -> None:
    assert len(ruleset.uplink_name("0123abcd")) <= 15
    assert len(f"s{ruleset.SLOTS_MAX}") <= 15


def test_a_host_without_addresses_makes_no_empty_element_list() -> None:
    assert ruleset.host_addresses_set([]) == "flush set inet lampyr host"
    said = ruleset.host_addresses_set([IPv4Address("192.0.2.2"), IPv4Address("192.0.2.1")])
    assert said.endswith("add element inet lampyr host { 192.0.2.1, 192.0.2.2 }")


def test_link_local_and_metadata_addresses_are_never_reached() -> None:
    never = [IPv4Network(network) for network in ruleset.NEVER]
    for address in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200"):
        assert any(IPv4Address(address) in network for network in never)
    assert not any(IPv4Address("203.0.113.10") in network for network in never)
