"""What functions of a worker send to Lampyr's endpoint, passed on to the front byte for byte."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lampyr.tasks import Tasks

CONNECTIONS_OF_ONE_SANDBOX: Final = 256
CHUNK_BYTES: Final = 65_536


class Relays:
    def __init__(self, door: Path, tasks: Tasks) -> None:
        """`door`: the front's unix socket."""
        self._door = door
        self._tasks = tasks

    def entrance(self) -> Callable[[], asyncio.Protocol]:
        """Makes the connections of one sandbox, with a limit of its own."""
        inside: set[asyncio.StreamWriter] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(inside) >= CONNECTIONS_OF_ONE_SANDBOX:
                writer.transport.abort()
                return
            inside.add(writer)
            self._tasks.start(self._relay(reader, writer, inside), "call of a function")

        def make() -> asyncio.Protocol:
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(), connected)

        return make

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inside: set[asyncio.StreamWriter],
    ) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            answers, there = await asyncio.open_unix_connection(str(self._door))
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, there))
                group.create_task(_pump(answers, writer))
        except* OSError:
            pass  # The front is gone, or the function: the other end is cut below.
        finally:
            inside.discard(writer)
            writer.transport.abort()
            if there is not None:
                there.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK_BYTES):
        target.write(data)
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()
