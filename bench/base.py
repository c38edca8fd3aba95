"""What is up during a run, and how it is called in turn."""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from bench import functions
from bench.charts import Chart
from bench.client import BODY, Connection, Series, Target, call_for
from bench.servers import Server

LAMPYR: Final = "lampyr"
LIMIT: Final = "limit"
CALL_SECONDS: Final = 0.8


class Placing(StrEnum):
    """Where caller and server run, when there is one caller.

    One call after the other needs one core. On two, each hand-over wakes the other core, which
    costs some 35 µs on a virtual machine: then it is the hypervisor that is measured.
    """

    FREE = "wherever the kernel puts them"
    ONE_CORE = "all on one core"


@dataclass(slots=True, kw_only=True)
class Bench:
    """What is up, and how it is called. `names` are functions' names as each program has them."""

    rounds: int
    runtime: str
    servers: dict[str, Server]
    prefixes: dict[str, str] = field(default_factory=dict)
    """What a program puts before each function's name."""
    only: dict[str, str] = field(default_factory=dict)
    """The name that a program has for the one function it runs."""
    say: Callable[[str], None]
    charts: list[Chart] = field(default_factory=list)
    """To be drawn when all is measured."""

    @contextlib.contextmanager
    def alone(self, program: str) -> Iterator[None]:
        """The others are stopped meanwhile, but Lampyr, which does next to nothing when idle."""
        with contextlib.ExitStack() as stack:
            for name, server in self.servers.items():
                if name not in {program, LAMPYR}:
                    stack.enter_context(server.stopped())
            yield

    @contextlib.contextmanager
    def placed(self, program: str, placing: Placing) -> Iterator[None]:
        """Caller and program, with what they start meanwhile, are where they are to run."""
        everywhere = os.sched_getaffinity(0)
        where = everywhere if placing is Placing.FREE else {min(everywhere)}
        try:
            os.sched_setaffinity(0, where)
            self.servers[program].pin(where)
            yield
        finally:
            os.sched_setaffinity(0, everywhere)
            self.servers[program].pin(everywhere)

    def target(self, program: str, function: str, body: bytes = BODY) -> Target:
        name = self.only.get(program) or self.prefixes.get(program, "") + function
        return Target(port=self.servers[program].port, path=functions.path(name), body=body)

    def one_caller(self, function: str, programs: list[str]) -> dict[Placing, dict[str, Series]]:
        """A caller on a kept connection, at each program in turn."""
        found = {placing: {program: Series() for program in programs} for placing in Placing}
        for _ in range(self.rounds):
            for program in programs:
                with (
                    self.alone(program),
                    Connection(self.target(program, function)) as connection,
                ):
                    for placing in Placing:
                        with self.placed(program, placing):
                            connection.call()
                            before = self.servers[program].cpu_seconds()
                            samples = call_for(connection, CALL_SECONDS)
                            cpu = self.servers[program].cpu_seconds() - before
                        found[placing][program].add(samples)
                        found[placing][program].cpu.append(cpu / len(samples))
        return found

    def in_turn(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, Series]:
        """The same for calls that need more than a connection, such as boto3's."""
        series = {program: Series() for program in calls}
        clock = time.perf_counter
        for _ in range(self.rounds):
            for program, call in calls.items():
                call()
                samples = []
                end = clock() + CALL_SECONDS
                while (before := clock()) < end:
                    call()
                    samples.append(clock() - before)
                series[program].add(samples)
        return series

    def there(self, *programs: str) -> list[str]:
        return [program for program in programs if program in self.servers]


def rivals(series: Mapping[str, Series], show: Callable[[float], str]) -> dict[str, str]:
    return {
        program: pair(item, show)
        for program, item in series.items()
        if program not in (LAMPYR, LIMIT)
    }


def pair(item: Series, show: Callable[[float], str]) -> str:
    cpu = f"; {show(statistics.median(item.cpu))} of CPU" if item.cpu else ""
    return f"{show(item.p50)} (p99 {show(item.p99)}{cpu})"
