"""A worker in another process, and its environments, as the front sees them."""

import asyncio
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.cluster.link import Answer, Link, LinkLostError, Serve
from lampyr.cluster.messages import (
    of_invocation,
    of_version,
    to_end,
    to_failure,
    to_reason,
    to_result,
)
from lampyr.model.function import FunctionVersion, Reason
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.observe.base import LogEvent, LogGroup, LogSink
from lampyr.tasks import Tasks
from lampyr.worker import outcomes
from lampyr.worker.credentials import CredentialBook, Credentials
from lampyr.worker.outcomes import Failure
from lampyr.worker.states import OVER, State
from lampyr.worker.told import EnvironmentStoppedError, EventUnreadError, Tell, future_of

log = logging.getLogger(__name__)

LOST: Final = "The worker that ran the invocation was lost"


class RemoteEnvironment:
    """Its state is what the worker told last; whoever invokes it hears through `told`."""

    def __init__(
        self, environment_id: str, version: FunctionVersion, link: Link, clock: Clock
    ) -> None:
        self.id = environment_id
        self.version = version
        self.state = State.READY
        self.owner: Any = None
        self._link = link
        self._clock = clock
        self._tell: Tell | None = None

    def begin(self, invocation: Invocation, *, started: float, deadline: float, tell: Tell) -> None:
        """As `ExecutionEnvironment.begin`. Times go as spans: clocks of hosts differ."""
        self.state = State.INVOKE
        self._tell = tell
        now = self._clock.monotonic()
        self._link.tell(
            "begin",
            invocation.payload,
            environment=self.id,
            elapsed=now - started,
            left=deadline - now,
            invocation=of_invocation(invocation),
        )

    def invoke(
        self, invocation: Invocation, *, started: float, deadline: float
    ) -> "asyncio.Future[InvokeResult]":
        result, tell = future_of()
        self.begin(invocation, started=started, deadline=deadline, tell=tell)
        return result

    def freeze(self) -> None:
        if self.state is State.READY:
            self._link.tell("freeze", environment=self.id)

    # From the worker --------------------------------------------------------------------

    def told(self, outcome: InvokeResult | EnvironmentStoppedError) -> None:
        if self.state is State.INVOKE:
            self.state = State.SETTLING
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(outcome)

    def idle(self) -> None:
        if self.state in OVER:
            return
        self.state = State.READY
        if self.owner is not None:
            self.owner.idle(self)

    def over(self, why: EnvironmentStoppedError) -> None:
        if self.state in OVER:
            return
        self.state = State.SHUTDOWN
        self.told(why)
        if self.owner is not None:
            self.owner.over(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontParts:
    """What the front does for its workers."""

    logs: LogSink
    credentials: CredentialBook
    package: Callable[[str], Awaitable[Path | None]]
    """A local file with the code package of this hash."""
    in_use: Callable[[], Awaitable[frozenset[str]]]
    """Hashes of packages that functions name."""
    clock: Clock


class RemoteWorker:
    """One connection to a worker; a worker that is started again is another one."""

    def __init__(self, parts: FrontParts, tasks: Tasks, on_lost: Callable[[], None]) -> None:
        self._parts = parts
        self._on_lost = on_lost
        self._environments: dict[str, RemoteEnvironment] = {}
        self._numbers = itertools.count(1)
        self._coming: dict[int, FunctionVersion] = {}
        """What is being started, by the number of its start."""
        self._keys: set[str] = set()
        """Of the credentials that its environments have."""
        self.calls: dict[str, Serve] = {"package": self._package, "in_use": self._in_use}
        self.link = Link(self, tasks)

    @property
    def load(self) -> int:
        return len(self._environments) + len(self._coming)

    async def prepare(self, version: FunctionVersion) -> Reason | None:
        answer, _ = await self.link.call("prepare", version=of_version(version))
        return to_reason(answer["reason"])

    async def start(
        self,
        version: FunctionVersion,
        tenant_id: str | None,
        *,
        init_seconds: float,
        within: Invocation | None,
        provisioned: bool,
    ) -> RemoteEnvironment | Failure:
        number = next(self._numbers)
        self._coming[number] = version
        try:
            answer, _ = await self.link.call(
                "start",
                b"" if within is None else within.payload,
                start=number,
                version=of_version(version),
                tenant_id=tenant_id,
                init_seconds=init_seconds,
                within=None if within is None else of_invocation(within),
                provisioned=provisioned,
            )
        finally:
            self._coming.pop(number, None)
        if (failure := answer.get("failure")) is not None:
            return to_failure(failure)
        environment = self._environments.get(answer["environment"])
        if environment is None:
            raise LinkLostError
        return environment

    def retire(self, deployment_ids: Sequence[str]) -> None:
        self.link.tell("retire", deployments=list(deployment_ids))

    def relieve(self) -> None:
        self.link.tell("relieve")

    async def stop(self, environment_id: str) -> None:
        if self._environments.pop(environment_id, None) is None:
            return
        try:
            await self.link.call("stop", environment=environment_id)
        except LinkLostError:
            return  # It is gone with its worker.

    # From the worker --------------------------------------------------------------------

    def heard(self, verb: str, members: dict[str, Any], body: bytes) -> None:
        if verb == "log":
            self._log(members, body)
        elif verb == "issued":
            credentials = Credentials(**members)
            self._keys.add(credentials.access_key_id)
            self._parts.credentials.adopt(credentials)
        elif verb == "revoked":
            self._revoke(members["access_key_id"])
        elif verb == "started":
            self._started(members)
        elif (environment := self._environments.get(members["environment"])) is not None:
            _pass_on(environment, verb, members, body)

    def lost(self) -> None:
        for environment in tuple(self._environments.values()):
            environment.over(EnvironmentStoppedError(LOST))
        self._environments.clear()
        for key in tuple(self._keys):
            self._revoke(key)
        self._on_lost()

    # Inside -----------------------------------------------------------------------------

    def _started(self, members: dict[str, Any]) -> None:
        """Told before the answer to the start, so that whatever is told next finds it."""
        version = self._coming.get(members["start"])
        if version is None:
            return
        environment_id = members["environment"]
        environment = RemoteEnvironment(environment_id, version, self.link, self._parts.clock)
        self._environments[environment_id] = environment

    def _revoke(self, key: str) -> None:
        self._keys.discard(key)
        self._parts.credentials.revoke(key)

    def _log(self, members: dict[str, Any], body: bytes) -> None:
        group, logs = LogGroup(*members["group"]), self._parts.logs
        for is_end, items in itertools.groupby(
            json.loads(body), lambda item: isinstance(item, dict)
        ):
            if is_end:
                for item in items:
                    logs.append_record(group, to_end(item))
            else:
                logs.append(group, [LogEvent(*event) for event in items])

    async def _package(self, members: dict[str, Any], _body: bytes) -> Answer:
        path = await self._parts.package(members["sha256"])
        return {"path": None if path is None else str(path)}, b""

    async def _in_use(self, _members: dict[str, Any], _body: bytes) -> Answer:
        return {"hashes": sorted(await self._parts.in_use())}, b""


def _pass_on(
    environment: RemoteEnvironment, verb: str, members: dict[str, Any], body: bytes
) -> None:
    match verb:
        case "told":
            environment.told(to_result(members["result"], body))
        case "unread":
            environment.told(EventUnreadError(to_failure(members["failure"])))
        case "stopped":
            environment.told(EnvironmentStoppedError())
        case "idle":
            environment.idle()
        case "over":
            # Had it taken an event before, it had told what came of it.
            environment.over(EventUnreadError(outcomes.stopped()))
        case _:
            log.error("unknown message from a worker", extra={"verb": verb})
