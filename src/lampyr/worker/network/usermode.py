"""The internet for a Lampyr that runs as an ordinary user: slirp4netns or pasta.

The stack is a process per sandbox that holds one end of a tap device in the sandbox's network
and makes ordinary connections for what comes out of it, so it reaches what the user reaches.
Routes inside the sandbox refuse the host's own addresses and those of instance metadata.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lampyr.worker.network.base import NetworkError, NetworkSlot
from lampyr.worker.network.files import RESOLV_CONF, network_files, read_host_file
from lampyr.worker.network.joiner import READY
from lampyr.worker.network.minder import Minder
from lampyr.worker.network.netlink import Netlink
from lampyr.worker.network.ruleset import NAMESERVER, NEVER

MTU: Final = 1500
READY_SECONDS: Final = 10.0
SAID_MAX: Final = 1_000
_ADDRESS: Final = "169.254.78.100"
_GATEWAY: Final = "169.254.78.2"
_NETWORK: Final = "169.254.78.0/24"
_SOURCES: Final = Path(__file__).parents[3]
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from lampyr.worker.network.joiner import main; main()"
)


class UserModeNetwork:
    """`tool` is the path of slirp4netns or pasta; the file's name tells which."""

    name = "user-mode"

    def __init__(self, *, tool: Path) -> None:
        self._tool = tool
        self._numbers = itertools.count(1)
        self._files: dict[str, str] = {}
        self._minder: Minder | None = None
        self._spare: _Stack | None = None
        self._stacks: dict[str, _Stack] = {}

    async def open(self) -> None:
        self._files = network_files(read_host_file(Path(RESOLV_CONF)), NAMESERVER)
        self._minder = Minder()
        self._spare = _Stack(self._minder)

    async def take(self) -> NetworkSlot:
        return NetworkSlot(id=f"user-mode-{next(self._numbers)}", files=self._files)

    async def take_bare(self) -> NetworkSlot:
        return await self.take()

    async def attach(self, slot: NetworkSlot, pid: int) -> None:
        """Connect the network of the sandbox whose first process is `pid`; wait until it works.

        Raise `NetworkError`, with what the tool said, when it does not.
        """
        if self._minder is None:
            raise NetworkError("the network is closed")
        stack, self._spare = self._spare or _Stack(self._minder), None
        self._stacks[slot.id] = stack
        stack.join(pid, _refused(), command(self._tool, pid, root=os.geteuid() == 0))
        self._spare = _Stack(self._minder)
        if not await stack.ready():
            await self.release(slot)
            said = stack.said.decode(errors="replace").strip()
            raise NetworkError(f"{self._tool.name} gave the sandbox no network: {said}")

    async def release(self, slot: NetworkSlot) -> None:
        if (stack := self._stacks.pop(slot.id, None)) is not None:
            await stack.end()

    async def close(self) -> None:
        spare = [] if self._spare is None else [self._spare]
        for stack in [*self._stacks.values(), *spare]:
            await stack.end()
        self._stacks, self._spare = {}, None
        if self._minder is not None:
            await asyncio.to_thread(self._minder.close)
            self._minder = None


class _Stack:
    """One process: first the joiner, which waits for a sandbox; then the tool."""

    def __init__(self, minder: Minder) -> None:
        self._minder = minder
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(_SOURCES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={},
            start_new_session=True,
        )
        minder.add(self._process.pid)
        assert self._process.stdin is not None  # noqa: S101  (for the type checker)
        assert self._process.stdout is not None  # noqa: S101  (for the type checker)
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._heard = asyncio.Event()
        self.said = b""
        """The last of what it printed; read all along, or a full pipe would stop it."""
        asyncio.get_running_loop().add_reader(self._stdout.fileno(), self._read)

    def join(self, pid: int, refused: Iterable[str], words: Iterable[str]) -> None:
        lines = (str(pid), " ".join(refused), "\0".join(words))
        with contextlib.suppress(BrokenPipeError):  # Then `ready` is false.
            self._stdin.write("".join(f"{line}\n" for line in lines).encode())
            self._stdin.flush()

    async def ready(self) -> bool:
        """Whether the network came up before the tool ended."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while READY not in self.said:
                    if self._stdout.closed:
                        return False
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            return False
        return True

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._minder.remove(self._process.pid)
        await asyncio.to_thread(self._process.wait)
        self._read()
        self._hang_up()
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def _read(self) -> None:
        while not self._stdout.closed:
            try:
                data = os.read(self._stdout.fileno(), 65_536)
            except BlockingIOError:
                return
            self.said = (self.said + data)[-SAID_MAX:]
            self._heard.set()
            if not data:
                self._hang_up()

    def _hang_up(self) -> None:
        if not self._stdout.closed:
            asyncio.get_running_loop().remove_reader(self._stdout.fileno())
            self._stdout.close()


def command(tool: Path, pid: int, *, root: bool) -> tuple[str, ...]:
    """The words that start the tool on the network of a process."""
    if tool.name == "slirp4netns":
        return (
            str(tool),
            "--configure",
            f"--mtu={MTU}",
            f"--cidr={_NETWORK}",
            "--disable-host-loopback",
            "--enable-seccomp",
            # Its own sandbox takes root: without, there is no user 0 that it could become.
            *(("--enable-sandbox",) if root else ()),
            f"--userns-path=/proc/{pid}/ns/user",
            "--netns-type=path",
            f"/proc/{pid}/ns/net",
            "eth0",
        )
    return (
        str(tool),
        *("--foreground", "--quiet", "--ipv4-only", "--config-net", "--no-map-gw"),
        *("--ns-ifname", "eth0", "--mtu", str(MTU)),
        *("--address", _ADDRESS, "--netmask", "24", "--gateway", _GATEWAY),
        *("--dns-forward", str(NAMESERVER)),
        *("--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"),
        # As root it would become `nobody`, who may not enter what root made.
        *(("--runas", "0:0") if root else ()),
        str(pid),
    )


def _refused() -> Iterable[str]:
    """What a sandbox may not reach: the host's addresses of this moment, metadata, multicast."""
    with Netlink() as netlink:
        host = sorted({str(address) for _, address in netlink.addresses()})
    loopback = "127."
    never = (network for network in NEVER if not network.startswith(loopback))
    return [*never, *(address for address in host if not address.startswith(loopback))]
