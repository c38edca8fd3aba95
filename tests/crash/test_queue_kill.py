"""`kill -9` while events are accepted, run and tried again: each that was accepted is run."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import pytest

import lampyr
from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create
from tests.crash import queue_worker

pytestmark = pytest.mark.lampyr_only

GATE = """
import os, time, urllib.error, urllib.request
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
def handler(event, context):
    while True:
        try:
            urllib.request.urlopen(ENDPOINT + "/2015-03-31/functions/gate", timeout=5)
            break
        except urllib.error.HTTPError:
            time.sleep(0.05)
    print("RAN", event)
"""
EVENTS = 120


def worker(directory: Path, first: int) -> subprocess.Popen[str]:
    root = Path(lampyr.__file__).parents[1]
    path = os.pathsep.join([str(root), str(Path(__file__).parents[2])])
    return subprocess.Popen(
        [sys.executable, queue_worker.__file__, str(directory), str(first)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )


def kill_after(directory: Path, lines: int, first: int) -> set[int]:
    """Accept so many events; what was acknowledged."""
    with worker(directory, first) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        said += [line for line in process.stdout if line.endswith("\n")]
    return {int(line) for line in said}


def test_what_was_accepted_is_run_and_hardly_more_than_that(tmp_path: Path) -> None:
    dice, accepted = random.Random(5), set[int]()
    lives = 4
    for life in range(lives):
        accepted |= kill_after(tmp_path, dice.randint(20, 150), first=100_000 * life)
    with worker(tmp_path, -1) as last:
        assert last.wait(60) == 0
    runs = Counter(map(int, (tmp_path / "runs").read_text().split()))
    assert accepted <= set(runs), "none is lost"
    for number, times in runs.items():
        # Each kill may bring one run more; every third event fails in each life once.
        assert times <= lives + 2, number
    often = [number for number, times in runs.items() if times > (2 if number % 3 == 0 else 1)]
    assert len(often) < len(runs) / 2, "what is done is not done again, as a rule"


@pytest.mark.root
def test_a_server_that_is_killed_runs_what_it_had_accepted(
    new_server: Callable[..., LampyrServer],
) -> None:
    server = new_server("--async-speed", "600")
    server.start()
    client = server.client()
    name = create(client, GATE, Timeout=60)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=4)

    def accept(number: int) -> None:
        client.invoke(FunctionName=name, InvocationType="Event", Payload=str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(accept, range(EVENTS)))
    server.kill()
    client.close()
    server.start()
    client = server.client()
    create(client, "def handler(event, context): pass", FunctionName="gate")
    ran = Counter(runs_of(server, name))
    assert set(ran) == set(range(EVENTS))
    client.close()


def runs_of(server: LampyrServer, name: str) -> list[int]:
    """What the function wrote, once there are no more events."""
    found, cursor = [], ""
    while True:
        with urlopen(f"{server.endpoint_url}/_lampyr/metrics", timeout=30) as answer:
            waiting = json.load(answer)["eventsWaiting"]
        url = f"{server.endpoint_url}/_lampyr/logs/{name}?wait_seconds=1&cursor={cursor}"
        with urlopen(url, timeout=30) as answer:
            page = json.load(answer)
        lines = [event["message"] for event in page["events"]]
        found += [int(line.split()[1]) for line in lines if line.startswith("RAN ")]
        cursor = page["cursor"]
        if not waiting and not lines:
            return found
