"""The network of a sandbox, as a sandbox driver sees it."""

import socket
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True, kw_only=True)
class NetworkSlot:
    """One network namespace, made ahead and used by one sandbox; not used again afterwards."""

    id: str
    namespace: int | None
    """Descriptor of the network namespace to enter; None: the sandbox makes its own."""
    runtime_api: socket.socket | None
    """Listening on 127.0.0.1:9001 in that namespace, when there is one."""
    endpoint: socket.socket | None
    """Listening on 127.0.0.1:ENDPOINT_PORT in that namespace, when there is one."""
    files: dict[str, str]
    """`/etc/resolv.conf` and `/etc/hosts` for the sandbox: path inside → content."""


class Network(Protocol):
    name: str

    async def open(self) -> None:
        """Start helpers, fill the pool, remove what a dead predecessor left behind."""
        ...

    async def take(self) -> NetworkSlot:
        """A ready slot; waits only when the pool is empty."""
        ...

    async def attach(self, slot: NetworkSlot, pid: int) -> None:
        """Called once the sandbox's first process exists (user-mode stacks start here)."""
        ...

    async def release(self, slot: NetworkSlot) -> None:
        """The sandbox is gone; torn down at a limited rate, off the path of starts."""
        ...

    async def close(self) -> None: ...
