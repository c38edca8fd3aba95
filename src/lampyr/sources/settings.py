"""What a poller goes by, made from a mapping as it is stored.

https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html
"""

from typing import Final

from lampyr.arn import key_arn
from lampyr.limits import MIB
from lampyr.model.checkpoint import Start
from lampyr.model.filters import compile_patterns
from lampyr.model.mapping import EventSourceMapping
from lampyr.sources.base import BatchRules, Matches, Subscription, Target
from lampyr.sources.rules import LANES_OF_POLLER
from lampyr.sources.stream_base import StreamRules

PARTIAL: Final = "ReportBatchItemFailures"
DEFAULT_WINDOW_SECONDS: Final = 0.5
"""Of Kafka, MQ and DocumentDB, whose mappings say nothing of it."""
EVENT_BYTES_MAX: Final = 6 * MIB - 4_096
"""Less what stands around the records."""


POLLERS_MIN: Final = 2
"""Of a queue's own pollers, where only the most were asked for."""


def subscription(mapping: EventSourceMapping) -> Subscription:
    """Of a queue."""
    settings = mapping.settings
    least, most = settings.minimum_pollers or 0, settings.maximum_pollers or 0
    return Subscription(
        id=mapping.key.id,
        target=_target(mapping),
        batch=_batch(mapping),
        matches=_matches(mapping),
        partial=PARTIAL in (settings.response_types or ()),
        concurrency_max=settings.maximum_concurrency or most * LANES_OF_POLLER or None,
        pollers_min=least or (POLLERS_MIN if most else 0),
    )


def stream_rules(mapping: EventSourceMapping) -> StreamRules:
    settings, source = mapping.settings, mapping.source
    return StreamRules(
        id=mapping.key.id,
        target=_target(mapping),
        source_arn=source.arn or "",
        function_arn=key_arn(mapping.function, mapping.qualifier),
        batch=_batch(mapping),
        start=Start(source.starting_position or Start.TRIM_HORIZON),
        timestamp=source.starting_timestamp or 0.0,
        factor=settings.parallelization_factor or 1,
        bisect=bool(settings.bisect_on_error),
        retries_max=_endless(settings.retry_attempts),
        age_max_seconds=_endless(settings.record_age_seconds),
        window_seconds=settings.tumbling_window_seconds or 0,
        partial=PARTIAL in (settings.response_types or ()),
        matches=_matches(mapping),
        on_failure=settings.on_failure or None,
    )


def _endless(value: int | None) -> int:
    return -1 if value is None else value


def _target(mapping: EventSourceMapping) -> Target:
    return Target(key=mapping.function, qualifier=mapping.qualifier)


def _batch(mapping: EventSourceMapping) -> BatchRules:
    settings = mapping.settings
    window = settings.batching_window_seconds
    return BatchRules(
        size=settings.batch_size or 1,
        window_seconds=DEFAULT_WINDOW_SECONDS if window is None else float(window),
        bytes_max=EVENT_BYTES_MAX,
    )


def _matches(mapping: EventSourceMapping) -> Matches | None:
    patterns = mapping.settings.filters
    return compile_patterns(patterns) if patterns else None
