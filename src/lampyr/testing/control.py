"""A control plane for tests, over a store that forgets and a cluster that does as it is told."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lampyr.control.plane import ControlPlane
from lampyr.control.states import unfinished
from lampyr.invoke.admission import Admission
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.function import Function, FunctionKey, FunctionVersion, Reason
from lampyr.store.base import Store
from lampyr.store.index import Index, forget
from lampyr.store.kinds import KINDS, Tables
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

    async def close(self) -> None: ...


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
    admission = Admission(options.get("limits", DEFAULT_LIMITS).concurrent_executions)
    retired: list[str] = []
    options = {"architecture": "x86_64", **options}
    plane = ControlPlane(
        store=store,
        cluster=cluster,
        clock=clock,
        new_id=lambda: str(uuid.uuid4()),
        retire=retired.extend,
        capacity=admission,
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
        )
        task.cancel()
    await store.close()
