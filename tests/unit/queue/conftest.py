"""The queue that its tests share."""

from collections.abc import AsyncIterator

import pytest

from lampyr.observe.metrics import Counters
from lampyr.store.events import MemoryEvents
from lampyr.tasks import Tasks
from lampyr.testing.clock import ManualClock
from tests.unit.queue.bench import Bench, Functions, Services


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock, tasks = ManualClock(), Tasks()
    made = Bench(clock, tasks, Functions(clock), Services(), Counters(clock.now), MemoryEvents())
    made.open()
    yield made
    await made.end()
