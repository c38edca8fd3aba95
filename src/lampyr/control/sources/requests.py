"""What callers ask of event source mappings; None is what they left open."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lampyr.arn import FunctionReference
from lampyr.model.mapping import MappingSettings, SourceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMapping:
    function: FunctionReference
    source_arn: str | None = None
    endpoints: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    starting_position: str | None = None
    starting_timestamp: float | None = None
    consumer_groups: Mapping[SourceKind, str | None] = field(default_factory=dict)
    """By the kind of source that the call configures; None leaves the group's name open."""
    settings: MappingSettings
    enabled: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateMapping:
    function: FunctionReference | None = None
    consumer_groups: Mapping[SourceKind, str | None] = field(default_factory=dict)
    settings: MappingSettings
    enabled: bool | None = None
