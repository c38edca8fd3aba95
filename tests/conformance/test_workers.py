"""`lampyr start --workers 2`: the same functions, in processes beside the front."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import change, create, invoke, value
from tests.crash.anatomy import command_line, workers
from tests.crash.lives import Later

pytestmark = pytest.mark.lampyr_only

CODE: Final = """
import json, os, time, urllib.request
def handler(event, context):
    print("event", event)
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("call"):
        url = os.environ["AWS_ENDPOINT_URL"] + "/2015-03-31/functions/"
        url += context.function_name + "/invocations"
        body = json.dumps(event["call"]).encode()
        with urllib.request.urlopen(url, body, timeout=60) as answer:
            return [event, json.load(answer)]
    return event
"""
EVENT: Final = {"text": "\u00fc" * 50_000}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    server = LampyrServer(tmp_path_factory.mktemp("workers"), ("--workers", "2"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: LampyrServer) -> Iterator[Any]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def name(client: Any) -> str:
    return create(client, CODE, Timeout=60)


def eventually(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < end
        threading.Event().wait(0.05)
    return found


def test_a_function_in_a_worker_answers_logs_and_calls_lampyr(
    server: LampyrServer, client: Any, name: str
) -> None:
    assert value(client, name, EVENT) == EVENT
    answer = invoke(client, name, {"a": 1}, LogType="Tail")
    assert answer.log.splitlines()[1] == "event {'a': 1}"
    assert "event {'a': 1}" in server.run("logs", name).stdout
    nested = {"call": {"call": {"b": 2}}}
    assert value(client, name, nested) == [nested, [nested["call"], {"b": 2}]]
    change(client, name, MemorySize=256)
    assert value(client, name, EVENT) == EVENT


def test_a_dead_worker_takes_only_what_it_ran_and_another_takes_its_place(
    server: LampyrServer, client: Any, name: str
) -> None:
    before = eventually(lambda: len(found := workers(server)) == 2 and found)
    calls = [Later(lambda: invoke(client, name, {"sleep": 50})) for _ in range(2)]
    eventually(lambda: server.run("logs", name).stdout.count("event {'sleep': 50}") == 2)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for call in calls:
        error = call.result(60)
        assert isinstance(error, ClientError), error
        assert error.response["Error"]["Code"] == "ServiceException"
        assert "worker that ran the invocation was lost" in str(error)
    assert value(client, name, EVENT) == EVENT
    after = eventually(lambda: len(found := workers(server)) == 2 and found)
    assert not set(before) & set(after)


def test_workers_end_when_the_front_is_killed_and_the_next_one_has_its_own(
    new_server: Callable[..., LampyrServer],
) -> None:
    server = new_server("--workers", "1")
    server.start()
    name = create(server.client(), CODE)
    assert value(server.client(), name, EVENT) == EVENT
    (worker,) = workers(server)
    server.kill()
    eventually(lambda: "lampyr.app.worker" not in command_line(worker))
    server.start()
    assert value(server.client(), name, EVENT) == EVENT
