"""An execution environment: what its caller, its runtime and its sandbox do to it."""

import asyncio
import json
import signal
from typing import Any

import pytest

from lampyr.model.invocation import InvokeResult
from lampyr.testing.clock import ManualClock
from lampyr.testing.environments import EchoRuntime, a_version, an_environment, an_invocation
from lampyr.worker.environment import (
    ExecutionEnvironment,
    ResponseTooLargeError,
    UnknownRequestIdError,
)
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import Exit
from lampyr.worker.states import IllegalTransitionError, State
from lampyr.worker.told import EnvironmentStoppedError

ID = an_invocation().request_id


class Pool:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def idle(self, environment: ExecutionEnvironment) -> None:
        self.heard.append("idle")

    def over(self, environment: ExecutionEnvironment) -> None:
        self.heard.append("over")


def ready(clock: ManualClock, **version: Any) -> tuple[ExecutionEnvironment, EchoRuntime, Pool]:
    environment = an_environment(a_version(**version), clock)
    runtime = EchoRuntime(environment, held=True)
    environment.next(runtime)
    pool = Pool()
    environment.owner = pool
    return environment, runtime, pool


def run(
    environment: ExecutionEnvironment, clock: ManualClock, payload: bytes = b"{}", **more: Any
) -> "asyncio.Future[InvokeResult]":
    now = clock.monotonic()
    deadline = now + environment.version.timeout_seconds
    invocation = an_invocation(payload, **more)
    return environment.invoke(invocation, started=now, deadline=deadline)


async def test_init_ends_when_the_runtime_asks_for_work() -> None:
    clock = ManualClock()
    environment = an_environment(a_version(), clock)
    waiting = asyncio.ensure_future(environment.initialized(10))
    await asyncio.sleep(0)
    await clock.advance(0.25)
    environment.next(EchoRuntime(environment))
    assert await waiting is None
    assert environment.state is State.READY
    sandbox: Any = environment.sandbox
    assert sandbox.calls == ["begin_invoke_phase"], "the CPU share holds from the Invoke phase on"
    journal: Any = environment.journal
    assert journal.lines == ["init done 0.25"]


async def test_an_invocation_reaches_the_runtime_with_its_deadline_and_comes_back() -> None:
    clock = ManualClock(1_000.0)
    environment, runtime, pool = ready(clock, timeout_seconds=3)
    result = run(environment, clock, b'{"a":1}', wants_log_tail=True)
    assert runtime.got[0][1] == 1_003_000
    assert not result.done()
    runtime.answer()
    answer = await result
    assert (answer.payload, answer.function_error) == (b'{"a":1}', None)
    assert (answer.executed_version, answer.log_tail) == ("$LATEST", b"tail")
    assert pool.heard == ["idle"]
    assert environment.state is State.READY


async def test_the_caller_has_the_answer_before_the_runtime_is_ready_again() -> None:
    clock = ManualClock()
    environment, runtime, pool = ready(clock)
    result = run(environment, clock)
    environment.respond(ID, b"1")
    assert (await result).payload == b"1"
    assert (environment.state, pool.heard) == (State.SETTLING, [])
    environment.next(runtime)
    assert (environment.state, pool.heard) == (State.READY, ["idle"])


async def test_an_error_of_the_handler_is_an_answer_and_the_environment_goes_on() -> None:
    clock = ManualClock()
    environment, runtime, pool = ready(clock)
    result = run(environment, clock)
    environment.respond(ID, Failure(error_type="ValueError", payload=b'{"errorType":"V"}'))
    environment.next(runtime)
    answer = await result
    assert (answer.function_error, answer.payload) == ("Unhandled", b'{"errorType":"V"}')
    assert pool.heard == ["idle"]


async def test_a_response_to_another_invocation_is_refused() -> None:
    clock = ManualClock()
    environment, _, _ = ready(clock)
    with pytest.raises(UnknownRequestIdError):
        environment.respond(ID, b"1")
    result = run(environment, clock)
    with pytest.raises(UnknownRequestIdError):
        environment.respond("another", b"1")
    environment.respond(ID, b"1")
    with pytest.raises(UnknownRequestIdError):
        environment.respond(ID, b"2")
    assert (await result).payload == b"1"


async def test_a_second_next_before_the_response_is_refused() -> None:
    clock = ManualClock()
    environment, runtime, _ = ready(clock)
    result = run(environment, clock)
    with pytest.raises(IllegalTransitionError):
        environment.next(runtime)
    runtime.answer()
    await result


async def test_a_response_over_6_mb_is_an_error_for_the_caller_only() -> None:
    clock = ManualClock()
    environment, runtime, pool = ready(clock)
    result = run(environment, clock)
    with pytest.raises(ResponseTooLargeError):
        environment.respond(ID, bytes(6 * 1024 * 1024 + 101))
    environment.next(runtime)
    answer = await result
    assert json.loads(answer.payload) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        "(6291556 bytes).",
    }
    assert pool.heard == ["idle"]


async def test_a_response_of_6_mb_passes() -> None:
    clock = ManualClock()
    environment, _, _ = ready(clock)
    result = run(environment, clock)
    environment.respond(ID, bytes(6 * 1024 * 1024))
    assert (await result).function_error is None


async def test_after_its_timeout_an_environment_is_over() -> None:
    clock = ManualClock()
    environment, _, pool = ready(clock, timeout_seconds=3)
    result = run(environment, clock)
    await clock.advance(2.9)
    environment._check_deadline()
    assert not result.done()
    await clock.advance(0.2)
    environment._check_deadline()
    answer = await result
    assert json.loads(answer.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {ID} Error: Task timed out after 3.00 seconds",
    }
    assert pool.heard == ["over"]
    with pytest.raises(UnknownRequestIdError):
        environment.respond(ID, b"too late")


async def test_time_lost_on_a_second_init_counts_as_the_functions() -> None:
    clock = ManualClock()
    environment, _, _ = ready(clock, timeout_seconds=3)
    started = clock.monotonic() - 2
    result = environment.invoke(an_invocation(), started=started, deadline=started + 3)
    await clock.advance(1.1)
    environment._check_deadline()
    assert (await result).function_error == "Unhandled"


@pytest.mark.parametrize(
    ("end", "message"),
    [
        pytest.param(Exit(code=0), "Runtime exited without providing a reason", id="exit 0"),
        pytest.param(Exit(code=3), "Runtime exited with error: exit status 3", id="exit 3"),
        pytest.param(
            Exit(signal=signal.SIGSEGV),
            "Runtime exited with error: signal: segmentation fault",
            id="crash",
        ),
        pytest.param(
            Exit(signal=signal.SIGKILL, out_of_memory=True),
            "Runtime exited with error: signal: killed",
            id="out of memory",
        ),
        pytest.param(
            Exit(code=1, out_of_memory=True),
            "Runtime exited with error: signal: killed",
            id="a child ran out of memory",
        ),
    ],
)
async def test_an_exit_while_invoked_is_told_as_aws_tells_it(end: Exit, message: str) -> None:
    clock = ManualClock()
    environment, _, pool = ready(clock)
    result = run(environment, clock)
    environment.exited(end)
    answer = await result
    assert json.loads(answer.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {ID} Error: {message}",
    }
    assert pool.heard == ["over"]
    journal: Any = environment.journal
    reported = "Runtime.OutOfMemory" if end.out_of_memory else "Runtime.ExitError"
    assert journal.failures[0].error_type == reported


async def test_an_init_error_of_the_runtime_is_what_init_failed_with() -> None:
    environment = an_environment(a_version(), ManualClock())
    failure = Failure(error_type="Runtime.ImportModuleError", payload=b"{}")
    waiting = asyncio.ensure_future(environment.initialized(10))
    await asyncio.sleep(0)
    environment.init_error(failure)
    environment.exited(Exit(code=1))
    assert await waiting is failure
    assert environment.state is State.SHUTDOWN


async def test_an_init_that_takes_too_long_failed() -> None:
    environment = an_environment(a_version(), ManualClock())
    failure = await environment.initialized(0)
    assert failure is not None
    assert (failure.status, environment.state) == ("timeout", State.SHUTDOWN)


async def test_an_idle_environment_is_frozen_and_thawed_for_its_next_invocation() -> None:
    clock = ManualClock()
    environment, runtime, _ = ready(clock)
    environment.freeze()
    environment.freeze()
    result = run(environment, clock)
    sandbox: Any = environment.sandbox
    assert sandbox.calls == ["begin_invoke_phase", "freeze", "thaw"]
    environment.freeze()  # It runs: not now.
    assert sandbox.calls[-1] == "thaw"
    runtime.answer()
    await result


async def test_stopping_lets_the_caller_go() -> None:
    clock = ManualClock()
    environment, runtime, pool = ready(clock)
    result = run(environment, clock)
    await environment.stop()
    await environment.stop()
    with pytest.raises(EnvironmentStoppedError):
        await result
    assert (environment.state, pool.heard) == (State.STOPPED, ["over"])
    sandbox: Any = environment.sandbox
    assert sandbox.calls == ["begin_invoke_phase", "stop 0"]
    assert runtime.got


async def test_a_runtime_that_connects_anew_gets_the_invocation() -> None:
    clock = ManualClock()
    environment, lost, _ = ready(clock)
    environment.peer_lost(lost)
    fresh = EchoRuntime(environment)
    environment.next(fresh)
    assert (await run(environment, clock, b"7")).payload == b"7"
    assert not lost.got


async def test_a_second_init_that_fails_ends_the_invocation_it_was_inside_of() -> None:
    clock = ManualClock()
    invocation = an_invocation(wants_log_tail=True)
    environment = an_environment(a_version(), clock, within=invocation)
    waiting = asyncio.ensure_future(environment.initialized(3))
    await asyncio.sleep(0)
    environment.exited(Exit(code=1))
    failure = await waiting
    assert failure is not None
    assert failure.log_tail == b"tail"
    journal: Any = environment.journal
    assert journal.lines == [
        f"begin {ID}",
        "drain",
        "init failed Runtime.ExitError again=True",
        f"finish {ID}",
    ]


async def test_an_invocation_begins_once_in_the_log_when_a_second_init_went_well() -> None:
    clock = ManualClock()
    invocation = an_invocation()
    environment = an_environment(a_version(), clock, within=invocation)
    environment.next(EchoRuntime(environment))
    now = clock.monotonic()
    await environment.invoke(invocation, started=now, deadline=now + 3)
    journal: Any = environment.journal
    assert journal.lines == [f"begin {ID}", "init done 0.0", f"finish {ID}"]
