"""What bounds the pool of environments of one host."""

from dataclasses import dataclass

from lampyr.invoke.slots import HOLD_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    environments_max: int
    starts_at_once: int
    start_hold_seconds: float = HOLD_SECONDS
    idle_seconds: float
    init_seconds: float
    scaling_rate: int = 1_000
    """Starts of each function in ten seconds."""
    room_seconds: float = 10.0
    """A caller who finds the host full waits this long for room, and is throttled then."""
