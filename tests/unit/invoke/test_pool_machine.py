"""The pool under anything that callers, functions and the host may do to it, in any order."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lampyr.errors import ServiceException, TooManyRequestsException
from lampyr.invoke.admission import Admission
from lampyr.invoke.invoker import Invoker
from lampyr.invoke.pool import EnvironmentPool, PoolSettings
from lampyr.invoke.provisioned import ProvisionedEnvironments
from lampyr.model.function import FunctionVersion
from lampyr.model.invocation import InvokeResult
from lampyr.tasks import Tasks
from lampyr.testing.clock import ManualClock
from lampyr.testing.environments import FakeCluster, a_version, an_invocation
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import Exit, SandboxError
from lampyr.worker.states import OVER, State

ENVIRONMENTS_MAX = 3
IDLE_SECONDS = 100.0
INIT_FAILED = Failure(error_type="E", payload=b"{}")
picks = st.integers(0, 50)
"""Which of those there are, counted round and round."""


class SteeredCluster(FakeCluster):
    """Every start waits until the test says what comes of it."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, held=True)
        self.pending: list[asyncio.Future[str]] = []

    async def start(
        self, version: FunctionVersion, tenant_id: str | None, **how: Any
    ) -> ExecutionEnvironment | Failure:
        coming: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.pending.append(coming)
        try:
            fate = await coming
        finally:
            if coming in self.pending:
                self.pending.remove(coming)
        if fate == "fails":
            return INIT_FAILED
        if fate == "raises":
            raise SandboxError("the host cannot")
        made = await super().start(version, tenant_id, **how)
        assert isinstance(made, ExecutionEnvironment)
        if fate == "dies":
            made.exited(Exit(code=1))
        return made


@settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
class PoolMachine(RuleBasedStateMachine):
    """Rules change one thing and let nothing else run; `settle` lets everything run."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.calls: list[asyncio.Task[InvokeResult]] = []
        self.deployments = [0, 0, 0]
        self.run(self._open)

    def run(self, action: Any) -> Any:
        """Run `action` inside the loop, as everything here needs it to run."""

        async def inside() -> Any:
            return action()

        return self.loop.run_until_complete(inside())

    def _open(self) -> None:
        self.tasks = Tasks()
        self.cluster = SteeredCluster(self.clock)
        chosen = PoolSettings(
            environments_max=ENVIRONMENTS_MAX,
            starts_at_once=2,
            idle_seconds=IDLE_SECONDS,
            init_seconds=10.0,
            room_seconds=3_600.0,
        )
        self.pool = EnvironmentPool(self.cluster, self.tasks, self.clock, chosen)
        self.admission = Admission(1_000)
        self.provisioned = ProvisionedEnvironments(self.cluster, self.pool, self.tasks, self.clock)
        self.invoker = Invoker(self.pool, self.clock, self.admission, self.provisioned)

    def version(self, number: int) -> FunctionVersion:
        deployment = f"{number}-{self.deployments[number]}"
        return a_version(f"f{number}", deployment_id=deployment, timeout_seconds=900)

    def environments(self, *states: State) -> list[ExecutionEnvironment]:
        known = (runtime.environment for runtime in self.cluster.started.values())
        return [each for each in known if each.state in states]

    def busy(self) -> list[ExecutionEnvironment]:
        return self.environments(State.INVOKE, State.SETTLING)

    @rule(number=st.integers(0, 2))
    def invoke(self, number: int) -> None:
        call = self.invoker.invoke(self.version(number), an_invocation(b"1"))
        self.calls.append(self.run(lambda: self.loop.create_task(call)))

    @precondition(lambda self: self.cluster.pending)
    @rule(which=picks, fate=st.sampled_from(["comes", "comes", "comes", "fails", "raises", "dies"]))
    def start_ends(self, which: int, fate: str) -> None:
        coming = self.cluster.pending.pop(which % len(self.cluster.pending))
        if not coming.done():
            self.run(lambda: coming.set_result(fate))

    @precondition(lambda self: self.environments(State.INVOKE))
    @rule(which=picks, settles=st.booleans())
    def answer(self, which: int, settles: bool) -> None:
        busy = self.environments(State.INVOKE)
        environment = busy[which % len(busy)]
        runtime = self.cluster.started[environment.id]

        def respond() -> None:
            request_id = runtime.got[-1][0].request_id
            environment.respond(request_id, b"1")
            if settles:
                environment.next(runtime)

        self.run(respond)

    @precondition(lambda self: self.environments(State.SETTLING))
    @rule(which=picks)
    def asks_for_more(self, which: int) -> None:
        settling = self.environments(State.SETTLING)
        environment = settling[which % len(settling)]
        self.run(lambda: environment.next(self.cluster.started[environment.id]))

    @precondition(lambda self: self.environments(*(set(State) - OVER)))
    @rule(which=picks)
    def dies(self, which: int) -> None:
        """Idle, busy, between the two, or just handed to a caller."""
        living = self.environments(*(set(State) - OVER))
        self.run(lambda: living[which % len(living)].exited(Exit(code=1)))

    @rule(number=st.integers(0, 2))
    def deploy(self, number: int) -> None:
        retired = self.version(number).deployment_id
        self.deployments[number] += 1
        self.run(lambda: self.pool.retire([retired]))

    @rule(seconds=st.sampled_from([1.0, IDLE_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.loop.run_until_complete(self.clock.advance(seconds))

        def look() -> None:
            self.pool.reclaim(self.clock.monotonic())
            if self.pool._rest.timer is not None:
                self.pool._rest.timer.cancel()
                self.pool._rest.freeze_rested()

        self.run(look)

    @precondition(lambda self: self.calls)
    @rule(which=picks)
    def caller_leaves(self, which: int) -> None:
        self.run(self.calls[which % len(self.calls)].cancel)

    @rule()
    def patience_ends(self) -> None:
        def tire() -> None:
            for group in tuple(self.pool._groups.values()):
                for waiter in tuple(group.waiting):
                    self.pool._tire(group, waiter)

        self.run(tire)

    @rule()
    def settle(self) -> None:
        async def everything() -> None:
            for _ in range(30):
                await asyncio.sleep(0)

        self.loop.run_until_complete(everything())
        self.nobody_waits_where_there_is_room()
        self.calls_came_to_a_right_end()

    def nobody_waits_where_there_is_room(self) -> None:
        groups = {*self.pool._groups.values(), *self.pool._group_of.values()}
        if any(group.starved for group in groups):
            assert self.pool.alive + self.pool._starting == ENVIRONMENTS_MAX
            assert not self.pool._idle_since, "one that idles could have made room"

    def calls_came_to_a_right_end(self) -> None:
        for call in [call for call in self.calls if call.done()]:
            self.calls.remove(call)
            if not call.cancelled() and (error := call.exception()) is not None:
                # Any other would be a bug: an environment held twice cannot be invoked.
                assert isinstance(error, (ServiceException, TooManyRequestsException)), error

    @invariant()
    def never_more_than_there_may_be(self) -> None:
        assert self.pool.alive + self.pool._starting <= ENVIRONMENTS_MAX
        assert len(self.environments(*(set(State) - OVER))) <= ENVIRONMENTS_MAX

    @invariant()
    def what_is_idle_is_known_once(self) -> None:
        groups = self.pool._groups.values()
        ready = [environment.id for group in groups for environment in group.ready]
        assert sorted(ready) == sorted(self.pool._idle_since)
        assert set(self.pool._rest.awake) <= set(self.pool._idle_since)
        for group in groups:
            assert group.alive >= len(group.ready)
            assert group.starting >= 0

    def teardown(self) -> None:
        try:
            self.everything_comes_to_its_end()
        finally:
            self.loop.run_until_complete(self.tasks.close())
            self.loop.close()

    def everything_comes_to_its_end(self) -> None:
        for _ in range(1_000):
            self.settle()
            if not (self.calls or self.cluster.pending or self.busy()):
                break
            while self.cluster.pending:
                self.start_ends(0, "comes")
            for environment in self.environments(State.INVOKE):
                self.run(self.cluster.started[environment.id].answer)
            while self.environments(State.SETTLING):
                self.asks_for_more(0)
        assert not self.calls, "a caller waits for ever"
        self.time_passes(IDLE_SECONDS)
        self.settle()
        assert (self.pool.alive, self.pool._starting) == (0, 0)
        assert not self.pool._groups
        assert not self.pool._idle_since
        assert not self.pool._rest.awake
        assert self.admission.in_flight("000000000000", "us-east-1") == 0
        assert sorted(self.cluster.stopped) == sorted(self.cluster.started)


TestPool = PoolMachine.TestCase
