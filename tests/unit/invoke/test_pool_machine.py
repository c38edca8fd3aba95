"""The pool under anything that callers, functions and the host may do to it, in any order."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lampyr.arn import key_arn
from lampyr.errors import ServiceException, TooManyRequestsException
from lampyr.invoke.admission import Admission
from lampyr.invoke.invoker import Invoker
from lampyr.invoke.pool import EnvironmentPool
from lampyr.invoke.pool_settings import PoolSettings
from lampyr.invoke.provisioned import ProvisionedEnvironments
from lampyr.model.concurrency import ProvisionedConfig
from lampyr.model.function import FunctionVersion
from lampyr.model.invocation import InvokeResult
from lampyr.observe.metrics import Counters
from lampyr.tasks import Tasks
from lampyr.testing.builders import ACCOUNT, REGION, a_function, a_key
from lampyr.testing.clock import ManualClock
from lampyr.testing.environments import FakeCluster, a_version, an_invocation
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import Exit, SandboxError
from lampyr.worker.states import OVER, State

ENVIRONMENTS_MAX = 3
CONCURRENCY = 12
SCALING_RATE = 6
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
        self.reserved: list[int | None] = [None, None, None]
        self.kept = [0, 0, 0]
        self.short_of_memory = False
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
            scaling_rate=SCALING_RATE,
        )
        self.pool = EnvironmentPool(
            self.cluster, self.tasks, self.clock, chosen, pressed=lambda: self.short_of_memory
        )
        self.admission = Admission(CONCURRENCY)
        self.provisioned = ProvisionedEnvironments(
            self.cluster, self.pool, self.tasks, self.clock, Counters(self.clock.now)
        )
        self.invoker = Invoker(self.pool, self.clock, self.admission, self.provisioned, self.tasks)

    def version(self, number: int) -> FunctionVersion:
        deployment = f"{number}-{self.deployments[number]}"
        return a_version(f"f{number}", deployment_id=deployment, timeout_seconds=900, version="1")

    def configure(self, number: int) -> None:
        """As the control plane does after every change of a function."""
        version, kept = self.version(number), self.kept[number]
        config = ProvisionedConfig(requested=kept, last_modified=0.0)
        function = a_function(
            version.key,
            latest=version,
            published={"1": version},
            reserved_concurrency=self.reserved[number],
            provisioned={"1": config} if kept else {},
        )
        self.invoker.configure(function)

    def environments(self, *states: State) -> list[ExecutionEnvironment]:
        known = (runtime.environment for runtime in self.cluster.started.values())
        return [each for each in known if each.state in states]

    def busy(self) -> list[ExecutionEnvironment]:
        return self.environments(State.INVOKE, State.SETTLING)

    @rule(number=st.integers(0, 2), nested=st.booleans(), qualifier=st.sampled_from(["", ":1"]))
    def invoke(self, number: int, nested: bool, qualifier: str) -> None:
        version = self.version(number)
        arn = key_arn(version.key) + qualifier
        invocation = an_invocation(b"1", nested=nested, invoked_arn=arn)
        call = self.invoker.invoke(version, invocation)
        self.calls.append(self.run(lambda: self.loop.create_task(call)))

    @rule(
        number=st.integers(0, 2),
        reserved=st.sampled_from([None, 0, 1, 3]),
        kept=st.sampled_from([0, 0, 1, 2]),
    )
    def set_apart(self, number: int, reserved: int | None, kept: int) -> None:
        self.reserved[number] = reserved
        self.kept[number] = kept if reserved is None else min(kept, reserved)
        self.run(lambda: self.configure(number))

    @rule(short=st.booleans())
    def memory(self, short: bool) -> None:
        self.short_of_memory = short
        self.run(lambda: self.pool.reclaim(self.clock.monotonic()))

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
        self.run(lambda: self.configure(number))

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
            assert self.pool._living == ENVIRONMENTS_MAX or self.short_of_memory
            assert not self.pool._idle_since, "one that idles could have made room"

    def calls_came_to_a_right_end(self) -> None:
        for call in [call for call in self.calls if call.done()]:
            self.calls.remove(call)
            if not call.cancelled() and (error := call.exception()) is not None:
                # Any other would be a bug: an environment held twice cannot be invoked.
                assert isinstance(error, (ServiceException, TooManyRequestsException)), error

    @invariant()
    def never_more_than_there_may_be(self) -> None:
        assert self.pool._living <= ENVIRONMENTS_MAX
        assert len(self.environments(*(set(State) - OVER))) <= ENVIRONMENTS_MAX

    @invariant()
    def pools_add_up_to_the_account(self) -> None:
        shared = self.admission.pool(a_key("another"))
        claimed = [
            kept if reserved is None else reserved
            for kept, reserved in zip(self.kept, self.reserved, strict=True)
        ]
        assert shared.limit + sum(claimed) == CONCURRENCY
        assert shared.in_flight >= 0
        for number, reserved in enumerate(self.reserved):
            own = self.admission.pool(self.version(number).key)
            assert own.in_flight >= 0
            assert own is shared or own.limit == (reserved or 0) - self.kept[number]

    @invariant()
    def provisioned_counts_are_what_there_is(self) -> None:
        allotments = {id(each): each for each in self.provisioned._of.values()}
        for allotment in allotments.values():
            mine = [each for each in self.provisioned._of.values() if each is allotment]
            assert allotment.alive == len(mine)
            assert len({each.id for each in allotment.ready}) == len(allotment.ready)
            assert len(allotment.ready) <= allotment.alive

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
        self.memory(False)
        for number in range(3):
            self.set_apart(number, None, 0)
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
        assert self.pool._claimed == 0
        assert not self.provisioned._of
        assert not self.provisioned._functions
        self.time_passes(IDLE_SECONDS)
        self.settle()
        assert (self.pool.alive, self.pool._starting) == (0, 0)
        assert not self.pool._groups
        assert not self.pool._idle_since
        assert not self.pool._rest.awake
        assert self.admission.in_flight(ACCOUNT, REGION) == 0
        assert sorted(self.cluster.stopped) == sorted(self.cluster.started)


TestPool = PoolMachine.TestCase
