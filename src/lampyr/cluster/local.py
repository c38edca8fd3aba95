"""A cluster of one: the worker lives in this process."""

from collections.abc import Sequence

from lampyr.cluster.base import Environment
from lampyr.model.function import FunctionVersion, Reason
from lampyr.model.invocation import Invocation
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.outcomes import Failure
from lampyr.worker.worker import Worker


class LocalCluster:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def prepare(self, version: FunctionVersion) -> Reason | None:
        return await self._worker.prepare(version)

    async def start(
        self,
        version: FunctionVersion,
        tenant_id: str | None,
        *,
        init_seconds: float,
        within: Invocation | None = None,
        provisioned: bool = False,
    ) -> ExecutionEnvironment | Failure:
        return await self._worker.start(
            version,
            tenant_id,
            init_seconds=init_seconds,
            within=within,
            provisioned=provisioned,
        )

    def retire(self, deployment_ids: Sequence[str]) -> None:
        self._worker.snapshots.retire(deployment_ids)

    def relieve(self) -> None:
        self._worker.relieve()

    async def stop(self, environment: Environment) -> None:
        await self._worker.stop(environment.id)
