"""How many sandboxes wait, of which kinds, and what comes of them."""

import asyncio
import os
import socket
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from lampyr.tasks import Tasks
from lampyr.testing.clock import ManualClock
from lampyr.worker.sandbox.base import ParkSpec, SandboxError, SandboxSpec
from lampyr.worker.sandbox.parked import (
    IDLE_SECONDS,
    KEPT_SECONDS,
    KINDS_MAX,
    READY,
    RELIEVED_SECONDS,
    Parked,
    Parking,
)
from lampyr.worker.stock import PAUSE_SECONDS

SPEC = SandboxSpec(
    environment_id="e",
    argv=("/node", "start"),
    variables={"SECRET": "x"},
    mounts={"/var/lang": "/l", "/var/task": "/t"},
    memory_mb=128,
    tmp_mb=512,
    park=ParkSpec(argv=("/node", "park"), variables={"A": "b"}),
)


class Yard:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.made: list[SandboxSpec] = []
        self.parked: list[Parked] = []
        self.stopped = 0
        self.refuses = False
        self.crowded = False
        self.parking = Parking(self.clock, Tasks(), self.make, lambda: self.crowded)

    async def make(self, spec: SandboxSpec) -> Parked:
        if self.refuses:
            raise SandboxError("no room")
        self.made.append(spec)
        read, write = os.pipe()
        sandbox: Any = SimpleNamespace(
            exited=asyncio.get_running_loop().create_future(),
            runtime_api=socket.socket(),
            runtime_api_local=None,
            endpoint=None,
            output=read,
            telemetry=os.open("/dev/null", os.O_RDONLY),
            stop=self.stop,
        )
        self.parked.append(Parked(sandbox, write))
        return self.parked[-1]

    async def stop(self) -> None:
        self.stopped += 1

    async def settle(self) -> None:
        for seconds in (0.0, PAUSE_SECONDS):
            await self.clock.advance(seconds)
            for _ in range(20):
                await asyncio.sleep(0)


async def test_nothing_is_made_ahead_while_many_start() -> None:
    yard = Yard()
    yard.crowded = True
    assert yard.parking.take(SPEC) is None
    await yard.settle()
    await yard.settle()
    assert not yard.made
    yard.crowded = False
    await yard.settle()
    assert yard.parking.count() == READY
    yard.parking.close()


async def test_what_is_asked_for_once_waits_for_the_next_and_knows_nothing_of_a_function() -> None:
    yard = Yard()
    assert yard.parking.take(SPEC) is None
    await yard.settle()
    assert yard.parking.count() == READY
    assert [made.argv for made in yard.made] == [("/node", "park")] * READY
    assert [made.variables for made in yard.made] == [{"A": "b"}] * READY
    assert "/var/task" not in yard.made[0].mounts
    other = replace(
        SPEC, environment_id="f", variables={}, mounts={**SPEC.mounts, "/var/task": "/u"}
    )
    taken = yard.parking.take(other)
    assert taken in yard.parked
    await yard.settle()
    assert yard.parking.count() == READY
    yard.parking.close()
    taken.give_up()


async def test_another_memory_size_is_another_kind_and_the_oldest_kind_gives_way() -> None:
    yard = Yard()
    sizes = [replace(SPEC, memory_mb=128 + memory) for memory in range(KINDS_MAX + 1)]
    for size in sizes:
        assert yard.parking.take(size) is None
        await yard.settle()
    assert yard.stopped == 0, "all of the others are in use"
    await yard.clock.advance(KEPT_SECONDS)
    assert yard.parking.take(sizes[-1]) is None
    await yard.settle()
    assert yard.stopped == READY
    assert yard.parking.count() == READY * KINDS_MAX
    yard.parking.close()


async def test_one_that_dies_is_replaced_and_is_given_to_nobody() -> None:
    yard = Yard()
    yard.parking.expect(SPEC)
    await yard.settle()
    dead: Any = yard.parked[0]
    dead.sandbox.exited.set_result(None)
    await yard.settle()
    assert yard.parking.count() == READY
    assert len(yard.made) == READY + 1
    taken = yard.parking.take(SPEC)
    assert taken is not None
    assert taken is not dead
    yard.parking.close()
    taken.give_up()


async def test_a_host_that_cannot_is_asked_again_later() -> None:
    yard = Yard()
    yard.refuses = True
    yard.parking.expect(SPEC)
    await yard.settle()
    yard.refuses = False
    assert yard.parking.count() == 0
    await yard.clock.advance(1)
    await yard.settle()
    assert yard.parking.count() == READY
    yard.parking.close()


async def test_a_kind_that_nobody_asks_for_is_given_up() -> None:
    yard = Yard()
    yard.parking.expect(SPEC)
    await yard.settle()
    for _ in range(6):
        await yard.clock.advance(IDLE_SECONDS / 4)
        await yard.settle()
    assert (yard.parking.count(), yard.stopped) == (0, READY)


async def test_what_is_given_up_closes_its_descriptors_once() -> None:
    """A second time they would be others', who have their numbers by then."""
    yard = Yard()
    for memory in range(KINDS_MAX + 1):
        yard.parking.expect(replace(SPEC, memory_mb=128 + memory))
        await yard.settle()
        await yard.clock.advance(KEPT_SECONDS)
    others = [os.open("/dev/null", os.O_RDONLY) for _ in range(3 * READY)]
    for given_up in yard.parked[:READY]:
        ended: Any = given_up.sandbox.exited
        ended.set_result(None)
    await yard.settle()
    for parked in yard.parked[:READY]:
        parked.give_up()
    for descriptor in others:
        os.fstat(descriptor)
        os.close(descriptor)
    assert yard.parking.count() == READY * KINDS_MAX
    yard.parking.close()


async def test_where_memory_is_short_what_waits_is_given_up_and_no_more_is_made() -> None:
    yard = Yard()
    yard.parking.expect(SPEC)
    other = replace(SPEC, memory_mb=256)
    yard.parking.expect(other)
    await yard.settle()
    yard.parking.expect(other)
    assert yard.parking.relieve()
    assert yard.parking.count() == READY, "the kind that was asked for last is kept"
    taken = yard.parking.take(other)
    assert taken is not None, "what is there is used"
    taken.give_up()
    await yard.settle()
    assert yard.parking.take(SPEC) is None
    await yard.settle()
    assert (len(yard.made), yard.stopped) == (2 * READY, READY)
    assert yard.parking.relieve()
    assert not yard.parking.relieve(), "nothing is left"
    await yard.clock.advance(RELIEVED_SECONDS)
    yard.parking.expect(SPEC)
    await yard.settle()
    assert yard.parking.count() == READY
    yard.parking.close()
