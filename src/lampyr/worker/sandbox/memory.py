"""How much memory a sandbox uses, from its processes, where no control group counts it."""

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from lampyr.clock import Clock

_INTERVAL_SECONDS: Final = 0.025
_KIB: Final = 1024


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 65536).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, children first found first; without `pid` itself."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{parent}/task")  # noqa: PTH208  Strings are enough.
        except OSError:
            continue
        for thread in threads:
            children = _read(f"/proc/{parent}/task/{thread}/children").split()
            waiting += map(int, children)
            found += map(int, children)
    return found


def resident(pids: Iterable[int]) -> tuple[int, int]:
    """Bytes of anonymous and of shared memory, summed over processes.

    Pages that forks still share are counted for each of them: see `proportional`.
    """
    anonymous = shared = 0
    for pid in pids:
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith("RssAnon:"):
                anonymous += int(line.split()[1]) * _KIB
            elif line.startswith("RssShmem:"):
                shared += int(line.split()[1]) * _KIB
    return anonymous, shared


def peak(pids: Iterable[int]) -> int:
    """Bytes: the high-water marks of the processes, added up.

    The kernel keeps them, so that a peak between two looks is not missed. A control group's own
    mark would count the page cache and the files of `/tmp`.
    """
    total = 0
    for pid in pids:
        status = _read(f"/proc/{pid}/status")
        at = status.find("VmHWM:")
        if at >= 0:
            total += int(status[at + 6 :].split(None, 1)[0]) * _KIB
    return total


def proportional(pids: Iterable[int]) -> int:
    """Bytes of anonymous and shared memory, each page counted once; slow for large processes."""
    total = 0
    for pid in pids:
        text = _read(f"/proc/{pid}/smaps_rollup")
        if not text:
            total += sum(resident([pid]))
        for line in text.splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += int(line.split()[1]) * _KIB
    return total


def exceeds(pid: int, limit: int) -> bool:
    """Whether the processes below `pid` use more than `limit` bytes together."""
    pids = descendants(pid)
    return sum(resident(pids)) > limit and proportional(pids) > limit


class Watched(Protocol):
    """What a watchdog looks at."""

    @property
    def first_pid(self) -> int: ...

    @property
    def memory_limit(self) -> int: ...

    @property
    def runs(self) -> bool: ...


async def watch(
    clock: Clock, sandboxes: Callable[[], Iterable[Watched]], kill: Callable[[Watched], None]
) -> None:
    """Kill each sandbox that runs and uses too much; until cancelled."""
    while True:
        await clock.sleep(_INTERVAL_SECONDS)
        for sandbox in list(sandboxes()):
            if sandbox.runs and exceeds(sandbox.first_pid, sandbox.memory_limit):
                kill(sandbox)
            await asyncio.sleep(0)
