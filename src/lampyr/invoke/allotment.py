"""The provisioned environments of one version, as one alias or the version itself has them."""

from dataclasses import dataclass, field
from typing import Final

from lampyr.cluster.base import Environment
from lampyr.model.concurrency import ProvisionedStatus
from lampyr.model.function import FunctionVersion

INIT_FAILURE: Final = "FUNCTION_ERROR_INIT_FAILURE"
"""AWS's reason for `FAILED` where the function's own Init fails."""
NO_ROOM: Final = "Lampyr has no room for the environments; stop others or raise environments_max."
FAILURES_MAX: Final = 3
"""Starts in a row that failed, from which on the status is `FAILED`; they are tried on."""

AllotmentKey = tuple[str, str]
"""The qualifier that has the config, and the deployment of the version that runs."""


@dataclass(slots=True, kw_only=True, eq=False)
class Allotment:
    qualifier: str
    version: FunctionVersion
    requested: int
    ready: list[Environment] = field(default_factory=list)
    alive: int = 0
    """Initialised: idle or taken."""
    starting: int = 0
    failures: int = 0
    reason: str | None = None
    """Why the last start failed."""
    waits: bool = False
    """Until the next try after one that failed."""
    invocations: int = 0
    spillovers: int = 0
    """Invocations that found none of these idle, and so ran on demand."""

    @property
    def missing(self) -> int:
        return self.requested - self.alive - self.starting

    def failed(self, reason: str) -> None:
        self.failures += 1
        self.reason = reason

    def succeeded(self) -> None:
        self.failures = 0
        self.reason = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """What became of one config: counts as they are now."""

    requested: int
    allocated: int = 0
    """Environments that are initialised."""
    available: int = 0
    """Those of them that do not work just now."""
    status: ProvisionedStatus = ProvisionedStatus.IN_PROGRESS
    reason: str | None = None
    invocations: int = 0
    spillovers: int = 0

    @property
    def utilization(self) -> float:
        """What part of the allocated works: what target tracking looks at."""
        return (self.allocated - self.available) / self.allocated if self.allocated else 0.0


def provision(requested: int, allotments: list[Allotment]) -> Provision:
    """Of one config, whose allotments these are."""
    allocated = sum(min(each.alive, each.requested) for each in allotments)
    available = sum(min(len(each.ready), each.requested) for each in allotments)
    failed = next((each for each in allotments if each.failures >= FAILURES_MAX), None)
    if allocated >= requested:
        status = ProvisionedStatus.READY
    elif failed is not None:
        status = ProvisionedStatus.FAILED
    else:
        status = ProvisionedStatus.IN_PROGRESS
    return Provision(
        requested=requested,
        allocated=min(allocated, requested),
        available=min(available, requested),
        status=status,
        reason=failed.reason if failed is not None and allocated < requested else None,
        invocations=sum(each.invocations for each in allotments),
        spillovers=sum(each.spillovers for each in allotments),
    )
