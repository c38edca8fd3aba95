"""The keeper, as Lampyr's own process sees it: a child and a socket to it."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lampyr.worker.network.base import NetworkError
from lampyr.worker.network.keeper import protocol

log = logging.getLogger(__name__)
START_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 3.0
_SOURCES: Final = Path(__file__).parents[4]
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from lampyr.worker.network.keeper.program import main; main(sys.argv[1:])"
)


class KeeperClient:
    """Starts one keeper. `on_message` gets (verb, argument, descriptors), `on_end` its end.

    Whoever gets descriptors closes them.
    """

    def __init__(
        self, on_message: Callable[[str, str, list[int]], None], on_end: Callable[[], None]
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._started: asyncio.Future[list[int]] | None = None
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """False before `start`, and as soon as its end is known."""
        return self._control is not None

    async def start(self, arguments: list[str], router: int | None) -> list[int]:
        """Run it; answer the descriptors that it came up with. Raise `NetworkError`."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        passed = (theirs.fileno(), *([] if router is None else [router]))
        argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(_SOURCES), str(theirs.fileno())]
        argv += [*arguments, str(-1 if router is None else router)]
        with theirs:
            self._process = subprocess.Popen(  # noqa: ASYNC220  (vfork: it does not wait for the program)
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=passed,
                cwd="/",
                env={},
                start_new_session=True,
            )
        self._control = ours
        self._started = loop.create_future()
        loop.add_reader(ours.fileno(), self._readable)
        try:
            async with asyncio.timeout(START_SECONDS):
                return await self._started
        except TimeoutError:
            raise NetworkError("the network keeper did not come up") from None

    def make(self, index: int) -> bool:
        """Ask for a network; false when the keeper is not there to hear it."""
        if self._control is None:
            return False
        try:
            self._control.send(f"{protocol.MAKE} {index}".encode())
        except OSError:  # It just ended; `on_end` follows.
            return False
        return True

    def connect(self, index: str, namespace: int) -> bool:
        """Ask to connect a namespace; false when the keeper is not there to hear it."""
        if self._control is None:
            return False
        try:
            message = f"{protocol.CONNECT} {index}".encode()
            socket.send_fds(self._control, [message], [namespace])
        except OSError:  # It just ended; `on_end` follows.
            return False
        return True

    async def close(self) -> None:
        """Have it take its things away and end; end it, if it does not."""
        if self._process is None:
            return
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(protocol.CLOSE.encode())
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._ended.wait()
            except TimeoutError:
                log.warning("network keeper killed", extra={"pid": self.pid})
        self._process.kill()
        self._process.wait()  # Dead, or about to be: at most a moment.
        self._hang_up()

    def _readable(self) -> None:
        """Take everything that is there."""
        control = self._control
        while control is not None and control is self._control:
            try:
                data, descriptors, _, _ = socket.recv_fds(
                    control,
                    protocol.MESSAGE_BYTES,
                    protocol.DESCRIPTORS_MAX,
                    socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC,
                )
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self._end()
                return
            verb, _, argument = data.decode().partition(" ")
            self._heard(verb, argument, descriptors)

    def _heard(self, verb: str, argument: str, descriptors: list[int]) -> None:
        started = self._started
        if verb not in {protocol.READY, protocol.BROKEN}:
            self._on_message(verb, argument, descriptors)
        elif started is None or started.done():  # Nobody waits for it any more.
            for descriptor in descriptors:
                os.close(descriptor)
        elif verb == protocol.READY:
            started.set_result(descriptors)
        else:
            started.set_exception(NetworkError(argument))

    def _end(self) -> None:
        self._hang_up()
        self._ended.set()
        if self._started is not None and not self._started.done():
            self._started.set_exception(NetworkError("the network keeper ended as it came up"))
        self._on_end()

    def _hang_up(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
