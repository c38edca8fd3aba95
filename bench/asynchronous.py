"""Row 12: asynchronous invocation, from the request to the handler, and how many are accepted."""

import json
import socket
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from bench import budgets, functions
from bench.base import LAMPYR, LIMIT, Bench
from bench.budgets import MINISTACK
from bench.client import Series, wrk
from bench.results import Row, milliseconds
from bench.rows import in_milliseconds
from bench.sources import Place

NAME: Final = "events"
EVENTS: Final = {LAMPYR: 200, MINISTACK: 40}
"""A round, one after the other."""
PAUSE_SECONDS: Final = {LAMPYR: 0.005, MINISTACK: 0.05}
"""After each, so that none waits for another."""
CALLERS: Final = 64
WRK_SECONDS: Final = 2
DRAINED_SECONDS_MAX: Final = 60.0


def rows(bench: Bench) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lampyr-said-") as sink:
        return _rows(bench, Path(sink))


def _rows(bench: Bench, sink: Path) -> list[Row]:
    """`sink`: where ministack's handlers write to, as its log is no place for them."""
    places = {LAMPYR: Place(server=bench.servers[LAMPYR], runtime=bench.runtime)}
    if MINISTACK in bench.servers:
        server = bench.servers[MINISTACK]
        places[MINISTACK] = Place(server=server, runtime=bench.runtime, sink=sink)
    latency = {program: Series() for program in places}
    accepted, limit = Series(), Series()
    for place in places.values():
        place.deploy(NAME)
    for _ in range(bench.rounds):
        for program, place in places.items():
            _hand_over(place.server.port, EVENTS[program], PAUSE_SECONDS[program])
            told = place.told(NAME, EVENTS[program])
            latency[program].add([got - sent for sent, got in told])
        wrk(bench.target(LAMPYR, NAME), CALLERS, WRK_SECONDS, accepted, invocation_type="Event")
        _wait_until_drained(bench.servers[LAMPYR].port)
        wrk(bench.target(LIMIT, NAME), CALLERS, WRK_SECONDS, limit)
    return [
        in_milliseconds(
            "12", "Event to handler, durable, idle, one caller", budgets.EVENT, latency
        ),
        Row(
            number="12",
            metric=f"events accepted a second, durable, {CALLERS} callers, handlers running",
            budget=f"≥ {budgets.ACCEPTED:,}/s",
            ours=f"{accepted.p50:,.0f}/s (p99 {milliseconds(accepted.p99)})",
            inside=accepted.p50 >= budgets.ACCEPTED and not accepted.failed,
            limit=f"{limit.p50:,.0f}/s",
        ),
    ]


def _hand_over(port: int, events: int, pause: float) -> None:
    """Each event says when it was sent."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(events):
            body = json.dumps({"sent": time.time()}).encode()
            head = (
                f"POST {functions.path(NAME)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"X-Amz-Invocation-Type: Event\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            if not connection.recv(65_536).startswith(b"HTTP/1.1 202"):
                raise RuntimeError("an event was not accepted")
            time.sleep(pause)


def _wait_until_drained(port: int) -> None:
    end = time.monotonic() + DRAINED_SECONDS_MAX
    while time.monotonic() < end:
        with urlopen(f"http://127.0.0.1:{port}/_lampyr/metrics", timeout=30) as answer:
            if not json.load(answer)["eventsWaiting"]:
                return
        time.sleep(0.05)
    raise RuntimeError("there are still events")
