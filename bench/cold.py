"""Rows 7, 8, 9 and 11: cold starts from what Lampyr made ahead, beside the same started anew.

Each sample is the first call of a function. In turn with it goes one of the same code that has to
be started anew, as a variable of it is one that the interpreter reads when it starts.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench import budgets, functions, packages
from bench.base import LAMPYR, Bench
from bench.budgets import ANEW, MINISTACK
from bench.client import Connection, Series, Target
from bench.results import Row, megabytes, milliseconds
from bench.rows import bare_start, in_milliseconds

STARTS: Final = 6
"""A round, of each."""
IDLE: Final = 40
PAUSE_SECONDS: Final = 0.5
"""Between two starts: what is made ahead is made again meanwhile, which took 0.3 s on one host."""
CLIENT: Final = """\
import boto3

client = boto3.client("s3", region_name="us-east-1")

def handler(event, context):
    return {"hello": "world"}
"""
NUMPY_CLIENT: Final = "import numpy\n" + CLIENT
PYTHON_ANEW: Final = {"PYTHONNODEBUGRANGES": "1"}
NODE_ANEW: Final = {"NODE_PENDING_DEPRECATION": "0"}


def boto3_client(bench: Bench) -> list[Row]:
    names = _deploy(bench, "client", {"app.py": CLIENT}, bench.runtime, PYTHON_ANEW)
    metric = "cold start, a function that makes a client of boto3"
    ahead, anew = _in_turn(bench, names)
    return [in_milliseconds("7", metric, budgets.COLD_BOTO3, {LAMPYR: ahead, ANEW: anew})]


def snap_start(bench: Bench) -> list[Row]:
    """Not of the same runtime where this Python is older than SnapStart."""
    runtime = max(bench.runtime, "python3.12")
    api = functions.api(bench.servers[LAMPYR].port)
    numpy = packages.installed("numpy", runtime)
    files: dict[str, str | bytes] = {"app.py": NUMPY_CLIENT, **numpy}
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
    there, new = _in_turn(bench, (restored, anew))
    row = in_milliseconds("8", metric, budgets.RESTORE, {LAMPYR: there, ANEW: new})
    if there.p50 * budgets.RESTORE_TIMES > new.p50:
        row.inside = False
    return [row]


def node(bench: Bench) -> list[Row]:
    """From what is parked, and started anew as where nothing is parked."""
    files: dict[str, str | bytes] = {"app.js": functions.ECHO_NODE}
    names = _deploy(bench, "parked", files, "nodejs20.x", NODE_ANEW)
    theirs = _deploy_at_ministack(bench, files)
    with Connection(_target(bench, names[0].pop())) as connection:
        connection.call()  # From now on Lampyr knows that somebody wants them.
    time.sleep(5 * PAUSE_SECONDS)
    ahead, anew, *rival = _in_turn(bench, (*names, theirs) if theirs else names)
    metric = "cold start, Node.js echo"
    alone = bare_start(bench.rounds, ["node", "-e", "0"])
    others = dict(zip([MINISTACK], rival, strict=False))
    parked = in_milliseconds("9", metric, budgets.COLD_NODE, {LAMPYR: ahead, **others})
    plain = in_milliseconds(
        "9",
        f"{metric}, nothing parked",
        budgets.COLD_NODE_ANEW,
        {LAMPYR: anew, **others},
        f"{milliseconds(alone)} (`node -e 0`)",
    )
    return [parked, plain]


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
            budget=f"≤ {megabytes(budgets.ENVIRONMENT_BYTES)}",
            ours=megabytes(each),
            inside=each <= budgets.ENVIRONMENT_BYTES,
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


def _deploy_at_ministack(bench: Bench, files: Mapping[str, str | bytes]) -> list[Target]:
    if MINISTACK not in bench.servers:
        return []
    port = bench.servers[MINISTACK].port
    names = [f"parked{number}" for number in range(bench.rounds * STARTS)]
    for name in names:
        functions.create(functions.api(port), name, functions.package(files), runtime="nodejs20.x")
    return [Target(port=port, path=functions.path(name)) for name in names]


def _in_turn(bench: Bench, each: Sequence[Sequence[str | Target]]) -> list[Series]:
    """First calls, one of each after the other, of functions of Lampyr or whatever else."""
    found = [Series() for _ in each]
    turns = iter(zip(*each, strict=False))
    for _ in range(bench.rounds):
        samples: list[list[float]] = [[] for _ in each]
        for _ in range(STARTS):
            for which, name in enumerate(next(turns)):
                time.sleep(PAUSE_SECONDS)
                target = _target(bench, name) if isinstance(name, str) else name
                samples[which].append(_first_call(target))
        for series, taken in zip(found, samples, strict=True):
            series.add(taken)
    return found


def _first_call(target: Target) -> float:
    with Connection(target) as connection:
        before = time.perf_counter()
        connection.call()
        return time.perf_counter() - before


def _target(bench: Bench, name: str) -> Target:
    name, _, qualifier = name.partition(":")
    path = functions.path(name) + (f"?Qualifier={qualifier}" if qualifier else "")
    return Target(port=bench.servers[LAMPYR].port, path=path)
