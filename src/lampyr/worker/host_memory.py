"""How much memory this host, or the container that Lampyr lives in, has left."""

from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")
_KIB: Final = 1024


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """What can be used before something must be taken away; caches do not count as used."""
    left = [int(line.split()[1]) * _KIB for line in _lines(meminfo) if "MemAvailable:" in line]
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is not None and used is not None:
        cached = [line.split()[1] for line in _lines(cgroup / "memory.stat") if _is_cache(line)]
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
