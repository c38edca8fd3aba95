"""What the host has left: of its own memory, or of its container's limit."""

from pathlib import Path

from lampyr.limits import MIB
from lampyr.testing.clock import ManualClock
from lampyr.worker.host_memory import Pressure, available_bytes


def test_the_smaller_of_the_hosts_and_the_containers_counts(tmp_path: Path) -> None:
    meminfo, cgroup = tmp_path / "meminfo", tmp_path / "cgroup"
    meminfo.write_text("MemTotal: 4096 kB\nMemAvailable:    2048 kB\n")
    cgroup.mkdir()
    assert available_bytes(meminfo, cgroup) == 2 * MIB
    for name, text in (
        ("memory.max", f"{3 * MIB}\n"),
        ("memory.current", f"{5 * MIB // 2}\n"),
        ("memory.stat", f"anon 5\ninactive_file {MIB // 4}\nactive_file {MIB // 4}\n"),
    ):
        (cgroup / name).write_text(text)
    assert available_bytes(meminfo, cgroup) == MIB
    (cgroup / "memory.max").write_text("max\n")
    assert available_bytes(meminfo, cgroup) == 2 * MIB
    (cgroup / "memory").mkdir()
    (cgroup / "memory/memory.usage_in_bytes").write_text(f"{MIB // 2}\n")
    for limit, left in ((1 << 62, 2 * MIB), (MIB, MIB // 2)):
        (cgroup / "memory/memory.limit_in_bytes").write_text(f"{limit}\n")
        assert available_bytes(meminfo, cgroup) == left


async def test_many_who_ask_at_once_are_told_what_the_first_saw() -> None:
    clock, left = ManualClock(), iter([MIB, 2 * MIB])
    pressed = Pressure(clock, 2 * MIB, lambda: next(left))
    assert [pressed(), pressed(), pressed()] == [True, True, True]
    await clock.advance(0.1)
    assert not pressed()


async def test_the_more_is_left_the_longer_that_is_taken_to_hold() -> None:
    looks: list[float] = []
    clock, left = ManualClock(), [20 * 1024 * MIB]

    def look() -> int:
        looks.append(clock.monotonic())
        return left[0]

    pressed = Pressure(clock, MIB, look)
    for _ in range(20):
        assert not pressed()
        await clock.advance(0.1)
    assert len(looks) in {4, 5}
    left[0] = 2 * MIB
    await clock.advance(0.5)
    looks.clear()
    for _ in range(20):
        assert not pressed()
        await clock.advance(0.1)
    assert len(looks) == 20
