"""Tells pollers that a service was written to, so that they need not ask it again and again.

Whoever passes a caller's request on to a neighbour rings; a poller that found nothing waits for
the ring, or for its time. What reaches the service on other ways is found by time alone.
"""

import asyncio
from collections import defaultdict

from lampyr.clock import Clock
from lampyr.sources.waiting import first

Place = tuple[str, str]
"""Service and Region."""


class Bell:
    """Counts its rings, so that one between a look and a wait is not missed."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: set[asyncio.Event] = set()

    def ring(self) -> None:
        self.count += 1
        for event in self._waiting:
            event.set()

    async def wait(self, heard: int, clock: Clock, seconds: float) -> None:
        """Return once it has rung more than `heard` times, or after `seconds`."""
        if self.count != heard:
            return
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            await first(event, clock, seconds)
        finally:
            self._waiting.discard(event)


class Bells:
    def __init__(self) -> None:
        self._bells: defaultdict[Place, Bell] = defaultdict(Bell)

    def bell(self, service: str, region: str) -> Bell:
        return self._bells[service, region]

    def ring(self, service: str, region: str) -> None:
        """Costs next to nothing where nobody listens."""
        bell = self._bells.get((service, region))
        if bell is not None:
            bell.ring()
