"""Rows 7, 8, 9 and 11: cold starts from what Lampyr made ahead, beside the same started anew.

Each sample is the first call of a function. In turn with it goes one of the same code that has to
be started anew, as a variable of it is one that the interpreter reads when it starts.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from bench import functions, packages
from bench.base import LAMPYR, Bench, Budget, pair
from bench.client import Connection, Series, Target
from bench.results import Row, megabytes, milliseconds

STARTS: Final = 6
"""A round, of each."""
IDLE: Final = 40
PAUSE_SECONDS: Final = 0.2
"""Between two starts: what is made ahead is made again meanwhile."""
ANEW: Final = "the same, started anew"
CLIENT: Final = """\
import boto3

client = boto3.client("s3", region_name="us-east-1")

def handler(event, context):
    return {"hello": "world"}
"""
NUMPY_CLIENT: Final = "import numpy\n" + CLIENT
FASTER: Final = 15
"""How many times as fast as its Init a restore is to be."""
PYTHON_ANEW: Final = {"PYTHONNODEBUGRANGES": "1"}
NODE_ANEW: Final = {"NODE_PENDING_DEPRECATION": "0"}


def boto3_client(bench: Bench) -> list[Row]:
    names = _deploy(bench, "client", {"app.py": CLIENT}, bench.runtime, PYTHON_ANEW)
    metric = "cold start, a function that makes a client of boto3"
    return [_row(bench, "7", metric, Budget(p50=40e-3), names)]


def snap_start(bench: Bench) -> list[Row]:
    """Not of the same runtime where this Python is older than SnapStart."""
    runtime = max(bench.runtime, "python3.12")
    api = functions.api(bench.servers[LAMPYR].port)
    numpy = packages.installed("numpy", runtime)
    files = {"app.py": NUMPY_CLIENT, **numpy}
    ahead, anew = _deploy(bench, "snap", files, runtime, PYTHON_ANEW)
    for name in ahead:
        api.update_function_configuration(
            FunctionName=name, SnapStart={"ApplyOn": "PublishedVersions"}
        )
        functions.wait_until_updated(api, name)
        version = api.publish_version(FunctionName=name)["Version"]
        functions.wait_until_active(api, f"{name}:{version}")
    restored = [f"{name}:1" for name in ahead]
    metric = "restore with SnapStart, a function that imports numpy and makes a client of boto3"
    budget = Budget(p50=10e-3, p99=30e-3)
    return [_row(bench, "8", metric, budget, (restored, anew), faster=FASTER)]


def node(bench: Bench) -> list[Row]:
    files = {"app.js": functions.ECHO_NODE}
    names = _deploy(bench, "parked", files, "nodejs20.x", NODE_ANEW)
    with Connection(_target(bench, names[0].pop())) as connection:
        connection.call()  # From now on Lampyr knows that somebody wants them.
    time.sleep(5 * PAUSE_SECONDS)
    return [_row(bench, "9", "cold start, Node.js echo", Budget(p50=15e-3), names)]


def memory(bench: Bench) -> list[Row]:
    """Of environments that have answered once, their share of the template included."""
    api, server = functions.api(bench.servers[LAMPYR].port), bench.servers[LAMPYR]
    code = functions.package({"app.py": functions.HELLO})
    names = [f"idle{number}" for number in range(IDLE)]
    for name in names:
        functions.create(api, name, code, runtime=bench.runtime)
    before = server.memory_bytes()
    for name in names:
        with Connection(_target(bench, name)) as connection:
            connection.call()
    time.sleep(1)
    each = (server.memory_bytes() - before) / IDLE
    return [
        Row(
            number="11",
            metric=f"memory of an idle Python environment, one of {IDLE}",
            budget="≤ 8 MB",
            ours=megabytes(each),
            inside=each <= 8e6,
        )
    ]


def _deploy(
    bench: Bench,
    word: str,
    files: Mapping[str, str | bytes],
    runtime: str,
    variables: dict[str, str],
) -> tuple[list[str], list[str]]:
    """Names of functions that may use what was made ahead, and of those that may not."""
    api: Any = functions.api(bench.servers[LAMPYR].port)
    code = functions.package(files)
    numbers = range(bench.rounds * STARTS + 1)
    ahead = [f"{word}{number}" for number in numbers]
    anew = [f"{word}-anew{number}" for number in numbers]
    for name in ahead:
        functions.create(api, name, code, runtime=runtime)
    for name in anew:
        functions.create(api, name, code, runtime=runtime, variables=variables)
    return ahead, anew


def _row(
    bench: Bench,
    number: str,
    metric: str,
    budget: Budget,
    names: tuple[list[str], list[str]],
    *,
    faster: int = 0,
) -> Row:
    """`faster`: how many times as fast as anew it must be, by the medians."""
    ahead, anew = Series(), Series()
    turns = iter(zip(*names, strict=False))
    for _ in range(bench.rounds):
        samples: tuple[list[float], list[float]] = ([], [])
        for _ in range(STARTS):
            for which, name in enumerate(next(turns)):
                time.sleep(PAUSE_SECONDS)
                samples[which].append(_first_call(_target(bench, name)))
        ahead.add(samples[0])
        anew.add(samples[1])
    return Row(
        number=number,
        metric=metric,
        budget=f"{budget}, {faster} times as fast" if faster else str(budget),
        ours=pair(ahead, milliseconds),
        inside=budget.holds(ahead) and ahead.p50 * faster <= anew.p50,
        rivals={ANEW: pair(anew, milliseconds)},
    )


def _first_call(target: Target) -> float:
    with Connection(target) as connection:
        before = time.perf_counter()
        connection.call()
        return time.perf_counter() - before


def _target(bench: Bench, name: str) -> Target:
    name, _, qualifier = name.partition(":")
    path = functions.path(name) + (f"?Qualifier={qualifier}" if qualifier else "")
    return Target(port=bench.servers[LAMPYR].port, path=path)
