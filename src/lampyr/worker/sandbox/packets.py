"""Packets with descriptors over unix sockets, without blocking the event loop."""

import asyncio
import socket

from lampyr.worker.sandbox.spawner import wire


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that keep packets apart; the first does not block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


async def readable(fd: int) -> None:
    """Return when there is something to read, or the other end is gone."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.add_reader(fd, _done, future)
    try:
        await future
    finally:
        loop.remove_reader(fd)


async def writable(fd: int) -> None:
    """Return when there may be room."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.add_writer(fd, _done, future)
    try:
        await future
    finally:
        loop.remove_writer(fd)


async def receive(end: socket.socket) -> tuple[bytes, list[int]]:
    """The next packet; an empty one when every other end is closed."""
    while True:
        try:
            data, descriptors = wire.receive(end)
        except BlockingIOError:
            await readable(end.fileno())
        except ConnectionError:
            return b"", []
        else:
            return data, descriptors


def _done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
