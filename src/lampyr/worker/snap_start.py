"""SnapStart on one host: versions are initialised when they are published, and restored.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
"""

from typing import Final, Protocol

from lampyr.clock import Clock
from lampyr.errors import SnapStartException, SnapStartTimeoutException
from lampyr.model.function import FunctionVersion, Reason
from lampyr.tasks import Tasks
from lampyr.worker import host_memory, outcomes
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import SandboxError
from lampyr.worker.snapshots import Snapshots

SNAPSHOT_INIT_SECONDS: Final = 130.0
"""Or the function's timeout, where that is longer."""
RESTORE_SECONDS: Final = 10.0
AFTER_RESTORE_ERROR: Final = "Runtime.AfterRestoreError"


class Starter(Protocol):
    """The worker."""

    async def initialize(
        self, version: FunctionVersion, tenant_id: str | None, init_seconds: float
    ) -> ExecutionEnvironment | Failure: ...

    async def initialize_origin(
        self, version: FunctionVersion, seconds: float
    ) -> ExecutionEnvironment | Failure | None: ...

    async def fork(self, origin: ExecutionEnvironment) -> ExecutionEnvironment: ...

    async def stop(self, environment_id: str) -> None: ...


class SnapStart:
    def __init__(self, clock: Clock, tasks: Tasks, starter: Starter) -> None:
        self._clock = clock
        self._starter = starter
        self.snapshots = Snapshots(
            clock,
            tasks,
            initialize=lambda version: starter.initialize(version, None, init_seconds(version)),
            initialize_origin=lambda version: starter.initialize_origin(
                version, init_seconds(version)
            ),
            fork=starter.fork,
            stop=lambda environment: starter.stop(environment.id),
            memory_left=host_memory.available_bytes,
        )

    async def publish(self, version: FunctionVersion) -> Reason | None:
        """Initialise a version; why that is not possible."""
        try:
            failure = await self.snapshots.publish(version)
        except SandboxError as error:
            return Reason(message=str(error), code="InternalError")
        return None if failure is None else outcomes.reason_of(failure)

    async def restore(self, version: FunctionVersion) -> ExecutionEnvironment | Failure:
        """Raise `SnapStartException` or `SnapStartTimeoutException` when its hooks fail."""
        asked = self._clock.monotonic()
        made = await self.snapshots.take(version)
        if isinstance(made, Failure):
            return made
        failure = await made.restored(RESTORE_SECONDS, since=asked)
        if failure is None:
            return made
        await self._starter.stop(made.id)
        if failure.status == "timeout":
            raise SnapStartTimeoutException(
                "Lambda couldn't restore the snapshot within the timeout limit."
            )
        if failure.error_type == AFTER_RESTORE_ERROR:
            raise SnapStartException(
                "The after-restore runtime hook encountered an error. For more information, check "
                "the Amazon CloudWatch logs."
            )
        return failure


def init_seconds(version: FunctionVersion) -> float:
    return max(SNAPSHOT_INIT_SECONDS, float(version.timeout_seconds))
