"""How long environments live and what they keep, as functions and callers see it."""

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import change, create, function, invoke, unique_name, value

LIFE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"
SCALING: Final = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html"
ENDED: Final = 20.0
WHO: Final = """
import os, threading, time
ME = os.urandom(8).hex()
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.005)
def handler(event, context):
    if event == "tick":
        if not ticks:
            threading.Thread(target=tick, daemon=True).start()
            time.sleep(0.05)
        return ticks
    if event == "keep":
        with open("/tmp/kept", "a") as file:
            file.write("x")
        return os.path.getsize("/tmp/kept")
    time.sleep(event or 0)
    return ME
"""


@pytest.mark.documented(LIFE)
def test_an_environment_is_used_again_with_its_tmp(lambda_client: Any) -> None:
    with function(lambda_client, WHO) as name:
        first = value(lambda_client, name, 0)
        assert [value(lambda_client, name, 0) for _ in range(5)] == [first] * 5
        assert [value(lambda_client, name, "keep") for _ in range(3)] == [1, 2, 3]
        change(lambda_client, name, Description="other")
        assert value(lambda_client, name, 0) != first, "a changed function starts anew"
        assert value(lambda_client, name, "keep") == 1


@pytest.mark.documented(LIFE)
def test_nothing_runs_between_invocations(lambda_client: Any) -> None:
    with function(lambda_client, WHO) as name:
        first = value(lambda_client, name, "tick")
        threading.Event().wait(1.0)  # Idle: that nothing happens meanwhile is what is tested.
        assert value(lambda_client, name, "tick") - first < 60


@pytest.mark.documented(SCALING)
def test_each_of_several_invocations_at_once_has_an_environment_of_its_own(
    lampyr_server: LampyrServer, lambda_client: Any
) -> None:
    with function(lambda_client, WHO, Timeout=30) as name:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            seen = list(pool.map(lambda _: value(lambda_client, name, 1.0), range(6)))
        assert len(set(seen)) == 6
        assert value(lambda_client, name, 0) in seen


@pytest.mark.lampyr_only
def test_idle_environments_are_reclaimed(new_server: Callable[..., LampyrServer]) -> None:
    server = new_server("--idle-seconds", "0.4")
    server.start()
    client = server.client()
    name = create(client, WHO, FunctionName=unique_name("idle"))
    first = value(client, name, 0)
    groups, processes = server.held().cgroups, server.held().processes
    pause = threading.Event()
    for _ in range(int(ENDED / 0.05)):
        held = server.held()
        if groups - held.cgroups if groups else processes - held.processes:
            break
        pause.wait(0.05)
    else:
        pytest.fail("nothing of it has ended")
    assert value(client, name, 0) != first
    client.close()


@pytest.mark.documented(SCALING)
def test_more_than_the_quota_is_throttled(new_server: Callable[..., LampyrServer]) -> None:
    server = new_server("--concurrent-executions", "2")
    server.start()
    client = server.client()
    name = create(client, WHO, Timeout=30)
    assert client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 2
    value(client, name, 0)

    def call(_: int) -> str:
        try:
            return str(invoke(client, name, 3).payload)
        except client.exceptions.TooManyRequestsException as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return f"{status} {error.response['Reason']}"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(call, range(4)))
    throttled = [answer for answer in answers if " " in answer]
    assert throttled == ["429 ConcurrentInvocationLimitExceeded"] * 2
    assert value(client, name, 0)
    client.close()


@pytest.mark.lampyr_only
def test_a_deleted_function_ends_its_environments(
    new_server: Callable[..., LampyrServer],
) -> None:
    server = new_server()
    server.start()
    client = server.client()
    name = create(client, WHO)
    value(client, name, 0)
    with_one = len(server.held().processes)
    client.delete_function(FunctionName=name)
    pause = threading.Event()
    for _ in range(int(ENDED / 0.05)):
        if len(server.held().processes) < with_one:
            break
        pause.wait(0.05)
    assert len(server.held().processes) < with_one
    client.close()
