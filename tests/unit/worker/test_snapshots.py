"""Environments of versions with SnapStart: copied or initialised ahead, and given up."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from lampyr.limits import MIB
from lampyr.model.function import FunctionVersion
from lampyr.tasks import Tasks
from lampyr.testing.builders import a_version
from lampyr.testing.clock import ManualClock
from lampyr.testing.environments import EchoRuntime, an_environment
from lampyr.worker import outcomes
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import Exit, SandboxError
from lampyr.worker.snapshots import SPARE_SECONDS, Snapshots
from lampyr.worker.states import OVER, IllegalTransitionError, State

VERSION = replace(a_version(), version="1", snap_start=True)
FAILED = Failure(error_type="ValueError", payload=b'{"errorType": "ValueError"}')


class Lab:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.tasks = Tasks()
        self.made: list[ExecutionEnvironment] = []
        self.resumed: list[ExecutionEnvironment] = []
        self.stopped: list[ExecutionEnvironment] = []
        self.fails = False
        self.forkable = False
        self.no_forks = False
        self.origins: list[ExecutionEnvironment] = []
        self.forks: list[ExecutionEnvironment] = []
        self.memory_left = 4096 * MIB
        self.snapshots = Snapshots(
            self.clock,
            self.tasks,
            initialize=self.initialize,
            initialize_origin=self.initialize_origin,
            fork=self.fork,
            stop=self.stop,
            memory_left=lambda: self.memory_left,
        )

    async def initialize(self, version: FunctionVersion) -> ExecutionEnvironment | Failure:
        if self.fails:
            return FAILED
        environment = an_environment(version, self.clock, environment_id=f"e{len(self.made)}")
        environment.restore_next(lambda: self.resumed.append(environment))
        self.made.append(environment)
        return environment

    async def initialize_origin(
        self, version: FunctionVersion
    ) -> ExecutionEnvironment | Failure | None:
        if self.fails or not self.forkable:
            return FAILED if self.fails else None
        name = f"origin{len(self.origins)}"
        environment = an_environment(version, self.clock, environment_id=name)
        environment.snapshot()
        self.origins.append(environment)
        await asyncio.sleep(0)
        return environment

    async def fork(self, origin: ExecutionEnvironment) -> ExecutionEnvironment:
        if self.no_forks:
            raise SandboxError("not on this kernel")
        if origin.state in OVER:
            raise SandboxError("it is gone")
        name = f"fork{len(self.forks)}"
        environment = an_environment(origin.version, self.clock, environment_id=name, copied=True)
        environment.restore_next(lambda: self.resumed.append(environment))
        self.forks.append(environment)
        return environment

    async def stop(self, environment: ExecutionEnvironment) -> None:
        self.stopped.append(environment)
        await environment.stop()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


async def test_one_waits_frozen_from_the_publication_on_and_is_replaced_when_taken() -> None:
    lab = Lab()
    assert await lab.snapshots.publish(VERSION) is None
    waiting = lab.made[0]
    assert (waiting.state, waiting.frozen, lab.resumed) == (State.SNAPSHOT, True, [])
    taken = await lab.snapshots.take(VERSION)
    assert taken is waiting
    assert waiting.owner is None
    await lab.settle()
    assert len(lab.made) == 2
    assert await lab.snapshots.take(VERSION) is lab.made[1]
    await lab.settle()
    assert await lab.snapshots.publish(VERSION) is None
    assert len(lab.made) == 3


async def test_every_environment_is_a_copy_of_the_one_that_was_initialised() -> None:
    lab = Lab()
    lab.forkable = True
    assert await lab.snapshots.publish(VERSION) is None
    taken = await asyncio.gather(*(lab.snapshots.take(VERSION) for _ in range(3)))
    assert taken == lab.forks
    assert (len(lab.origins), lab.made) == (1, [])
    assert lab.origins[0].state is State.SNAPSHOT
    await lab.settle()
    await lab.clock.advance(SPARE_SECONDS)
    await lab.settle()
    assert len(lab.forks) == 4, "one is copied ahead, for whoever comes next"
    assert await lab.snapshots.take(VERSION) is lab.forks[3]


async def test_whoever_comes_while_the_snapshot_is_being_made_waits_for_it() -> None:
    lab = Lab()
    lab.forkable = True
    taken = await asyncio.gather(*(lab.snapshots.take(VERSION) for _ in range(3)))
    assert taken == lab.forks
    assert len(lab.origins) == 1


async def test_a_snapshot_that_died_is_made_again() -> None:
    lab = Lab()
    lab.forkable = True
    await lab.snapshots.publish(VERSION)
    lab.origins[0].exited(Exit(signal=9))
    assert await lab.snapshots.take(VERSION) is lab.forks[0]
    assert len(lab.origins) == 2


async def test_a_snapshot_is_given_up_with_its_spare_copy_and_made_again_when_needed() -> None:
    lab = Lab()
    lab.forkable = True
    await lab.snapshots.publish(VERSION)
    await lab.settle()
    await lab.clock.advance(SPARE_SECONDS)
    await lab.settle()
    lab.snapshots.relieve()
    await lab.settle()
    assert lab.stopped == [lab.forks[0], lab.origins[0]]
    assert await lab.snapshots.take(VERSION) is lab.forks[1]
    assert len(lab.origins) == 2


async def test_where_the_first_copy_fails_environments_are_initialised_ahead() -> None:
    lab = Lab()
    lab.forkable = lab.no_forks = True
    assert await lab.snapshots.publish(VERSION) is None
    assert await lab.snapshots.take(VERSION) is lab.made[0]
    await lab.settle()
    assert lab.stopped == lab.origins
    assert await lab.snapshots.take(VERSION) is lab.made[1]


async def test_a_failed_init_is_told_to_whoever_publishes_or_invokes() -> None:
    lab = Lab()
    lab.fails = True
    assert await lab.snapshots.publish(VERSION) is FAILED
    assert await lab.snapshots.take(VERSION) is FAILED
    lab.fails = False
    assert isinstance(await lab.snapshots.take(VERSION), ExecutionEnvironment)


async def test_one_that_dies_waiting_is_replaced() -> None:
    lab = Lab()
    await lab.snapshots.publish(VERSION)
    lab.made[0].exited(Exit(signal=9))
    await lab.settle()
    assert lab.stopped == [lab.made[0]]
    await lab.clock.advance(1)
    await lab.settle()
    assert await lab.snapshots.take(VERSION) is lab.made[1]


@pytest.mark.parametrize(
    "end",
    [
        lambda lab: lab.snapshots.retire([VERSION.deployment_id]),
        lambda lab: lab.snapshots.relieve(),
    ],
    ids=["the version is gone", "memory is short"],
)
async def test_one_is_given_up(end: Callable[[Lab], None]) -> None:
    lab = Lab()
    await lab.snapshots.publish(VERSION)
    end(lab)
    await lab.settle()
    assert lab.stopped == lab.made
    assert len(lab.made) == 1, "and no other is made"


async def test_with_little_memory_none_is_made_ahead() -> None:
    lab = Lab()
    lab.memory_left = 1
    await lab.snapshots.take(VERSION)
    await lab.settle()
    assert len(lab.made) == 1


async def test_a_restored_environment_takes_work_once_its_runtime_asks_for_it() -> None:
    lab = Lab()
    await lab.snapshots.publish(VERSION)
    environment = lab.made[0]
    restoring = asyncio.ensure_future(environment.restored(10))
    await lab.settle()
    assert (environment.state, environment.frozen) == (State.RESTORE, False)
    assert lab.resumed == [environment]
    environment.next(EchoRuntime(environment))
    assert await restoring is None
    assert environment.state is State.READY


async def test_a_restore_that_fails_says_how() -> None:
    lab = Lab()
    await lab.snapshots.publish(VERSION)
    restoring = asyncio.ensure_future(lab.made[0].restored(10))
    await lab.settle()
    lab.made[0].init_error(FAILED)
    assert await restoring is FAILED
    died = an_environment(VERSION, lab.clock)
    died.restore_next(lambda: None)
    died.exited(Exit(signal=9))
    failure = await died.restored(10)
    assert failure is not None
    assert failure.error_type == outcomes.stopped().error_type


async def test_a_function_without_snap_start_goes_on_at_once() -> None:
    lab = Lab()
    environment = an_environment(a_version(), lab.clock)
    went_on: list[bool] = []
    environment.restore_next(lambda: went_on.append(True))
    assert went_on == [True]
    environment.next(EchoRuntime(environment))
    with pytest.raises(IllegalTransitionError):
        environment.restore_next(lambda: None)
