"""The measurements, one function per row of the budget table."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench import budgets, functions
from bench.base import CALL_SECONDS, LAMPYR, LIMIT, Bench, Placing, pair, rivals
from bench.budgets import Budget
from bench.charts import latency
from bench.client import BODY, Connection, Series, Target, call_for, wrk
from bench.results import Row, megabytes, microseconds, milliseconds
from bench.rivals import EMULATOR
from bench.servers import Server, environment

WRK_SECONDS: Final = 2
COLD_STARTS: Final = 10
"""Cold starts a round."""
MANY_FUNCTIONS: Final = 1_000
MANY_IDLE: Final = 500
MANY_SECONDS: Final = 150.0
"""After this row 20 goes on with what there is."""


def _caller_rows(
    bench: Bench, function: str, programs: list[str], *, number: str, metric: str, budget: Budget
) -> list[Row]:
    found = bench.one_caller(function, programs)
    seen = latency(f"row-{number}", f"Row {number}: {metric}", found[Placing.ONE_CORE])
    bench.charts.append(seen)
    rows = []
    for placing, series in found.items():
        ours = series[programs[0]]
        rival = budget.taken(series)
        rows.append(
            Row(
                number=number,
                metric=f"{metric}, {placing}",
                budget=str(budget),
                ours=pair(ours, microseconds) + budget.times(ours.p50, rival),
                inside=budget.holds(ours),
                is_budget=placing is Placing.FREE,
                share_inside=budget.share_holds(ours.p50, rival),
                rivals=rivals(series, microseconds),
                limit=pair(series[LIMIT], microseconds),
            )
        )
    return rows


def warm(bench: Bench) -> list[Row]:
    return _caller_rows(
        bench,
        "echo",
        bench.there(LAMPYR, EMULATOR, "ministack", "serverless-offline", LIMIT),
        number="1",
        metric="warm Invoke, one caller, Python echo",
        budget=budgets.WARM,
    )


def warm_boto3(bench: Bench) -> Row:
    def invoke(program: str) -> Callable[[], Any]:
        client = functions.api(bench.servers[program].port)
        name = bench.prefixes.get(program, "") + "echo"

        def call() -> bytes:
            answer: bytes = client.invoke(FunctionName=name, Payload=BODY)["Payload"].read()
            return answer

        return call

    programs = bench.there(LAMPYR, "ministack", "serverless-offline", LIMIT)
    series = bench.in_turn({program: invoke(program) for program in programs})
    limit = pair(series[LIMIT], milliseconds)
    return in_milliseconds("2", "the same through boto3", budgets.WARM_BOTO3, series, limit)


def in_milliseconds(
    number: str, metric: str, budget: Budget, series: Mapping[str, Series], limit: str = "-"
) -> Row:
    """What there is to say where a row is a budget of times and nothing else."""
    ours, rival = series[LAMPYR], budget.taken(series)
    return Row(
        number=number,
        metric=metric,
        budget=str(budget),
        ours=pair(ours, milliseconds) + budget.times(ours.p50, rival),
        inside=budget.holds(ours),
        share_inside=budget.share_holds(ours.p50, rival),
        rivals=rivals(series, milliseconds),
        limit=limit,
    )


def warm_stock_client(bench: Bench) -> list[Row]:
    code = functions.stock_client_package()
    client = functions.api(bench.servers[LAMPYR].port)
    functions.create(client, "stock", code, runtime="provided.al2023")
    return _caller_rows(
        bench,
        "stock",
        bench.there(LAMPYR, EMULATOR, LIMIT),
        number="3",
        metric="row 1 with the unmodified official runtime client (awslambdaric in a zip)",
        budget=budgets.WARM_STOCK_CLIENT,
    )


def throughput(bench: Bench) -> list[Row]:
    programs = bench.there(LAMPYR, "ministack", "serverless-offline", LIMIT)
    rows = []
    for connections, rest in ((16, ", p99 ≤ 10 ms, no errors"), (64, "")):
        series = {program: Series() for program in programs}
        for program in programs:  # Environments for all callers, before it counts.
            wrk(bench.target(program, "echo"), connections, 2, Series())
        for _ in range(bench.rounds):
            for program in programs:
                with bench.alone(program):
                    wrk(bench.target(program, "echo"), connections, WRK_SECONDS, series[program])
        ours = series[LAMPYR]
        rival = series.get("serverless-offline")
        times = None if rival is None else ours.p50 / rival.p50
        sound = ours.failed == 0 and (connections > 16 or ours.p99 <= 10e-3)
        rows.append(
            Row(
                number="4",
                metric=f"Invokes a second, {connections} connections",
                budget=f"≥ {budgets.RATE:,}/s{rest}; "
                f"share: {budgets.RATE_TIMES} times serverless-offline",
                ours=_rate(ours)
                + ("" if times is None else f", {times:.1f} times serverless-offline"),
                inside=sound and ours.p50 >= budgets.RATE,
                share_inside=None if times is None else sound and times >= budgets.RATE_TIMES,
                rivals={name: _rate(series[name]) for name in programs[1:] if name != LIMIT},
                limit=_rate(series[LIMIT]),
            )
        )
    return rows


def _rate(series: Series) -> str:
    failed = f", {series.failed} failed" if series.failed else ""
    return f"{series.p50:,.0f}/s (p99 {milliseconds(series.p99)}{failed})"


def warm_node(bench: Bench) -> list[Row]:
    node = functions.package({"app.js": functions.ECHO_NODE})
    for program in bench.there(LAMPYR, "ministack"):
        client = functions.api(bench.servers[program].port)
        functions.create(client, "node", node, runtime="nodejs20.x")
    return _caller_rows(
        bench,
        "node",
        bench.there(LAMPYR, "ministack", "serverless-offline", LIMIT),
        number="5",
        metric="warm Invoke, one caller, Node echo",
        budget=budgets.WARM_NODE,
    )


def cold_names(rounds: int) -> list[str]:
    return [f"cold{number}" for number in range(rounds * COLD_STARTS)]


def cold(bench: Bench) -> Row:
    """Every call is the first of its function."""
    programs = bench.there(LAMPYR, "ministack", "serverless-offline")
    series = {program: Series() for program in programs}
    names = iter(cold_names(bench.rounds))
    for _ in range(bench.rounds):
        batch = [next(names) for _ in range(COLD_STARTS)]
        for program in programs:
            samples = []
            for name in batch:
                with Connection(bench.target(program, name)) as connection:
                    before = time.perf_counter()
                    connection.call()
                    samples.append(time.perf_counter() - before)
            series[program].add(samples)
    bench.charts.append(latency("row-6", "Row 6: cold start, Python hello world", series))
    bare = bare_start(bench.rounds, [sys.executable, "-I", "-S", "-c", "pass"])
    limit = f"{milliseconds(bare)} (`python3 -I -c pass`)"
    metric = "cold start, Python hello world, request to response"
    return in_milliseconds("6", metric, budgets.COLD, series, limit)


def bare_start(rounds: int, argv: Sequence[str]) -> float:
    """Seconds that a program takes which does nothing."""
    samples = []
    for _ in range(rounds * 2):
        before = time.perf_counter()
        subprocess.run(argv, check=True, env=environment())
        samples.append(time.perf_counter() - before)
    return statistics.median(samples)


def start(rounds: int, programs: Mapping[str, Callable[[], Server]]) -> Row:
    """From exec to the first answer, and the memory of all processes a second later."""
    seconds: dict[str, list[float]] = {program: [] for program in programs}
    memory: dict[str, list[float]] = {program: [] for program in programs}
    for _ in range(rounds):
        for program, started in programs.items():
            with started() as server:
                seconds[program].append(server.seconds_to_answer)
                time.sleep(1)
                memory[program].append(server.memory_bytes())

    def show(program: str) -> str:
        taken, held = statistics.median(seconds[program]), statistics.median(memory[program])
        return f"{taken:.2f} s, {megabytes(held)}"

    budget, times = budgets.START, {name: statistics.median(seconds[name]) for name in programs}
    small = statistics.median(memory[LAMPYR]) <= budgets.IDLE_BYTES
    ours, rival = times[LAMPYR], times.get(budget.rival)
    return Row(
        number="17",
        metric="start to first answer; idle memory of all processes",
        budget=f"{budget}; ≤ {megabytes(budgets.IDLE_BYTES)}",
        ours=show(LAMPYR) + budget.times(ours, rival),
        inside=small and ours <= budget.p50,
        share_inside=small and budget.share_holds(ours, rival),
        rivals={name: show(name) for name in programs if name not in (LAMPYR, LIMIT)},
        limit=show(LIMIT),
    )


def control(bench: Bench) -> Row:
    def get(program: str) -> Callable[[], Any]:
        client = functions.api(bench.servers[program].port)
        return lambda: client.get_function_configuration(FunctionName="echo")

    series = bench.in_turn(
        {program: get(program) for program in bench.there(LAMPYR, "ministack", LIMIT)}
    )
    metric, limit = "GetFunctionConfiguration by boto3", pair(series[LIMIT], milliseconds)
    return in_milliseconds("18", metric, budgets.CONTROL, series, limit)


def many(bench: Bench, server: Server) -> list[Row]:
    """`server` is a second Lampyr, to be filled; the first has a few functions."""
    names = [f"many{number}" for number in range(MANY_FUNCTIONS)]
    code = functions.package({"app.py": functions.ECHO})
    begun = time.monotonic()
    end = begun + MANY_SECONDS
    deployed = functions.create_many(
        server.port, names, code, runtime=bench.runtime, end=begun + MANY_SECONDS / 2
    )
    bench.say(f"row 20: {deployed} functions after {time.monotonic() - begun:.0f} s")
    page = _list_page(bench, server, deployed)
    idle = _make_idle(server.port, names[: min(MANY_IDLE, deployed)], end)
    bench.say(f"row 20: {idle} environments after {time.monotonic() - begun:.0f} s")
    targets = {
        "many": Target(port=server.port, path=functions.path(names[0])),
        "few": bench.target(LAMPYR, "echo"),
    }
    series = {name: Series() for name in targets}
    for _ in range(bench.rounds * 2):
        for name, target in targets.items():
            with Connection(target) as connection:
                connection.call()
                series[name].add(call_for(connection, CALL_SECONDS))
    full = deployed == MANY_FUNCTIONS and idle == MANY_IDLE
    growth = Row(
        number="20",
        metric=f"row 1 with {deployed:,} functions and {idle} idle environments",
        budget="≤ 1.2 times that with few",
        ours=f"{pair(series['many'], microseconds)}, "
        f"{series['many'].p50 / series['few'].p50:.2f} times, "
        f"{megabytes(server.memory_bytes())} in all",
        inside=series["many"].p50 <= 1.2 * series["few"].p50 if full else None,
        rivals={"Lampyr with few": pair(series["few"], microseconds)},
    )
    return [page, growth]


def _list_page(bench: Bench, server: Server, deployed: int) -> Row:
    client = functions.api(server.port)
    series = bench.in_turn({LAMPYR: lambda: client.list_functions(MaxItems=50)})
    metric = f"ListFunctions by boto3, a page of 50 of {deployed:,}"
    row = in_milliseconds("18", metric, budgets.LIST_PAGE, series)
    return row if deployed == MANY_FUNCTIONS else replace(row, inside=None)


def _make_idle(port: int, names: list[str], end: float) -> int:
    """Call each function once, so that it has an environment; how many of them answered."""

    def call(name: str) -> bool:
        if time.monotonic() > end:
            return False
        with Connection(Target(port=port, path=functions.path(name))) as connection:
            connection.call()
        return True

    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(call, names))


def write_sources(work: Path, rounds: int, runtime: str) -> dict[str, tuple[str, str]]:
    """What serverless-offline runs lies in files: name → runtime and handler."""
    (work / "app.py").write_text(functions.ECHO)
    (work / "hello.py").write_text(functions.HELLO)
    (work / "node.js").write_text(functions.ECHO_NODE)
    named = {"echo": (runtime, "app.handler"), "node": ("nodejs20.x", "node.handler")}
    return named | dict.fromkeys(cold_names(rounds), (runtime, "hello.handler"))


def deploy(port: int, *, rounds: int, runtime: str) -> None:
    client = functions.api(port)
    echo = functions.package({"app.py": functions.ECHO})
    hello = functions.package({"app.py": functions.HELLO})
    functions.create(client, "echo", echo, runtime=runtime)
    for name in cold_names(rounds):
        functions.create(client, name, hello, runtime=runtime)


def to_json(rows: list[Row]) -> str:
    fields = ("number", "metric", "budget", "ours", "inside", "rivals", "limit")
    return json.dumps([{name: getattr(row, name) for name in fields} for row in rows], indent=1)
