"""Reconciler: brings every Pending function and every update in progress to its end.

Whoever stores such a function wakes it; at the start it looks through all of them, so that what a
crash interrupted is taken up again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from lampyr.control.packages import Packages, blobs_of
from lampyr.control.states import settled, unfinished, with_snapshot
from lampyr.limits import SNAPSHOTS_MAX
from lampyr.model.function import Function, FunctionKey, FunctionVersion, Reason
from lampyr.store.base import Store

log = logging.getLogger(__name__)

PARALLEL: Final = 4
"""Functions prepared at once; the rest waits its turn."""


class Preparer(Protocol):
    """What a `Cluster` does for this."""

    async def prepare(self, version: FunctionVersion) -> Reason | None: ...


class Activation:
    def __init__(
        self,
        store: Store,
        cluster: Preparer,
        packages: Packages,
        *,
        new_id: Callable[[], str],
        retire: Callable[[Sequence[str]], None],
        changed: Callable[[Function], None],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._packages = packages
        self._new_id = new_id
        self._retire = retire
        self._changed = changed
        self._due: asyncio.Queue[FunctionKey] = asyncio.Queue()
        self._queued: set[FunctionKey] = set()

    def wake(self, key: FunctionKey) -> None:
        """Have a function looked at, that is Pending or being updated."""
        if key not in self._queued:
            self._queued.add(key)
            self._due.put_nowait(key)

    async def run(self) -> None:
        """Until cancelled."""
        functions = await self._store.functions.everywhere()
        for function in functions:
            if any(unfinished(function)):
                self.wake(function.key)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._snapshots(functions), name="snapshots")
            for number in range(PARALLEL):
                group.create_task(self._work(), name=f"activation {number}")

    async def _snapshots(self, functions: Sequence[Function]) -> None:
        """Versions that have a snapshot get another: it did not outlive the process that had it."""
        for version in with_snapshot(functions)[:SNAPSHOTS_MAX]:
            reason = await self._prepare(version)
            if reason is not None:
                said = {"function": version.key.name, "reason": reason.message}
                log.warning("no snapshot", extra=said)

    async def _work(self) -> None:
        while True:
            key = await self._due.get()
            # From here on a new wake means another turn: this one has looked before.
            self._queued.discard(key)
            await self._bring_to_end(key)

    async def _bring_to_end(self, key: FunctionKey) -> None:
        function = await self._store.functions.get(key)
        if function is None:
            return
        for version in unfinished(function):
            reason = await self._prepare(version)
            await self._settle(version, reason)

    async def _prepare(self, version: FunctionVersion) -> Reason | None:
        try:
            return await self._cluster.prepare(version)
        except Exception:
            # A function must not stay Pending for ever because of a fault of ours: it fails,
            # visibly, and the next update tries again.
            log.exception("function cannot be prepared", extra={"function": version.key.name})
            return Reason(
                message="Lampyr could not prepare the function; its log says why.",
                code="InternalError",
            )

    async def _settle(self, version: FunctionVersion, reason: Reason | None) -> None:
        while True:
            function = await self._store.functions.get(version.key)
            if function is None:
                return
            new = settled(function, version, reason, self._new_id())
            if new is None:
                return
            if await self._store.functions.replace(function, new):
                break
        self._changed(new)
        log.info(
            "function settled",
            extra={
                "function": version.key.name,
                "version": version.version,
                "reason": reason and reason.message,
            },
        )
        await self._drop(function, new)

    async def _drop(self, old: Function, new: Function) -> None:
        """What ran until now makes room for what runs from now on."""
        if old.serving is not None and new.serving is None:
            self._retire([old.serving.deployment_id])
            await self._packages.forget(blobs_of(old.serving))
