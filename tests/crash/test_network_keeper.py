"""A network outlives nobody: what is left when Lampyr, or its keeper with it, is killed."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lampyr.worker.network.base import Egress
from lampyr.worker.network.host import user_mode_missing
from lampyr.worker.network.netlink import Netlink
from lampyr.worker.network.pooled import PooledNetwork
from tests.contract.networks import World, world

pytestmark = [
    pytest.mark.root,
    pytest.mark.lampyr_only,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces of the host need root"),
]
SOURCES = Path(__file__).parents[2] / "src"
PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from lampyr.worker.network.base import Egress
from lampyr.worker.network.pooled import PooledNetwork
async def main():
    network = PooledNetwork(
        egress=Egress.INTERNET, endpoint_port=4566, shared_dir=Path(sys.argv[2]), pool_size=2
    )
    await network.open()
    slot = await network.take()
    print(network.instance, network._keeper.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
async def here() -> AsyncIterator[World]:
    with world() as made:
        yield made


async def start(shared_dir: Path) -> tuple[asyncio.subprocess.Process, str, int]:
    """(a Lampyr with a network, its instance, its keeper's process id)."""
    lampyr = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM, str(SOURCES), str(shared_dir)),
        stdout=subprocess.PIPE,
    )
    assert lampyr.stdout is not None
    instance, pid = (await lampyr.stdout.readline()).decode().split()
    return lampyr, instance, int(pid)


def forwarding() -> str:
    return Path("/proc/sys/net/ipv4/conf/eth0/forwarding").read_text().strip()


def tables() -> str:
    listed = subprocess.run(("nft", "list", "tables"), capture_output=True, text=True, check=True)
    return listed.stdout


async def wait_until_gone(device: str) -> None:
    changes = Netlink(groups=0x1)  # RTMGRP_LINK
    changes.socket.setblocking(False)
    while device in [name for _, name in socket.if_nameindex()]:
        await asyncio.get_running_loop().sock_recv(changes.socket, 65536)
    changes.close()


async def wait_until_ended(pidfd: int) -> None:
    readable = asyncio.Event()
    asyncio.get_running_loop().add_reader(pidfd, readable.set)
    await readable.wait()
    asyncio.get_running_loop().remove_reader(pidfd)
    os.close(pidfd)


async def test_when_lampyr_is_killed_its_keeper_tidies_up(here: World, tmp_path: Path) -> None:
    lampyr, instance, keeper = await start(tmp_path)
    pidfd = os.pidfd_open(keeper)
    assert forwarding() == "1"
    lampyr.kill()
    await lampyr.wait()
    await wait_until_ended(pidfd)
    await wait_until_gone(f"lmp{instance}")
    assert tables() == ""
    assert forwarding() == "0"


async def test_when_both_are_killed_the_kernel_does_and_the_next_one_ends_forwarding(
    here: World, tmp_path: Path
) -> None:
    lampyr, instance, keeper = await start(tmp_path)
    pidfd = os.pidfd_open(keeper)
    os.kill(keeper, signal.SIGSTOP)  # So that it cannot see the other's end.
    lampyr.kill()
    os.kill(keeper, signal.SIGKILL)
    await lampyr.wait()
    await wait_until_ended(pidfd)
    await wait_until_gone(f"lmp{instance}")
    assert tables() == ""
    assert forwarding() == "1"  # The one thing that the kernel does not undo.
    successor = PooledNetwork(
        egress=Egress.INTERNET, endpoint_port=None, shared_dir=tmp_path, pool_size=0
    )
    await successor.open()
    await successor.close()
    assert forwarding() == "0"


async def test_a_kill_leaves_another_lampyr_alone(here: World, tmp_path: Path) -> None:
    survivor = PooledNetwork(
        egress=Egress.INTERNET, endpoint_port=None, shared_dir=tmp_path, pool_size=0
    )
    await survivor.open()
    try:
        lampyr, instance, keeper = await start(tmp_path)
        pidfd = os.pidfd_open(keeper)
        os.kill(keeper, signal.SIGSTOP)
        lampyr.kill()
        os.kill(keeper, signal.SIGKILL)
        await lampyr.wait()
        await wait_until_ended(pidfd)
        await wait_until_gone(f"lmp{instance}")
        assert tables().split() == ["table", "inet", f"lampyr_{survivor.instance}"]
        assert f"lmp{survivor.instance}" in [name for _, name in socket.if_nameindex()]
        assert forwarding() == "1"
    finally:
        await survivor.close()
    assert forwarding() == "0"


USER_MODE = """
import asyncio, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from lampyr.worker.network.usermode import UserModeNetwork
async def main():
    network = UserModeNetwork(tool=Path(sys.argv[2]))
    await network.open()
    sandbox = subprocess.Popen(
        ("unshare", "-Un", "sh", "-c", "echo; exec cat"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    sandbox.stdout.readline()
    slot = await network.take()
    await network.attach(slot, sandbox.pid)
    print(network._stacks[slot.id]._process.pid, network._spare._process.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("tool", ["slirp4netns", "pasta"])
@pytest.mark.skipif(bool(user_mode_missing()), reason=user_mode_missing())
async def test_user_mode_stacks_end_when_lampyr_is_killed(here: World, tool: str) -> None:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    lampyr = await asyncio.create_subprocess_exec(
        sys.executable, *("-c", USER_MODE, str(SOURCES), found), stdout=subprocess.PIPE
    )
    assert lampyr.stdout is not None
    pids = [os.pidfd_open(int(word)) for word in (await lampyr.stdout.readline()).split()]
    assert len(pids) == 2
    lampyr.kill()
    await lampyr.wait()
    for pidfd in pids:
        await wait_until_ended(pidfd)
