"""The workers that execution environments can be placed on, as those above see them."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from lampyr.model.function import FunctionVersion, Reason
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.worker.outcomes import Failure
from lampyr.worker.states import State
from lampyr.worker.told import Tell


class Environment(Protocol):
    """An execution environment, wherever it runs: `ExecutionEnvironment` is one in this process."""

    id: str
    version: FunctionVersion
    state: State
    owner: Any
    """Whoever it belongs to while nobody invokes it: a `lampyr.worker.environment.Owner`."""

    def begin(
        self, invocation: Invocation, *, started: float, deadline: float, tell: Tell
    ) -> None: ...

    def invoke(
        self, invocation: Invocation, *, started: float, deadline: float
    ) -> "asyncio.Future[InvokeResult]": ...

    def freeze(self) -> None: ...


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
    ) -> Environment | Failure:
        """A ready environment on whichever worker has the room, or how its Init failed.

        `within` is the invocation inside which a second Init takes place, after the first failed;
        one that is `provisioned` is initialised ahead of any.
        Raises `SandboxError`.
        """
        ...

    def retire(self, deployment_ids: Sequence[str]) -> None:
        """These versions are gone: nothing is kept ready for them any more."""
        ...

    def relieve(self) -> None:
        """Memory is short: give up what is kept ready and is least likely to be needed."""
        ...

    async def stop(self, environment: Environment) -> None:
        """End it and free what it held; a second time does nothing."""
        ...
