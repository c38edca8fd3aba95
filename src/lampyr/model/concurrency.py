"""How many of a function may run at once: what its owner set apart for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedConfig:
    """Environments of one version or alias that are kept initialised."""

    requested: int
    last_modified: float
    """Seconds since the epoch."""


class ProvisionedStatus(StrEnum):
    IN_PROGRESS = "IN_PROGRESS"
    READY = "READY"
    FAILED = "FAILED"


def shares(requested: int, weights: Mapping[str, float]) -> Mapping[str, int]:
    """How many of an alias's environments each of its further versions gets, by their weights.

    The rest is for the alias's first version.
    """
    return {version: round(requested * weight) for version, weight in weights.items()}
