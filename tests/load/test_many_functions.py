"""Many functions on one host: deployed, listed, each invoked, and nothing of it piles up."""

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create, value
from tests.crash.anatomy import alone, anatomy, eventually
from tests.load.neighbours import MIB, Usage

pytestmark = [pytest.mark.root, pytest.mark.lampyr_only, pytest.mark.timeout(180)]

FUNCTIONS = 200
NewServer = Callable[..., LampyrServer]


def deploy(client: Any, names: Iterable[str]) -> None:
    def one(name: str) -> None:
        code = f"NAME = {name!r}\ndef handler(event, context): return [NAME, event]"
        create(client, code, FunctionName=name, MemorySize=1769)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, names))


def invoke_each(client: Any, names: Iterable[str], callers: int) -> None:
    def one(name: str) -> None:
        assert value(client, name, 1) == [name, 1]

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(one, names))


def at_rest(server: LampyrServer) -> tuple[int, int]:
    """Memory and descriptors, once every environment is reclaimed."""
    eventually("idle ones are reclaimed", lambda: not anatomy(server).inits)
    eventually("their groups too", lambda: alone(server))
    usage = Usage(server)
    return usage.memory(), usage.descriptors_at_rest()


def test_200_functions_deployed_listed_and_invoked(new_server: NewServer) -> None:
    """Ten times as many as may live at once: each start has to end another."""
    server = new_server("--environments-max", "20", "--idle-seconds", "1")
    server.start()
    client = server.client()
    names = [f"many-{number:03}" for number in range(FUNCTIONS)]
    random.Random(0).shuffle(names)
    deploy(client, names)
    listed, pages = [], 0
    for page in client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 33}):
        listed += [function["FunctionName"] for function in page["Functions"]]
        pages += 1
    assert sorted(listed) == sorted(names)
    assert pages == 7
    invoke_each(client, names, 8)
    memory, descriptors = at_rest(server)
    invoke_each(client, reversed(names), 16)
    memory_again, descriptors_again = at_rest(server)
    assert descriptors_again <= descriptors + 3
    assert memory_again - memory < 16 * MIB
    for name in names[:20]:
        client.delete_function(FunctionName=name)
    assert sum(1 for _ in client.list_functions()["Functions"]) == 50
    client.close()


def test_more_callers_and_functions_than_environments(new_server: NewServer) -> None:
    """Each call ends another function's environment; nobody is refused, nobody waits for ever."""
    server = new_server("--environments-max", "4")
    server.start()
    client = server.client()
    names = [f"crowd-{number}" for number in range(12)]
    deploy(client, names)
    dice = random.Random(1)
    invoke_each(client, [dice.choice(names) for _ in range(150)], 16)
    # One that was ended for another may still be on its way out.
    eventually("no more than allowed", lambda: len(anatomy(server).inits) <= 4)
    client.close()


@pytest.mark.parametrize("limit", ["6", "40"])
def test_functions_that_call_themselves(new_server: NewServer, limit: str) -> None:
    """Five deep, where six environments may live: just enough."""
    server = new_server("--environments-max", limit)
    server.start()
    client = server.client()
    code = """
import boto3, json
client = boto3.client("lambda")
def handler(event, context):
    if event == 0:
        return 0
    answer = client.invoke(FunctionName=context.function_name, Payload=json.dumps(event - 1))
    return 1 + json.load(answer["Payload"])
"""
    name = create(client, code, Timeout=60, MemorySize=1769)
    assert value(client, name, 5) == 5
    assert value(client, name, 5) == 5
    client.close()
