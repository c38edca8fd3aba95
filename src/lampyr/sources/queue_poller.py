"""Reads one queue for one mapping: takes batches, invokes the function, removes what is done.

Any number of lanes, each: collect a batch, run it, remove what succeeded, collect the next. One
lane collects at a time; when its batch is closed another begins to collect, as far as the rules
allow, so that an idle queue has one long poll and a backlog as many batches in the function as it
needs. A lane that comes back while another collects ends.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from lampyr.clock import Clock
from lampyr.errors import (
    InvalidParameterValueException,
    ResourceNotFoundException,
    ServiceError,
)
from lampyr.model.invocation import InvokeResult
from lampyr.sources.base import Caller, Message, Queue, SourceError, Subscription
from lampyr.sources.rules import backoff_seconds, failed_items, fitting, lanes_allowed
from lampyr.tasks import Tasks

log = logging.getLogger(__name__)

LONG_POLL_SECONDS: Final = 20.0
HOPELESS_ATTEMPTS: Final = 5
"""As which a call counts that no repetition helps: the function is gone, or cannot run."""


class QueuePoller:
    """Polls while `run` runs. `subscription` may be replaced meanwhile."""

    def __init__(
        self,
        subscription: Subscription,
        queue: Queue,
        caller: Caller,
        clock: Clock,
        *,
        result: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """`result` hears what to show as the mapping's last processing result."""
        self.subscription = subscription
        self._queue = queue
        self._caller = caller
        self._clock = clock
        self._result = result
        self._tasks = Tasks()
        self._collector: asyncio.Task[None] | None = None
        self._busy_since = 0.0
        self._failures = 0
        """Batches that failed in a row."""

    async def run(self) -> None:
        """Until cancelled; what is in the function then is cut short. See `finish`."""
        await self._open()
        try:
            self._start_lane()
            await asyncio.get_running_loop().create_future()
        finally:
            await self._tasks.close()
            await self._queue.close()

    async def finish(self) -> None:
        """Collect no more; return when the batches in the function have come to their end."""
        if self._collector is not None:
            self._collector.cancel()
        await self._tasks.ended()

    async def _open(self) -> None:
        attempt = 0
        while True:
            try:
                return await self._queue.open()
            except SourceError as error:
                attempt += 1
                self._result(f"PROBLEM: {error}")
                await self._clock.sleep(backoff_seconds(attempt))

    def _start_lane(self) -> None:
        name = f"lane of {self.subscription.id}"
        self._collector = self._tasks.start(self._lane(), name)

    async def _lane(self) -> None:
        """Collect and run until another lane collects."""
        me = asyncio.current_task()
        while True:
            batch = await self._collect()
            self._collector = None
            if self._next_lane():
                await asyncio.sleep(0)  # The queue has work to do while we have.
            try:
                await self._run(batch)
            except Exception:  # A defect must not end the mapping in silence.
                log.exception("a batch failed", extra={"mapping": self.subscription.id})
            if self._collector is not None:
                return
            self._collector = me

    def _next_lane(self) -> bool:
        """Another collects while this one's batch runs, as far as the rules allow.

        Answer whether it is to ask the queue before this one runs: where others run, there is a
        backlog. A message that comes alone is not to wait for that.
        """
        now = self._clock.monotonic()
        is_backlog = len(self._tasks) > 1
        if not is_backlog:
            self._busy_since = now
        most = self._queue.lanes_max or self.subscription.concurrency_max
        allowed = lanes_allowed(now - self._busy_since, most, self.subscription.pollers_min)
        if len(self._tasks) < allowed:
            self._start_lane()
            return is_backlog
        return False

    # Collecting -------------------------------------------------------------------------

    async def _collect(self) -> list[Message]:
        """At least one message that passes the filter."""
        batch: list[Message] = []
        try:
            await self._fill(batch)
        except asyncio.CancelledError:
            if batch:
                await self._queue.let_go(batch)
            raise
        return batch

    async def _fill(self, batch: list[Message]) -> None:
        size, deadline = 0, 0.0
        while len(batch) < (rules := self.subscription.batch).size and size < rules.bytes_max:
            wait = LONG_POLL_SECONDS
            if batch:
                wait = min(wait, deadline - self._clock.monotonic())
                if wait <= 0:
                    return
            came = await self._receive(rules.size - len(batch), wait)
            if came and not batch:
                deadline = self._clock.monotonic() + rules.window_seconds
            batch += came
            size += sum(len(message.text) for message in came)

    async def _receive(self, most: int, wait_seconds: float) -> list[Message]:
        """What came and passes the filter; Lambda removes the rest from the queue."""
        attempt = 0
        while True:
            try:
                came = await self._queue.receive(most, wait_seconds)
                break
            except SourceError as error:
                attempt += 1
                self._result(f"PROBLEM: {error}")
                await self._clock.sleep(backoff_seconds(attempt))
        matches = self.subscription.matches
        if matches is None:
            return list(came)
        kept: list[Message] = []
        dropped: list[Message] = []
        for message in came:
            (kept if matches(message.record) else dropped).append(message)
        if dropped:
            await self._remove(dropped)
        return kept

    async def _remove(self, messages: Sequence[Message]) -> None:
        try:
            await self._queue.remove(messages)
        except SourceError as error:
            # They come again: a function of a queue has to bear that.
            log.warning("messages were not removed: %s", error)

    # Running ----------------------------------------------------------------------------

    async def _run(self, batch: Sequence[Message]) -> None:
        """The batch, in as many invocations as its size needs."""
        left = list(batch)
        while left:
            count = fitting([len(m.text) for m in left], self.subscription.batch.bytes_max)
            now, left = left[:count], left[count:]
            if not await self._run_one(now) and left:
                await self._queue.give_back(left, 0)
                return

    async def _run_one(self, batch: Sequence[Message]) -> bool:
        result = await self._invoke(batch)
        if result is None:
            await self._queue.give_back(batch, 0)
            return False
        failed = self._failed(result, batch)
        if done := [message for message in batch if message.id not in failed]:
            await self._remove(done)
        if failed:
            await self._give_back([m for m in batch if m.id in failed])
        else:
            self._failures = 0
        self._result("PROBLEM: Function call failed" if failed else "OK")
        return not failed

    async def _give_back(self, messages: Sequence[Message]) -> None:
        self._failures += 1
        await self._queue.give_back(messages, self._failures)

    def _failed(self, result: InvokeResult, batch: Sequence[Message]) -> frozenset[str]:
        ids = [message.id for message in batch]
        if result.function_error is not None:
            return frozenset(ids)
        return failed_items(result.payload, ids) if self.subscription.partial else frozenset()

    async def _invoke(self, batch: Sequence[Message]) -> InvokeResult | None:
        """None when Lambda would not run it for as long as the messages are ours."""
        payload = self._queue.event(batch)
        until = min(message.until for message in batch)
        attempt = 0
        while True:
            attempt += 1
            try:
                target = self.subscription.target
                return await self._caller.call(target, payload, trace=batch[0].trace)
            except (ResourceNotFoundException, InvalidParameterValueException) as error:
                self._result(f"PROBLEM: {error.message}")
                await self._clock.sleep(backoff_seconds(HOPELESS_ATTEMPTS))
                return None
            except ServiceError as error:
                wait = backoff_seconds(attempt)
                if self._clock.monotonic() + wait >= until:
                    self._result(f"PROBLEM: {error.message}")
                    return None
                await self._clock.sleep(wait)
