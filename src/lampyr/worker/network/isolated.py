"""No network but the sandbox's own loopback, for functions that may reach Lampyr or nothing.

Nothing is made ahead: the sandbox driver makes the namespace and the listeners in it.
"""

import itertools

from lampyr.worker.network.base import NetworkSlot
from lampyr.worker.network.files import network_files


class IsolatedNetwork:
    name = "isolated"

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    async def open(self) -> None:
        """Nothing to prepare."""

    async def take(self) -> NetworkSlot:
        return NetworkSlot(id=f"isolated-{next(self._numbers)}", files=network_files("", None))

    async def take_bare(self) -> NetworkSlot:
        return await self.take()

    async def attach(self, slot: NetworkSlot, pid: int) -> None:
        """Nothing to attach."""

    async def release(self, slot: NetworkSlot) -> None:
        """The namespace went with the sandbox's processes."""

    async def close(self) -> None:
        """Nothing to leave behind."""
