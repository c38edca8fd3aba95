"""The network for a setting on this host, opened; where it can be less only, with a warning."""

from dataclasses import replace

from lampyr.clock import Clock
from lampyr.worker.network.base import Egress, Network, NetworkError
from lampyr.worker.network.host import look, user_mode_tool
from lampyr.worker.network.isolated import IsolatedNetwork
from lampyr.worker.network.pooled import POOL_SIZE, PooledNetwork
from lampyr.worker.network.rules import Choice, Driver, choose
from lampyr.worker.network.usermode import UserModeNetwork


async def open_network(
    *,
    egress: Egress,
    endpoint_port: int | None,
    pool_size: int = POOL_SIZE,
    clock: Clock | None = None,
) -> tuple[Network, Choice]:
    """The best that opens. Log `Choice.warning`: functions then get less than `egress`.

    A user-mode or isolated network leaves the listeners to the sandbox driver, which makes the
    endpoint's for every `Choice.egress` but `NONE`. Raise `NetworkError` when nothing opens.
    """
    host = look()
    while True:
        choice = choose(egress, host)
        network = _build(choice, endpoint_port, pool_size, clock)
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
        return network, choice


def _build(
    choice: Choice, endpoint_port: int | None, pool_size: int, clock: Clock | None
) -> Network:
    match choice.driver:
        case Driver.POOLED:
            return PooledNetwork(
                egress=choice.egress,
                endpoint_port=endpoint_port,
                pool_size=pool_size,
                clock=clock,
            )
        case Driver.USER_MODE:
            tool = user_mode_tool()
            if tool is None:
                raise NetworkError("slirp4netns or pasta has just gone")
            return UserModeNetwork(tool=tool)
        case Driver.ISOLATED:
            return IsolatedNetwork()
