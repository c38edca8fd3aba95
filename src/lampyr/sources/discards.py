"""Batches that are given up, told to the mapping's on-failure destination.

https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
"""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from lampyr.aws.base import Aws, AwsCallError, AwsUnreachableError
from lampyr.clock import Clock
from lampyr.destinations.senders import Message, Target, send
from lampyr.model.trace import new_trace
from lampyr.sources.rules import backoff_seconds
from lampyr.sources.stream_base import Discard, StreamRules
from lampyr.sources.stream_rules import discard_record

log = logging.getLogger(__name__)

ATTEMPTS: Final = 12
"""At a destination that gives no answer: some minutes."""


class SentDiscards:
    """Implements `Discards`."""

    def __init__(self, aws: Aws, clock: Clock, new_id: Callable[[], str]) -> None:
        self._aws = aws
        self._clock = clock
        self._new_id = new_id

    async def send(self, rules: StreamRules, discard: Discard) -> None:
        if rules.on_failure is None:
            return
        try:
            target = Target.of(rules.on_failure)
            await self._send(self._message(rules, discard, target), target)
        except AwsCallError as error:
            extra = {"mapping": rules.id, "target": rules.on_failure}
            log.warning("a discarded batch was not told: %s", error, extra=extra)

    async def _send(self, message: Message, target: Target) -> None:
        attempt = 0
        while True:
            try:
                return await send(self._aws, message, target)
            except AwsUnreachableError:
                attempt += 1
                if attempt == ATTEMPTS:
                    raise
                await self._clock.sleep(backoff_seconds(attempt))

    def _message(self, rules: StreamRules, discard: Discard, target: Target) -> Message:
        now = self._clock.now()
        whole = target.service == "s3"
        record = discard_record(discard, rules.function_arn, now, whole=whole)
        return Message(
            body=json.dumps(record, separators=(",", ":")),
            sender=rules.target.key,
            trace_header=new_trace(int(now), 0),
            object_key=object_key(rules.id, discard.shard, now, self._new_id()),
        )


def object_key(uuid: str, shard: str, now: float, dice: str) -> str:
    """Under which S3 keeps what was given up."""
    moment = datetime.fromtimestamp(now, UTC)
    return f"aws/lambda/{uuid}/{shard}/{moment:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{dice}"
