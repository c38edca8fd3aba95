"""Environments that are initialised ahead and kept, as functions' configs ask.

Each has room on the host that no other can take, is started anew when it ends, and belongs to the
version or alias whose config asked for it. A caller takes an idle one; where there is none the
call spills over to the environments that are started on demand, and nobody waits here.
https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
"""

import logging
from collections.abc import Mapping
from typing import Final, Protocol

from lampyr.clock import Clock
from lampyr.cluster.base import Cluster, Environment
from lampyr.invoke.allotment import (
    INIT_FAILURE,
    NO_ROOM,
    Allotment,
    AllotmentKey,
    Provision,
    provision,
)
from lampyr.invoke.rest import Rest
from lampyr.invoke.slots import StartSlots
from lampyr.model.concurrency import shares
from lampyr.model.function import LATEST, Function, FunctionKey, FunctionVersion, State
from lampyr.observe.metrics import Metrics
from lampyr.tasks import Tasks
from lampyr.worker.outcomes import Failure
from lampyr.worker.states import OVER

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
AGAIN_SECONDS_MAX: Final = 60.0
"""Between tries, which come later and later, to start what does not start."""
INIT_SECONDS_MIN: Final = 130.0
"""An Init ahead may take this long, or as long as the function's timeout.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""
_QUALIFIER_PLACE: Final = 7
"""Of an ARN's parts, between its colons."""


class Host(Protocol):
    """Room for environments, which the pool has too."""

    starts: StartSlots

    def claim(self) -> bool: ...

    def release(self) -> None: ...


class ProvisionedEnvironments:
    def __init__(
        self, cluster: Cluster, host: Host, tasks: Tasks, clock: Clock, metrics: Metrics
    ) -> None:
        self._metrics = metrics
        self._cluster = cluster
        self._host = host
        self._tasks = tasks
        self._clock = clock
        self._rest = Rest(clock)
        self._functions: dict[FunctionKey, dict[AllotmentKey, Allotment]] = {}
        self._of: dict[str, Allotment] = {}
        """Of every living environment, by its id."""

    def find(self, version: FunctionVersion, invoked_arn: str) -> Allotment | None:
        """The environments that a call by this ARN may have; None where nothing is provisioned."""
        allotments = self._functions.get(version.key)
        if allotments is None:
            return None
        parts = invoked_arn.split(":")
        qualifier = parts[_QUALIFIER_PLACE] if len(parts) > _QUALIFIER_PLACE else LATEST
        deployment_id = version.deployment_id
        named = allotments.get((qualifier, deployment_id))
        return named or allotments.get((version.version, deployment_id))

    def take(self, allotment: Allotment) -> Environment | None:
        """An idle environment, now the caller's; None when there is none."""
        while allotment.ready:
            environment = allotment.ready.pop()
            self._rest.end(environment)
            if environment.state not in OVER:
                allotment.invocations += 1
                self._record(allotment, "ProvisionedConcurrencyInvocations", 1)
                busy = allotment.alive - len(allotment.ready)
                self._record(allotment, "ProvisionedConcurrentExecutions", busy)
                share = busy / max(allotment.requested, 1)
                self._record(allotment, "ProvisionedConcurrencyUtilization", share)
                return environment
        return None

    def spill(self, allotment: Allotment) -> None:
        """An invocation found none of them idle, and runs on demand."""
        allotment.spillovers += 1
        self._record(allotment, "ProvisionedConcurrencySpilloverInvocations", 1)

    def configure(self, function: Function) -> None:
        """Keep what the function's configs ask for from here on."""
        wanted = _wanted(function)
        have = self._functions.setdefault(function.key, {})
        for key in [key for key in have if key not in wanted]:
            self._shrink(have.pop(key), 0)
        for key, (version, requested) in wanted.items():
            allotment = have.get(key)
            if allotment is None:
                allotment = have[key] = Allotment(
                    qualifier=key[0], version=version, requested=requested
                )
            elif allotment.requested != requested:
                allotment.succeeded()
            self._shrink(allotment, requested)
            self._fill(allotment)
        if not have:
            del self._functions[function.key]

    def forget(self, key: FunctionKey) -> None:
        """The function is deleted."""
        for allotment in self._functions.pop(key, {}).values():
            self._shrink(allotment, 0)

    def provision(self, function: Function, qualifier: str) -> Provision:
        """What became of one of the function's configs."""
        found = self._functions.get(function.key, {})
        mine = [allotment for (name, _), allotment in found.items() if name == qualifier]
        return provision(function.provisioned[qualifier].requested, mine)

    # From the environments --------------------------------------------------------------

    def idle(self, environment: Environment) -> None:
        allotment = self._of.get(environment.id)
        if allotment is None:
            return
        if allotment.alive > allotment.requested:
            self._discard(environment)
            return
        allotment.ready.append(environment)
        self._rest.begin(environment, self._clock.monotonic())

    def over(self, environment: Environment) -> None:
        """It ended by itself: after a timeout, a crash, an exit. Another takes its place."""
        allotment = self._of.get(environment.id)
        if allotment is None:
            return
        if environment in allotment.ready:
            allotment.ready.remove(environment)
        self._discard(environment)
        self._fill(allotment)

    # Inside -----------------------------------------------------------------------------

    def _record(self, allotment: Allotment, name: str, value: float) -> None:
        self._metrics.record(allotment.version.key, name, value, qualifier=allotment.qualifier)

    def _shrink(self, allotment: Allotment, requested: int) -> None:
        """Stop the idle ones that are too many; the busy ones are after their work."""
        allotment.requested = requested
        while allotment.ready and allotment.alive > requested:
            self._discard(allotment.ready.pop(0))

    def _fill(self, allotment: Allotment) -> None:
        if allotment.waits:
            return
        for _ in range(allotment.missing):
            if not self._host.claim():
                self._try_later(allotment, NO_ROOM)
                return
            allotment.starting += 1
            self._tasks.start(self._start(allotment), "provisioned environment start")

    async def _start(self, allotment: Allotment) -> None:
        made: Environment | Failure | None = None
        error: Exception | None = None
        version = allotment.version
        try:
            async with self._host.starts.held():
                if allotment.alive + allotment.starting <= allotment.requested:
                    made = await self._cluster.start(
                        version,
                        None,
                        init_seconds=max(INIT_SECONDS_MIN, version.timeout_seconds),
                        provisioned=True,
                    )
        except Exception as raised:  # noqa: BLE001 - the config's status says so
            error = raised
        finally:
            allotment.starting -= 1
            if made is None or isinstance(made, Failure):
                self._host.release()
        if made is not None and not isinstance(made, Failure):
            self._adopt(allotment, made)
        elif made is not None or error is not None:
            log.warning("provisioned environment did not start", exc_info=error)
            self._try_later(allotment, INIT_FAILURE if error is None else str(error))

    def _adopt(self, allotment: Allotment, environment: Environment) -> None:
        self._of[environment.id] = allotment
        allotment.alive += 1
        environment.owner = self
        if environment.state in OVER:
            self._discard(environment)
            self._try_later(allotment, INIT_FAILURE)
            return
        allotment.succeeded()
        self.idle(environment)

    def _try_later(self, allotment: Allotment, reason: str) -> None:
        if allotment.waits:
            return
        allotment.failed(reason)
        allotment.waits = True
        seconds = min(AGAIN_SECONDS * 2 ** min(allotment.failures - 1, 6), AGAIN_SECONDS_MAX)
        self._tasks.start(self._try_again(allotment, seconds), "provisioned environments: later")

    async def _try_again(self, allotment: Allotment, seconds: float) -> None:
        await self._clock.sleep(seconds)
        allotment.waits = False
        self._fill(allotment)

    def _discard(self, environment: Environment) -> None:
        allotment = self._of.pop(environment.id)
        allotment.alive -= 1
        self._rest.end(environment)
        self._tasks.start(self._stop(environment), "provisioned environment stop")

    async def _stop(self, environment: Environment) -> None:
        try:
            await self._cluster.stop(environment)
        finally:
            self._host.release()


def _wanted(function: Function) -> Mapping[AllotmentKey, tuple[FunctionVersion, int]]:
    """What the configs ask for, of versions that can run."""
    found: dict[AllotmentKey, tuple[FunctionVersion, int]] = {}
    for qualifier, config in function.provisioned.items():
        alias = function.aliases.get(qualifier)
        further = {} if alias is None else shares(config.requested, alias.weights)
        first = qualifier if alias is None else alias.version
        counts = {first: config.requested - sum(further.values()), **further}
        for number, count in counts.items():
            version = function.published.get(number)
            if version is not None and version.state is State.ACTIVE and count:
                found[qualifier, version.deployment_id] = version, count
    return found
