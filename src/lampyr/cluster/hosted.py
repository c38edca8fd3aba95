"""The worker's end of the connection to the front: does what it is asked, tells what happens."""

import asyncio
import json
import logging
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.cluster.link import Answer, Link, Serve
from lampyr.cluster.messages import (
    of_end,
    of_failure,
    of_reason,
    of_result,
    to_invocation,
    to_version,
)
from lampyr.limits import MIB
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.observe.base import LogEvent, LogGroup, LogRecord
from lampyr.worker import outcomes
from lampyr.worker.credentials import CredentialBook, Credentials
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.environment_log import End
from lampyr.worker.outcomes import Failure
from lampyr.worker.states import State
from lampyr.worker.told import EnvironmentStoppedError, EventUnreadError, Tell
from lampyr.worker.worker import Worker

log = logging.getLogger(__name__)

LOG_SECONDS: Final = 0.02
"""Lines wait this long for more, unless something else is told before."""
LOG_EVENTS_MAX: Final = 1_000
UNSENT_BYTES_MAX: Final = 16 * MIB
"""While the front does not read, further lines are lost: they must not fill the memory."""


class SentLogs:
    """A `LogSink`: the front writes the lines."""

    def __init__(self, link: Link) -> None:
        self._link = link
        link.before = self.flush
        self._lines: dict[LogGroup, list[Any]] = {}
        """Lines, and ends of invocations, in their order."""
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def append(self, group: LogGroup, events: Collection[LogEvent]) -> None:
        self._add(group, events)

    def append_record(self, group: LogGroup, record: LogRecord) -> None:
        self._add(group, [of_end(record)] if isinstance(record, End) else record.events())

    def _add(self, group: LogGroup, items: Collection[Any]) -> None:
        self._lines.setdefault(group, []).extend(items)
        self._count += len(items)
        if self._count >= LOG_EVENTS_MAX:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOG_SECONDS, self.flush)

    def flush(self) -> None:
        """Send what waits: before anything else, so that a caller finds the log of his call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._count:
            return
        waiting, self._lines, self._count = self._lines, {}, 0
        link = self._link
        if link.stream.unsent > UNSENT_BYTES_MAX:
            return
        for group, events in waiting.items():
            link.stream.send({"verb": "log", "group": group}, json.dumps(events).encode())


class ToldCredentials(CredentialBook):
    """The front hears of each, since it serves the calls that are signed with them."""

    def __init__(self, random_bytes: Callable[[int], bytes], link: Link) -> None:
        super().__init__(random_bytes)
        self._link = link

    def issue(self, account_id: str, role_arn: str, session_name: str) -> Credentials:
        credentials = super().issue(account_id, role_arn, session_name)
        self._link.tell("issued", **asdict(credentials))
        return credentials

    def revoke(self, access_key_id: str) -> None:
        super().revoke(access_key_id)
        self._link.tell("revoked", access_key_id=access_key_id)


class FrontPackages:
    """A `CodeSource`: the front has the packages."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def path(self, sha256: str) -> Path | None:
        answer, _ = await self._link.call("package", sha256=sha256)
        return None if answer["path"] is None else Path(answer["path"])

    async def in_use(self) -> Collection[str]:
        answer, _ = await self._link.call("in_use")
        return frozenset(answer["hashes"])


class HostedWorker:
    """Serves the front with a `Worker`; owns its environments on the front's behalf."""

    def __init__(self, worker: Worker, clock: Clock, link: Link) -> None:
        self._worker = worker
        self._clock = clock
        self._environments: dict[str, ExecutionEnvironment] = {}
        self._within: dict[str, Invocation] = {}
        """Invocations inside which an environment was initialised, until they begin."""
        self.calls: dict[str, Serve] = {
            "prepare": self._prepare,
            "start": self._start,
            "stop": self._stop,
        }
        self.link = link

    # From the front ---------------------------------------------------------------------

    def heard(self, verb: str, members: dict[str, Any], body: bytes) -> None:
        match verb:
            case "begin":
                self._begin(members, body)
            case "freeze":
                if (frozen := self._environments.get(members["environment"])) is not None:
                    frozen.freeze()
            case "retire":
                self._worker.snapshots.retire(members["deployments"])
            case "relieve":
                self._worker.relieve()
            case _:
                log.error("unknown message from the front", extra={"verb": verb})

    async def _prepare(self, members: dict[str, Any], _body: bytes) -> Answer:
        reason = await self._worker.prepare(to_version(members["version"]))
        return {"reason": of_reason(reason)}, b""

    async def _start(self, members: dict[str, Any], body: bytes) -> Answer:
        asked = members["within"]
        within = None if asked is None else to_invocation(asked, body)
        made = await self._worker.start(
            to_version(members["version"]),
            members["tenant_id"],
            init_seconds=members["init_seconds"],
            within=within,
            provisioned=members["provisioned"],
        )
        if isinstance(made, Failure):
            return {"failure": of_failure(made)}, b""
        made.owner = self
        self._environments[made.id] = made
        if within is not None:
            self._within[made.id] = within
        self.link.tell("started", start=members["start"], environment=made.id)
        if made.state is not State.READY:
            self.over(made)
        return {"environment": made.id}, b""

    async def _stop(self, members: dict[str, Any], _body: bytes) -> Answer:
        environment_id = members["environment"]
        self._environments.pop(environment_id, None)
        self._within.pop(environment_id, None)
        await self._worker.stop(environment_id)
        return {}, b""

    def _begin(self, members: dict[str, Any], body: bytes) -> None:
        environment_id: str = members["environment"]
        environment = self._environments.get(environment_id)
        invocation = self._within.pop(environment_id, None)
        if invocation is None:
            invocation = to_invocation(members["invocation"], body)
        if environment is None or environment.state is not State.READY:
            # It ended while the event was on its way: nobody has read it.
            failure = of_failure(outcomes.stopped())
            self.link.tell("unread", environment=environment_id, failure=failure)
            return
        now = self._clock.monotonic()
        environment.begin(
            invocation,
            started=now - members["elapsed"],
            deadline=now + members["left"],
            tell=self._teller(environment_id),
        )

    def _teller(self, environment_id: str) -> Tell:
        def tell(outcome: InvokeResult | EnvironmentStoppedError) -> None:
            if isinstance(outcome, InvokeResult):
                result = of_result(outcome)
                self.link.tell("told", outcome.payload, environment=environment_id, result=result)
            elif isinstance(outcome, EventUnreadError):
                failure = of_failure(outcome.failure)
                self.link.tell("unread", environment=environment_id, failure=failure)
            else:
                self.link.tell("stopped", environment=environment_id)

        return tell

    # From the environments --------------------------------------------------------------

    def idle(self, environment: ExecutionEnvironment) -> None:
        self.link.tell("idle", environment=environment.id)

    def over(self, environment: ExecutionEnvironment) -> None:
        self.link.tell("over", environment=environment.id)
