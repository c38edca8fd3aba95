"""Runs one batch of a shard's records until each is done: run, retried, split or given up.

https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lampyr.clock import Clock
from lampyr.errors import ServiceError
from lampyr.model.invocation import InvokeResult
from lampyr.sources.base import Caller
from lampyr.sources.rules import backoff_seconds
from lampyr.sources.stream_base import Discard, Discards, Record, Stream, StreamRules, Window
from lampyr.sources.stream_rules import (
    answers_window,
    carried_on,
    first_failed,
    halves,
    is_too_old,
)

Done = Callable[[Sequence[Record], Window | None], None]
"""Hears of records that need not be run again, and of the window with them in its state."""


@dataclass(slots=True)
class _Attempts:
    failed: int = 0
    """Calls that the function failed at: what the retry attempts are counted by."""
    refused: int = 0
    """Calls in a row that Lambda refused, or the function failed at: what the wait grows by."""


class BatchRunner:
    """For one shard of one mapping."""

    def __init__(
        self,
        *,
        shard: str,
        rules: Callable[[], StreamRules],
        stream: Stream,
        caller: Caller,
        discards: Discards,
        clock: Clock,
        result: Callable[[str], None],
    ) -> None:
        """`rules`: those of the moment; `result` hears the last processing result."""
        self._shard = shard
        self._rules = rules
        self._stream = stream
        self._caller = caller
        self._discards = discards
        self._clock = clock
        self._result = result

    async def run(
        self, records: Sequence[Record], done: Done, window: Window | None = None
    ) -> Window | None:
        """Returns when every record is done; the window with what the function made of it."""
        return await self._run(records, done, window, _Attempts())

    async def _run(
        self, records: Sequence[Record], done: Done, window: Window | None, attempts: _Attempts
    ) -> Window | None:
        # The end of a window is told once more, without records.
        untold = window is not None and window.final
        while records or untold:
            records = await self._drop_old(records, done, window, attempts)
            if not (records or untold):
                break
            result = await self._call(records, window, attempts)
            if result is None:
                continue
            count = 0
            worked = result.function_error is None and answers_window(result.payload, window)
            if worked:
                window = carried_on(result.payload, window)
                count = self._succeeded(result, records)
            if count:
                done(records[:count], window)
                records = records[count:]
            if worked and not records:
                self._result("OK")
                break
            self._result("PROBLEM: Function call failed")
            if self._rules().bisect and len(records) > 1:
                first, second = halves(records)
                window = await self._run(first, done, window, _Attempts(attempts.failed))
                return await self._run(second, done, window, _Attempts(attempts.failed))
            attempts.failed += 1
            if self._exhausted(attempts):
                if records:
                    event = self._stream.event(records, window)
                    await self._give_up(records, attempts, result, event)
                    done(records, window)
                break
            attempts.refused += 1
            await self._clock.sleep(backoff_seconds(attempts.refused))
        return window

    def _succeeded(self, result: InvokeResult, records: Sequence[Record]) -> int:
        """How many records, from the first, of a function that worked."""
        if not self._rules().partial:
            return len(records)
        return first_failed(records, result.payload)

    def _exhausted(self, attempts: _Attempts) -> bool:
        most = self._rules().retries_max
        return most >= 0 and attempts.failed > most

    async def _call(
        self, records: Sequence[Record], window: Window | None, attempts: _Attempts
    ) -> InvokeResult | None:
        """None when Lambda refused, after a wait: throttled, or there is no such function."""
        try:
            result = await self._caller.call(
                self._rules().target, self._stream.event(records, window)
            )
        except ServiceError as error:
            self._result(f"PROBLEM: {error.message}")
            attempts.refused += 1
            await self._clock.sleep(backoff_seconds(attempts.refused))
            return None
        if result.function_error is None:
            attempts.refused = 0
        return result

    async def _drop_old(
        self, records: Sequence[Record], done: Done, window: Window | None, attempts: _Attempts
    ) -> Sequence[Record]:
        """Those that are young enough; the older ones at the front are given up."""
        now = self._clock.now()
        old = 0
        while old < len(records) and is_too_old(records[old], self._rules(), now):
            old += 1
        if old:
            discard = self._discard(records[:old], "RecordAgeExceeded", attempts)
            await self._discards.send(self._rules(), discard)
            done(records[:old], window)
        return records[old:]

    async def _give_up(
        self,
        records: Sequence[Record],
        attempts: _Attempts,
        result: InvokeResult,
        payload: bytes,
    ) -> None:
        discard = self._discard(
            records,
            "RetryAttemptsExhausted",
            attempts,
            executed_version=result.executed_version,
            function_error=result.function_error,
            payload=payload,
        )
        await self._discards.send(self._rules(), discard)

    def _discard(
        self, records: Sequence[Record], condition: str, attempts: _Attempts, **more: Any
    ) -> Discard:
        payload = more.pop("payload", None) or self._stream.event(records, None)
        return Discard(
            place=self._stream.place(self._shard, records),
            records=records,
            shard=self._shard,
            condition=condition,
            attempts=attempts.failed,
            request_id=str(uuid.uuid4()),
            payload=payload,
            **more,
        )
