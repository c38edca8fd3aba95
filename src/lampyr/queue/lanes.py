"""The events of one function that are due, and how many of them may run at once.

Each function has a lane of its own, so that the backlog of one never stands before another's.
In a lane events start in the order in which they came due. What runs at once is not limited by a
number but by a pace, Lambda's own: a function gets a thousand more environments in ten seconds.
So ten may run that began less than a tenth of a second ago, and any number that take longer. A
function that answers at once gets through its backlog with ten environments, not a thousand.

While a crowd hands in events, fewer of those that are quick run at once: those who wait for their
202 go before work that nobody waits for.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html#concurrency-scaling-rate
"""

from collections import deque
from typing import Final

from lampyr.model.event import Event
from lampyr.model.function import FunctionKey

BURST: Final = 10
BURST_IN_A_CROWD: Final = 3
BURST_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 1.0
"""A lane that was throttled asks for one more place this much later."""


class Lane:
    __slots__ = (
        "_since_throttle",
        "_young",
        "key",
        "loading",
        "most",
        "pumping",
        "ready",
        "running",
        "wakes_at",
    )

    def __init__(self, key: FunctionKey) -> None:
        self.key = key
        self.ready: deque[Event] = deque()
        self.running = 0
        self.loading = False
        """The contents of the first in `ready` are being read."""
        self.pumping = False
        """Its events are being started just now."""
        self.wakes_at = 0.0
        """When somebody looks again whether one more may start."""
        self.most: int | None = None
        """How many run at once since a throttle; None while there was none."""
        self._since_throttle = 0.0
        self._young: dict[int, float] = {}
        """When those that run and began a moment ago did so, in order."""

    @property
    def empty(self) -> bool:
        """Nothing is lost when it is forgotten."""
        return not (self.ready or self.running or self.loading) and self.most is None

    def may_start(self, now: float, burst: int = BURST) -> float:
        """The time from which one more may run: not after `now` when it may."""
        if self.most is not None and self.running >= self.most:
            return self._since_throttle + PROBE_SECONDS
        young = self._young
        while young:
            event_id, started = next(iter(young.items()))
            if started + BURST_SECONDS > now:
                return now if len(young) < burst else started + BURST_SECONDS
            del young[event_id]
        return now

    def start(self, event: Event, now: float) -> None:
        if self.most is not None and self.running >= self.most:
            self.most = self.running + 1
            self._since_throttle = now
        self.running += 1
        self._young[event.id] = now

    def end(self, event: Event) -> None:
        self.running -= 1
        self._young.pop(event.id, None)

    def throttled(self, now: float) -> None:
        """There was no room for the one that has just ended: as many as still run are enough."""
        self.most = self.running
        self._since_throttle = now
