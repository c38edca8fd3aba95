"""The network of a sandbox, as a sandbox driver sees it."""

import os
import socket
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Egress(StrEnum):
    """What a function may reach beyond its own sandbox."""

    INTERNET = "internet"
    """The internet, DNS, and Lampyr's endpoint; never the host's own services."""
    ENDPOINT = "endpoint"
    """Lampyr's endpoint alone."""
    NONE = "none"


class NetworkError(Exception):
    """The host could not give a sandbox its network; the message says what to mend."""


@dataclass(slots=True, kw_only=True)
class NetworkSlot:
    """One network namespace, made ahead and used by one sandbox; not used again afterwards."""

    id: str
    files: dict[str, str]
    """`/etc/resolv.conf` and `/etc/hosts` for the sandbox: path inside → content."""
    namespace: int | None = None
    """Descriptor of the network namespace to enter; None: the sandbox makes its own."""
    runtime_api: socket.socket | None = None
    """Listening on 127.0.0.1:9001 in that namespace, when there is one."""
    runtime_api_local: socket.socket | None = None
    """Listening on the abstract address of `LOCAL_RUNTIME_API`, in the same namespace."""
    endpoint: socket.socket | None = None
    """Listening on 127.0.0.1:ENDPOINT_PORT in that namespace, when there is one."""

    def discard(self) -> None:
        """Close every descriptor that is still here; for a slot that no sandbox came to use."""
        for listener in (self.runtime_api, self.runtime_api_local, self.endpoint):
            if listener is not None:
                listener.close()
        if self.namespace is not None:
            os.close(self.namespace)
            self.namespace = None


class Network(Protocol):
    @property
    def name(self) -> str: ...

    async def open(self) -> None:
        """Start helpers, begin to fill the pool; raise `NetworkError` when the host cannot."""
        ...

    async def take(self) -> NetworkSlot:
        """A ready slot; waits only when the pool is empty. Raise `NetworkError` on failure."""
        ...

    async def take_bare(self) -> NetworkSlot:
        """A slot without a namespace: the sandbox makes one, and listens in it; `attach` connects.

        Raise `NetworkError` on failure.
        """
        ...

    async def attach(self, slot: NetworkSlot, pid: int) -> None:
        """Called once the sandbox's first process exists: what is not connected yet, is now."""
        ...

    async def release(self, slot: NetworkSlot) -> None:
        """The sandbox is gone: tear its network down, at a limited rate, off the path of starts.

        Closes `slot.namespace`. The listeners were handed on to whoever serves the sandbox, and
        are closed there; a slot that no sandbox came to use is `discard`ed first.
        """
        ...

    async def close(self) -> None:
        """Leave nothing behind: no process, namespace, device, rule or changed setting."""
        ...
