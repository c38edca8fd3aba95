"""A layer and its versions: what several functions share below `/opt`."""

from dataclasses import dataclass

from lampyr.model.policy import Policy
from lampyr.model.resource import ResourceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerVersion:
    """Never changed once it is published, but for who may use it."""

    number: int
    created: float
    """Seconds since the epoch."""
    code_sha256: str
    """Of the archive as uploaded, base64, as AWS shows it."""
    code_bytes: int
    unzipped_bytes: int
    description: str = ""
    license_info: str | None = None
    runtimes: tuple[str, ...] = ()
    """Those that it says it is compatible with; Lambda does not hold functions to it."""
    architectures: tuple[str, ...] = ()
    policy: Policy | None = None
    """Which other accounts may use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Stays when its versions are deleted: their numbers are not given again."""

    key: ResourceKey
    versions: tuple[LayerVersion, ...] = ()
    """By number, those that are not deleted."""
    last_version: int = 0

    def version(self, number: int) -> LayerVersion | None:
        return next((version for version in self.versions if version.number == number), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerUse:
    """A layer version as a function has it: still whole when the version has been deleted."""

    arn: str
    code_sha256: str
    code_bytes: int
    unzipped_bytes: int
