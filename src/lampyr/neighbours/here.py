"""The neighbours as Lampyr has them: the process, where each service is, the door, the clients."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lampyr.aws.base import Aws
from lampyr.aws.clients import AwsClients
from lampyr.clock import Clock
from lampyr.http_client import HttpClient
from lampyr.neighbours.directory import Directory
from lampyr.neighbours.door import NeighbourDoor
from lampyr.neighbours.process import ChildSettings, NeighbourProcess
from lampyr.neighbours.rules import EMBEDDED, Mode, endpoint_name


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourSettings:
    mode: Mode
    python: Path
    directory: Path
    endpoints: Mapping[str, str]
    port: int
    url: str
    """Lampyr's own."""
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    aws: Aws
    directory: Directory
    door: NeighbourDoor
    process: NeighbourProcess | None
    """None where there are no embedded neighbours."""


@asynccontextmanager
async def open_neighbours(
    settings: NeighbourSettings,
    clock: Clock,
    account_of: Callable[[str], str | None],
    called: Callable[[str, str], None],
) -> AsyncGenerator[Neighbours]:
    """Nothing is started by this; `process.start` or the first call does that.

    `called` hears of the service and Region of each call that a client made.
    """
    async with AsyncExitStack() as stack:
        process = None
        if settings.mode != Mode.OFF:
            process = NeighbourProcess(_child(settings), clock)
            process.open()
            stack.push_async_callback(process.close)
        http = HttpClient(clock)
        stack.push_async_callback(http.close)
        chosen = {endpoint_name(name) or name: url for name, url in settings.endpoints.items()}
        directory = Directory(chosen, process, settings.url)
        clients = AwsClients(directory, http, clock)
        door = NeighbourDoor(clients, account_of, called)
        yield Neighbours(aws=clients, directory=directory, door=door, process=process)


def _child(settings: NeighbourSettings) -> ChildSettings:
    names = ",".join(EMBEDDED.values()).split(",")
    return ChildSettings(
        python=settings.python,
        directory=settings.directory,
        services=frozenset(names),
        port=settings.port,
        region=settings.region,
    )
