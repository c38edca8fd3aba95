"""Measure, and write `bench/RESULTS.md`.

    python -m bench [--rounds 5] [--only 1,4,17] [--output FILE]

Bounded at twenty-five minutes beside the first installation of the rivals. A program that cannot
be had here is left out of the table, with the reason on stderr; without Lampyr itself it fails.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import (
    asynchronous,
    charts,
    cold,
    crowd,
    functions,
    memory,
    real,
    results,
    rivals,
    rows,
    sources,
)
from bench.base import LAMPYR, LIMIT, Bench
from bench.results import Row
from bench.rivals import EMULATOR
from bench.servers import Server, free_port

ROOT: Final = Path(__file__).parent.parent
RUNTIME: Final = f"python3.{sys.version_info.minor}"
"""Of the release that this runs on: it is there, and the rivals have it too."""
SECONDS_MAX: Final = 1_500.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="numbers of rows, such as 1,4,17")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "RESULTS.md")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("wrk is missing: apt-get install wrk")
    only = set(filter(None, options.only.split(",")))
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    rivals.python_environment()
    begun = time.monotonic()
    measured = []
    shown: list[charts.Chart] = []
    with tempfile.TemporaryDirectory(prefix="lampyr-measured-") as work:
        for row in measure(Path(work), options.rounds, only, begun + SECONDS_MAX, shown):
            measured.append(row)
            say(row.line())
    measured.sort(key=lambda row: int(row.number))
    text = results.document(
        measured, rounds=options.rounds, seconds=time.monotonic() - begun, load=load
    )
    options.output.write_text(text)
    charts.draw(shown, options.output.parent / "plots")
    say(f"written to {options.output}, drawn beside it")
    return 0 if measured and all(row.inside is not None for row in measured) else 1


def measure(
    work: Path, rounds: int, only: set[str], end: float, shown: list[charts.Chart]
) -> Iterator[Row]:
    starts = {
        LAMPYR: lambda: lampyr(work / "start"),
        "ministack": lambda: rivals.ministack(_new(work / "ministack")),
        "serverless-offline": lambda: _serverless_offline(work, rounds),
        LIMIT: lambda: echo(work),
    }
    if not only or "17" in only:
        yield from attempt("17", end, lambda: [rows.start(rounds, starts)])
    bench = Bench(rounds=rounds, runtime=RUNTIME, servers={}, say=say, charts=shown)
    if not only or "10" in only:  # Which no other program takes part in.
        yield from attempt("10", end, lambda: _crowd(bench, work))
    with ExitStack() as stack:
        _start_all(bench, stack, work)
        measurements: dict[str, Callable[[], list[Row]]] = {
            "1": lambda: rows.warm(bench),
            "2": lambda: [rows.warm_boto3(bench)],
            "3": lambda: rows.warm_stock_client(bench),
            "4": lambda: rows.throughput(bench),
            "5": lambda: _node(bench),
            "6": lambda: [rows.cold(bench)],
            "7": lambda: cold.boto3_client(bench),
            "8": lambda: cold.snap_start(bench),
            "9": lambda: cold.node(bench),
            "11": lambda: cold.memory(bench),
            "12": lambda: asynchronous.rows(bench),
            "13": lambda: _sources(bench, work),
            "18": lambda: [rows.control(bench)],
            "19": lambda: real.handler_time(bench),
            "20": lambda: _many(bench, work),
        }
        for number, measurement in measurements.items():
            if not only or number in only:
                yield from attempt(number, end, measurement)


def _node(bench: Bench) -> list[Row]:
    install = ["runtimes", "install", "nodejs20.x"]
    subprocess.run([_program(), *install], check=True, capture_output=True, timeout=120)
    return rows.warm_node(bench)


def _sources(bench: Bench, work: Path) -> list[Row]:
    """Rows 13 to 16, which share their servers."""
    with lampyr(work / "sources") as server:
        return sources.rows(bench, server, work / "sources")


def _crowd(bench: Bench, work: Path) -> list[Row]:
    memory.touch()
    numbers = itertools.count()
    row, course = crowd.row(
        bench.rounds,
        crowd.runtime_of(bench),
        lambda: lampyr(work / f"crowd{next(numbers)}"),
    )
    bench.charts.append(
        charts.course(
            "row-10",
            f"Row 10: from none to {crowd.ENVIRONMENTS:,} environments",
            "live environments",
            {LAMPYR: [(seconds, count) for count, seconds in enumerate(course.entered, 1)]},
        )
    )
    return [row]


def _many(bench: Bench, work: Path) -> list[Row]:
    with lampyr(work / "many") as server:
        return rows.many(bench, server)


def attempt(number: str, end: float, measurement: Callable[[], list[Row]]) -> list[Row]:
    """One row that fails must not cost the others; the table says so."""
    begun = time.monotonic()
    if begun > end:
        return [_failed(number, f"the {SECONDS_MAX:.0f} s were over")]
    try:
        found = measurement()
    except Exception as error:  # noqa: BLE001 - whatever a measured program does wrong
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return [_failed(number, reason.replace("|", "/"))]
    say(f"row {number}: {time.monotonic() - begun:.0f} s")
    return found


def _failed(number: str, reason: str) -> Row:
    return Row(number=number, metric="", budget="", ours=f"failed: {reason}", inside=None)


def lampyr(data: Path, idle_seconds: float = 3_600) -> Server:
    port = free_port()
    data.mkdir(exist_ok=True)
    return Server(
        LAMPYR,
        [_program(), "start", "--port", str(port), "--data-dir", str(data / "data")],
        port=port,
        health="/_lampyr/health",
        log=data / "lampyr.log",
        variables={"LAMPYR_IDLE_SECONDS": str(idle_seconds)},
    )


def _program() -> str:
    return str(Path(sys.executable).with_name("lampyr"))


def echo(work: Path) -> Server:
    port = free_port()
    return Server(
        LIMIT,
        [sys.executable, "-m", "bench.echo", "raw", str(port)],
        port=port,
        health="/",
        log=work / "echo.log",
        cwd=ROOT,
    )


def _start_all(bench: Bench, stack: ExitStack, work: Path) -> None:
    bench.servers[LIMIT] = stack.enter_context(echo(work))
    bench.servers[LAMPYR] = stack.enter_context(lampyr(_new(work / "main")))
    port = bench.servers[LAMPYR].port
    rows.deploy(port, rounds=bench.rounds, runtime=bench.runtime)
    try:
        server = stack.enter_context(rivals.ministack(_new(work / "ministack")))
        rows.deploy(server.port, rounds=bench.rounds, runtime=bench.runtime)
        bench.servers["ministack"] = server
    except Exception as error:  # noqa: BLE001 - a rival that does not work is left out
        say(f"ministack is left out: {error}")
    try:
        directory = _new(work / "emulator")
        server = rivals.runtime_interface_emulator(directory, functions.ECHO, Path(sys.executable))
        bench.servers[EMULATOR] = stack.enter_context(server)
        bench.only[EMULATOR] = "function"
    except Exception as error:  # noqa: BLE001 - same
        say(f"{EMULATOR} is left out: {error}")
    try:
        server = stack.enter_context(_serverless_offline(work, bench.rounds))
        bench.servers["serverless-offline"] = server
        bench.prefixes["serverless-offline"] = "bench-dev-"
    except Exception as error:  # noqa: BLE001 - same
        say(f"serverless-offline is left out: {error}")


def _serverless_offline(work: Path, rounds: int) -> Server:
    directory = _new(work / "serverless")
    sources = rows.write_sources(directory, rounds, RUNTIME)
    return rivals.serverless_offline(directory, sources, Path(sys.executable))


def _new(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
