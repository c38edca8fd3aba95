"""What each kind of event source takes, and what it refuses.

One table says which settings a source has, with their defaults; limits that the service model
states are not repeated here: the API has checked them.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from lampyr.control.sources.requests import CreateMapping, UpdateMapping
from lampyr.errors import InvalidParameterValueException, ValidationException
from lampyr.limits import Limits
from lampyr.model.filters import PatternError, compile_pattern
from lampyr.model.mapping import EventSource, EventSourceMapping, MappingSettings, SourceKind

_NAMES: Final[Mapping[str, str]] = {
    "batch_size": "'batchSize'",
    "batching_window_seconds": "'maximumBatchingWindowInSeconds'",
    "filters": "'filterCriteria'",
    "response_types": "'functionResponseTypes'",
    "maximum_concurrency": "'scalingConfig'",
    "minimum_pollers": "'provisionedPollerConfig'",
    "maximum_pollers": "'provisionedPollerConfig'",
    "parallelization_factor": "'parallelizationFactor'",
    "tumbling_window_seconds": "'tumblingWindowInSeconds'",
    # This one was recorded without quotes.
    "on_failure": "DestinationConfig",
    "bisect_on_error": "'bisectBatchOnFunctionError'",
    "record_age_seconds": "'maximumRecordAgeInSeconds'",
    "retry_attempts": "'maximumRetryAttempts'",
    "access": "'sourceAccessConfigurations'",
    "document_database": "'documentDBEventSourceConfig'",
}
"""Settings as Lambda names them when it refuses one."""
_COMMON: Final = frozenset({"batch_size", "batching_window_seconds", "filters"})
_ERRORS: Final = frozenset(
    {"on_failure", "bisect_on_error", "record_age_seconds", "retry_attempts", "response_types"}
)
_POLLERS: Final = frozenset({"minimum_pollers", "maximum_pollers"})
_ANY_POSITION: Final = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
_VIRTUAL_HOST: Final = "VIRTUAL_HOST"
_KAFKA_ACCESS: Final = frozenset({"SASL_SCRAM_512_AUTH", "CLIENT_CERTIFICATE_TLS_AUTH"})
_DEFAULTS: Final = MappingSettings(batch_size=100)
_STREAM_DEFAULTS: Final = MappingSettings(
    batch_size=100,
    batching_window_seconds=0,
    response_types=(),
    parallelization_factor=1,
    tumbling_window_seconds=0,
    on_failure="",
    bisect_on_error=False,
    record_age_seconds=-1,
    retry_attempts=-1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRules:
    settings: frozenset[str]
    """Names of those members of `MappingSettings` that the source has."""
    defaults: MappingSettings = _DEFAULTS
    positions: tuple[str, ...] = ()
    """Where reading may begin; none where there is nothing to choose."""
    access: frozenset[str] = frozenset()
    """Types of access that it knows."""
    needs: tuple[str, ...] = ()
    """Members of the request that have to be there."""


_STREAM: Final = SourceRules(
    settings=_COMMON | _ERRORS | {"parallelization_factor", "tumbling_window_seconds"},
    defaults=_STREAM_DEFAULTS,
    positions=_ANY_POSITION,
)
RULES: Final[Mapping[SourceKind, SourceRules]] = {
    SourceKind.SQS: SourceRules(
        settings=_COMMON | _POLLERS | {"response_types", "maximum_concurrency"},
        defaults=MappingSettings(batch_size=10, batching_window_seconds=0, response_types=()),
    ),
    SourceKind.KINESIS: _STREAM,
    SourceKind.DYNAMODB: replace(_STREAM, positions=("TRIM_HORIZON", "LATEST")),
    SourceKind.MSK: SourceRules(
        settings=_COMMON | _ERRORS | _POLLERS | {"access"},
        positions=_ANY_POSITION,
        access=_KAFKA_ACCESS,
        needs=("topics",),
    ),
    SourceKind.KAFKA: SourceRules(
        settings=_COMMON | _ERRORS | _POLLERS | {"access"},
        positions=_ANY_POSITION,
        access=_KAFKA_ACCESS
        | {
            *("BASIC_AUTH", "VPC_SUBNET", "VPC_SECURITY_GROUP", "SASL_SCRAM_256_AUTH"),
            *("SERVER_ROOT_CA_CERTIFICATE", "OAUTHBEARER_AUTH", "OAUTHBEARER_SCOPE"),
            *("OAUTHBEARER_AUDIENCE", "OAUTHBEARER_LOGICAL_CLUSTER", "OAUTHBEARER_IDENTITY_POOL"),
            *("IAM_AUTH", "IAM_OAUTHBEARER_AUTH"),
        },
        needs=("sourceAccessConfigurations", "topics"),
    ),
    SourceKind.MQ: SourceRules(
        settings=_COMMON | {"access"},
        access=frozenset({"BASIC_AUTH", _VIRTUAL_HOST}),
        needs=("sourceAccessConfigurations", "queues"),
    ),
    SourceKind.DOCUMENTDB: SourceRules(
        settings=_COMMON | {"access", "document_database"},
        positions=_ANY_POSITION,
        access=frozenset({"BASIC_AUTH"}),
        needs=("sourceAccessConfigurations", "documentDBEventSourceConfig"),
    ),
}
_AGE_MIN: Final = 60
_FIFO_BATCH_MAX: Final = 10
_POLLERS_OF: Final = {
    SourceKind.SQS: (2, 10_000),
    SourceKind.MSK: (1, 2_000),
    SourceKind.KAFKA: (1, 2_000),
}
"""Fewest and most."""
_POLLERS_MAX_DEFAULT: Final = 200
_GROUPS: Final = {
    SourceKind.MSK: "'amazonManagedKafkaEventSourceConfig'",
    SourceKind.KAFKA: "'selfManagedKafkaEventSourceConfig'",
}
_ARNS: Final = (
    (SourceKind.SQS, r"sqs:[^:]+:\d{12}:[^:/]+"),
    (SourceKind.KINESIS, r"kinesis:[^:]+:\d{12}:stream/[^:/]+(/consumer/[^:/]+:\d+)?"),
    (SourceKind.DYNAMODB, r"dynamodb:[^:]+:\d{12}:table/[^/]+/stream/.+"),
    (SourceKind.MSK, r"kafka:[^:]+:\d{12}:(cluster|vpc-connection)/.+"),
    (SourceKind.MQ, r"mq:[^:]+:\d{12}:broker:[^:]+:[^:]+"),
    (SourceKind.DOCUMENTDB, r"rds:[^:]+:\d{12}:cluster:[^:]+"),
)


def source_of(request: CreateMapping, uuid: str, now: float) -> EventSource:
    """Where a new mapping reads; refuses what is no event source, or not wholly named."""
    kind = _kind(request.source_arn, request.endpoints)
    rules = RULES[kind]
    given = {
        "sourceAccessConfigurations": request.settings.access,
        "topics": request.topics,
        "queues": request.queues,
        "documentDBEventSourceConfig": request.settings.document_database,
    }
    for name in rules.needs:
        if not given[name]:
            raise InvalidParameterValueException(f"Required '{name}' parameter is missing.")
    for name in ("topics", "queues"):
        if given[name] and name not in rules.needs:
            raise _unsupported(f"'{name}'")
    _check_groups(kind, request.consumer_groups)
    _check_position(request, rules, now)
    return EventSource(
        kind=kind,
        arn=request.source_arn,
        endpoints=request.endpoints,
        topic=request.topics[0] if request.topics else None,
        queue=request.queues[0] if request.queues else None,
        consumer_group=request.consumer_groups.get(kind) or (uuid if kind in _GROUPS else None),
        starting_position=request.starting_position,
        starting_timestamp=request.starting_timestamp,
    )


def _kind(arn: str | None, endpoints: tuple[str, ...]) -> SourceKind:
    if arn is None:
        if endpoints:
            return SourceKind.KAFKA
        raise InvalidParameterValueException("Unrecognized event source.")
    if endpoints:
        raise InvalidParameterValueException(
            "Only one of EventSourceArn and SelfManagedEventSource can be specified."
        )
    for kind, form in _ARNS:
        if re.fullmatch(f"arn:aws[a-zA-Z-]*:{form}", arn, re.ASCII):
            return kind
    raise InvalidParameterValueException(
        f"Unrecognized event source. Unsupported source arn : {arn}"
    )


def _check_position(request: CreateMapping, rules: SourceRules, now: float) -> None:
    position, timestamp = request.starting_position, request.starting_timestamp
    if position is None and rules.positions:
        raise ValidationException(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
            "constraint: Member must not be null."
        )
    if position is not None and position not in rules.positions:
        raise _unsupported("'startingPosition'")
    if position == "AT_TIMESTAMP":
        if timestamp is None:
            raise InvalidParameterValueException("Need to specify a timestamp")
        if timestamp > now:
            raise InvalidParameterValueException(
                "StartingPositionTimestamp cannot be in the future."
            )
    elif timestamp is not None:
        raise InvalidParameterValueException(
            "StartingPositionTimestamp can only be set when StartingPosition is AT_TIMESTAMP."
        )


def merged(settings: MappingSettings, change: MappingSettings) -> MappingSettings:
    """`settings`, with what the change says."""
    return replace(settings, **_given(change))


def _given(settings: MappingSettings) -> dict[str, Any]:
    return {
        member.name: value
        for member in fields(settings)
        if (value := getattr(settings, member.name)) is not None
    }


def check_change(kind: SourceKind, change: MappingSettings) -> None:
    """Refuse settings that the source does not have; an empty value asks for nothing."""
    for name, value in _given(change).items():
        if name not in RULES[kind].settings and value not in ((), ""):
            raise _unsupported(_NAMES[name])


def change_of(mapping: EventSourceMapping, request: UpdateMapping) -> MappingSettings:
    """What an update changes; refuses what is set once and for all."""
    source, change = mapping.source, request.settings
    _check_groups(source.kind, request.consumer_groups)
    group = request.consumer_groups.get(source.kind)
    if group is not None and group != source.consumer_group:
        raise InvalidParameterValueException("ConsumerGroupId cannot be updated.")
    check_change(source.kind, change)
    if source.kind is not SourceKind.MQ or change.access is None:
        return change
    if any(access.type == _VIRTUAL_HOST for access in change.access):
        raise InvalidParameterValueException(f"{_VIRTUAL_HOST} cannot be updated.")
    kept = tuple(item for item in mapping.settings.access or () if item.type == _VIRTUAL_HOST)
    return replace(change, access=change.access + kept)


def completed(kind: SourceKind, settings: MappingSettings) -> MappingSettings:
    """Of two numbers of pollers the one that was left open has its default."""
    least, most = settings.minimum_pollers, settings.maximum_pollers
    if kind not in _POLLERS_OF or bool(least) is bool(most):
        return settings
    return replace(
        settings,
        minimum_pollers=least or _POLLERS_OF[kind][0],
        maximum_pollers=most or _POLLERS_MAX_DEFAULT,
    )


def _check_groups(kind: SourceKind, groups: Iterable[SourceKind]) -> None:
    for other in groups:
        if other is not kind:
            raise _unsupported(_GROUPS[other])


def check_settings(source: EventSource, settings: MappingSettings, limits: Limits) -> None:
    """Refuse values that the source's settings cannot have, alone or together."""
    _check_batch(source, settings)
    if settings.record_age_seconds is not None and 0 <= settings.record_age_seconds < _AGE_MIN:
        raise InvalidParameterValueException(
            f"MaximumRecordAgeInSeconds must be -1 or at least {_AGE_MIN}."
        )
    _check_pollers(source.kind, settings)
    _check_destination(source.kind, settings.on_failure)
    for access in settings.access or ():
        if access.type not in RULES[source.kind].access:
            raise InvalidParameterValueException(
                f"Unsupported source access type {access.type} for given event source mapping type."
            )
    check_filters(settings.filters or (), limits)


def _check_batch(source: EventSource, settings: MappingSettings) -> None:
    """A batch of more than ten needs time to gather; for streams Lambda was seen not to ask so."""
    size, window = settings.batch_size or 0, settings.batching_window_seconds or 0
    if source.kind is not SourceKind.SQS:
        return
    if source.fifo and window:
        raise InvalidParameterValueException("Batching window is not supported for FIFO queues")
    if source.fifo and size > _FIFO_BATCH_MAX:
        raise InvalidParameterValueException(
            f"Maximum batch size is {_FIFO_BATCH_MAX} for FIFO queues"
        )
    if size > _FIFO_BATCH_MAX and not window:
        raise InvalidParameterValueException(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10"
        )


def _check_pollers(kind: SourceKind, settings: MappingSettings) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_ProvisionedPollerConfig.html."""
    least, most = settings.minimum_pollers, settings.maximum_pollers
    if not least and not most:
        return
    floor, ceiling = _POLLERS_OF.get(kind, (1, 0))
    for name, value in (("MinimumPollers", least), ("MaximumPollers", most)):
        if value and not floor <= value <= ceiling:
            raise InvalidParameterValueException(
                f"{name} must be between {floor} and {ceiling} for this event source."
            )
    if least and most and least > most:
        raise InvalidParameterValueException(
            "MinimumPollers must be less than or equal to MaximumPollers."
        )
    if settings.maximum_concurrency:
        raise InvalidParameterValueException(
            "ScalingConfig and ProvisionedPollerConfig cannot be set together."
        )


def _check_destination(kind: SourceKind, destination: str | None) -> None:
    if not destination:
        return
    if destination.startswith("kafka://"):
        fits = kind in _GROUPS
    else:
        service = destination.split(":")[2]
        fits = service in ("s3", "sns", "sqs") and not destination.endswith(".fifo")
    if not fits:
        raise InvalidParameterValueException(f"The destination ARN {destination} is invalid.")


def check_filters(patterns: Iterable[str], limits: Limits) -> None:
    patterns = tuple(patterns)
    if len(patterns) > limits.filters:
        raise InvalidParameterValueException(
            f"FilterCriteria cannot have more than {limits.filters} filters."
        )
    try:
        for pattern in patterns:
            compile_pattern(pattern)
    except PatternError as error:
        raise InvalidParameterValueException("Invalid filter pattern definition.") from error


def overlaps(one: EventSource, other: EventSource) -> bool:
    """Whether two mappings would read the same."""
    if one.kind is not other.kind or (one.topic, one.queue) != (other.topic, other.queue):
        return False
    if one.kind is SourceKind.KAFKA:
        return not set(one.endpoints).isdisjoint(other.endpoints)
    return one.arn == other.arn


def already_there(source: EventSource, function_arn: str, name: str, uuid: str) -> str:
    """As Lambda words it, which is otherwise for each kind of source."""
    found = f"Please update or delete the existing mapping with UUID {uuid}"
    if source.kind is SourceKind.SQS:
        return (
            f'An event source mapping with SQS arn (" {source.arn} ") and function (" {name} ") '
            f"already exists. {found}"
        )
    if source.kind in (SourceKind.KINESIS, SourceKind.DYNAMODB, SourceKind.DOCUMENTDB):
        return (
            f'The event source arn (" {source.arn} ") and function (" {name} ") provided mapping '
            f"already exists. {found}"
        )
    where = source.arn or ",".join(source.endpoints)
    what = f'queues ("{source.queue}")' if source.queue else f'topics ("{source.topic}")'
    return (
        f'An event source mapping with event source ("{where}"), function ("{function_arn}"), '
        f"{what} already exists. {found}"
    )


def _unsupported(name: str) -> InvalidParameterValueException:
    return InvalidParameterValueException(
        f"Unsupported {name} parameter for given event source mapping type."
    )
