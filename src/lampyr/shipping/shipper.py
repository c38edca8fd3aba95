"""Brings logs and metrics to CloudWatch: now and then, and before anybody looks there.

    log store's writer ── written ──▶ groups that have lines, figures by minute
                                           │ every few seconds, while CloudWatch is there
    GetLogEvents, GetMetricStatistics ─────┤ and before a request of theirs is passed on
                                           ▼
                              PutLogEvents, PutMetricData

Neighbours that nobody has called yet are not started for this. Then their first caller finds
what was logged before.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from lampyr.aws.base import Aws, AwsCallError, Endpoint
from lampyr.clock import Clock
from lampyr.model.function import FunctionKey
from lampyr.observe.base import LogStore
from lampyr.observe.metrics import Fresh, Statistic
from lampyr.shipping import metrics
from lampyr.shipping.logs import LogCopy
from lampyr.shipping.metrics import MetricBook, Written

log = logging.getLogger(__name__)

LOGS: Final = "logs"
METRICS: Final = "monitoring"
EVERY_SECONDS: Final = 2.0
RESTS: Final = 4
"""After a page of lines the copy rests this many times as long as the page took."""
LOOK_SECONDS_MAX: Final = 20.0
"""Somebody who looks waits no longer than this for what is under way."""
CLOSE_SECONDS_MAX: Final = 2.0


class Places(Protocol):
    """Where services are."""

    def is_there(self, service: str) -> bool:
        """Whether it can be called without starting anything."""
        ...

    def is_embedded(self, service: str) -> bool: ...

    async def endpoint(self, service: str) -> Endpoint: ...

    @property
    def generation(self) -> int:
        """Changes when the embedded services begin anew from what they saved."""
        ...


class Shipper:
    """`written` is for the log store's writer; `run` for a supervised task."""

    def __init__(self, aws: Aws, store: LogStore, places: Places, clock: Clock, file: Path) -> None:
        self.book = MetricBook()
        self.counts: Callable[[], Mapping[Fresh, Statistic]] = dict
        """Gives what others counted since it was asked last."""
        self._aws = aws
        self._store = store
        self._places = places
        self._clock = clock
        self._copy = LogCopy(aws, store, clock, file)
        self._generation = places.generation
        self._shipping = asyncio.Lock()
        self._failed = False

    async def open(self) -> None:
        await asyncio.to_thread(self._copy.load)

    def written(self, batch: Sequence[Written]) -> None:
        """The log store wrote these; called in its thread."""
        self._copy.dirty.update({group for group, _, _ in batch})
        self.book.written(batch)

    def throttled(self, key: FunctionKey, invoked_arn: str) -> None:
        self.book.add(key, invoked_arn, self._clock.now(), "Throttles")

    async def run(self) -> None:
        """One round; for a supervised loop."""
        await self._clock.sleep(EVERY_SECONDS)
        if self._places.is_there(METRICS):
            await self._quietly(self._ship_metrics)
        more = self._places.is_there(LOGS)
        while more:
            since = self._clock.monotonic()
            more = await self._quietly(self._ship_page)
            # Whoever runs functions comes first.
            await self._clock.sleep(RESTS * (self._clock.monotonic() - since))

    async def before_logs(self) -> None:
        """Somebody looks at logs: what was written until now is there first, within bounds."""
        await self._before(LOGS, self._ship_logs)

    async def before_metrics(self) -> None:
        await self._before(METRICS, self._ship_metrics)

    async def close(self) -> None:
        for service, ship in ((LOGS, self._ship_logs), (METRICS, self._ship_metrics)):
            if self._places.is_there(service):
                await self._within(CLOSE_SECONDS_MAX, ship)
        await asyncio.to_thread(self._copy.save)

    async def _before(self, service: str, ship: Callable[[], Awaitable[bool]]) -> None:
        try:
            await self._places.endpoint(service)  # Started here, if at all: that may take longer.
        except AwsCallError:
            return  # Whoever looks is told why.
        await self._within(LOOK_SECONDS_MAX, ship)

    async def _within(self, seconds: float, ship: Callable[[], Awaitable[bool]]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._quietly(ship)

    async def _quietly(self, ship: Callable[[], Awaitable[bool]]) -> bool:
        """One who ships at a time; a failure is told once, until it works again."""
        try:
            async with self._shipping:
                more = await ship()
        except AwsCallError as error:
            if not self._failed:
                log.warning("Logs and metrics do not reach CloudWatch: %s", error)
            self._failed = True
            return False
        self._failed = False
        return more

    async def _ship_page(self) -> bool:
        """A page of each group; whether there may be more."""
        generation = self._places.generation
        if self._generation not in {0, generation}:
            self._copy.begin_anew()
        self._generation = generation
        return await self._copy.send(bounded=self._places.is_embedded(LOGS))

    async def _ship_logs(self) -> bool:
        await self._store.flush()
        while await self._ship_page():
            pass
        return False

    async def _ship_metrics(self) -> bool:
        # What ended is known when its log is written.
        await self._store.flush()
        self.book.counted(self.counts())
        figures = self.book.take()
        try:
            await metrics.send(self._aws, figures)
        finally:
            self.book.give_back(figures)
        return False
