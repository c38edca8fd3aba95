"""While calls come one upon the other, processors stay awake.

A call passes from process to process, and between two of them a processor has nothing to do for a
moment. In a virtual machine it is given up then, and to get it back takes 30 microseconds and more,
several times for each call (see `worker/processors.py`). Linux lets a process ask for less
(https://docs.kernel.org/power/pm_qos_interface.html), for as long as it holds a file open: a Lampyr
that is killed asks for nothing any more.

A processor that stays awake has work for nobody else, so it is asked for only where it is known to
help, and only while this process is busy.
"""

import logging
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lampyr.clock import Clock

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.1
BUSY_SHARE: Final = 0.02
"""Of a processor, used by this process between two looks: some 300 calls a second."""
CALM_LOOKS: Final = 10
"""After so many looks at which it was not busy, nothing is asked for any more."""
PROCESSORS_MAX: Final = 8
"""Each of them would be kept awake, for calls that keep but a few busy."""
_REQUEST: Final = Path("/dev/cpu_dma_latency")
_DRIVER: Final = Path("/sys/devices/system/cpu/cpuidle/current_driver")
_HALTS: Final = "haltpoll"
"""How a guest of KVM waits for work: it looks for some for a moment, or gives the processor up."""


def helps(driver: Path = _DRIVER, request: Path = _REQUEST) -> bool:
    """Whether processors of this host are given up, and it may ask that they are not."""
    try:
        halts = driver.read_text().strip() == _HALTS
    except OSError:
        return False
    few = len(os.sched_getaffinity(0)) <= PROCESSORS_MAX
    return halts and few and os.access(request, os.W_OK)


class Awake:
    """Looks at how busy this process is, and holds the request meanwhile."""

    def __init__(
        self,
        clock: Clock,
        *,
        computed: Callable[[], float] = time.process_time,
        request: Path = _REQUEST,
    ) -> None:
        """`computed`: seconds of processor time that this process has used."""
        self._clock = clock
        self._computed = computed
        self._request = request
        self._before = clock.monotonic(), computed()
        self._calm = 0
        self._held = -1
        self._refused = False

    @property
    def asked(self) -> bool:
        return self._held >= 0

    async def look(self) -> None:
        """For a supervised loop."""
        await self._clock.sleep(LOOK_SECONDS)
        now = self._clock.monotonic(), self._computed()
        passed, used = (after - before for after, before in zip(now, self._before, strict=True))
        self._before = now
        self._calm = 0 if used >= passed * BUSY_SHARE else self._calm + 1
        if self._calm == 0 and not self.asked and not self._refused:
            self._ask()
        elif self._calm >= CALM_LOOKS:
            self.close()

    def _ask(self) -> None:
        """No latency at all is what keeps a processor from giving itself up."""
        try:
            self._held = os.open(self._request, os.O_WRONLY | os.O_CLOEXEC)
            os.write(self._held, struct.pack("=i", 0))
        except OSError as error:
            log.info("processors are not kept awake", extra={"reason": str(error)})
            self.close()
            self._refused = True

    def close(self) -> None:
        """Ask for nothing."""
        held, self._held = self._held, -1
        if held >= 0:
            os.close(held)
