"""Worker processes beside the front, with `--workers`: their places, their door, their end."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from lampyr.api.server import BACKLOG
from lampyr.app import worker
from lampyr.cluster.remote import FrontParts
from lampyr.cluster.workers import WorkerProcess, Workers, directory_socket
from lampyr.settings import Settings
from lampyr.tasks import Tasks

DOOR: Final = "door"


@asynccontextmanager
async def open_workers(
    settings: Settings, parts: FrontParts, tasks: Tasks, port: int
) -> AsyncGenerator[tuple[Workers, socket.socket]]:
    """The cluster for the length of the block, and where calls of its functions come in.

    The workers are started; `Workers.ready` waits for the first.
    """
    directory = settings.data_dir / "workers"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    door = directory / DOOR
    door.unlink(missing_ok=True)
    workers = Workers()
    processes: list[WorkerProcess] = []
    try:
        path = directory_socket(place, DOOR)
        listener = _listen(path)
        for number in range(settings.workers):
            said = worker.hello(settings, number, port, path)
            process = WorkerProcess(worker.MODULE, said, workers, parts, tasks)
            tasks.start(process.run(), f"worker {number}")
            processes.append(process)
        yield workers, listener
    finally:
        await asyncio.gather(*(process.end() for process in processes))
        door.unlink(missing_ok=True)
        os.close(place)


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
