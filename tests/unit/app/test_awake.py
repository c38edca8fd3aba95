"""Processors are kept awake while Lampyr is busy, and not a second longer."""

from pathlib import Path

import pytest

from lampyr.app.awake import BUSY_SHARE, CALM_LOOKS, LOOK_SECONDS, Awake, helps
from lampyr.clock import Clock
from lampyr.testing.clock import ManualClock

ENOUGH = 2 * BUSY_SHARE * LOOK_SECONDS


class Process:
    """What it has computed so far."""

    def __init__(self, clock: Clock, request: Path) -> None:
        self.seconds = 5.0
        request.write_bytes(b"")
        self.request = request
        self.awake = Awake(clock, computed=lambda: self.seconds, request=request)

    async def computes(self, seconds: float, *, looks: int = 1) -> None:
        """So much before each look."""
        for _ in range(looks):
            self.seconds += seconds
            await self.awake.look()


class InstantClock(ManualClock):
    async def sleep(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(InstantClock(), tmp_path / "cpu_dma_latency")


async def test_while_it_is_busy_no_latency_is_asked_for(process: Process) -> None:
    await process.computes(ENOUGH)
    assert process.awake.asked
    assert process.request.read_bytes() == bytes(4)
    await process.computes(ENOUGH, looks=2 * CALM_LOOKS)
    assert process.request.read_bytes() == bytes(4), "once"


async def test_a_call_now_and_then_keeps_nothing_awake(process: Process) -> None:
    await process.computes(BUSY_SHARE * LOOK_SECONDS / 2, looks=50)
    assert not process.awake.asked


async def test_a_pause_between_calls_changes_nothing(process: Process) -> None:
    await process.computes(ENOUGH)
    await process.computes(0.0, looks=CALM_LOOKS - 1)
    assert process.awake.asked
    await process.computes(ENOUGH)
    await process.computes(0.0, looks=CALM_LOOKS - 1)
    assert process.awake.asked


async def test_a_second_after_the_last_call_they_may_sleep(process: Process) -> None:
    await process.computes(ENOUGH)
    await process.computes(0.0, looks=CALM_LOOKS)
    assert not process.awake.asked
    await process.computes(ENOUGH)
    assert process.awake.asked
    process.awake.close()
    process.awake.close()
    assert not process.awake.asked


async def test_where_the_kernel_refuses_nothing_is_asked_again(process: Process) -> None:
    process.request.unlink()
    await process.computes(ENOUGH, looks=3)
    assert not process.awake.asked
    process.request.touch()
    await process.computes(ENOUGH, looks=3)
    assert process.request.read_bytes() == b""


@pytest.mark.parametrize(
    ("driver", "request_name", "expected"),
    [
        ("haltpoll\n", "request", True),
        ("intel_idle\n", "request", False),
        ("haltpoll\n", "missing", False),
        (None, "request", False),
    ],
    ids=["a guest that halts", "bare metal", "nobody to ask", "nothing known"],
)
def test_it_is_asked_for_only_where_processors_are_given_up(
    driver: str | None, request_name: str, expected: bool, tmp_path: Path
) -> None:
    (tmp_path / "request").touch()
    if driver is not None:
        (tmp_path / "driver").write_text(driver)
    assert helps(tmp_path / "driver", tmp_path / request_name) is expected
