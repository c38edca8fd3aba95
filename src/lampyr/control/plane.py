"""The control plane: what its use cases are made of.

The use cases themselves are functions, a module for each resource, as AWS's documentation groups
them: `functions`, `versions`, `tags`, `account`.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from lampyr.aws.base import Aws
from lampyr.clock import Clock
from lampyr.control.activation import Activation, Preparer
from lampyr.control.packages import Packages
from lampyr.control.sources.reconciler import MappingReconciler, NoPollers, Pollers
from lampyr.invoke.allotment import Provision
from lampyr.limits import DEFAULT_LIMITS, Limits
from lampyr.model.function import Function, FunctionKey
from lampyr.store.base import Store
from lampyr.worker.variables import RESERVED

READING_MAX: Final = 2
_ARCHITECTURES: Final = {"x86_64": "x86_64", "aarch64": "arm64"}


def host_architecture() -> str:
    """What this host's processor runs, in Lambda's words."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


class Capacity(Protocol):
    """Whoever admits invocations and keeps environments provisioned, as functions say."""

    def configure(self, function: Function) -> None: ...

    def forget(self, key: FunctionKey) -> None: ...

    def provision(self, function: Function, qualifier: str) -> Provision: ...


class ControlPlane:
    """Open it, have `run` supervised, and call the use cases with it."""

    def __init__(
        self,
        *,
        store: Store,
        cluster: Preparer,
        clock: Clock,
        new_id: Callable[[], str],
        retire: Callable[[Sequence[str]], None],
        capacity: Capacity,
        aws: Aws,
        limits: Limits = DEFAULT_LIMITS,
        architecture: str | None = None,
        reserved: Collection[str] = RESERVED,
        pollers: Pollers | None = None,
    ) -> None:
        """`new_id`: a UUID, never the same twice; `retire` gets deployments that run no more."""
        self.store = store
        self.clock = clock
        self.new_id = new_id
        self.retire = retire
        self.capacity = capacity
        self.aws = aws
        self.reading = asyncio.Semaphore(READING_MAX)
        """Held while a package that comes from S3 is in memory."""
        self.concurrency_changes = asyncio.Lock()
        """Held from looking at what an account has left to taking it."""
        self.signing_changes = asyncio.Lock()
        """Held from looking for a code signing configuration to using it, or deleting it."""
        self.limits = limits
        self.architecture = architecture or host_architecture()
        self.reserved = reserved
        self.packages = Packages(store, limits)
        self.activation = Activation(
            store, cluster, self.packages, new_id=new_id, retire=retire, changed=self.changed
        )
        self.mappings = MappingReconciler(store, pollers or NoPollers(), clock)

    async def open(self) -> None:
        """Remove what a crash left; what functions were given is in force from here on."""
        await self.packages.sweep()
        for function in await self.store.functions.everywhere():
            self.changed(function)

    def changed(self, function: Function) -> None:
        """A function was stored. Callers are resumed in any order: what is stored now counts."""
        self.capacity.configure(self.store.functions.known(function.key) or function)

    async def run(self) -> None:
        """Bring functions and event source mappings to their states, until cancelled.

        May be run again after a failure.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self.activation.run(), name="activation")
            group.create_task(self.mappings.run(), name="mappings")

    async def packages_in_use(self) -> frozenset[str]:
        """Hashes (hexadecimal) of the packages that functions name: for caches of them."""
        return await self.packages.in_use()
