"""What a sandbox reaches through slirp4netns or pasta, and what it does not."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lampyr.worker.network import linux
from lampyr.worker.network.base import NetworkError
from lampyr.worker.network.files import RESOLV_CONF, nameservers
from lampyr.worker.network.host import user_mode_missing
from lampyr.worker.network.isolated import IsolatedNetwork
from lampyr.worker.network.ruleset import NAMESERVER
from lampyr.worker.network.usermode import UserModeNetwork
from tests.contract.networks import (
    GREETING,
    HOST,
    HOST_TOO,
    METADATA,
    PUBLIC,
    World,
    inside,
    machine_name_servers,
    serve_internet,
    world,
)

pytestmark = pytest.mark.lampyr_only
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the host of this test is made as root")
SOURCES = Path(__file__).parents[2] / "src"
SYSTEM_PYTHON = "/usr/bin/python3"
AS_NOBODY = """
mount -t tmpfs -o mode=0755 tmpfs /dev/net && mknod -m 0666 /dev/net/tun c 10 200 &&
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
"""
PROGRAM = """
import asyncio, os, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from lampyr.worker.network.usermode import UserModeNetwork
WITHIN = '''
import socket
def touch(address, port):
    try:
        socket.create_connection((address, port), timeout=2).close()
        return "connected"
    except OSError as error:
        return type(error).__name__
print(*[touch(*target) for target in TARGETS])
'''
async def main():
    network = UserModeNetwork(tool=Path(sys.argv[2]))
    await network.open()
    sandbox = subprocess.Popen(
        ("unshare", "-Un", "--map-user=993", "--map-group=993", "sh", "-c", "echo; exec cat"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    sandbox.stdout.readline()
    slot = await network.take()
    try:
        await network.attach(slot, sandbox.pid)
        subprocess.run(
            ("nsenter", "-t", str(sandbox.pid), "-U", "-n", "--preserve-credentials",
             sys.executable, "-c", WITHIN.replace("TARGETS", sys.argv[3])), check=True)
    finally:
        sandbox.communicate()
        await network.release(slot)
        await network.close()
asyncio.run(main())
"""


@pytest.fixture
async def here() -> AsyncIterator[World]:
    with world() as made:
        servers = await serve_internet(made)
        yield made
        for server in servers:
            server.close()


@pytest.fixture(params=["slirp4netns", "pasta"])
def tool(request: pytest.FixtureRequest) -> Path:
    found = shutil.which(request.param)
    if found is None:
        pytest.skip(f"{request.param} is not installed")
    return Path(found)


@asynccontextmanager
async def sandbox() -> AsyncIterator[int]:
    """The id of a process with a user and a network namespace of its own."""
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-Un", "--map-user=993", "--map-group=993", "sh", "-c", "echo; exec cat"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        await process.communicate()


async def within(pid: int, expression: str) -> Any:
    user, network = (os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("user", "net"))
    try:
        kinds = [(user, linux.CLONE_NEWUSER), (network, linux.CLONE_NEWNET)]
        return await inside(kinds, expression, user="sandbox")
    finally:
        os.close(user)
        os.close(network)


@needs_root
@pytest.mark.root
@pytest.mark.skipif(bool(user_mode_missing()), reason=user_mode_missing())
async def test_a_sandbox_reaches_the_internet_and_nothing_of_the_host(
    here: World, tool: Path
) -> None:
    for address in ("127.0.0.1", HOST, HOST_TOO):
        here.bind(here.host, socket.SOCK_STREAM, address, 8080)
    network = UserModeNetwork(tool=tool)
    await network.open()
    try:
        async with sandbox() as pid:
            slot = await network.take()
            assert slot.namespace is None
            assert f"nameserver {NAMESERVER}\n" in slot.files[RESOLV_CONF]
            await network.attach(slot, pid)
            assert await within(pid, f"connect('{PUBLIC}', 80)") == GREETING.decode()
            closed = [("127.0.0.1", 8080), (HOST, 8080), (HOST_TOO, 8080), (METADATA, 80)]
            closed += [("169.254.78.2", 8080), (str(NAMESERVER), 8080)]
            said = await within(pid, f"[touch(*target) for target in {closed!r}]")
            assert "connected" not in said, dict(zip(closed, said, strict=True))
            await network.release(slot)
    finally:
        await network.close()


@needs_root
@pytest.mark.root
@pytest.mark.skipif(bool(user_mode_missing()), reason=user_mode_missing())
@pytest.mark.skipif(
    nameservers(Path(RESOLV_CONF).read_text())[:1] != tuple(machine_name_servers()[:1]),
    reason="the machine's name server is its own",
)
async def test_names_are_those_of_the_host(here: World, tool: Path) -> None:
    network = UserModeNetwork(tool=tool)
    await network.open()
    try:
        async with sandbox() as pid:
            slot = await network.take()
            await network.attach(slot, pid)
            assert await within(pid, f"resolve('{NAMESERVER}')") == PUBLIC
            await network.release(slot)
    finally:
        await network.close()


@needs_root
@pytest.mark.root
@pytest.mark.skipif(not Path(SYSTEM_PYTHON).exists(), reason="no Python that anybody may run")
async def test_an_ordinary_user_has_it_where_the_tun_device_is_open_to_all(
    here: World, tool: Path
) -> None:
    here.bind(here.host, socket.SOCK_STREAM, HOST, 8080)
    targets = [(PUBLIC, 80), (HOST, 8080), (METADATA, 80)]
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-m", "sh", "-c", AS_NOBODY, "sh", SYSTEM_PYTHON, "-c", PROGRAM),
        *(str(SOURCES), str(tool), repr(targets)),
        stdout=subprocess.PIPE,
        cwd="/",
    )
    said, _ = await process.communicate()
    assert said.decode().split() == ["connected", "PermissionError", "PermissionError"]


async def test_a_tool_that_fails_is_quoted() -> None:
    network = UserModeNetwork(tool=Path(sys.executable))  # Called with words it does not know.
    await network.open()
    try:
        slot = await network.take()
        with pytest.raises(NetworkError, match="gave the sandbox no network"):
            await network.attach(slot, 2**22 + 1)  # Nor is there such a process.
    finally:
        await network.close()


async def test_a_stack_ends_with_its_sandbox_or_with_lampyr() -> None:
    network = UserModeNetwork(tool=Path("/bin/false"))
    await network.open()
    assert network._spare is not None
    pid = network._spare._process.pid
    await network.close()
    assert not Path(f"/proc/{pid}").exists()


async def test_an_isolated_network_names_no_server_and_makes_nothing() -> None:
    network = IsolatedNetwork()
    await network.open()
    slot = await network.take()
    assert (slot.namespace, slot.runtime_api, slot.endpoint) == (None, None, None)
    assert "nameserver" not in slot.files[RESOLV_CONF]
    assert slot.id != (await network.take()).id
    await network.attach(slot, 1)
    await network.release(slot)
    await network.close()
