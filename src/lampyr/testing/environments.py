"""Execution environments without processes, for tests of what stands above them."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, cast

from lampyr.clock import Clock
from lampyr.cluster.base import Environment
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.function import FunctionVersion, Reason
from lampyr.model.invocation import Invocation
from lampyr.testing import builders
from lampyr.testing.builders import a_key
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.journal import Journal
from lampyr.worker.memory_looks import MemoryLooks
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import Exit

ACCOUNT = "000000000000"
REGION = "us-east-1"


def a_version(name: str = "hello", **changes: Any) -> FunctionVersion:
    """A version that can run; `changes` are members of `FunctionVersion`."""
    return builders.a_version(a_key(name), **{"deployment_id": f"deployment-of-{name}", **changes})


def an_invocation(payload: bytes = b"{}", **changes: Any) -> Invocation:
    given: dict[str, Any] = {
        "request_id": "11111111-2222-3333-4444-555555555555",
        "payload": payload,
        "invoked_arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello",
        "trace_header": "Root=1-2-3;Parent=4;Sampled=0",
        **changes,
    }
    return Invocation(**given)


class FakeJournal:
    """Remembers which of its methods were called."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failures: list[Failure | None] = []

    def begin(self, invocation: Invocation) -> None:
        self.lines.append(f"begin {invocation.request_id}")

    def finish(self, invocation: Invocation, **facts: Any) -> bytes:
        self.lines.append(f"finish {invocation.request_id}")
        self.failures.append(facts["failure"])
        return b"tail" if invocation.wants_log_tail else b""

    def init_done(self, seconds: float) -> None:
        self.lines.append(f"init done {seconds}")

    def init_failed(self, seconds: float, failure: Failure, *, again: bool) -> None:
        self.lines.append(f"init failed {failure.error_type} again={again}")
        assert seconds >= 0  # noqa: S101

    def snapshot_taken(self, seconds: float) -> None:
        """Nothing is written."""

    def restore_start(self) -> None:
        """Nothing is written."""

    def restore_done(self, seconds: float) -> None:
        """Nothing is written."""

    def restore_failed(self, seconds: float, failure: Failure) -> None:
        """Nothing is written."""

    def drain(self) -> None:
        self.lines.append("drain")

    def close(self) -> None:
        self.lines.append("close")


class FakeSandbox:
    def __init__(self) -> None:
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.calls: list[str] = []
        self.memory = 42 * 1024 * 1024

    def begin_invoke_phase(self) -> None:
        self.calls.append("begin_invoke_phase")

    def freeze(self) -> None:
        self.calls.append("freeze")

    def thaw(self) -> None:
        self.calls.append("thaw")

    def memory_peak_bytes(self) -> int:
        return self.memory

    async def stop(self, grace_seconds: float = 0.0) -> None:
        self.calls.append(f"stop {grace_seconds:g}")


class EchoRuntime:
    """A runtime that answers what it was sent, or, when held, only once `answer` is called."""

    def __init__(self, environment: ExecutionEnvironment, *, held: bool = False) -> None:
        self.environment = environment
        self.held = held
        self.got: list[tuple[Invocation, int]] = []

    def deliver(self, invocation: Invocation, deadline_ms: int) -> None:
        self.got.append((invocation, deadline_ms))
        if not self.held:
            asyncio.get_running_loop().call_soon(self.answer)

    def answer(self) -> None:
        invocation = self.got[-1][0]
        self.environment.respond(invocation.request_id, invocation.payload)
        self.environment.next(self)


class FakeCluster:
    """Starts environments that exist in memory only; `failures` are taken by the first starts."""

    def __init__(self, clock: Clock, *, held: bool = False) -> None:
        self._clock = clock
        self._ids = itertools.count(1)
        self.held = held
        self.failures: list[Failure | Exception] = []
        self.gate: asyncio.Event | None = None
        """When set, starts wait for it."""
        self.started: dict[str, EchoRuntime] = {}
        self.stopped: list[str] = []
        self.retired: list[str] = []
        self.starts: list[Mapping[str, Any]] = []

    async def prepare(self, version: FunctionVersion) -> Reason | None:
        assert version.key.name  # noqa: S101
        return None

    async def start(
        self,
        version: FunctionVersion,
        tenant_id: str | None,
        *,
        init_seconds: float,
        within: Invocation | None = None,
        provisioned: bool = False,
    ) -> ExecutionEnvironment | Failure:
        self.starts.append(
            {
                "init_seconds": init_seconds,
                "again": within is not None,
                "tenant_id": tenant_id,
                "provisioned": provisioned,
            }
        )
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        environment = an_environment(
            version, self._clock, environment_id=f"e{next(self._ids)}", tenant_id=tenant_id
        )
        runtime = EchoRuntime(environment, held=self.held)
        self.started[environment.id] = runtime
        environment.next(runtime)
        return environment

    def retire(self, deployment_ids: Sequence[str]) -> None:
        self.retired += deployment_ids

    def relieve(self) -> None: ...

    async def stop(self, environment: Environment) -> None:
        self.stopped.append(environment.id)
        await self.started[environment.id].environment.stop()


def an_environment(
    version: FunctionVersion,
    clock: Clock,
    *,
    environment_id: str = "e1",
    tenant_id: str | None = None,
    within: Invocation | None = None,
    copied: bool = False,
) -> ExecutionEnvironment:
    """In state INIT; its runtime has yet to ask for work."""
    return ExecutionEnvironment(
        environment_id=environment_id,
        version=version,
        tenant_id=tenant_id,
        sandbox=cast("Any", FakeSandbox()),
        journal=cast("Journal", FakeJournal()),
        clock=clock,
        limits=DEFAULT_LIMITS,
        looks=MemoryLooks(),
        within=within,
        copied=copied,
    )
