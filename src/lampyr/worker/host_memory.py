"""How much memory this host, or the container that Lampyr lives in, has left."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from lampyr.clock import Clock

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")
_KIB: Final = 1024
_NAMES: Final = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""Of the container's group: of cgroup v2, and of v1, where no limit is a very large one."""

_FRESH_SECONDS: Final = 0.05
"""A look takes 0.3 ms, more with each disk and each group: 4 ms where a thousand environments are
being started."""
_FRESH_SECONDS_MAX: Final = 0.5
_SPENT_A_SECOND: Final = 10 << 30
"""Bytes: faster than a host of some cores can start what uses memory."""


class Pressure:
    """Whether less than `reserve_bytes` of memory is left, as of a moment ago."""

    def __init__(
        self, clock: Clock, reserve_bytes: int, left: Callable[[], int] | None = None
    ) -> None:
        self._clock = clock
        self._reserve_bytes = reserve_bytes
        self._left = left or available_bytes
        self._look_at = 0.0
        """When what was seen last is too old."""
        self._short = False

    def __call__(self) -> bool:
        now = self._clock.monotonic()
        if now >= self._look_at:
            spare = self._left() - self._reserve_bytes
            self._short = spare < 0
            fresh = max(_FRESH_SECONDS, spare / _SPENT_A_SECOND)
            self._look_at = now + min(fresh, _FRESH_SECONDS_MAX)
        return self._short


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """What can be used before something must be taken away; caches do not count as used."""
    left = [int(line.split()[1]) * _KIB for line in _lines(meminfo) if "MemAvailable:" in line]
    for limit_of, used_of, stat in _NAMES:
        limit, used = _number(cgroup / limit_of), _number(cgroup / used_of)
        if limit is not None and used is not None:
            cached = [line.split()[1] for line in _lines(cgroup / stat) if _is_cache(line)]
            left.append(limit - used + sum(map(int, cached)))
    return min(left, default=1 << 62)


def _is_cache(line: str) -> bool:
    return line.startswith(("inactive_file ", "active_file ", "slab_reclaimable "))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    """None where there is no such file, or no limit."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None
