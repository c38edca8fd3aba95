"""The listening side of one environment's Runtime API, and the last words of its runtime."""

import asyncio
import socket
from typing import Final, cast

from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.runtime_api.connection import RuntimeConnection
from lampyr.worker.sandbox.base import Exit

CONNECTIONS_MAX: Final = 128
"""At once, of all processes of one environment; a runtime needs one or two."""
_ACCEPT_SECONDS: Final = 0.005

LAST_WORDS_SECONDS: Final = 0.1
"""How long what an ended runtime had sent before may take to be read."""


class RuntimeApiServer:
    def __init__(self, environment: ExecutionEnvironment) -> None:
        self._environment = environment
        self._connections: set[RuntimeConnection] = set()
        self._servers: list[asyncio.Server] = []
        self._all_left = asyncio.Event()

    async def open(self, listener: socket.socket, local: socket.socket | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._connection, sock=listener))
        if local is not None:
            self._servers.append(await loop.create_unix_server(self._connection, sock=local))

    async def exited(self, end: Exit) -> None:
        """Tell the environment that its processes are gone, after what they had sent before.

        The exit and the last request of a runtime travel different ways; an `init/error` that
        was sent before the exit must be read before the exit is believed.
        """
        await asyncio.sleep(_ACCEPT_SECONDS)
        if self._connections:
            self._all_left.clear()
            try:
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self._all_left.wait()
            except TimeoutError:
                pass  # A connection of a dead process that does not end: nothing more will come.
        self._environment.exited(end)

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections):
            connection.abort()

    def _connection(self) -> asyncio.Protocol:
        if len(self._connections) >= CONNECTIONS_MAX:
            return _Refused()
        return RuntimeConnection(self._environment, arrived=self._connections.add, left=self._gone)

    def _gone(self, connection: RuntimeConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_left.set()


class _Refused(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()
