"""What a sandbox reaches through a pooled network, and what it does not."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from lampyr.worker.network import linux
from lampyr.worker.network.base import Egress, NetworkError, NetworkSlot
from lampyr.worker.network.keeper.protocol import LOCAL_RUNTIME_API
from lampyr.worker.network.netlink import LOOPBACK, Netlink
from lampyr.worker.network.pooled import PooledNetwork
from lampyr.worker.network.ruleset import GATEWAY, slot_address
from tests.contract.networks import (
    GREETING,
    HOST,
    HOST_TOO,
    METADATA,
    NAME_SERVER,
    PUBLIC,
    World,
    answer,
    inside,
    serve_internet,
    world,
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.lampyr_only,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces of the host need root"),
]
ENDPOINT_PORT = 4566


@pytest.fixture
async def here() -> AsyncIterator[World]:
    with world() as made:
        servers = await serve_internet(made)
        yield made
        for server in servers:
            server.close()


@asynccontextmanager
async def opened(tmp_path: Path, egress: Egress = Egress.INTERNET, **more: Any) -> Any:
    resolv_conf = tmp_path / "resolv.conf"
    if not resolv_conf.exists():
        resolv_conf.write_text(f"nameserver {NAME_SERVER}\nsearch example\n")
    network = PooledNetwork(
        egress=egress,
        endpoint_port=ENDPOINT_PORT,
        shared_dir=tmp_path / "shared",
        resolv_conf=resolv_conf,
        **{"pool_size": 2, **more},
    )
    await network.open()
    try:
        yield network
    finally:
        await network.close()


@asynccontextmanager
async def taken(network: PooledNetwork) -> AsyncIterator[NetworkSlot]:
    slot = await network.take()
    try:
        yield slot
    finally:
        slot.discard()


async def within(slot: NetworkSlot, expression: str) -> Any:
    assert slot.namespace is not None
    return await inside([(slot.namespace, linux.CLONE_NEWNET)], expression)


async def touches(slot: NetworkSlot, *targets: tuple[str, int]) -> dict[str, str]:
    """Target → "connected" or an error's name."""
    said = await within(slot, f"[touch(*target) for target in {targets!r}]")
    return dict(zip([f"{address}:{port}" for address, port in targets], said, strict=True))


async def on_the_internet(slot: NetworkSlot) -> bool:
    said = await within(slot, f"connect('{PUBLIC}', 80)")
    return bool(said == GREETING.decode())


def accepted(listener: socket.socket | None) -> bool:
    """Whether somebody connected."""
    assert listener is not None
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def tables() -> str:
    listed = subprocess.run(("nft", "list", "tables"), capture_output=True, text=True, check=True)
    return listed.stdout


def forwarding(device: str = "eth0") -> str:
    return Path(f"/proc/sys/net/ipv4/conf/{device}/forwarding").read_text().strip()


def devices() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


async def test_a_sandbox_reaches_the_internet_by_address_and_by_name(
    here: World, tmp_path: Path
) -> None:
    async with opened(tmp_path) as network, taken(network) as slot:
        assert slot.files["/etc/resolv.conf"] == f"nameserver {GATEWAY}\nsearch example\n"
        said = await within(
            slot,
            f"[connect('{PUBLIC}', 80), resolve('{GATEWAY}'), resolve_tcp('{GATEWAY}')]",
        )
        assert said == [GREETING.decode(), PUBLIC, PUBLIC]


async def test_it_reaches_its_own_listeners_and_nobody_else_reaches_them(
    here: World, tmp_path: Path
) -> None:
    own = [("127.0.0.1", 9001), ("127.0.0.1", ENDPOINT_PORT)]
    async with opened(tmp_path) as network, taken(network) as slot, taken(network) as other:
        assert set((await touches(slot, *own)).values()) == {"connected"}
        assert accepted(slot.runtime_api)
        assert accepted(slot.endpoint)
        await touches(other, *own)
        assert not accepted(slot.runtime_api)
        assert not accepted(slot.endpoint)
        assert await within(other, f"touch_locally({LOCAL_RUNTIME_API!a})") == "connected"
        assert accepted(other.runtime_api_local)
        assert not accepted(slot.runtime_api_local)


async def test_it_reaches_no_service_of_the_host_and_no_instance_metadata(
    here: World, tmp_path: Path
) -> None:
    for address in ("127.0.0.1", HOST, HOST_TOO):
        here.bind(here.host, socket.SOCK_STREAM, address, 8080)
    async with opened(tmp_path) as network, taken(network) as slot:
        with Netlink() as netlink:
            uplinks = [str(a) for _, a in netlink.addresses() if str(a).startswith("169.254.")]
            netlink.add_address(LOOPBACK, IPv4Address("198.51.100.8"), 32)
        here.bind(here.host, socket.SOCK_STREAM, "198.51.100.8", 8080)
        here.bind(here.host, socket.SOCK_STREAM, "0.0.0.0", 9090)
        targets = [(address, 8080) for address in ("127.0.0.1", HOST, HOST_TOO, "198.51.100.8")]
        targets += [(uplinks[0], 9090), (METADATA, 80)]
        for target in targets:  # Each is there for the host itself.
            socket.create_connection(target, timeout=2).close()
        said = await touches(slot, *targets, (str(GATEWAY), 9090))
        assert "connected" not in said.values(), said
        assert await on_the_internet(slot)


async def test_the_host_stays_closed_when_its_firewall_is_flushed(
    here: World, tmp_path: Path
) -> None:
    here.bind(here.host, socket.SOCK_STREAM, "0.0.0.0", 8080)
    async with opened(tmp_path) as network, taken(network) as slot:
        subprocess.run(("nft", "flush", "ruleset"), check=True)
        assert f"lampyr_{network.instance}" in tables()
        assert (await touches(slot, (HOST, 8080))) == {f"{HOST}:8080": "ConnectionRefusedError"}
        assert await on_the_internet(slot)


async def test_the_hosts_own_rules_suffice_should_the_router_not_know_an_address(
    here: World, tmp_path: Path
) -> None:
    here.bind(here.host, socket.SOCK_STREAM, "0.0.0.0", 8080)
    async with opened(tmp_path) as network, taken(network) as slot:
        with linux.inside(network._kept[0], here.host):
            subprocess.run(("nft", "flush", "set", "inet", "lampyr", "host"), check=True)
        assert await touches(slot, (HOST, 8080)) == {f"{HOST}:8080": "TimeoutError"}


async def test_the_routers_own_rules_suffice_should_the_hosts_be_gone(
    here: World, tmp_path: Path
) -> None:
    here.bind(here.host, socket.SOCK_STREAM, "0.0.0.0", 8080)
    async with opened(tmp_path, pool_size=0) as network, taken(network) as slot:
        for descriptor in network._kept[1:]:
            os.close(descriptor)
        network._kept = network._kept[:1]
        os.kill(network._keeper.pid, signal.SIGKILL)
        (await network.take()).discard()  # Its successor is there.
        assert tables() == ""
        said = await touches(slot, (HOST, 8080), (METADATA, 80))
        assert set(said.values()) == {"ConnectionRefusedError"}


async def test_it_has_no_address_of_ipv6_but_its_own_loopback(here: World, tmp_path: Path) -> None:
    async with opened(tmp_path) as network, taken(network) as slot:
        assert slot.namespace is not None
        namespace = (slot.namespace, linux.CLONE_NEWNET)
        listed = await inside([namespace], "open('/proc/self/net/if_inet6').read()")
        assert {line.split()[-1] for line in listed.splitlines()} == {"lo"}


async def test_it_reaches_no_other_sandbox(here: World, tmp_path: Path) -> None:
    async with opened(tmp_path) as network, taken(network) as slot, taken(network) as other:
        assert other.namespace is not None
        target = (str(slot_address(int(other.id.partition("-")[2]))), 7000)
        listener = here.bind(other.namespace, socket.SOCK_STREAM, "0.0.0.0", 7000)
        assert set((await touches(other, target)).values()) == {"connected"}
        assert accepted(listener)
        assert set((await touches(slot, target)).values()) == {"ConnectionRefusedError"}
        async with opened(tmp_path) as second, taken(second), taken(second) as stranger:
            await touches(stranger, target)
        assert not accepted(listener)


@pytest.mark.parametrize("egress", [Egress.ENDPOINT, Egress.NONE])
async def test_a_narrower_setting_leaves_the_endpoint_or_nothing(
    here: World, tmp_path: Path, egress: Egress
) -> None:
    async with opened(tmp_path, egress) as network, taken(network) as slot:
        assert (slot.endpoint is not None) == (egress is Egress.ENDPOINT)
        assert "nameserver" not in slot.files["/etc/resolv.conf"]
        assert set((await touches(slot, (PUBLIC, 80), (HOST, 80))).values()) == {"OSError"}
        assert "eth0" not in await within(slot, "[name for _, name in socket.if_nameindex()]")
        assert tables() == ""
        assert forwarding() == "0"


async def test_a_burst_larger_than_the_pool_is_served_each_with_its_own(
    here: World, tmp_path: Path
) -> None:
    async with opened(tmp_path) as network:
        slots = await asyncio.gather(*(network.take() for _ in range(50)))
        assert len({slot.id for slot in slots}) == 50
        reached = await on_the_internet(slots[-1])
        for slot in slots:
            slot.discard()
        assert reached


async def test_the_pool_refills_without_being_asked(here: World, tmp_path: Path) -> None:
    async with opened(tmp_path, pool_size=3) as network:
        for _ in range(4):
            (await network.take()).discard()
        while len(network._ready) < 3:
            await asyncio.sleep(0)


async def test_a_cancelled_take_loses_no_slot(here: World, tmp_path: Path) -> None:
    async with opened(tmp_path, pool_size=0) as network:
        waiting = asyncio.ensure_future(network.take())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        (await network.take()).discard()


async def test_release_takes_the_device_away(here: World, tmp_path: Path) -> None:
    async with opened(tmp_path, pool_size=0) as network:
        slot = await network.take()
        with linux.inside(network._kept[0], here.host):
            changes = Netlink(groups=0x1)  # RTMGRP_LINK
        changes.socket.setblocking(False)
        for listener in (slot.runtime_api, slot.runtime_api_local, slot.endpoint):
            listener.close()
        await network.release(slot)
        assert slot.namespace is None
        loop = asyncio.get_running_loop()
        while b"s1\0" not in (data := await loop.sock_recv(changes.socket, 65536)) or (
            data[4:6] != b"\x11\0"  # RTM_DELLINK
        ):
            pass
        changes.close()


async def test_close_leaves_nothing_and_puts_forwarding_back(here: World, tmp_path: Path) -> None:
    async with opened(tmp_path) as network, taken(network) as slot:
        assert forwarding() == "1"
        assert f"lmp{network.instance}" in devices()
        assert await on_the_internet(slot)
        pid = network._keeper.pid
    assert forwarding() == "0"
    assert tables() == ""
    assert not [name for name in devices() if name.startswith("lmp")]
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(NetworkError):
        await network.take()


async def test_forwarding_that_was_on_before_stays_on(here: World, tmp_path: Path) -> None:
    Path("/proc/sys/net/ipv4/conf/eth0/forwarding").write_text("1")
    async with opened(tmp_path):
        pass
    assert forwarding() == "1"


async def test_two_lampyrs_share_a_host(here: World, tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        async with opened(tmp_path) as second, taken(second) as slot:
            assert await on_the_internet(slot)
        async with taken(first) as slot:
            assert forwarding() == "1"
            assert await on_the_internet(slot)
    assert forwarding() == "0"


async def test_a_host_that_only_forwards_for_lampyr_is_no_router_for_its_neighbours(
    here: World, tmp_path: Path
) -> None:
    behind = World()  # Its `internet` becomes a network behind the host.
    try:
        linux.enter(here.host)
        with Netlink() as netlink:
            index = netlink.add_veth("eth1", "eth1", behind.internet, mtu=1400)
            netlink.add_address(index, IPv4Address("10.77.0.1"), 24)
        with linux.inside(behind.internet, here.host), Netlink() as netlink:
            index = netlink.index("eth1")
            netlink.set_up(index)
            netlink.add_address(index, IPv4Address("10.77.0.2"), 24)
            netlink.add_default_route(index, IPv4Address("10.77.0.1"))
        listener = here.bind(behind.internet, socket.SOCK_STREAM, "0.0.0.0", 80)
        with linux.inside(here.internet, here.host), Netlink() as netlink:
            netlink.add_default_route(netlink.index("eth0"), IPv4Address(HOST))
        neighbour = [(here.internet, linux.CLONE_NEWNET)]
        async with opened(tmp_path):
            assert forwarding() == "1"
            assert await inside(neighbour, "touch('10.77.0.2', 80)") == "TimeoutError"
            assert not accepted(listener)
    finally:
        for descriptor in (behind.home, behind.host, behind.internet):
            os.close(descriptor)


async def test_names_come_from_a_server_on_the_hosts_loopback_too(
    here: World, tmp_path: Path
) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    async with opened(tmp_path) as network, taken(network) as slot:
        assert await within(slot, f"resolve('{GATEWAY}')") == "rcode 2"  # Nobody listens yet.
        names = here.bind(here.host, socket.SOCK_DGRAM, "127.0.0.53", 53)
        question = asyncio.ensure_future(within(slot, f"resolve('{GATEWAY}')"))
        loop = asyncio.get_running_loop()
        data, client = await loop.sock_recvfrom(names, 512)
        await loop.sock_sendto(names, answer(data), client)
        assert await question == PUBLIC


async def test_names_follow_the_host_to_another_server(here: World, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    async with opened(tmp_path) as network, taken(network) as slot:
        assert await within(slot, f"resolve('{GATEWAY}')") == "rcode 2"
        changed = tmp_path / "changed"
        changed.write_text(f"nameserver 127.0.0.54\nnameserver {NAME_SERVER}\n")
        changed.replace(tmp_path / "resolv.conf")
        assert await within(slot, f"resolve('{GATEWAY}')") == PUBLIC


async def test_a_killed_keeper_is_replaced_and_no_environment_notices(
    here: World, tmp_path: Path
) -> None:
    async with opened(tmp_path, pool_size=0) as network, taken(network) as slot:
        os.kill(network._keeper.pid, signal.SIGKILL)
        async with taken(network) as later:
            for each in (slot, later):
                said = await within(each, f"[connect('{PUBLIC}', 80), resolve('{GATEWAY}')]")
                assert said == [GREETING.decode(), PUBLIC]
        assert f"lampyr_{network.instance}" in tables()
    assert forwarding() == "0"
    assert tables() == ""


async def test_a_host_without_permission_says_so(here: World, tmp_path: Path) -> None:
    network = PooledNetwork(
        egress=Egress.INTERNET, endpoint_port=None, shared_dir=tmp_path / "s", instance="zz"
    )
    with pytest.raises(NetworkError):
        await network.open()
    await network.close()
    assert tables() == ""
