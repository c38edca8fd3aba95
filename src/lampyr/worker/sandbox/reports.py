"""What the first process of a sandbox says on its way: in the socket that came with its start."""

import json
import socket

from lampyr.worker.sandbox import packets, wiring
from lampyr.worker.sandbox.base import ExecuteError, SandboxError
from lampyr.worker.sandbox.calls import Calls


class SandboxDiedError(SandboxError):
    """Something killed the sandbox, or what launches it, before the function ran."""


async def listeners(report: socket.socket) -> wiring.Listeners:
    """What the sandbox listens on in a network of its own."""
    data, descriptors = await packets.receive(report)
    if not descriptors:
        raise _failure(data)
    sockets = [socket.socket(fileno=fd) for fd in descriptors]
    for listener in sockets:
        listener.setblocking(False)
    return wiring.Listeners(*sockets)


async def executed(report: socket.socket, calls: Calls | None = None) -> None:
    """Return when the function runs; raise `SandboxError` when it cannot.

    `calls`: what was written down for it.
    """
    data, _ = await packets.receive(report)
    if data:
        raise _failure(data, calls)


def _failure(data: bytes, calls: Calls | None = None) -> SandboxError:
    if not data:
        return SandboxDiedError("the sandbox died before it could say why")
    told = json.loads(data)
    what, number = told["error"], told.get("errno")
    if calls is not None and "place" in told:
        what = f"{calls.name(told['place'])}: {what}"
        number = number if calls.executes(told["place"]) else None
    message = f"could not start a sandbox: {what}"
    if told.get("died"):
        return SandboxDiedError(message)
    return SandboxError(message) if number is None else ExecuteError(message, number)
