"""Networks made ahead by a helper process, for a Lampyr that runs as root.

A start takes a ready network and waits for nothing; the keeper makes the next one meanwhile.
Lampyr holds the descriptors of the router and of its rules, the keeper only works with them:
when the keeper is killed, a new one goes on where it stopped and no environment notices; when
Lampyr is killed, the kernel takes devices and rules away with the last descriptor.
"""

import asyncio
import itertools
import logging
import os
import secrets
import socket
from collections import deque
from pathlib import Path
from typing import Final

from lampyr.clock import Clock, SystemClock
from lampyr.tasks import Tasks
from lampyr.worker.network.base import Egress, NetworkError, NetworkSlot
from lampyr.worker.network.files import RESOLV_CONF, network_files, read_host_file
from lampyr.worker.network.keeper import protocol
from lampyr.worker.network.keeper.client import KeeperClient
from lampyr.worker.network.ruleset import GATEWAY, SLOTS_MAX
from lampyr.worker.stock import Restock

log = logging.getLogger(__name__)
SHARED_DIR: Final = Path("/run/lampyr")
POOL_SIZE: Final = 8
IN_FLIGHT_MAX: Final = 4
"""Requests that the keeper has not answered: enough to keep it busy."""
TEAR_DOWN_MAX: Final = 32
"""Namespaces given to the kernel at a time, which takes a batch apart about as fast as one."""
TEAR_DOWN_SECONDS: Final = 0.1
RESTART_SECONDS_MAX: Final = 10.0


class PooledNetwork:
    """`instance` is 8 hexadecimal digits that no other Lampyr on this host uses."""

    name = "pooled"

    def __init__(
        self,
        *,
        egress: Egress,
        endpoint_port: int | None,
        pool_size: int = POOL_SIZE,
        instance: str | None = None,
        clock: Clock | None = None,
        shared_dir: Path = SHARED_DIR,
        resolv_conf: Path = Path(RESOLV_CONF),
    ) -> None:
        self.instance = instance or secrets.token_hex(4)
        self._egress = egress
        self._endpoint_port = None if egress is Egress.NONE else endpoint_port
        self._pool_size = pool_size
        self._clock = clock or SystemClock()
        self._shared_dir = shared_dir
        self._resolv_conf = resolv_conf
        self._files: dict[str, str] = {}
        self._keeper = KeeperClient(self._heard, self._ended)
        self._kept: list[int] = []
        self._ready: deque[NetworkSlot] = deque()
        self._waiting: deque[asyncio.Future[NetworkSlot]] = deque()
        self._connecting: dict[str, asyncio.Future[str]] = {}
        """By index: why it was not connected, or nothing."""
        self._asked = 0
        self._indices = itertools.cycle(range(1, SLOTS_MAX))
        self._released: list[int] = []
        self._tearing_down: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._closing = False
        self._restarting = False
        self._restock = Restock(pool_size // 2, self._refill)

    async def open(self) -> None:
        internet = self._egress is Egress.INTERNET
        self._files = network_files(
            read_host_file(self._resolv_conf), GATEWAY if internet else None
        )
        try:
            self._kept = await self._keeper.start(self._arguments(), None)
        except NetworkError:
            await self._keeper.close()
            raise
        self._refill()

    async def take(self) -> NetworkSlot:
        if self._closing:
            raise NetworkError("the network is closed")
        if self._ready:
            slot = self._ready.popleft()
            self._restock.taken(len(self._ready))
            return slot
        waiter: asyncio.Future[NetworkSlot] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._refill()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise

    async def take_bare(self) -> NetworkSlot:
        if self._closing:
            raise NetworkError("the network is closed")
        index = next(self._indices)
        return NetworkSlot(id=f"{self.instance}-{index}", files=self._files)

    async def attach(self, slot: NetworkSlot, pid: int) -> None:
        """Connect a bare slot; another was complete before it was taken."""
        if slot.namespace is None and self._egress is Egress.INTERNET:
            await self._connect(slot.id.rpartition("-")[2], pid)

    async def _connect(self, index: str, pid: int) -> None:
        try:
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NetworkError(f"the sandbox has ended: {error}") from error
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connecting[index] = done
        try:
            if not self._keeper.connect(index, namespace):
                raise NetworkError("the network keeper is being started again")
            reason = await done
        finally:
            del self._connecting[index]
            os.close(namespace)
        if reason:
            raise NetworkError(reason)

    async def release(self, slot: NetworkSlot) -> None:
        if slot.namespace is None:
            return
        namespace, slot.namespace = slot.namespace, None
        if self._closing:
            os.close(namespace)
            return
        self._released.append(namespace)
        if self._tearing_down is None:
            self._tearing_down = self._tasks.start(self._tear_down(), "network tear-down")

    async def close(self) -> None:
        self._closing = True
        self._restock.cancel()
        await self._tasks.close()
        self._fail_waiting("the network is closed")
        while self._ready:
            self._ready.popleft().discard()
        await self._keeper.close()
        # Last: with these the kernel removes the router and the host's rules.
        for descriptor in [*self._released, *self._kept]:
            os.close(descriptor)
        self._released, self._kept = [], []

    def _arguments(self) -> list[str]:
        routed = "router" if self._egress is Egress.INTERNET else "-"
        port = str(self._endpoint_port or 0)
        return [self.instance, port, str(self._shared_dir), str(self._resolv_conf), routed]

    def _refill(self) -> None:
        """Ask for what is missing: one for each that waits, and the pool."""
        while self._asked < IN_FLIGHT_MAX:
            wanted = self._pool_size + len(self._waiting) - len(self._ready)
            if self._closing or self._asked >= wanted or not self._keeper.make(next(self._indices)):
                return
            self._asked += 1

    def _heard(self, verb: str, argument: str, descriptors: list[int]) -> None:
        index, _, text = argument.partition(" ")
        if verb == protocol.CONNECTED:
            connecting = self._connecting.get(index)
            if connecting is not None and not connecting.done():
                connecting.set_result(text)
            return
        self._asked -= 1
        if verb == protocol.FAILED:
            log.error("no network made", extra={"slot": index, "reason": text})
            self._fail_waiting(text)
            return
        slot = self._slot(index, descriptors)
        if self._closing:
            slot.discard()
            return
        if self._waiting:
            self._waiting.popleft().set_result(slot)
        else:
            self._ready.append(slot)
        self._refill()

    def _slot(self, index: str, descriptors: list[int]) -> NetworkSlot:
        namespace, *listening = descriptors
        listeners = [socket.socket(fileno=descriptor) for descriptor in listening]
        return NetworkSlot(
            id=f"{self.instance}-{index}",
            namespace=namespace,
            runtime_api=listeners[0],
            runtime_api_local=listeners[1],
            endpoint=listeners[2] if self._endpoint_port else None,
            files=self._files,
        )

    def _give_up(self, waiter: asyncio.Future[NetworkSlot]) -> None:
        """The start that waited was cancelled; it may have been given a slot just now."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif not waiter.cancelled() and waiter.exception() is None:
            self._ready.append(waiter.result())

    def _fail_waiting(self, text: str) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(NetworkError(text))

    async def _tear_down(self) -> None:
        """Hand released namespaces to the kernel in batches, so that starts get their turn."""
        try:
            while self._released:
                await self._clock.sleep(TEAR_DOWN_SECONDS)
                batch, self._released = (
                    self._released[:TEAR_DOWN_MAX],
                    self._released[TEAR_DOWN_MAX:],
                )
                for namespace in batch:
                    os.close(namespace)
        finally:
            self._tearing_down = None

    def _ended(self) -> None:
        self._asked = 0
        for connecting in self._connecting.values():
            if not connecting.done():
                connecting.set_result("the network keeper ended")
        if self._closing or self._restarting or not self._kept_or_isolated():
            return  # One restart at a time: it sees for itself when its keeper ends.
        log.error("network keeper ended", extra={"pid": self._keeper.pid})
        self._restarting = True
        self._tasks.start(self._restart(), "network keeper restart")

    def _kept_or_isolated(self) -> bool:
        """Whether there is something to go on with: `open` has come to its end."""
        return bool(self._kept) or bool(self._files and self._egress is not Egress.INTERNET)

    async def _restart(self) -> None:
        delay = 0.1
        while not await self._keeper_is_back():
            await self._clock.sleep(delay)
            delay = min(delay * 2, RESTART_SECONDS_MAX)
        self._restarting = False
        self._refill()

    async def _keeper_is_back(self) -> bool:
        await self._keeper.close()
        self._keeper = KeeperClient(self._heard, self._ended)
        try:
            router = self._kept[0] if self._kept else None
            more = await self._keeper.start(self._arguments(), router)
        except NetworkError as error:
            log.error("network keeper not restarted", extra={"reason": str(error)})  # noqa: TRY400
            self._fail_waiting(str(error))
            return False
        for descriptor in more:  # Ours are still open.
            os.close(descriptor)
        return self._keeper.alive
