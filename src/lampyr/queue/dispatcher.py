"""The asynchronous queue: takes events, runs them when they are due, and sees to their end.

    accept ──▶ durable ──▶ due ──▶ running ──▶ answered ──▶ a record to send? ──▶ gone
                            ▲         │            │
                            └─────────┴── later ◀──┘  throttled, or the function failed

An event is in the table from before its caller is answered until it is gone. After a crash, what
ran is due again: an event may run more often than the rules say, and never less.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from lampyr.arn import key_arn
from lampyr.errors import (
    RecursiveInvocationException,
    ResourceNotFoundException,
    ServiceError,
    TooManyRequestsException,
)
from lampyr.invoke.recursion import continued
from lampyr.invoke.rules import resolve
from lampyr.model.event import Content, Event
from lampyr.model.function import Function, FunctionKey, FunctionVersion
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.queue import records
from lampyr.queue.alarm import Alarm
from lampyr.queue.contents import Contents
from lampyr.queue.deliveries import Deliveries, Ways
from lampyr.queue.lanes import BURST, BURST_IN_A_CROWD, Lane
from lampyr.queue.ledger import Done, Ledger
from lampyr.queue.parts import QueueParts, Told
from lampyr.queue.records import Outcome
from lampyr.queue.rules import Condition, Patience, patience_of
from lampyr.worker.told import EnvironmentStoppedError

log = logging.getLogger(__name__)

EVENTS_MAX: Final = 1_000_000
"""Waiting at once; each takes some 300 bytes of memory, and its place on the disk."""
STARTS_PER_TURN: Final = 64
"""Of one lane, before the loop serves others again."""


class AsyncQueue:
    def __init__(self, parts: QueueParts) -> None:
        self._table = parts.table
        self._functions = parts.functions
        self._runner = parts.runner
        self._clock = parts.clock
        self._tasks = parts.tasks
        self._metrics = parts.metrics
        self._speed = parts.speed
        self._ledger = Ledger(parts.table, parts.tasks, parts.clock)
        ways = Ways(accept=self.accept, later=self._later, gone=self._gone)
        self._deliveries = Deliveries(parts, self._ledger, ways)
        self._alarm = Alarm(parts.clock, parts.tasks)
        self._contents = Contents(parts.table, parts.tasks)
        self._lanes: dict[FunctionKey, Lane] = {}
        self._count = 0
        self._last_id = 0
        self._running = 0
        self._closing = False
        self._rested = asyncio.Event()
        self._rested.set()

    def open(self) -> None:
        """Take up what an earlier process accepted and did not finish."""
        now = self._clock.now()
        for event in self._table.unfinished():
            self._count += 1
            self._last_id = max(self._last_id, event.id)
            if event.due > now:
                self._alarm.at(event.due, self._due(event))
            else:
                self._lane(event.key).ready.append(event)
        for lane in list(self._lanes.values()):
            self._pump(lane)

    def __len__(self) -> int:
        """Events that were accepted and are not gone."""
        return self._count

    async def accept(self, function: Function, qualifier: str | None, content: Content) -> None:
        """Returns when the event is durable. Raises as Lambda does when the queue is full."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(error: BaseException | None) -> None:
            if durable.done():
                return
            if error is None:
                durable.set_result(None)
            else:
                durable.set_exception(error)

        self.put(function, qualifier, content, told)
        await durable

    def put(
        self, function: Function, qualifier: str | None, content: Content, durable: Done
    ) -> None:
        """The same without a task: `durable` hears when the event is, or why it is not."""
        if self._count >= EVENTS_MAX:
            raise TooManyRequestsException("Rate Exceeded.", Reason="CallerRateLimitExceeded")
        now = self._clock.now()
        self._last_id = max(self._last_id + 1, int(now * 1e6))
        event = Event(
            id=self._last_id,
            key=function.key,
            created=function.created,
            qualifier=qualifier,
            accepted=now,
            due=now,
            content=content,
        )
        self._count += 1
        loop = asyncio.get_running_loop()

        def done(error: BaseException | None) -> None:
            if error is None:
                # Answered first; and a fault in what follows is no other caller's.
                loop.call_soon(self._arrived, event)
            else:
                self._count -= 1
            durable(error)

        self._ledger.put(event, done)

    async def written(self) -> None:
        """Returns when every change so far is durable."""
        await self._ledger.written()

    async def close(self, grace_seconds: float) -> None:
        """Begin nothing more; what runs may end within the grace, else it is due at the next start.

        What is accepted from here on waits for the next start as well.
        """
        self._closing = True
        try:
            async with asyncio.timeout(grace_seconds):
                await self._rested.wait()
                await self.written()
        except TimeoutError:
            log.warning("events run again at the next start", extra={"events": self._running})

    def end(self) -> None:
        """What happens from here on is not written any more: it happens again after a start."""
        self._ledger.end()

    # Due --------------------------------------------------------------------------------

    def _arrived(self, event: Event) -> None:
        self._record(event, "AsyncEventsReceived")
        self._contents.keep(event)
        self._enter(event)

    def _due(self, event: Event) -> Callable[[], None]:
        return lambda: self._enter(event)

    def _enter(self, event: Event) -> None:
        lane = self._lane(event.key)
        lane.ready.append(event)
        self._pump(lane)

    def _lane(self, key: FunctionKey) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        return lane

    def _pump(self, lane: Lane) -> None:
        """Start what may start now, and see to it that the rest is not forgotten."""
        if lane.pumping or lane.loading or self._closing:
            return
        lane.pumping = True
        try:
            for _ in range(STARTS_PER_TURN):
                if not lane.ready or not self._start_next(lane):
                    break
            else:
                asyncio.get_running_loop().call_soon(self._pump, lane)
        finally:
            lane.pumping = False
        if lane.empty and self._lanes.get(lane.key) is lane:
            del self._lanes[lane.key]

    def _start_next(self, lane: Lane) -> bool:
        now = self._clock.now()
        when = lane.may_start(now, BURST_IN_A_CROWD if self._ledger.crowded else BURST)
        if when > now:
            if lane.wakes_at <= now or when < lane.wakes_at:
                lane.wakes_at = when
                self._alarm.at(when, lambda: self._pump(lane))
            return False
        content = self._contents.take(lane.ready[0])
        if content is None:
            self._contents.read(lane, lambda: self._pump(lane))
            return False
        event = lane.ready.popleft()
        function = self._functions.known(event.key)
        if function is None or function.created != event.created:
            self._drop(event)
        elif event.finished:
            self._deliveries.resume(function, event, content)
        else:
            self._attempt(lane, function, event, content, now)
        return True

    # An attempt -------------------------------------------------------------------------

    def _attempt(
        self, lane: Lane, function: Function, event: Event, content: Content, now: float
    ) -> None:
        if function.reserved_concurrency == 0:
            self._over(function, event, records.stopped(now))
            return
        if now >= self._patience(function, event).expiry(event.accepted):
            self._over(function, event, records.expired(now))
            return
        try:
            trace_header = continued(content.trace_header, function)
        except RecursiveInvocationException as error:
            self._record(event, "RecursiveInvocationsDropped")
            self._over(function, event, records.refused(Condition.RECURSION, error, now))
            return
        invocation = Invocation(
            request_id=content.request_id,
            payload=content.payload,
            invoked_arn=key_arn(event.key, event.qualifier),
            client_context=content.client_context,
            trace_header=trace_header,
            tenant_id=content.tenant_id,
        )
        lane.start(event, now)
        self._running += 1
        self._rested.clear()

        def tell(outcome: InvokeResult | Exception) -> None:
            self._ended(lane, event, outcome)

        try:
            dice = random.random()  # noqa: S311 - which version runs is no secret
            version = resolve(function, event.qualifier, key_arn(event.key), dice)
        except ServiceError as error:
            tell(error)
            return
        self._record(event, "AsyncEventAge", 1000.0 * (now - event.accepted))
        if not self._begin(version, invocation, tell):
            self._tasks.start(self._run(version, invocation, tell), "asynchronous invocation")

    def _begin(self, version: FunctionVersion, invocation: Invocation, tell: Told) -> bool:
        try:
            return self._runner.begin(version, invocation, tell)
        except ServiceError:
            return False  # The other way comes to the same error, and counts it.

    async def _run(
        self,
        version: FunctionVersion,
        invocation: Invocation,
        tell: Callable[[InvokeResult | Exception], None],
    ) -> None:
        outcome: InvokeResult | Exception = EnvironmentStoppedError()
        try:
            outcome = await self._runner.invoke(version, invocation)
        except Exception as error:  # noqa: BLE001 - whatever it is, the event is to hear of it
            outcome = error
        finally:
            tell(outcome)

    def _ended(self, lane: Lane, event: Event, outcome: InvokeResult | Exception) -> None:
        lane.end(event)
        self._running -= 1
        if not self._running:
            self._rested.set()
        function = self._functions.known(event.key)
        if function is None or function.created != event.created:
            self._drop(event)
        elif isinstance(outcome, InvokeResult):
            self._answered(function, event, outcome)
        elif not self._closing:
            self._not_run(lane, function, event, outcome)
        self._pump(lane)

    def _answered(self, function: Function, event: Event, result: InvokeResult) -> None:
        now = self._clock.now()
        event.attempts += 1
        event.setbacks = 0
        if result.function_error is None:
            self._over(function, event, records.answered(Condition.SUCCESS, result, now))
            return
        again = self._patience(function, event).after_error(event.attempts, event.accepted, now)
        if isinstance(again, Condition):
            self._over(function, event, records.answered(again, result, now))
        else:
            self._later(event, again)

    def _not_run(self, lane: Lane, function: Function, event: Event, error: Exception) -> None:
        """Throttled, or a failure that is not the function's."""
        now = self._clock.now()
        if isinstance(error, ResourceNotFoundException):
            self._drop(event)
            return
        if isinstance(error, TooManyRequestsException):
            lane.throttled(now)
        elif not isinstance(error, (ServiceError, EnvironmentStoppedError)):
            log.error("event not run", extra={"function": event.key.name}, exc_info=error)
        event.setbacks += 1
        again = self._patience(function, event).after_setback(event.setbacks, event.accepted, now)
        if isinstance(again, Condition):
            self._over(function, event, records.refused(again, error, now))
        else:
            self._later(event, again)

    # Its end ----------------------------------------------------------------------------

    def _patience(self, function: Function, event: Event) -> Patience:
        return patience_of(function, event.qualifier, self._speed)

    def _later(self, event: Event, when: float) -> None:
        event.due = when
        event.content = None
        self._ledger.update(event)
        self._alarm.at(when, self._due(event))

    def _over(self, function: Function, event: Event, outcome: Outcome) -> None:
        if outcome.condition is not Condition.SUCCESS:
            self._record(event, "AsyncEventsDropped")
        self._deliveries.finish(function, event, outcome)

    def _drop(self, event: Event) -> None:
        """Its function is no more, and so nobody is to be told."""
        if not event.finished:
            self._record(event, "AsyncEventsDropped")
        self._gone(event)

    def _record(self, event: Event, metric: str, value: float = 1.0) -> None:
        self._metrics.record(event.key, metric, value, qualifier=event.qualifier)

    def _gone(self, event: Event) -> None:
        self._count -= 1
        self._ledger.delete(event)
