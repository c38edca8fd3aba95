"""A control plane for tests, over a store that forgets and a cluster that does as it is told."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lampyr.control.plane import ControlPlane
from lampyr.control.states import unfinished
from lampyr.invoke.admission import Admission
from lampyr.invoke.invoker import Invoker
from lampyr.invoke.pool import EnvironmentPool
from lampyr.invoke.pool_settings import PoolSettings
from lampyr.invoke.provisioned import ProvisionedEnvironments
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.function import Function, FunctionKey, FunctionVersion, Reason
from lampyr.observe.metrics import Counters
from lampyr.store.base import Store
from lampyr.store.events import MemoryEvents
from lampyr.store.index import Index, forget
from lampyr.store.kinds import KINDS, Tables
from lampyr.tasks import Tasks
from lampyr.testing import environments
from lampyr.testing.aws import ScriptedAws
from lampyr.testing.clock import ManualClock


class DictBlobs:
    """A `BlobStore` without files: `path` finds none."""

    def __init__(self) -> None:
        self.packages: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.packages[sha256] = data
        return sha256

    async def path(self, sha256: str) -> Path | None:  # noqa: ARG002 - no files
        return None

    async def delete(self, sha256: str) -> None:
        self.packages.pop(sha256, None)

    async def all(self) -> Sequence[str]:
        return list(self.packages)


class DictStore(Tables):
    """A `Store` in memory alone."""

    def __init__(self) -> None:
        super().__init__({kind: Index(forget) for kind in KINDS.values()})
        self.functions: Index[Function] = Index(forget)
        self.blobs = DictBlobs()
        self.events = MemoryEvents()

    async def close(self) -> None: ...


POOL: Final = PoolSettings(
    environments_max=10, starts_at_once=4, idle_seconds=300.0, init_seconds=10.0
)


@dataclass
class FakeCluster:
    """Prepares everything at once, unless told otherwise."""

    reason: Reason | None = None
    error: Exception | None = None
    prepared: list[FunctionVersion] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def prepare(self, version: FunctionVersion) -> Reason | None:
        self.prepared.append(version)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.reason


@dataclass
class Control:
    """A control plane that runs, and what it is made of."""

    plane: ControlPlane
    store: Store
    cluster: FakeCluster
    clock: ManualClock
    retired: list[str]
    admission: Admission
    provisioned: ProvisionedEnvironments
    metrics: Counters
    environments: environments.FakeCluster
    """Where provisioned environments are started."""

    async def settle(self, key: FunctionKey) -> None:
        """Wait until the function is in a state in which it stays."""
        while True:
            function = await self.store.functions.get(key)
            if function is None or not any(unfinished(function)):
                return
            await asyncio.sleep(0)


@asynccontextmanager
async def running_control(store: Store | None = None, **options: Any) -> AsyncGenerator[Control]:
    store = store or DictStore()
    cluster, clock = FakeCluster(), ManualClock()
    tasks, started = Tasks(), environments.FakeCluster(clock)
    admission = Admission(options.get("limits", DEFAULT_LIMITS).concurrent_executions)
    pool = EnvironmentPool(started, tasks, clock, POOL)
    metrics = Counters(clock.now)
    provisioned = ProvisionedEnvironments(started, pool, tasks, clock, metrics)
    retired: list[str] = []
    options = {"architecture": "x86_64", "aws": ScriptedAws(), **options}
    plane = ControlPlane(
        store=store,
        cluster=cluster,
        clock=clock,
        new_id=lambda: str(uuid.uuid4()),
        retire=retired.extend,
        capacity=Invoker(pool, clock, admission, provisioned, tasks),
        **options,
    )
    await plane.open()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(plane.run())
        yield Control(
            plane=plane,
            store=store,
            cluster=cluster,
            clock=clock,
            retired=retired,
            admission=admission,
            provisioned=provisioned,
            metrics=metrics,
            environments=started,
        )
        task.cancel()
    await tasks.close()
    await store.close()
