"""Which driver isolates functions: the one that was chosen, or the best that works here."""

import asyncio
import logging
import os
from contextlib import AsyncExitStack

from lampyr.clock import Clock
from lampyr.settings import Settings
from lampyr.worker.network.automatic import AutomaticNetwork
from lampyr.worker.network.base import Egress, Network
from lampyr.worker.network.isolated import IsolatedNetwork
from lampyr.worker.sandbox.base import SandboxDriver
from lampyr.worker.sandbox.bubblewrap import BubblewrapDriver
from lampyr.worker.sandbox.namespaces import NamespacesDriver
from lampyr.worker.sandbox.probe import try_driver
from lampyr.worker.sandbox.process import ProcessDriver

log = logging.getLogger(__name__)


async def open_driver(
    settings: Settings, clock: Clock, port: int, stack: AsyncExitStack
) -> SandboxDriver:
    """The driver that was chosen by name, or the best that this host can do."""
    run_dir = settings.data_dir / "run"
    endpoint = None if settings.egress == Egress.NONE else port
    driver: SandboxDriver
    if settings.sandbox == ProcessDriver.name:
        driver = ProcessDriver(run_dir, endpoint_port=endpoint)
    elif settings.sandbox == BubblewrapDriver.name or not await _has_namespaces(settings, clock):
        driver = BubblewrapDriver(run_dir, clock, endpoint_port=endpoint)
    else:
        network = _network(settings, clock, port)
        stack.push_async_callback(network.close)
        driver = NamespacesDriver(network, run_dir, clock, endpoint_port=endpoint)
        await asyncio.gather(network.open(), _open(driver, stack))
        return driver
    if settings.egress == Egress.INTERNET and driver.name == BubblewrapDriver.name:
        log.warning("Functions in bubblewrap cannot reach the internet, only Lampyr's endpoint.")
    await _open(driver, stack)
    return driver


async def _open(driver: SandboxDriver, stack: AsyncExitStack) -> None:
    stack.push_async_callback(driver.close)
    await driver.open()


async def _has_namespaces(settings: Settings, clock: Clock) -> bool:
    """Root always has; whether another user may make them shows only when it is tried."""
    if settings.sandbox != "auto" or os.geteuid() == 0:
        return True
    trial = NamespacesDriver(IsolatedNetwork(), settings.data_dir / "run", clock)
    fact = await try_driver(trial)
    if not fact.ok:
        log.warning("No sandboxes by namespaces here, so by bubblewrap: %s", fact.detail)
    return fact.ok


def _network(settings: Settings, clock: Clock, port: int) -> Network:
    return AutomaticNetwork(
        egress=Egress(settings.egress),
        endpoint_port=port,
        clock=clock,
        on_warning=lambda text: log.warning("%s", text),
    )
