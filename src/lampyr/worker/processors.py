"""What `lampyr doctor` says of processors: how long one takes to wake the other.

A call passes from process to process. Where the next one sleeps on another processor, that one has
to be woken: a few microseconds, but 30 and more in a virtual machine whose processors give up
theirs at once when they have nothing to do. Linux can have them look for work for a moment first
(https://docs.kernel.org/virt/guest-halt-polling.html), which then costs next to nothing. As root
Lampyr asks for that itself while it is busy: see `app/awake.py`.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from lampyr.worker.network.probe import Fact

_NAME: Final = "hand-over between processors"
SLOW_MICROSECONDS: Final = 15.0
_POLLING: Final = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")
_MEND: Final = (
    "a busy Lampyr keeps processors awake, as root, unless stay_awake is off; for all programs, "
    f"and for as long as this host is up: echo 200000 > {_POLLING}"
)
_SECONDS_MAX: Final = 10.0
_CODE: Final = """\
import os, socket, time
here, there = sorted(os.sched_getaffinity(0))[:2]
ours, theirs = socket.socketpair()
pid = os.fork()
if pid == 0:
    ours.close()
    os.sched_setaffinity(0, {there})
    while theirs.recv(1):
        theirs.send(b"x")
    os._exit(0)
theirs.close()
os.sched_setaffinity(0, {here})
took = []
for _ in range(500):
    rested = time.perf_counter() + 1e-4
    while (before := time.perf_counter()) < rested:
        pass  # The other one falls asleep meanwhile.
    ours.send(b"x")
    ours.recv(1)
    took.append(time.perf_counter() - before)
ours.close()
os.waitpid(pid, 0)
print(sorted(took)[len(took) // 2] / 2 * 1e6)
"""


async def probe() -> Fact:
    """Measured, some 0.1 s."""
    if len(os.sched_getaffinity(0)) == 1:
        return Fact(name=_NAME, ok=True, detail="there is only one")
    try:
        microseconds = await asyncio.to_thread(_measured)
    except (OSError, ValueError, subprocess.SubprocessError):
        return Fact(name=_NAME, ok=False, detail="could not be measured")
    return hand_over(microseconds, _polling())


def hand_over(microseconds: float, polling: int | None) -> Fact:
    """`polling`: for how many nanoseconds a processor looks for work; None where it has no say."""
    slow = microseconds > SLOW_MICROSECONDS
    mend = _MEND if slow and polling == 0 else ""
    return Fact(name=_NAME, ok=not slow, detail=f"{microseconds:.0f} µs", mend=mend)


def _measured() -> float:
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CODE],
        capture_output=True,
        check=False,
        text=True,
        timeout=_SECONDS_MAX,
    )
    return float(told.stdout)


def _polling() -> int | None:
    try:
        return int(_POLLING.read_text())
    except (OSError, ValueError):
        return None
