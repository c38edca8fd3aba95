"""What callers ask for: the input of the use cases, parsed; None is what they left open."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lampyr.model.function import FunctionKey
from lampyr.model.image import ImageConfig
from lampyr.model.resource import ResourceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingChange:
    log_format: str | None = None
    application_log_level: str | None = None
    system_log_level: str | None = None
    log_group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationChange:
    """Members that CreateFunction and UpdateFunctionConfiguration have in common."""

    role: str | None = None
    handler: str | None = None
    runtime: str | None = None
    description: str | None = None
    timeout_seconds: int | None = None
    memory_mb: int | None = None
    tmp_mb: int | None = None
    environment: Mapping[str, str] | None = None
    snap_start: bool | None = None
    logging: LoggingChange | None = None
    layers: tuple[str, ...] | None = None
    """ARNs of layer versions."""
    image_config: ImageConfig | None = None
    """Empty: none any more."""
    no_vpc: bool | None = None
    dead_letter_arn: str | None = None
    """Empty: none any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Object:
    """Where a package is; `version` None: the latest."""

    bucket: str
    key: str
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUri:
    uri: str


Source = bytes | S3Object | ImageUri | None
"""Where code comes from: the zip itself, an object, an image, or nothing that was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateFunction:
    key: FunctionKey
    configuration: ConfigurationChange
    package: Source
    architecture: str | None = None
    """None: what this host's processor runs."""
    package_type: str = "Zip"
    tenant_isolation_mode: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    signing_config: ResourceKey | None = None
    publish: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCode:
    key: FunctionKey
    package: Source
    architecture: str | None = None
    publish: bool = False
    dry_run: bool = False
    revision_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateConfiguration:
    key: FunctionKey
    configuration: ConfigurationChange
    revision_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishVersion:
    key: FunctionKey
    code_sha256: str | None = None
    description: str | None = None
    revision_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAlias:
    key: FunctionKey
    name: str
    version: str
    description: str | None = None
    weights: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateAlias:
    key: FunctionKey
    name: str
    version: str | None = None
    description: str | None = None
    weights: Mapping[str, float] | None = None
    revision_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishLayer:
    key: ResourceKey
    package: bytes | S3Object
    description: str = ""
    license_info: str | None = None
    runtimes: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFilter:
    """Which versions of layers a list shall show."""

    runtime: str | None = None
    architecture: str | None = None
