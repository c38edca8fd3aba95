"""The load: one caller on a kept connection, or many by `wrk`."""

import json
import os
import re
import socket
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

BODY: Final = b'{"hello": "world"}'
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_FAILED: Final = re.compile(rb"\r\nx-amz-function-error:", re.IGNORECASE)
LUA: Final = Path(__file__).parent / "post.lua"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a function is invoked over HTTP."""

    port: int
    path: str
    body: bytes = BODY
    host: str = "127.0.0.1"

    @property
    def request(self) -> bytes:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


@dataclass(slots=True)
class Series:
    """The samples of one thing in each round, in seconds or in calls a second."""

    rounds: list[list[float]] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    """Of rounds whose samples were counted elsewhere (wrk)."""
    cpu: list[float] = field(default_factory=list)
    """Of each round, seconds that all processes of a program computed for one call."""
    failed: int = 0

    def add(self, samples: Sequence[float]) -> None:
        self.rounds.append(sorted(samples))

    @property
    def p50(self) -> float:
        """The median of the rounds' medians."""
        return statistics.median(statistics.median(samples) for samples in self.rounds)

    @property
    def p99(self) -> float:
        """The median of the rounds' 99th percentiles."""
        return statistics.median(
            self.p99s or [samples[int(len(samples) * 0.99)] for samples in self.rounds]
        )

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest of the rounds' medians."""
        medians = [statistics.median(samples) for samples in self.rounds]
        return min(medians), max(medians)


class Connection:
    """A kept connection. It costs the caller about 10 µs a call, which is in every figure."""

    def __init__(self, target: Target) -> None:
        self._request = target.request
        self._socket = socket.create_connection((target.host, target.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self) -> bytes:
        """One answer, head and body. Raises when it is not what a working function gives."""
        self._socket.sendall(self._request)
        answer = self._socket.recv(65_536)
        while not _whole(answer):
            more = self._socket.recv(65_536)
            if not more:
                raise ConnectionError(f"closed after {answer[:200]!r}")
            answer += more
        if answer[9:12] != b"200" or _FAILED.search(answer):
            raise RuntimeError(f"not a success: {answer[:500]!r}")
        return answer


def _whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    length = _LENGTH.search(answer, 0, end + 2)
    if length is None:
        return answer.endswith(b"\r\n0\r\n\r\n")
    return len(answer) >= end + 4 + int(length[1])


def call_for(connection: Connection, seconds: float, calls_max: int = 100_000) -> list[float]:
    """Seconds of each call, one after the other."""
    clock = time.perf_counter
    samples: list[float] = []
    end = clock() + seconds
    before = clock()
    while before < end and len(samples) < calls_max:
        connection.call()
        after = clock()
        samples.append(after - before)
        before = clock()
    return samples


def wrk(
    target: Target, connections: int, seconds: int, series: Series, invocation_type: str = ""
) -> None:
    """Add calls a second, and the 99th percentile in seconds, of `connections` callers at once."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(LUA)]
    argv.append(f"http://{target.host}:{target.port}{target.path}")
    done = subprocess.run(
        argv,
        env={**os.environ, "BODY": target.body.decode(), "TYPE": invocation_type},
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    series.add([figures["requests"] / figures["microseconds"] * 1e6])
    series.p99s.append(figures["p99"] / 1e6)
    series.failed += figures["failed"]
