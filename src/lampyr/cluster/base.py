"""The workers that execution environments can be placed on, as those above see them."""

from typing import Protocol

from lampyr.model.function import FunctionVersion, Reason
from lampyr.model.invocation import Invocation
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.outcomes import Failure


class Cluster(Protocol):
    async def prepare(self, version: FunctionVersion) -> Reason | None:
        """Fetch, unpack and byte-compile the code, and check that the runtime is here.

        A reason when the function cannot run.
        """
        ...

    async def start(
        self,
        version: FunctionVersion,
        tenant_id: str | None,
        *,
        init_seconds: float,
        within: Invocation | None = None,
        provisioned: bool = False,
    ) -> ExecutionEnvironment | Failure:
        """A ready environment on whichever worker has the room, or how its Init failed.

        `within` is the invocation inside which a second Init takes place, after the first failed;
        one that is `provisioned` is initialised ahead of any.
        Raises `SandboxError`.
        """
        ...

    async def stop(self, environment: ExecutionEnvironment) -> None:
        """End it and free what it held; a second time does nothing."""
        ...
