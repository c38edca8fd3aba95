"""Idle environments rest for a moment, and are frozen then.

Not at once: thawing costs as much as a warm call, and the next one often comes soon.
"""

import asyncio
from typing import Final

from lampyr.clock import Clock
from lampyr.cluster.base import Environment

REST_SECONDS: Final = 0.05
"""An environment idle this long is frozen."""


class Rest:
    """Environments that are idle and not yet frozen, in order of time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.awake: dict[str, tuple[float, Environment]] = {}
        self.timer: asyncio.TimerHandle | None = None

    def begin(self, environment: Environment, now: float) -> None:
        self.awake[environment.id] = now, environment
        if self.timer is None:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(REST_SECONDS, self.freeze_rested)

    def end(self, environment: Environment) -> None:
        """It works again, or is no more."""
        self.awake.pop(environment.id, None)

    def freeze_rested(self) -> None:
        """Freeze what has rested; look again as long as something is awake."""
        self.timer = None
        now = self._clock.monotonic()
        for environment_id, (since, environment) in list(self.awake.items()):
            if now - since < REST_SECONDS:
                break
            del self.awake[environment_id]
            environment.freeze()
        if self.awake:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(REST_SECONDS, self.freeze_rested)
