"""Event source mappings: where events come from, which function gets them, and how.

https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lampyr.model.function import FunctionKey
from lampyr.model.resource import ResourceKey


class SourceKind(StrEnum):
    """Whatever Lambda polls. Kafka is a cluster of one's own; MSK is one by its ARN."""

    SQS = "SQS"
    KINESIS = "Kinesis"
    DYNAMODB = "DynamoDB"
    MSK = "MSK"
    KAFKA = "Kafka"
    MQ = "MQ"
    DOCUMENTDB = "DocumentDB"


class MappingState(StrEnum):
    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    UPDATING = "Updating"
    DELETING = "Deleting"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """Where a mapping reads, and where it begins: set once and for all."""

    kind: SourceKind
    arn: str | None = None
    """None: Kafka by its endpoints."""
    endpoints: tuple[str, ...] = ()
    """Of Kafka: `host:port`."""
    topic: str | None = None
    """Of MSK and Kafka."""
    queue: str | None = None
    """Of MQ."""
    consumer_group: str | None = None
    """Of MSK and Kafka."""
    starting_position: str | None = None
    starting_timestamp: float | None = None
    """Seconds since the epoch, with AT_TIMESTAMP."""

    @property
    def fifo(self) -> bool:
        return self.kind is SourceKind.SQS and (self.arn or "").endswith(".fifo")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAccess:
    """How a source is reached: a secret's ARN, a subnet, a virtual host, by its type."""

    type: str
    uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDatabase:
    """Which changes of a DocumentDB cluster are read."""

    database: str
    collection: str | None = None
    full_document: str = "Default"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSettings:
    """What can be changed. None: not set, and for many sources never is.

    The same type says what a caller asks for, where None is what the call left out.
    """

    batch_size: int | None = None
    batching_window_seconds: int | None = None
    """None: of Kafka, MQ and DocumentDB half a second."""
    filters: tuple[str, ...] | None = None
    """Patterns as they were given; see `lampyr.model.filters`."""
    response_types: tuple[str, ...] | None = None
    maximum_concurrency: int | None = None
    """Of SQS; 0 is no limit."""
    minimum_pollers: int | None = None
    """Of SQS, MSK and Kafka in provisioned mode; 0 is without."""
    maximum_pollers: int | None = None
    parallelization_factor: int | None = None
    tumbling_window_seconds: int | None = None
    on_failure: str | None = None
    """ARN, or `kafka://topic`; empty for no destination."""
    bisect_on_error: bool | None = None
    record_age_seconds: int | None = None
    """-1 is without end."""
    retry_attempts: int | None = None
    """-1 is without end."""
    access: tuple[SourceAccess, ...] | None = None
    document_database: DocumentDatabase | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSourceMapping:
    key: ResourceKey
    """Its `id` is the UUID."""
    source: EventSource
    function: FunctionKey
    qualifier: str | None
    settings: MappingSettings
    enabled: bool = True
    """What its user wants; `state` says what is."""
    state: MappingState
    state_reason: str
    last_processing_result: str | None = None
    last_modified: float
    """Seconds since the epoch."""
    tags: Mapping[str, str] = field(default_factory=dict)
