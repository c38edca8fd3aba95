"""The end of an event: a record to its destination, the event itself to its dead-letter queue.

That there is something to send is in the table before it is sent, so that after a crash it is sent
and not the function run again.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from lampyr.arn import key_arn, parse
from lampyr.aws.base import AwsCallError, AwsUnreachableError
from lampyr.destinations.senders import Message, Target, UndeliverableError, send
from lampyr.errors import RecursiveInvocationException, ServiceError
from lampyr.invoke.recursion import continued
from lampyr.model.event import Content, Event
from lampyr.model.function import LATEST, Function, FunctionKey
from lampyr.queue import records
from lampyr.queue.ledger import Ledger
from lampyr.queue.parts import QueueParts
from lampyr.queue.records import Outcome
from lampyr.queue.rules import Condition, backoff_seconds, dead_letters, destination

log = logging.getLogger(__name__)

AT_ONCE: Final = 64
PERSEVERANCE_SECONDS: Final = 21_600.0
"""A record is sent again for so long to a service that gives no answer."""

Accept = Callable[[Function, str | None, Content], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Of the queue: for destinations that are functions, and for what is over."""

    accept: Accept
    later: Callable[[Event, float], None]
    gone: Callable[[Event], None]


class Deliveries:
    def __init__(self, parts: QueueParts, ledger: Ledger, ways: Ways) -> None:
        self._parts = parts
        self._ledger = ledger
        self._ways = ways
        self._turns = asyncio.Semaphore(AT_ONCE)

    def finish(self, function: Function, event: Event, outcome: Outcome) -> None:
        """The event has come to its end just now."""
        if event.content is None or not any(_targets(function, event, outcome)):
            self._ways.gone(event)
            return
        event.finished = True
        self._ledger.update(event, outcome.dump())
        self._begin(function, event, event.content, outcome)

    def resume(self, function: Function, event: Event, content: Content) -> None:
        """It had before, and its record is due."""
        self._begin(function, event, content, records.load(content.outcome or "{}"))

    def _begin(self, function: Function, event: Event, content: Content, outcome: Outcome) -> None:
        self._parts.tasks.start(self._deliver(function, event, content, outcome), "delivery")

    async def _deliver(
        self, function: Function, event: Event, content: Content, outcome: Outcome
    ) -> None:
        silent = False
        for metric, arn in _targets(function, event, outcome):
            if arn in outcome.sent:
                continue
            try:
                async with self._turns:
                    if metric == DEAD_LETTER_ERRORS:
                        await self._send_event(function, event, content, outcome, Target.of(arn))
                    else:
                        await self._send_record(function, event, content, outcome, Target.of(arn))
                outcome = replace(outcome, sent=(*outcome.sent, arn))
            except (AwsCallError, ServiceError) as error:
                self._parts.metrics.record(event.key, metric, qualifier=event.qualifier)
                silent = silent or isinstance(error, AwsUnreachableError)
                extra = {"function": event.key.name, "target": arn, "reason": str(error)}
                log.warning("record not delivered: %s", error, extra=extra)
        if silent:
            self._again(event, outcome)
        else:
            self._ways.gone(event)

    def _again(self, event: Event, outcome: Outcome) -> None:
        parts = self._parts
        now = parts.clock.now()
        if now >= outcome.at + PERSEVERANCE_SECONDS / parts.speed:
            self._ways.gone(event)
            return
        event.setbacks += 1
        self._ledger.update(event, outcome.dump())
        self._ways.later(event, now + backoff_seconds(event.setbacks) / parts.speed)

    async def _send_event(
        self, function: Function, event: Event, content: Content, outcome: Outcome, target: Target
    ) -> None:
        message = Message(
            body=content.payload.decode(errors="replace"),
            sender=event.key,
            trace_header=_passed_on(content.trace_header, function),
            attributes=records.dead_letter_attributes(content, outcome),
        )
        await send(self._parts.aws, message, target)

    async def _send_record(
        self, function: Function, event: Event, content: Content, outcome: Outcome, target: Target
    ) -> None:
        source = key_arn(event.key)
        body = json.dumps(
            records.invocation_record(event, content, outcome, source), separators=(",", ":")
        )
        if target.service == "lambda":
            trace_header = _passed_on(content.trace_header, function)
            await self._invoke(target, body, trace_header)
            return
        end = "Success" if outcome.condition is Condition.SUCCESS else "Failure"
        message = Message(
            body=body,
            sender=event.key,
            trace_header=_passed_on(content.trace_header, function),
            detail_type=f"Lambda Function Invocation Result - {end}",
            resources=[f"{source}:{event.qualifier or LATEST}"],
            object_key=records.s3_key(event.key.name, outcome.at, self._parts.new_id()),
        )
        await send(self._parts.aws, message, target)

    async def _invoke(self, target: Target, body: str, trace_header: str) -> None:
        """A function as a destination gets the record as an event of its own."""
        named = parse(target.arn)
        key = FunctionKey(target.account_id, target.region, named.name if named else "")
        function = await self._parts.functions.get(key)
        payload = body.encode()
        if function is None or named is None:
            raise UndeliverableError(f"there is no function {target.arn}")
        if len(payload) > self._parts.limits.payload_bytes_async:
            raise UndeliverableError(f"the record is too large for {target.arn}")
        await self._ways.accept(
            function,
            named.qualifier,
            Content(self._parts.new_id(), payload, trace_header),
        )


DESTINATION_FAILURES: Final = "DestinationDeliveryFailures"
DEAD_LETTER_ERRORS: Final = "DeadLetterErrors"


def _passed_on(trace_header: str, function: Function) -> str:
    """What the function was called with, for those who are told of it."""
    try:
        return continued(trace_header, function)
    except RecursiveInvocationException:
        return trace_header


def _targets(function: Function, event: Event, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Where something is to be sent, with the metric that counts failures of it."""
    condition = outcome.condition
    if arn := destination(function, event.qualifier, condition):
        yield DESTINATION_FAILURES, arn
    if arn := dead_letters(function, event.qualifier, condition):
        yield DEAD_LETTER_ERRORS, arn
