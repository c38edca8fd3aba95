"""When templates are made, and made again."""

import asyncio

from lampyr.tasks import Tasks
from lampyr.testing.clock import ManualClock
from lampyr.worker.sandbox.base import SandboxError, TemplateSpec
from lampyr.worker.sandbox.templates import DELAY_SECONDS_MAX, IDLE_SECONDS, Templates

SPEC = TemplateSpec(name="python", argv=("/python",), variables={}, mounts={})
READY = {"template": "python", "pid": 7, "ready": {"bytes": 50, "bare_bytes": 20}}
ENDED = {"template": "python", "ended": "wait status 9"}


class Maker:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.made = 0
        self.refuses = False
        self.ended: list[str] = []
        self.templates = Templates(self.clock, Tasks(), self.make, self.ended.append)

    async def make(self, spec: TemplateSpec) -> None:
        if self.refuses:
            raise SandboxError("no spawner")
        self.made += 1

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        await self.settle()
        await self.clock.advance(seconds)
        await self.settle()


async def test_one_is_made_when_it_is_first_wanted_and_used_once_it_is_ready() -> None:
    maker = Maker()
    assert not maker.templates.ready(SPEC)
    assert not maker.templates.ready(SPEC)
    await maker.pass_time(0)
    assert maker.made == 1
    maker.templates.heard(READY)
    assert maker.templates.ready(SPEC)
    assert maker.templates.pids() == {"python": 7}
    assert maker.templates.forked("python") == 30


async def test_one_that_dies_is_made_again_at_once_and_then_later_and_later() -> None:
    maker = Maker()
    maker.templates.ready(SPEC)
    await maker.pass_time(0)
    maker.templates.heard(ENDED)
    await maker.pass_time(0)
    assert maker.made == 2
    for made in range(2, 12):
        maker.templates.heard(ENDED)
        await maker.pass_time(0.25)
        assert maker.made == made
        await maker.pass_time(DELAY_SECONDS_MAX)
        assert maker.made == made + 1


async def test_a_fork_that_ran_forgives_all_earlier_deaths() -> None:
    maker = Maker()
    maker.templates.ready(SPEC)
    await maker.pass_time(0)
    for _ in range(5):
        maker.templates.heard(ENDED)
        await maker.pass_time(DELAY_SECONDS_MAX)
    made = maker.made
    maker.templates.heard(READY)
    maker.templates.forked("python")
    maker.templates.heard(ENDED)
    assert not maker.templates.ready(SPEC)
    await maker.pass_time(0)
    assert maker.made == made + 1


async def test_with_the_spawner_all_are_lost_and_made_again_by_the_next_one() -> None:
    maker = Maker()
    maker.templates.ready(SPEC)
    await maker.pass_time(0)
    maker.templates.heard(READY)
    maker.refuses = True
    maker.templates.lost()
    assert not maker.templates.ready(SPEC)
    await maker.pass_time(0)
    maker.refuses = False
    await maker.pass_time(1)
    assert maker.made == 2


async def test_one_that_nobody_uses_is_ended_and_made_again_when_it_is_wanted() -> None:
    maker = Maker()
    maker.templates.ready(SPEC)
    await maker.pass_time(0)
    maker.templates.heard(READY)
    for _ in range(6):
        await maker.pass_time(IDLE_SECONDS / 4)
    assert maker.ended == ["python"]
    maker.templates.heard(ENDED)
    assert not maker.templates.ready(SPEC)
    await maker.pass_time(0)
    assert maker.made == 2
