"""Row 10: from nothing to a thousand environments of one function, all alive at once.

A thousand callers call at the same moment. The handler says when it was entered and stays until
all must be there, so no environment serves two of them: as many streams of log as callers, each
with an environment of its own, all alive when the last one was entered.
"""

import json
import os
import selectors
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from bench import budgets, functions
from bench.base import Bench
from bench.client import Connection, Target
from bench.results import Row
from bench.servers import Server

ENVIRONMENTS: Final = 1_000
"""As many as Lampyr's defaults allow: `environments-max`, `concurrent-executions` and
`scaling-rate` are 1,000 each."""
STAY_SECONDS: Final = 25
ROUNDS_MAX: Final = 3
REST_SECONDS: Final = 1.0
"""What is made ahead is made again meanwhile."""
CODE: Final = """\
import os, time

def handler(event, context):
    entered = time.time()
    time.sleep(event["stay"])
    return [entered, os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    entered: list[float]
    """Seconds from the first request to the entry of each handler, in order."""
    environments: int
    refused: int


def runtime_of(bench: Bench) -> str:
    """Not one that AWS gives up next year: from 3.12 on forks share more."""
    return max(bench.runtime, "python3.12")


def row(
    rounds: int, runtime: str, start: Callable[[], AbstractContextManager[Server]]
) -> tuple[Row, Crowd]:
    """And one round's course."""
    crowds = []
    for _ in range(min(rounds, ROUNDS_MAX)):
        with start() as server:
            crowds.append(_round(server, runtime))
    crowds.sort(key=lambda crowd: crowd.entered[-1])
    seconds = [crowd.entered[-1] for crowd in crowds]
    budget, taken = budgets.CROWD, statistics.median(seconds)
    alive = min(crowd.environments for crowd in crowds)
    refused = sum(crowd.refused for crowd in crowds)
    whole = alive == ENVIRONMENTS and seconds[-1] < STAY_SECONDS
    told = f"{taken:.1f} s" if whole else f"{alive:,} after {STAY_SECONDS} s"
    if refused:
        told += f", {refused} refused"
    limit = statistics.median(_bare_forks() for _ in range(min(rounds, ROUNDS_MAX)))
    whole = whole and not refused
    return (
        Row(
            number="10",
            metric=f"from none to {ENVIRONMENTS:,} live environments of one function ({runtime})",
            budget=str(budget),
            ours=f"{told} ({seconds[0]:.1f} to {seconds[-1]:.1f} s)",
            inside=whole and taken <= budget.p50,
            rivals={"AWS (its scaling rate)": "1,000 in 10 s"},
            limit=f"{limit:.1f} s (bare forks of this process, no sandbox)",
        ),
        crowds[len(crowds) // 2],
    )


def _round(server: Server, runtime: str) -> Crowd:
    api = functions.api(server.port)
    code = functions.package({"app.py": CODE})
    for number in range(4):  # Until cold starts are what they are on a server that has been up.
        functions.create(api, f"before{number}", code, runtime=runtime)
        target = Target(port=server.port, path=functions.path(f"before{number}"))
        with Connection(_staying(target, 0)) as connection:
            connection.call()
        time.sleep(REST_SECONDS)
    functions.create(api, "crowd", code, runtime=runtime, timeout=3 * STAY_SECONDS)
    target = Target(port=server.port, path=functions.path("crowd"))
    begun = time.time()
    answers = list(_all_at_once(_staying(target, STAY_SECONDS)))
    bodies = [body for status, body in answers if status == b"200"]
    told = [json.loads(body) for body in bodies if body.startswith(b"[")]
    if not told:
        raise RuntimeError(f"no environment: {answers[:1]}")
    return Crowd(
        entered=sorted(entered - begun for entered, _ in told),
        environments=len({stream for _, stream in told}),
        refused=ENVIRONMENTS - len(told),
    )


def _staying(target: Target, seconds: float) -> Target:
    body = json.dumps({"stay": seconds}).encode()
    return Target(port=target.port, path=target.path, body=body)


def _all_at_once(target: Target) -> Iterator[tuple[bytes, bytes]]:
    """Status and body of each answer."""
    answers: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for _ in range(ENVIRONMENTS):
            caller = socket.create_connection((target.host, target.port))
            caller.sendall(target.request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            selector.register(caller, selectors.EVENT_READ)
            answers[caller] = b""
        while answers:
            for key, _ in selector.select():
                caller = key.fileobj  # type: ignore[assignment]
                data = caller.recv(65_536)
                answers[caller] += data
                if not data:
                    selector.unregister(caller)
                    caller.close()
                    head, _, body = answers.pop(caller).partition(b"\r\n\r\n")
                    yield head[9:12], body


def _bare_forks() -> float:
    """Seconds until as many copies of this process, which has loaded boto3, have said a word."""
    read, write = os.pipe()
    pids: list[int] = []
    begun = time.perf_counter()
    try:
        for _ in range(ENVIRONMENTS):
            pid = os.fork()
            if pid == 0:
                os.write(write, b".")
                signal.pause()
            pids.append(pid)
        heard = 0
        while heard < ENVIRONMENTS:
            heard += len(os.read(read, ENVIRONMENTS))
        return time.perf_counter() - begun
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(read)
        os.close(write)
