"""Row 12: asynchronous invocation, from the request to the handler, and how many are accepted."""

import json
import socket
import time
from typing import Final
from urllib.request import urlopen

from bench import functions
from bench.base import LAMPYR, LIMIT, Bench, Budget
from bench.client import Series, wrk
from bench.results import Row, milliseconds

HANDLER: Final = """\
import time

def handler(event, context):
    now = time.time()
    if "sent" in event:
        print("SENT", event["sent"], now)
"""
NAME: Final = "events"
EVENTS: Final = 200
"""A round, one after the other."""
PAUSE_SECONDS: Final = 0.005
CALLERS: Final = 64
ACCEPTED: Final = 5_000
WRK_SECONDS: Final = 2
DRAINED_SECONDS_MAX: Final = 60.0


def rows(bench: Bench) -> list[Row]:
    port = bench.servers[LAMPYR].port
    code = functions.package({"app.py": HANDLER})
    functions.create(functions.api(port), NAME, code, runtime=bench.runtime)
    latency, accepted, limit, told = Series(), Series(), Series(), 0
    for _ in range(bench.rounds):
        _hand_over(port)
        _wait_until_drained(port)
        samples = _samples(port)
        latency.add(samples[told:])
        told = len(samples)
        target = bench.target(LAMPYR, NAME)
        wrk(target, CALLERS, WRK_SECONDS, accepted, invocation_type="Event")
        _wait_until_drained(port)
        wrk(bench.target(LIMIT, NAME), CALLERS, WRK_SECONDS, limit)
    budget = Budget(p50=2e-3)
    enough = accepted.p50 >= ACCEPTED and not accepted.failed
    return [
        Row(
            number="12",
            metric="Event to handler, durable, idle, one caller",
            budget="p50 ≤ 2 ms",
            ours=f"{milliseconds(latency.p50)} (p99 {milliseconds(latency.p99)})",
            inside=budget.holds(latency),
        ),
        Row(
            number="12",
            metric=f"events accepted a second, durable, {CALLERS} callers, handlers running",
            budget=f"≥ {ACCEPTED:,}/s",
            ours=f"{accepted.p50:,.0f}/s (p99 {milliseconds(accepted.p99)})",
            inside=enough,
            limit=f"{limit.p50:,.0f}/s",
        ),
    ]


def _hand_over(port: int) -> None:
    """Each event says when it was sent; a pause after each, so that none waits for another."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(EVENTS):
            body = json.dumps({"sent": time.time()}).encode()
            head = (
                f"POST {functions.path(NAME)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"X-Amz-Invocation-Type: Event\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            if not connection.recv(65_536).startswith(b"HTTP/1.1 202"):
                raise RuntimeError("an event was not accepted")
            time.sleep(PAUSE_SECONDS)


def _wait_until_drained(port: int) -> None:
    end = time.monotonic() + DRAINED_SECONDS_MAX
    while time.monotonic() < end:
        with urlopen(f"http://127.0.0.1:{port}/_lampyr/metrics", timeout=30) as answer:
            if not json.load(answer)["eventsWaiting"]:
                return
        time.sleep(0.05)
    raise RuntimeError("there are still events")


def _samples(port: int) -> list[float]:
    """Seconds from sending to the handler, of all events so far."""
    found, cursor = [], ""
    while True:
        url = f"http://127.0.0.1:{port}/_lampyr/logs/{NAME}?wait_seconds=1&cursor={cursor}"
        with urlopen(url, timeout=30) as answer:
            page = json.load(answer)
        if not page["events"]:
            return found
        cursor = page["cursor"]
        for event in page["events"]:
            if event["message"].startswith("SENT "):
                sent, got = map(float, event["message"].split()[1:])
                found.append(got - sent)
