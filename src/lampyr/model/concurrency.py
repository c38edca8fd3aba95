"""How many of a function may run at once: what its owner set apart for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedConfig:
    """Environments of one version or alias that are kept initialised."""

    requested: int
    last_modified: float
    """Seconds since the epoch."""
