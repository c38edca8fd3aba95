"""What an operation knows about the call it serves, besides its input."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lampyr.model.trace import complete_trace, new_trace

if TYPE_CHECKING:
    from lampyr.aws.base import Aws
    from lampyr.clock import Clock
    from lampyr.control.plane import ControlPlane
    from lampyr.invoke.invoker import Invoker
    from lampyr.limits import Limits
    from lampyr.observe.base import LogStore
    from lampyr.observe.metrics import Counters
    from lampyr.queue.dispatcher import AsyncQueue
    from lampyr.store.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What operations are made of; one for the life of the process."""

    store: Store
    control: ControlPlane
    invoker: Invoker
    queue: AsyncQueue
    metrics: Counters
    logs: LogStore
    clock: Clock
    limits: Limits
    aws: Aws
    """Other AWS services, near or far."""
    download_secret: bytes
    """Signs the links to code packages; made anew at every start."""


class Call:
    """One call. Nobody writes to it; not a frozen dataclass, which costs 2 µs more to make."""

    __slots__ = (
        "account_id",
        "base_url",
        "from_function",
        "region",
        "request_id",
        "services",
        "trace",
    )

    def __init__(
        self,
        *,
        request_id: str,
        account_id: str,
        region: str,
        base_url: str,
        services: Services,
        trace: str | None = None,
        from_function: bool = False,
    ) -> None:
        self.request_id = request_id
        self.account_id = account_id
        self.region = region
        self.base_url = base_url
        """Where the caller reached Lampyr, such as `http://127.0.0.1:4566`."""
        self.services = services
        self.trace = trace
        """The header that came; complete once `trace_header` was asked for."""
        self.from_function = from_function
        """A function on this host made it, and may wait for the answer."""

    @property
    def trace_header(self) -> str:
        """`Root=…;Parent=…;Sampled=…`: the caller's, completed, or the start of a new trace."""
        self.trace = trace = trace_of(self.trace, self.services.clock.now())
        return trace


def trace_of(given: str | None, now: float) -> str:
    """What a trace header comes to: complete, or the start of a new trace."""
    if given is None:
        return new_trace(int(now), random.getrandbits(160))
    if "Sampled=" in given:
        return given
    return complete_trace(given, int(now), random.getrandbits(160))
