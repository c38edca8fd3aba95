"""Decisions about records of streams; nothing here waits or reads a clock.

https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
"""

import json
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from lampyr.limits import MIB
from lampyr.model.checkpoint import OpenWindow, Position, ShardProgress, Start
from lampyr.sources.rules import failed_items
from lampyr.sources.stream_base import Discard, Record, Shard, StreamRules, Window

T = TypeVar("T")
STATE_BYTES_MAX: Final = 1 * MIB
"""Of a tumbling window, as JSON."""


def readable(shards: Iterable[Shard], progress: Mapping[str, ShardProgress]) -> list[Shard]:
    """Shards to read now: not at their end, and every parent that is still there is."""
    every = list(shards)
    there = {shard.id for shard in every}

    def done(shard: str) -> bool:
        return shard not in there or (shard in progress and progress[shard].ended)

    return [shard for shard in every if not done(shard.id) and all(map(done, shard.parents))]


def beginnings(
    shards: Iterable[Shard], progress: Mapping[str, ShardProgress], rules: StreamRules, now: float
) -> dict[str, ShardProgress]:
    """Where reading begins in shards that were not seen before.

    Where the mapping says, when it sees the stream for the first time. What splits off later is
    read from its beginning: its parents' records were.
    """
    first = not progress
    timestamp = now if rules.start is Start.LATEST else rules.timestamp
    asked = Position(start=rules.start, timestamp=timestamp)
    position = asked if first else Position()
    return {
        shard.id: ShardProgress(position=position) for shard in shards if shard.id not in progress
    }


def lane_of(partition: str, factor: int) -> int:
    """Which of a shard's lanes a partition's records take; always the same."""
    return zlib.crc32(partition.encode("utf-8", "surrogatepass")) % factor


def halves(records: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    middle = len(records) // 2
    return records[:middle], records[middle:]


def is_too_old(record: Record, rules: StreamRules, now: float) -> bool:
    return 0 <= rules.age_max_seconds < now - record.arrived


def first_failed(records: Sequence[Record], payload: bytes) -> int:
    """The number of the first record that the function reports as failed; `len` when none is.

    What comes after it has not been processed, whatever the function says of it.
    """
    ids = [record.sequence for record in records]
    failed: Collection[str] = failed_items(payload, ids)
    return next((number for number, item in enumerate(ids) if item in failed), len(ids))


def window_of(record: Record, seconds: int) -> tuple[int, int]:
    """The window that a record belongs to, in seconds since the epoch."""
    start = int(record.arrived) // seconds * seconds
    return start, start + seconds


def event(records: Sequence[Record], window: Window | None = None) -> bytes:
    """What the function gets."""
    texts = ",".join(record.text for record in records)
    if window is None:
        return f'{{"Records":[{texts}]}}'.encode()
    more = {
        "window": {"start": instant(window.start), "end": instant(window.end)},
        "state": window.state,
        "shardId": window.shard,
        "eventSourceARN": window.source_arn,
        "isFinalInvokeForWindow": window.final,
        "isWindowTerminatedEarly": window.early,
    }
    return f'{{"Records":[{texts}],{json.dumps(more)[1:]}'.encode()


def answers_window(payload: bytes, window: Window | None) -> bool:
    """Whether a function's answer will do: in a window it must have a state, but at its end."""
    return window is None or window.final or _state_of(payload) is not None


def carried_on(payload: bytes, window: Window | None) -> Window | None:
    """The window with the state that the function returned for it."""
    if window is None or window.final:
        return window
    return replace(window, state=_state_of(payload))


def is_over(window: Window) -> bool:
    """Whether its state has become too large: then Lambda ends the window early."""
    return len(json.dumps(window.state, separators=(",", ":"))) > STATE_BYTES_MAX


def kept(window: Window) -> OpenWindow:
    """What of a window goes into a checkpoint."""
    state = json.dumps(window.state, separators=(",", ":"))
    return OpenWindow(start=window.start, end=window.end, state=state)


def taken_up(window: OpenWindow, shard: str, source_arn: str) -> Window:
    state = json.loads(window.state)
    return Window(
        start=window.start, end=window.end, state=state, shard=shard, source_arn=source_arn
    )


def _state_of(payload: bytes) -> Any:
    try:
        answer = json.loads(payload or b"null")
    except ValueError:
        return None
    return answer.get("state") if isinstance(answer, dict) else None


def discard_record(
    discard: Discard, function_arn: str, now: float, *, whole: bool = False
) -> dict[str, Any]:
    """What an on-failure destination is told; `whole` with the event, as S3 gets it."""
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": discard.request_id,
            "functionArn": function_arn,
            "condition": discard.condition,
            # Of records that became too old before the function got them, too.
            "approximateInvokeCount": max(1, discard.attempts),
        },
        "version": "1.0",
        "timestamp": milliseconds(now),
        **discard.place,
    }
    if discard.attempts:
        record["responseContext"] = {
            "statusCode": 200,
            "executedVersion": discard.executed_version,
            "functionError": discard.function_error,
        }
    if whole:
        record["payload"] = json.loads(discard.payload)
    return record


def place(
    shard: str, records: Sequence[Record], stream_arn: str, moment: Callable[[float], str]
) -> dict[str, Any]:
    """Where records stand in a stream of AWS's; `moment` writes when they arrived."""
    first, last = records[0], records[-1]
    return {
        "shardId": shard,
        "startSequenceNumber": first.sequence,
        "endSequenceNumber": last.sequence,
        "approximateArrivalOfFirstRecord": moment(first.arrived),
        "approximateArrivalOfLastRecord": moment(last.arrived),
        "batchSize": len(records),
        "streamArn": stream_arn,
    }


def instant(seconds: float) -> str:
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%S}Z"


def milliseconds(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1_000:03d}Z"
