"""The best network that this host can give for a setting; where it is less, it says so."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from lampyr.clock import Clock
from lampyr.worker.network.base import Egress, Network, NetworkError, NetworkSlot
from lampyr.worker.network.host import look, user_mode_tool
from lampyr.worker.network.isolated import IsolatedNetwork
from lampyr.worker.network.pooled import POOL_SIZE, PooledNetwork
from lampyr.worker.network.rules import Choice, Driver, Host, choose
from lampyr.worker.network.usermode import UserModeNetwork


class AutomaticNetwork:
    """Chooses when it opens. `on_warning` is told when functions get less than `egress`.

    A user-mode or isolated network leaves the listeners to the sandbox driver.
    """

    def __init__(
        self,
        *,
        egress: Egress,
        endpoint_port: int | None,
        on_warning: Callable[[str], None],
        pool_size: int = POOL_SIZE,
        clock: Clock | None = None,
        host: Host | None = None,
    ) -> None:
        self._egress = egress
        self._endpoint_port = endpoint_port
        self._on_warning = on_warning
        self._pool_size = pool_size
        self._clock = clock
        self._host = host
        self._network: Network = IsolatedNetwork()
        self.choice = Choice(driver=Driver.ISOLATED, egress=egress)
        """What was chosen; true once it is open."""

    @property
    def name(self) -> str:
        return self._network.name

    async def open(self) -> None:
        host = await asyncio.to_thread(look) if self._host is None else self._host
        while True:
            choice = choose(self._egress, host)
            network = self._build(choice)
            try:
                await network.open()
            except NetworkError as error:
                if choice.driver is not Driver.POOLED:
                    raise
                if choice.egress is Egress.INTERNET:
                    host = replace(host, pooled_missing=str(error))
                else:  # Not even bare namespaces: root by name only.
                    host = replace(host, administrator=False)
                continue
            break
        self._network, self.choice = network, choice
        if choice.warning is not None:
            self._on_warning(choice.warning)

    async def take(self) -> NetworkSlot:
        return await self._network.take()

    async def take_bare(self) -> NetworkSlot:
        return await self._network.take_bare()

    async def attach(self, slot: NetworkSlot, pid: int) -> None:
        await self._network.attach(slot, pid)

    async def release(self, slot: NetworkSlot) -> None:
        await self._network.release(slot)

    async def close(self) -> None:
        await self._network.close()

    def _build(self, choice: Choice) -> Network:
        tool = user_mode_tool()
        if choice.driver is Driver.POOLED:
            return PooledNetwork(
                egress=choice.egress,
                endpoint_port=self._endpoint_port,
                pool_size=self._pool_size,
                clock=self._clock,
            )
        if choice.driver is Driver.USER_MODE and tool is not None:
            return UserModeNetwork(tool=tool)
        return IsolatedNetwork()
