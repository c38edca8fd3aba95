"""Code signing configurations: whose signature the code of functions has to carry.

https://docs.aws.amazon.com/lambda/latest/api/API_CodeSigningConfig.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lampyr.model.resource import ResourceKey


class UntrustedArtifact(StrEnum):
    """What happens to code without such a signature."""

    WARN = "Warn"
    ENFORCE = "Enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSigningConfig:
    key: ResourceKey
    """Its `id` begins with `csc-`."""
    publishers: tuple[str, ...]
    """ARNs of versions of signing profiles."""
    untrusted: UntrustedArtifact = UntrustedArtifact.WARN
    description: str | None = None
    last_modified: float
    """Seconds since the epoch."""
    tags: Mapping[str, str] = field(default_factory=dict)
