"""A worker process: `python -m lampyr.app.worker FD`, started by the front.

It has a driver, runtimes and code of its own, and of the front nothing but the connection that is
open at FD, and the socket through which its functions' calls go to the front's API. It ends when
that connection does.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import uvloop

from lampyr.app import drivers
from lampyr.app.listening import raise_open_files
from lampyr.clock import SystemClock
from lampyr.cluster.hosted import FrontPackages, HostedWorker, SentLogs, ToldCredentials
from lampyr.cluster.link import Answer, Link, Serve
from lampyr.cluster.relay import Relays
from lampyr.limits import DEFAULT_LIMITS
from lampyr.settings import Settings
from lampyr.tasks import Tasks
from lampyr.worker.code import CodeCache
from lampyr.worker.runtimes import RuntimeCatalog
from lampyr.worker.worker import Worker, WorkerParts

MODULE: Final = "lampyr.app.worker"


def hello(settings: Settings, number: int, port: int, door: str) -> dict[str, Any]:
    """What the front says first: everything a worker has to know."""
    values = {item.name: getattr(settings, item.name) for item in fields(Settings)}
    shown = {name: str(v) if isinstance(v, Path) else v for name, v in values.items()}
    return {"settings": shown, "number": number, "port": port, "door": door}


def main() -> None:
    # Ctrl-C and a stop are for the front, which tells its workers in good time.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise_open_files()
    uvloop.run(_run(socket.socket(fileno=int(sys.argv[1]))))


async def _run(connection: socket.socket) -> None:
    connection.setblocking(False)
    async with AsyncExitStack() as stack:
        tasks = Tasks()
        stack.push_async_callback(tasks.close)
        beginning = _Beginning(stack, tasks)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: beginning.link.stream, sock=connection)
        await beginning.ended.wait()


class _Beginning:
    """Listens until the front has said what it wants; from then on a `HostedWorker` does."""

    def __init__(self, stack: AsyncExitStack, tasks: Tasks) -> None:
        self._stack = stack
        self._tasks = tasks
        self._hosted: HostedWorker | None = None
        self.ended = asyncio.Event()
        self.calls: dict[str, Serve] = {"hello": self._hello}
        self.link = Link(self, tasks)

    def heard(self, verb: str, members: dict[str, Any], body: bytes) -> None:
        if verb == "end":
            self.ended.set()
        elif self._hosted is not None:
            self._hosted.heard(verb, members, body)

    def lost(self) -> None:
        self.ended.set()

    async def _hello(self, members: dict[str, Any], _body: bytes) -> Answer:
        self._hosted = await _open(members["settings"], self.link, self._stack, self._tasks)
        self.calls |= self._hosted.calls
        return {}, b""


async def _open(
    said: dict[str, Any], link: Link, stack: AsyncExitStack, tasks: Tasks
) -> HostedWorker:
    settings = _settings(said["settings"])
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s worker {said['number']} %(name)s %(message)s",
    )
    clock = SystemClock()
    own = replace(settings, data_dir=settings.data_dir / "workers" / str(said["number"]))
    driver = await drivers.open_driver(own, clock, said["port"], stack)
    packages = FrontPackages(link)
    code = CodeCache(own.data_dir / "cache" / "code", packages, in_use=packages.in_use)
    stack.push_async_callback(code.close)
    await code.open()
    catalog = RuntimeCatalog(settings.runtimes_dir, os.environ)
    stack.callback(catalog.close)
    relays = Relays(Path(said["door"]), tasks)
    parts = WorkerParts(
        driver=driver,
        runtimes=catalog,
        code=code,
        credentials=ToldCredentials(os.urandom, link),
        logs=SentLogs(link),
        clock=clock,
        limits=DEFAULT_LIMITS,
        new_id=lambda: uuid.uuid4().hex,
        door=relays.entrance,
        templates=settings.templates == "on",
    )
    worker = Worker(parts, tasks)
    stack.push_async_callback(worker.drain)
    return HostedWorker(worker, clock, link)


def _settings(shown: dict[str, Any]) -> Settings:
    kinds: dict[str, Callable[[Any], Any]] = {
        item.name: Path for item in fields(Settings) if item.type is Path
    }
    return Settings(**{name: kinds.get(name, _same)(value) for name, value in shown.items()})


def _same(value: Any) -> Any:
    return value


if __name__ == "__main__":
    main()
