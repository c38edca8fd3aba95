"""The pool: who gets which environment, and when one is started, frozen, reclaimed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lampyr.errors import InvalidParameterValueException, ServiceException, TooManyRequestsException
from lampyr.invoke.admission import Admission
from lampyr.invoke.invoker import Invoker
from lampyr.invoke.pool import EnvironmentPool
from lampyr.invoke.pool_settings import PoolSettings
from lampyr.invoke.provisioned import ProvisionedEnvironments
from lampyr.model.invocation import InvokeResult
from lampyr.observe.metrics import Counters
from lampyr.tasks import Tasks
from lampyr.testing.clock import ManualClock
from lampyr.testing.environments import FakeCluster, a_version, an_invocation
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import Exit, SandboxError

HELLO = a_version()


class Bench:
    """A pool over a fake cluster, and the invoker before it."""

    def __init__(self, *, pressed: Callable[[], bool] = lambda: False, **settings: Any) -> None:
        chosen = {
            "environments_max": 10,
            "starts_at_once": 4,
            "idle_seconds": 300.0,
            "init_seconds": 10.0,
            "room_seconds": 60.0,
            **settings,
        }
        self.clock = ManualClock()
        self.cluster = FakeCluster(self.clock)
        self.tasks = Tasks()
        self.pool = EnvironmentPool(
            self.cluster, self.tasks, self.clock, PoolSettings(**chosen), pressed=pressed
        )
        self.admission = Admission(50)
        self.provisioned = ProvisionedEnvironments(
            self.cluster, self.pool, self.tasks, self.clock, Counters(self.clock.now)
        )
        self.invoker = Invoker(self.pool, self.clock, self.admission, self.provisioned, self.tasks)

    async def invoke(self, version: Any = HELLO, **more: Any) -> InvokeResult:
        return await self.invoker.invoke(version, an_invocation(b"1", **more))

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.tasks.close()


async def test_the_next_invocation_finds_the_environment_warm(bench: Bench) -> None:
    for _ in range(5):
        assert (await bench.invoke()).payload == b"1"
    assert list(bench.cluster.started) == ["e1"]


async def test_invocations_at_once_get_environments_of_their_own(bench: Bench) -> None:
    bench.cluster.held = True
    calls = [asyncio.ensure_future(bench.invoke()) for _ in range(3)]
    await bench.settle()
    assert len(bench.cluster.started) == 3
    for runtime in bench.cluster.started.values():
        assert len(runtime.got) == 1
        runtime.answer()
    await asyncio.gather(*calls)


async def test_the_one_used_last_is_used_first(bench: Bench) -> None:
    bench.cluster.held = True
    calls = [asyncio.ensure_future(bench.invoke()) for _ in range(2)]
    await bench.settle()
    bench.cluster.started["e2"].answer()
    bench.cluster.started["e1"].answer()
    await asyncio.gather(*calls)
    taken = bench.pool.take(HELLO)
    assert taken is not None
    assert taken.id == "e1"


async def test_who_waits_longest_gets_what_is_given_back_first(bench: Bench) -> None:
    bench.cluster.held = True
    first = asyncio.ensure_future(bench.invoke())
    await bench.settle()
    bench.cluster.gate = asyncio.Event()
    second = asyncio.ensure_future(bench.invoke())
    await bench.settle()
    bench.cluster.started["e1"].answer()
    await bench.settle()
    assert len(bench.cluster.started["e1"].got) == 2, "the second did not wait for its own start"
    bench.cluster.started["e1"].answer()
    assert (await first).payload == (await second).payload == b"1"
    bench.cluster.gate.set()
    await bench.settle()
    assert bench.pool.alive == 2, "what was started all the same is kept for the next"


async def test_versions_and_tenants_do_not_share_environments(bench: Bench) -> None:
    other = a_version("other")
    tenants = a_version("t", tenant_isolation_mode="PER_TENANT")
    for version, tenant in ((HELLO, None), (other, None), (tenants, "blue"), (tenants, "green")):
        await bench.invoke(version, tenant_id=tenant)
    assert len(bench.cluster.started) == 4
    await bench.invoke(tenants, tenant_id="blue")
    assert len(bench.cluster.started) == 4


async def test_a_tenant_must_be_named_where_and_only_where_tenants_are_isolated(
    bench: Bench,
) -> None:
    isolating = a_version(tenant_isolation_mode="PER_TENANT")
    with pytest.raises(InvalidParameterValueException, match="Add a valid tenant ID"):
        await bench.invoke(isolating)
    with pytest.raises(InvalidParameterValueException, match="Remove the tenant ID"):
        await bench.invoke(HELLO, tenant_id="blue")


async def test_an_init_that_failed_is_tried_once_more_within_the_timeout(bench: Bench) -> None:
    bench.cluster.failures = [Failure(error_type="E", payload=b"first")]
    assert (await bench.invoke()).payload == b"1"
    assert [start["again"] for start in bench.cluster.starts] == [False, True]
    assert [start["init_seconds"] for start in bench.cluster.starts] == [10.0, 3.0]
    assert (await bench.invoke()).payload == b"1"
    assert len(bench.cluster.starts) == 2, "what the second Init made is kept"


async def test_an_init_that_failed_twice_is_the_answer(bench: Bench) -> None:
    bench.cluster.failures = [
        Failure(error_type="E", payload=b"first"),
        Failure(error_type="E", payload=b"second"),
    ]
    answer = await bench.invoke()
    assert (answer.payload, answer.function_error) == (b"second", "Unhandled")
    assert bench.pool.alive == 0


async def test_a_host_that_cannot_start_sandboxes_is_a_service_error(bench: Bench) -> None:
    bench.cluster.failures = [SandboxError("mount failed")]
    with pytest.raises(ServiceException, match="mount failed"):
        await bench.invoke()
    assert (await bench.invoke()).payload == b"1"


async def test_an_environment_that_ends_while_idle_is_not_given_out(bench: Bench) -> None:
    await bench.invoke()
    environment = bench.pool.take(HELLO)
    assert environment is not None
    bench.pool.idle(environment)
    await bench.cluster.started[environment.id].environment.stop()
    assert bench.pool.take(HELLO) is None
    await bench.settle()
    assert (bench.pool.alive, bench.cluster.stopped) == (0, ["e1"])


async def test_who_waits_is_served_by_a_new_one_when_the_old_one_ends() -> None:
    bench = Bench(environments_max=1)
    bench.cluster.held = True
    first = asyncio.ensure_future(bench.invoke())
    await bench.settle()
    second = asyncio.ensure_future(bench.invoke())
    await bench.settle()
    assert len(bench.cluster.started) == 1
    bench.cluster.started["e1"].environment.exited(Exit(code=1))
    await bench.settle()
    bench.cluster.started["e2"].answer()
    assert (await second).payload == b"1"
    assert (await first).function_error == "Unhandled"
    await bench.tasks.close()


async def test_when_the_host_is_full_the_one_idle_longest_makes_room() -> None:
    bench = Bench(environments_max=2)
    for name in ("a", "b", "c"):
        await bench.invoke(a_version(name))
        await bench.clock.advance(1)
    await bench.settle()
    assert bench.cluster.stopped == ["e1"]
    assert bench.pool.alive == 2
    await bench.tasks.close()


async def test_when_the_host_is_full_of_work_the_answer_is_an_honest_throttle() -> None:
    bench = Bench(environments_max=1, room_seconds=0.001)
    bench.cluster.held = True
    busy = asyncio.ensure_future(bench.invoke(a_version("busy")))
    await bench.settle()
    with pytest.raises(TooManyRequestsException) as caught:
        await bench.invoke(a_version("another"))
    assert caught.value.members == {"Reason": "ConcurrentInvocationLimitExceeded"}
    bench.cluster.started["e1"].answer()
    await busy
    await bench.tasks.close()


async def test_a_caller_whose_environment_is_stopped_hears_that_it_was_not_the_function(
    bench: Bench,
) -> None:
    bench.cluster.held = True
    call = asyncio.ensure_future(bench.invoke())
    await bench.settle()
    await bench.cluster.started["e1"].environment.stop()
    with pytest.raises(ServiceException, match="cut short"):
        await call


async def test_the_account_pool_has_a_limit_and_returns_to_zero(bench: Bench) -> None:
    bench.cluster.gate = asyncio.Event()
    calls = [asyncio.ensure_future(bench.invoke()) for _ in range(50)]
    await bench.settle()
    with pytest.raises(TooManyRequestsException):
        await bench.invoke()
    bench.cluster.gate.set()
    await asyncio.gather(*calls)
    assert bench.admission.in_flight(HELLO.key.account_id, HELLO.key.region) == 0


async def test_retired_environments_stop_idle_ones_now_and_busy_ones_after_their_work(
    bench: Bench,
) -> None:
    bench.cluster.held = True
    calls = [asyncio.ensure_future(bench.invoke()) for _ in range(2)]
    await bench.settle()
    bench.cluster.started["e1"].answer()
    await bench.settle()
    bench.pool.retire([HELLO.deployment_id])
    await bench.settle()
    assert bench.cluster.stopped == ["e1"]
    bench.cluster.started["e2"].answer()
    await asyncio.gather(*calls)
    await bench.settle()
    assert bench.cluster.stopped == ["e1", "e2"]


async def test_what_is_idle_too_long_is_reclaimed(bench: Bench) -> None:
    await bench.invoke(a_version("old"))
    await bench.clock.advance(200)
    await bench.invoke(a_version("young"))
    await bench.clock.advance(101)
    assert bench.pool.reclaim(bench.clock.monotonic()) == 1
    await bench.settle()
    assert bench.cluster.stopped == ["e1"]


async def test_a_caller_who_leaves_while_waiting_takes_no_environment_with_him(
    bench: Bench,
) -> None:
    bench.cluster.gate = asyncio.Event()
    call = asyncio.ensure_future(bench.invoke())
    await bench.settle()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    bench.cluster.gate.set()
    await bench.settle()
    assert bench.pool.take(HELLO) is not None or bench.pool.alive == 0
    assert bench.admission.in_flight(HELLO.key.account_id, HELLO.key.region) == 0


async def test_a_function_grows_no_faster_than_it_may() -> None:
    bench = Bench(scaling_rate=2, environments_max=10)
    bench.cluster.held = True
    calls = [asyncio.ensure_future(bench.invoke()) for _ in range(3)]
    await bench.settle()
    (refused,) = [call for call in calls if call.done()]
    error = refused.exception()
    assert isinstance(error, TooManyRequestsException)
    assert error.members == {"Reason": "FunctionInvocationRateLimitExceeded"}
    other = asyncio.ensure_future(bench.invoke(a_version("other")))
    await bench.clock.advance(5.0)
    more = [asyncio.ensure_future(bench.invoke()) for _ in range(2)]
    await bench.settle()
    assert [call.done() for call in more] == [False, True], "half of the starts are back"
    for runtime in bench.cluster.started.values():
        runtime.answer()
    assert (await other).payload == b"1"
    await bench.tasks.close()
    await asyncio.gather(*calls, *more, return_exceptions=True)


async def test_callers_who_are_served_by_what_is_there_cost_a_function_no_start() -> None:
    bench = Bench(scaling_rate=2, starts_at_once=1)
    first = [asyncio.ensure_future(bench.invoke()) for _ in range(2)]
    await asyncio.gather(*first)
    for _ in range(20):
        calls = [bench.invoke() for _ in range(len(bench.cluster.started))]
        assert [answer.payload for answer in await asyncio.gather(*calls)] == [b"1"] * len(calls)
    await bench.tasks.close()


async def test_an_init_that_waits_does_not_keep_others_from_starting() -> None:
    bench = Bench(starts_at_once=1, start_hold_seconds=0.001)
    gate = bench.cluster.gate = asyncio.Event()
    slow = [asyncio.ensure_future(bench.invoke(a_version(name))) for name in ("a", "b")]
    while len(bench.cluster.starts) < 2:
        await asyncio.sleep(0.001)
    gate.set()
    assert [answer.payload for answer in await asyncio.gather(*slow)] == [b"1", b"1"]
    assert (await bench.invoke(a_version("c"))).payload == b"1"
    await bench.tasks.close()


async def test_a_function_that_is_waited_for_by_another_goes_first() -> None:
    bench = Bench(environments_max=1)
    bench.cluster.held = True
    outer = asyncio.ensure_future(bench.invoke(a_version("outer")))
    await bench.settle()
    waiting = [
        asyncio.ensure_future(bench.invoke(a_version("first"))),
        asyncio.ensure_future(bench.invoke(a_version("nested"), nested=True)),
    ]
    await bench.settle()
    bench.cluster.started["e1"].answer()
    await bench.settle()
    assert bench.cluster.started["e2"].environment.version.key.name == "nested"
    bench.cluster.started["e2"].answer()
    await bench.settle()
    bench.cluster.started["e3"].answer()
    assert [answer.payload for answer in await asyncio.gather(outer, *waiting)] == [b"1"] * 3
    await bench.tasks.close()


async def test_when_memory_is_short_the_one_idle_longest_goes() -> None:
    short = False
    bench = Bench(pressed=lambda: short)
    for name in ("a", "b"):
        await bench.invoke(a_version(name))
        await bench.clock.advance(1)
    short = True
    assert bench.pool.reclaim(bench.clock.monotonic()) == 1
    await bench.invoke(a_version("c"))
    await bench.settle()
    assert bench.cluster.stopped == ["e1", "e2"]
    bench.cluster.held = bench.cluster.started["e3"].held = True
    busy = asyncio.ensure_future(bench.invoke(a_version("c")))
    await bench.settle()
    waits = asyncio.ensure_future(bench.invoke(a_version("d")))
    await bench.settle()
    assert bench.pool.alive == 1, "what is busy is not taken away, and nothing is added"
    bench.cluster.started["e3"].answer()
    await busy
    await bench.settle()
    bench.cluster.started["e4"].answer()
    assert (await waits).payload == b"1"
    await bench.tasks.close()


@pytest.mark.parametrize("warm", [True, False])
async def test_an_event_that_nobody_read_goes_to_another_environment(
    bench: Bench, warm: bool
) -> None:
    await bench.invoke()
    bench.cluster.started["e1"].held = True
    told: list[Any] = []
    if warm:
        assert bench.invoker.begin(HELLO, an_invocation(b"7"), told.append)
    else:
        call = asyncio.ensure_future(bench.invoker.invoke(HELLO, an_invocation(b"7")))
        call.add_done_callback(lambda done: told.append(done.result()))
    await bench.settle()
    die_unread(bench, "e1")
    await bench.settle()
    assert [answer.payload for answer in told] == [b"7"]
    assert bench.admission.in_flight(HELLO.key.account_id, HELLO.key.region) == 0


async def test_an_event_that_nobody_ever_reads_is_a_failure_in_the_end(bench: Bench) -> None:
    bench.cluster.held = True
    call = asyncio.ensure_future(bench.invoke())
    for number in range(1, 4):
        await bench.settle()
        die_unread(bench, f"e{number}")
    answer = await call
    assert (answer.function_error, len(bench.cluster.started)) == ("Unhandled", 3)


def die_unread(bench: Bench, environment_id: str) -> None:
    environment = bench.cluster.started[environment_id].environment
    environment.unread(an_invocation().request_id)
    environment.exited(Exit(signal=9))
