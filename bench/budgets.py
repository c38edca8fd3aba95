"""What is promised of each row: a figure, and its share of what another program takes for the same.

The figures were set on a machine that is some times as fast as others with as many cores; what a
rival took there, or a bare loop that stands for what is possible, was measured there as well. The
figure divided by that is a share, and that is what holds on any machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bench.client import Series
from bench.results import short
from bench.rivals import EMULATOR

MINISTACK: Final = "ministack"
OFFLINE: Final = "serverless-offline"
ANEW: Final = "the same, started anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Of a time, in seconds."""

    p50: float
    p99: float | None = None
    rival: str = ""
    there: float | None = None
    """What the rival takes on the machine for which the figure was set, in seconds."""

    def __str__(self) -> str:
        p99 = "" if self.p99 is None else f", p99 ≤ {short(self.p99)}"
        share = "" if self.share is None else f"; share: {self.share:.3g} times {self.rival}"
        return f"p50 ≤ {short(self.p50)}{p99}{share}"

    @property
    def share(self) -> float | None:
        return None if self.there is None else self.p50 / self.there

    def holds(self, series: Series) -> bool:
        return series.p50 <= self.p50 and (self.p99 is None or series.p99 <= self.p99)

    def share_holds(self, ours: float, rival: float | None) -> bool | None:
        """Of medians in seconds. None where there is nothing to compare with."""
        if self.share is None or rival is None:
            return None
        return ours <= self.share * rival

    def times(self, ours: float, rival: float | None) -> str:
        return "" if rival is None else f", {ours / rival:.2g} times {self.rival}"

    def taken(self, series: Mapping[str, Series]) -> float | None:
        """By the rival, in the median, if it was there."""
        return series[self.rival].p50 if self.rival in series else None


WARM: Final = Budget(p50=100e-6, p99=1e-3, rival=EMULATOR, there=170e-6)
WARM_BOTO3: Final = Budget(p50=1.2e-3, rival=OFFLINE, there=1.26e-3)
WARM_STOCK_CLIENT: Final = Budget(p50=170e-6, rival=EMULATOR, there=170e-6)
WARM_NODE: Final = Budget(p50=110e-6, rival=OFFLINE, there=119e-6)
COLD: Final = Budget(p50=15e-3, rival=MINISTACK, there=153e-3)
COLD_BOTO3: Final = Budget(p50=40e-3, rival=ANEW, there=305e-3)
RESTORE_TIMES: Final = 15
"""How many times as fast as its Init a restore is to be, on any machine."""
RESTORE: Final = Budget(p50=10e-3, p99=30e-3, rival=ANEW, there=RESTORE_TIMES * 10e-3)
COLD_NODE: Final = Budget(p50=15e-3, rival=MINISTACK, there=113e-3)
COLD_NODE_ANEW: Final = Budget(p50=60e-3, rival=MINISTACK, there=113e-3)
CROWD: Final = Budget(p50=5.0)
"""No rival makes a thousand, and nothing else that was tried stands for the machine (ADR 30)."""
EVENT: Final = Budget(p50=2e-3, rival=MINISTACK, there=5e-3)
START: Final = Budget(p50=0.6, rival=MINISTACK, there=0.2)
CONTROL: Final = Budget(p50=0.9e-3, rival=MINISTACK, there=1.1e-3)
LIST_PAGE: Final = Budget(p50=50e-3)

RATE: Final = 15_000
"""Invokes a second."""
RATE_TIMES: Final = RATE / 12_000
"""serverless-offline serves 12,000 a second on that machine, at the most."""
ACCEPTED: Final = 5_000
"""Events a second."""
IDLE_BYTES: Final = 80e6
ENVIRONMENT_BYTES: Final = 8e6
