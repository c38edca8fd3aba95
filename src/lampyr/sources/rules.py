"""Decisions about batches and their outcomes; nothing here waits or reads a clock.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
"""

import json
from collections.abc import Sequence
from typing import Any, Final

LANES_AT_FIRST: Final = 5
LANES_PER_MINUTE: Final = 300
LANES_MAX: Final = 1_250
"""Batches of one queue in the function at once, after the first, per minute more, and at most."""
LANES_OF_POLLER: Final = 10
LANES_PER_MINUTE_PROVISIONED: Final = 1_000
"""Where a mapping has pollers of its own (`ProvisionedPollerConfig`)."""
BACKOFF_FIRST_SECONDS: Final = 0.1
BACKOFF_MAX_SECONDS: Final = 60.0


def failed_items(payload: bytes, ids: Sequence[str]) -> frozenset[str]:
    """Which of a batch's items the function reports as failed; all, when the report is no good.

    https://docs.aws.amazon.com/lambda/latest/dg/example_serverless_SQS_Lambda_batch_item_failures_section.html
    """
    every = frozenset(ids)
    try:
        answer = json.loads(payload or b"null")
    except ValueError:
        return every
    if answer is None or answer == "":
        return frozenset()
    if not isinstance(answer, dict):
        return every
    failures = answer.get("batchItemFailures")
    if failures is None:
        return frozenset()
    if not isinstance(failures, list):
        return every
    named = frozenset(map(_identifier, failures))
    return named if None not in named and named <= every else every  # type: ignore[return-value]


def _identifier(failure: Any) -> str | None:
    found = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    return found if isinstance(found, str) and found else None


def lanes_allowed(busy_seconds: float, concurrency_max: int | None, pollers_min: int = 0) -> int:
    """How many batches of a queue may be in the function at once, `busy_seconds` into a backlog.

    `pollers_min`: as many pollers were asked for, which have ten lanes each and grow faster.
    """
    first, each_minute, most = LANES_AT_FIRST, LANES_PER_MINUTE, LANES_MAX
    if pollers_min:
        first, each_minute = pollers_min * LANES_OF_POLLER, LANES_PER_MINUTE_PROVISIONED
        most = max(concurrency_max or LANES_MAX, first)
    grown = first + int(busy_seconds * each_minute / 60)
    return min(grown, concurrency_max or most, most)


def backoff_seconds(attempt: int) -> float:
    """How long to wait after the failed attempt of this number, the first being 1."""
    return float(min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** min(attempt - 1, 20)))


def fitting(sizes: Sequence[int], bytes_max: int) -> int:
    """How many of the items, from the first, fit into one event; at least one."""
    total = 0
    for number, size in enumerate(sizes):
        total += size + 1
        if total > bytes_max and number > 0:
            return number
    return len(sizes)
