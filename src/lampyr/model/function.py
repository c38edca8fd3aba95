"""A function and its versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from lampyr.model.alias import Alias
from lampyr.model.concurrency import ProvisionedConfig
from lampyr.model.event_invoke import EventInvokeConfig
from lampyr.model.function_url import FunctionUrlConfig
from lampyr.model.image import ImageConfig
from lampyr.model.layer import LayerUse
from lampyr.model.policy import Policy

LATEST: Final = "$LATEST"


class FunctionKey(NamedTuple):
    """Where a function lives. Two accounts or Regions never see each other's functions."""

    account_id: str
    region: str
    name: str


class State(StrEnum):
    PENDING = "Pending"
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    FAILED = "Failed"


class UpdateStatus(StrEnum):
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    IN_PROGRESS = "InProgress"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfig:
    log_format: str = "Text"
    application_log_level: str | None = None
    system_log_level: str | None = None
    log_group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a state is what it is: a sentence, and AWS's code for it."""

    message: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionVersion:
    """What one invocation runs: code and configuration. Immutable once published."""

    key: FunctionKey
    version: str = LATEST
    deployment_id: str
    """Changes with every change of code or configuration: environments of another are stale."""
    revision_id: str
    """AWS's RevisionId: changes with every change that GetFunction can show."""
    last_modified: float
    """Seconds since the epoch."""

    role: str
    package_type: str = "Zip"
    runtime: str | None = None
    handler: str | None = None
    code_sha256: str
    """Of the package as uploaded, base64, as AWS shows it; of an image its digest, where known."""
    code_bytes: int
    unzipped_bytes: int = 0
    """0 for code of a release that did not count them yet."""
    image_uri: str | None = None
    image_config: ImageConfig | None = None
    description: str = ""
    timeout_seconds: int = 3
    memory_mb: int = 128
    tmp_mb: int = 512
    architecture: str = "x86_64"
    environment: Mapping[str, str] | None = None
    layers: tuple[LayerUse, ...] = ()
    """In the order in which they are laid over each other: a later one wins."""
    logging: LoggingConfig
    tracing_mode: str = "PassThrough"
    tenant_isolation_mode: str | None = None
    snap_start: bool = False
    """SnapStart applies to published versions."""
    no_vpc: bool = False
    """Whether a caller said so, by an empty VpcConfig: it is shown from then on."""
    dead_letter_arn: str | None = None
    """A queue or topic for the events that asynchronous invocations could not process."""

    state: State = State.PENDING
    state_reason: Reason | None = None
    last_update_status: UpdateStatus = UpdateStatus.SUCCESSFUL
    last_update_reason: Reason | None = None

    @property
    def has_snapshot(self) -> bool:
        """Whether its environments are initialised ahead of need, and restored."""
        return self.snap_start and self.version != LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    key: FunctionKey
    latest: FunctionVersion
    serving: FunctionVersion | None = None
    """What `$LATEST` runs while an update of it is in progress or after one has failed."""
    published: Mapping[str, FunctionVersion] = field(default_factory=dict)
    last_version: int = 0
    """The highest version number ever given out; those of deleted versions do not return."""
    published_from: FunctionVersion | None = None
    """What `$LATEST` was when `last_version` was published: it is not published twice."""
    aliases: Mapping[str, Alias] = field(default_factory=dict)
    """By name."""
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """By qualifier; the function's own is kept as that of `$LATEST`, which cannot have one."""
    tags: Mapping[str, str] = field(default_factory=dict)
    event_invoke: Mapping[str, EventInvokeConfig] = field(default_factory=dict)
    """By qualifier: `$LATEST`, a version's number or an alias."""
    urls: Mapping[str, FunctionUrlConfig] = field(default_factory=dict)
    """By qualifier: `$LATEST` or an alias."""
    recursive_loop: str = "Terminate"
    """Whether it goes on when it is found to call itself, by whatever way: `Allow`."""
    signing_config: str | None = None
    """Identifier of its code signing configuration."""
    created: float
    """Seconds since the epoch."""
    reserved_concurrency: int | None = None
    """Most invocations at once, taken out of the account's pool for this function alone."""
    provisioned: Mapping[str, ProvisionedConfig] = field(default_factory=dict)
    """By the version or alias that it is for."""

    @property
    def provisioned_concurrency(self) -> int:
        return sum(config.requested for config in self.provisioned.values())

    @property
    def claimed_concurrency(self) -> int:
        """What other functions of the account cannot use."""
        reserved = self.reserved_concurrency
        return self.provisioned_concurrency if reserved is None else reserved

    def version(self, number: str) -> FunctionVersion | None:
        return self.latest if number == LATEST else self.published.get(number)

    def qualified(self, qualifier: str) -> FunctionVersion | None:
        """The version that a number or an alias means; of an alias with two, the first."""
        alias = self.aliases.get(qualifier)
        return self.version(qualifier if alias is None else alias.version)
