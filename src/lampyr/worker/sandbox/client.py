"""The server's end of the spawner."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lampyr.tasks import Tasks
from lampyr.worker.sandbox import packets
from lampyr.worker.sandbox.base import SandboxError
from lampyr.worker.sandbox.reports import SandboxDiedError
from lampyr.worker.sandbox.setup import Place
from lampyr.worker.sandbox.spawner import wire

log = logging.getLogger(__name__)

_CODE: Final = """\
import sys
sys.path.append(sys.argv[1])
from spawner.main import main
main(int(sys.argv[2]))
"""
_READY_SECONDS: Final = 10.0


class Spawner:
    """A running spawner process. `on_exit` is told of each sandbox that ended, once."""

    def __init__(
        self,
        tasks: Tasks,
        on_exit: Callable[[str, int, bool], None],
        on_death: Callable[[], None],
        on_template: Callable[[Mapping[str, Any]], None],
        on_origin: Callable[[str, str], None],
    ) -> None:
        """`on_template` is told of each template that is ready or has ended.

        `on_origin` is told when an origin has initialised its function, and why it is unfit.
        """
        self._tasks = tasks
        self._on_exit = on_exit
        self._on_template = on_template
        self._on_origin = on_origin
        self._on_death = on_death
        self._started: dict[str, asyncio.Future[tuple[int, int]]] = {}
        self._furnished: dict[str, asyncio.Future[str | None]] = {}
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._sending = False
        self._socket: socket.socket | None = None
        self.place: Place | None = None
        """Where its clones have calls that were written down for them, if they can make such."""
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        return self._socket is not None

    @property
    def pid(self) -> int:
        """0 when there is none."""
        return self._process.pid if self._process is not None else 0

    async def open(self, config: Mapping[str, Any]) -> None:
        """Raise `SandboxError` when the process does not come up."""
        ours, theirs = packets.pair()
        with theirs:
            directory = str(Path(__file__).parent)
            self._process = subprocess.Popen(  # noqa: ASYNC220  It is an exec, not a wait.
                [sys.executable, "-I", "-S", "-c", _CODE, directory, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={},
                start_new_session=True,
                cwd="/",
            )
        ours.send(json.dumps(config).encode())
        try:
            async with asyncio.timeout(_READY_SECONDS):
                data, _ = await packets.receive(ours)
        except TimeoutError:
            data = b""
        if not data:
            ours.close()
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            raise SandboxError("the spawner of sandboxes did not start; its error is in the log")
        self._socket = ours
        if (calls := json.loads(data)["calls"]) is not None:
            self.place = Place(**calls, anew=True)
        self._reader = self._tasks.start(self._read(ours), "spawner")

    async def start(
        self, name: str, message: Mapping[str, Any], descriptors: Sequence[int]
    ) -> tuple[int, int]:
        """Process number and pidfd of the new sandbox; raise `SandboxDiedError`."""
        if self._socket is None:
            raise SandboxDiedError("the spawner is gone")
        future = asyncio.get_running_loop().create_future()
        self._started[name] = future
        self._tell(message, descriptors)
        return await asyncio.shield(future)

    async def furnish(self, name: str, mounts: Mapping[str, str]) -> None:
        """Mount directories of the host, read-only, in a sandbox that has not begun its work."""
        if self._socket is None:
            raise SandboxDiedError("the spawner is gone")
        future = asyncio.get_running_loop().create_future()
        self._furnished[name] = future
        self._tell({"furnish": name, "mounts": list(mounts.items())}, [])
        error = await asyncio.shield(future)
        if error is not None:
            raise SandboxError(f"could not furnish a sandbox: {error}")

    def make_template(self, message: Mapping[str, Any]) -> None:
        """What comes of it `on_template` is told; nothing comes when this process dies."""
        if self._socket is not None:
            self._tell(message, [])

    def end_template(self, name: str) -> None:
        if self._socket is not None:
            self._tell({"end_template": name}, [])

    def _tell(self, message: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        data = json.dumps(message).encode()
        if not self._unsent and not self._sending and self._socket is not None:
            with contextlib.suppress(OSError):
                socket.send_fds(self._socket, [data], descriptors)
                return
        # Duplicates, as the caller may close its own before these are sent.
        self._unsent.append((data, [os.dup(fd) for fd in descriptors]))
        self._send()

    def _send(self) -> None:
        """Hand over what is waiting, in order, as far as the socket takes it."""
        while self._unsent and self._socket is not None and not self._sending:
            data, descriptors = self._unsent[0]
            try:
                socket.send_fds(self._socket, [data], descriptors)
            except BlockingIOError:
                self._sending = True
                self._tasks.start(self._send_later(self._socket), "spawner send")
                return
            except OSError:  # It died: the reader will say so.
                return
            self._unsent.popleft()
            for fd in descriptors:
                os.close(fd)

    async def _send_later(self, end: socket.socket) -> None:
        try:
            await packets.writable(end.fileno())
        finally:
            self._sending = False
        self._send()

    async def _read(self, end: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        loop.add_reader(end.fileno(), self._hear, end, over)
        try:
            await over
        except Exception:
            # It would not be heard any more: without its socket it ends, and another is made.
            log.exception("what the spawner said could not be taken")
        finally:
            loop.remove_reader(end.fileno())
            self._gone(end)
        self._on_death()

    def _hear(self, end: socket.socket, over: "asyncio.Future[None]") -> None:
        """All that it has said, up to its end."""
        try:
            while not over.done():
                data, descriptors = wire.receive(end)
                if data:
                    self._receive(json.loads(data), descriptors)
                else:
                    over.set_result(None)
        except BlockingIOError:
            return
        except ConnectionError:
            over.set_result(None)
        except Exception as error:  # noqa: BLE001 - whoever waits tells of it
            over.set_exception(error)

    def _receive(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if (name := message.get("started")) is not None:
            future = self._started.pop(name)
            future.set_result((message["pid"], descriptors[0]))
        elif (name := message.get("exited")) is not None:
            if name in self._started:  # It could not be cloned.
                self._started.pop(name).set_result((0, -1))
            self._on_exit(name, message["status"], message["out_of_memory"])
        elif (name := message.get("furnished")) is not None:
            self._furnished.pop(name).set_result(message["error"])
        elif "template" in message:
            self._on_template(message)
        elif "origin" in message:
            self._on_origin(message["origin"], message["unfit"])

    def _gone(self, end: socket.socket) -> None:
        self._socket = None
        end.close()
        for _, descriptors in self._unsent:
            for fd in descriptors:
                os.close(fd)
        self._unsent.clear()
        waited: list[asyncio.Future[Any]] = [*self._started.values(), *self._furnished.values()]
        for future in waited:
            if not future.done():
                future.set_exception(SandboxDiedError("the spawner died"))
                future.exception()  # Whoever waits is told; when nobody does, that is no bug.
        self._started.clear()
        self._furnished.clear()

    async def wait(self) -> None:
        """Until the process is reaped; it ends when the socket is closed."""
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    async def close(self) -> None:
        """End it, and with it whatever sandbox still runs."""
        if self._reader is not None and not self._reader.done():
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        if self._socket is not None:  # The reader was cancelled before it began.
            self._gone(self._socket)
        await self.wait()
