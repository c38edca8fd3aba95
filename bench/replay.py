"""Replay five minutes of many functions' life, and write `bench/TRACE.md`.

    python -m bench.replay [--seconds 300] [--functions 200] [--seed 1] [--idle-seconds 60]

Shaped after the trace of Azure Functions of 2019 (Shahrad et al., "Serverless in the Wild", USENIX
ATC 2020), of which there is no copy here: a few functions get most of the calls and most get few;
a third is called by a timer, the others at random, some of those in bursts; they run for a
log-normal time, half of them for less than a second. The same seed gives the same calls. Callers
do not wait for each other: who comes while all environments are busy gets one of his own.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import charts, functions
from bench.__main__ import RUNTIME, lampyr
from bench.results import machine, megabytes, milliseconds
from bench.servers import Server, descendants

PERIODS: Final = (10, 20, 30, 60, 120)
"""Seconds between the calls of a timer."""
CALLS_A_MINUTE: Final = (0.05, 200.0)
"""Of the least and the most popular function."""
BURST_CALLS: Final = 25
"""On average; they come within a second or so."""
RUNS_SECONDS_MAX: Final = 5.0
SAMPLE_SECONDS: Final = 2.0
MEMORY_EVERY: Final = 5
"""Samples: the kernel walks through all memory to say how much it is."""
IN_MEMORY: Final = 8 * 1024 * 1024
CODE: Final = f"""\
import time
cold = True
HELD = b"x" * {IN_MEMORY}

def handler(event, context):
    global cold
    first, cold = cold, False
    time.sleep(event["seconds"])
    return first
"""


@dataclass(frozen=True, slots=True, order=True)
class Call:
    at: float
    """Seconds after the begin."""
    function: int
    seconds: float
    """How long it runs."""


def plan(seconds: float, count: int, seed: int) -> list[Call]:
    """Every call of the replay, in order of time."""
    dice = random.Random(seed)
    calls: list[Call] = []
    least, most = CALLS_A_MINUTE
    for function in range(count):
        median = min(RUNS_SECONDS_MAX, dice.lognormvariate(-2.0, 1.4))
        times: list[float]
        kind = dice.random()
        rate = least * (most / least) ** (dice.random() ** 3) / 60
        if kind < 1 / 3:
            period = dice.choice(PERIODS)
            first = dice.uniform(0, period)
            times = [first + period * number for number in range(int(seconds / period) + 1)]
        elif kind < 2 / 3:
            times = _at_random(dice, rate, seconds)
        else:
            times = [
                begin + dice.uniform(0, 1.5)
                for begin in _at_random(dice, rate / BURST_CALLS * 3, seconds)
                for _ in range(1 + int(dice.expovariate(1 / BURST_CALLS)))
            ]
        for at in times:
            runs = min(RUNS_SECONDS_MAX, median * dice.lognormvariate(0, 0.3))
            calls.append(Call(at, function, round(runs, 4)))
    return sorted(call for call in calls if call.at < seconds)


def _at_random(dice: random.Random, rate: float, seconds: float) -> list[float]:
    times = []
    at = dice.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += dice.expovariate(rate)
    return times


@dataclass(slots=True)
class Seen:
    warm: list[float] = field(default_factory=list)
    """Seconds of each call beyond those that its handler ran."""
    cold: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    """How long after its time each call was made: of a caller who is late the rest says nothing."""
    environments: list[tuple[float, float]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


async def replay(port: int, calls: list[Call], seen: Seen) -> None:
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for call in calls:
            wait = begun + call.at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            seen.late.append(max(0.0, time.monotonic() - begun - call.at))
            group.create_task(_call(port, call, seen))


async def _call(port: int, call: Call, seen: Seen) -> None:
    body = json.dumps({"seconds": call.seconds}).encode()
    head = (
        f"POST {functions.path(f'trace{call.function}')} HTTP/1.1\r\nHost: localhost\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    begun = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
    except OSError as error:
        seen.failed.append(str(error))
        return
    beyond = time.perf_counter() - begun - call.seconds
    status, said = answer[9:12], answer.rpartition(b"\r\n\r\n")[2]
    if status != b"200" or said not in {b"true", b"false"}:
        seen.failed.append(f"{status.decode()} {said[:100]!r}")
    elif said == b"true":
        seen.cold.append(beyond)
    else:
        seen.warm.append(beyond)


async def watch(server: Server, seen: Seen) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        at = time.monotonic() - begun
        seen.environments.append((at, await asyncio.to_thread(_environments, server)))
        if len(seen.environments) % MEMORY_EVERY == 1:
            seen.memory.append((at, await asyncio.to_thread(server.memory_bytes) / 1e6))


def _environments(server: Server) -> int:
    """As many as there are first processes of sandboxes."""
    return sum(_is_init(pid) for pid in descendants(server.pid))


def _is_init(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b"init\0"
    except OSError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.replay")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--functions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "TRACE.md")
    options = parser.parse_args()
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    calls = plan(options.seconds, options.functions, options.seed)
    seen = Seen()
    with (
        tempfile.TemporaryDirectory(prefix="lampyr-measured-") as work,
        lampyr(Path(work), idle_seconds=options.idle_seconds) as server,
    ):
        names = [f"trace{number}" for number in range(options.functions)]
        code = functions.package({"app.py": CODE})
        end = time.monotonic() + 120
        functions.create_many(server.port, names, code, runtime=RUNTIME, end=end)
        time.sleep(5)  # Until what is made ahead is made.
        asyncio.run(_run(server, calls, seen))
    options.output.write_text(document(options, calls, seen, load))
    charts.draw(drawn(seen), options.output.parent / "plots")
    print(options.output.read_text(), file=sys.stderr)
    return 1 if seen.failed else 0


async def _run(server: Server, calls: list[Call], seen: Seen) -> None:
    watching = asyncio.create_task(watch(server, seen))
    await replay(server.port, calls, seen)
    watching.cancel()


def document(options: argparse.Namespace, calls: list[Call], seen: Seen, load: str) -> str:
    answered = len(seen.warm) + len(seen.cold)
    every = seen.warm + seen.cold
    lines = [
        "# Replay of a trace",
        "",
        "Written by `python -m bench.replay`, which says what the calls are shaped after.",
        "",
        *(f"- {line}" for line in machine()),
        f"- load average before the run: {load}",
        _shape(options, calls),
        f"- an environment is reclaimed after {options.idle_seconds:.0f} s without work",
        "",
        "What a call takes beyond the time that its handler sleeps:",
        "",
        "| | calls | p50 | p99 | most |",
        "|---|---|---|---|---|",
        _line("warm", seen.warm),
        _line("cold", seen.cold),
        _line("all", every),
        "",
        (
            f"- cold starts: {len(seen.cold) / answered:.2%} of {answered:,}; "
            f"failed or refused: {len(seen.failed)} {sorted(set(seen.failed))[:3] or ''}"
        ),
        (
            f"- environments: {max(count for _, count in seen.environments):.0f} at most, "
            f"{statistics.mean(count for _, count in seen.environments):.0f} on average"
        ),
        (
            f"- memory of all processes (proportional set size): "
            f"{megabytes(max(size for _, size in seen.memory) * 1e6)} at most, "
            f"{megabytes(statistics.mean(size for _, size in seen.memory) * 1e6)} on average; each "
            f"environment holds {megabytes(IN_MEMORY)} of its function's own"
        ),
        f"- the caller was late by p99 {milliseconds(_share(seen.late, 0.99))}",
        "",
        "![latency](plots/trace-latency.svg)",
        "![environments](plots/trace-environments.svg)",
        "",
    ]
    return "\n".join(lines)


def _shape(options: argparse.Namespace, calls: list[Call]) -> str:
    of_each, seconds = [0] * options.functions, [0] * (int(options.seconds) + 1)
    for call in calls:
        of_each[call.function] += 1
        seconds[int(call.at)] += 1
    tenth = sorted(of_each, reverse=True)[: max(1, options.functions // 10)]
    return (
        f"- {options.functions} functions, {len(calls):,} calls in {options.seconds:.0f} s (seed "
        f"{options.seed}); the busiest second has {max(seconds)}; the busiest tenth of the "
        f"functions gets {sum(tenth) / len(calls):.0%} of the calls"
    )


def _line(what: str, seconds: list[float]) -> str:
    if not seconds:
        return f"| {what} | 0 | - | - | - |"
    figures = (_share(seconds, 0.5), _share(seconds, 0.99), max(seconds))
    return f"| {what} | {len(seconds):,} | " + " | ".join(map(milliseconds, figures)) + " |"


def _share(seconds: list[float], share: float) -> float:
    return sorted(seconds)[int(len(seconds) * share)]


def drawn(seen: Seen) -> list[charts.Chart]:
    return [
        charts.Chart(
            name="trace-latency",
            title="Replay of a trace: what a call takes beyond its handler's time",
            kind="distribution",
            x="milliseconds",
            y="share of calls",
            series={
                name: [max(second, 1e-5) for second in seconds]
                for name, seconds in (("warm", seen.warm), ("cold", seen.cold))
                if seconds
            },
        ),
        charts.course(
            "trace-environments",
            "Replay of a trace: environments, and memory of all processes",
            "environments; tens of MB",
            {
                "environments": seen.environments,
                "tens of MB": [(at, size / 10) for at, size in seen.memory],
            },
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
