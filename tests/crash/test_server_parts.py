"""`kill -9` of what a running server stands on: it goes on, and whoever waited hears of it."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import Answer, create, function, invoke, unique_name, value
from tests.crash.anatomy import (
    Anatomy,
    alone,
    anatomy,
    belongings,
    children,
    eventually,
    frozen,
    kill,
    network_of,
)
from tests.crash.lives import Later
from tests.load.neighbours import Usage

pytestmark = [pytest.mark.root, pytest.mark.lampyr_only]

SLEEPS = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event"
STARTS_SLOWLY = "import time\ntime.sleep(0.5)\ndef handler(event, context): return event"

PARTS: dict[str, Callable[[Anatomy], tuple[int, ...]]] = {
    "spawner": lambda now: (now.spawner,),
    "keeper": lambda now: (now.keeper,),
    "template": lambda now: now.templates,
    "spawner and keeper": lambda now: (now.spawner, now.keeper),
    "first process of the sandbox": lambda now: now.inits,
    "function": lambda now: now.functions,
}
OF_A_SANDBOX = {name: PARTS[name] for name in PARTS if name not in {"keeper", "template"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    """One for all: what is killed of it has to come back. At the end nothing may be left."""
    server = LampyrServer(tmp_path_factory.mktemp("parts"))
    server.start()
    client = server.client()
    with function(client, SLEEPS) as name:
        value(client, name, 0)  # Now everything is open that is opened when it is needed.
    client.close()
    before = Usage(server).descriptors_at_rest()
    yield server
    try:
        # Every function is deleted, so nothing may run any more.
        eventually("every sandbox is gone", lambda: not anatomy(server).inits)
        after = Usage(server).descriptors_at_rest()
        had = belongings(server)
    finally:
        server.stop()
    assert had.left() == []
    assert after <= before + 3, "what a kill cut off was closed on our side too"


@pytest.fixture(scope="module")
def client(server: LampyrServer) -> Iterator[Any]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture
def fresh(client: Any) -> Iterator[Callable[..., str]]:
    """Make functions that are deleted again, so that each test has the sandboxes to itself."""
    names: list[str] = []

    def make(code: str, **configuration: Any) -> str:
        names.append(create(client, code, FunctionName=unique_name("parts"), **configuration))
        return names[-1]

    yield make
    for name in names:
        client.delete_function(FunctionName=name)


@pytest.fixture(autouse=True)
def nothing_piles_up(server: LampyrServer, client: Any) -> Iterator[None]:
    yield
    eventually("every group of a dead sandbox is gone", lambda: alone(server))
    eventually("the helpers are back", lambda: anatomy(server).spawner and anatomy(server).keeper)


def only_function(server: LampyrServer) -> Anatomy | None:
    """What is about to be parked looks like another until it has executed its program."""
    now = anatomy(server)
    return now if len(now.functions) == 1 else None


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
def test_an_idle_function_whose_ground_is_killed_answers_the_next_call(
    server: LampyrServer, client: Any, fresh: Any, part: Callable[[Anatomy], tuple[int, ...]]
) -> None:
    name = fresh(SLEEPS)
    value(client, name, 0)
    kill(*part(eventually("nothing else runs", lambda: only_function(server))))
    recovers(client, name)
    assert server.health()["status"] == "running"


def test_a_call_that_a_killed_frozen_function_never_saw_goes_to_another(
    server: LampyrServer, client: Any, fresh: Any
) -> None:
    name = frozen_function(server, client, fresh)
    kill(*anatomy(server).functions)
    assert value(client, name, 0) == 0


def test_a_call_to_a_frozen_function_whose_first_process_was_killed_comes_to_a_clear_end(
    server: LampyrServer, client: Any, fresh: Any
) -> None:
    """Both are thawed; the function lives for a moment yet, and may read the event in it."""
    name = frozen_function(server, client, fresh)
    kill(*anatomy(server).inits)
    assert check_clear(invoke(client, name, 0), 0) in {"answered", "killed"}
    assert value(client, name, 0) == 0


def frozen_function(server: LampyrServer, client: Any, fresh: Any) -> str:
    """One that has answered, and rests."""
    name: str = fresh(SLEEPS)
    value(client, name, 0)
    eventually("frozen", lambda: frozen(server))
    return name


def recovers(client: Any, name: str) -> None:
    """It answers; before that, whoever was killed while frozen dies of being woken for a call."""
    for _ in range(6):
        try:
            answer: Any = invoke(client, name, 0)
        except ClientError as error:
            answer = error
        if check_clear(answer, 0) == "answered":
            return
    raise AssertionError(answer)


@pytest.mark.parametrize("part", OF_A_SANDBOX.values(), ids=OF_A_SANDBOX.keys())
def test_the_caller_of_a_killed_invocation_hears_of_it_at_once(
    server: LampyrServer, client: Any, fresh: Any, part: Callable[[Anatomy], tuple[int, ...]]
) -> None:
    name = fresh(SLEEPS, Timeout=60)
    value(client, name, 0)
    call = Later(lambda: invoke(client, name, 50))
    threading.Event().wait(0.2)
    kill(*part(anatomy(server)))
    answer = call.result(10)
    assert isinstance(answer, Answer), answer
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert answer.payload["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert value(client, name, 0) == 0


def test_a_network_keeper_is_not_needed_by_what_runs(
    server: LampyrServer, client: Any, fresh: Any
) -> None:
    name = fresh(SLEEPS, Timeout=60)
    value(client, name, 0)
    call = Later(lambda: value(client, name, 1))
    kill(anatomy(server).keeper)
    assert call.result() == 1


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
def test_cold_starts_in_progress_come_to_a_clear_end(
    server: LampyrServer, client: Any, fresh: Any, part: Callable[[Anatomy], tuple[int, ...]]
) -> None:
    name = fresh(STARTS_SLOWLY, Timeout=60)
    calls = [Later(lambda: invoke(client, name, 7)) for _ in range(6)]
    eventually("one is being started", lambda: anatomy(server).functions)
    kill(*part(anatomy(server)))
    for call in calls:
        check_clear(call.result(), 7)
    assert value(client, name, 7) == 7


def check_clear(answer: Any, expected: Any) -> str:
    """An answer, the function's death, or the service's own error: one of them, and soon."""
    if isinstance(answer, ClientError):
        assert answer.response["Error"]["Code"] == "ServiceException", answer
        assert "Lampyr" in answer.response["Error"]["Message"]
        return "refused"
    assert isinstance(answer, Answer), answer
    if answer.error is not None:
        assert answer.payload["errorType"] == "Runtime.ExitError", answer.payload
        return "killed"
    assert answer.payload == expected
    return "answered"


def test_helpers_that_are_killed_as_soon_as_they_are_back(
    server: LampyrServer, client: Any, fresh: Any
) -> None:
    name = fresh(SLEEPS)
    value(client, name, 0)
    for _ in range(5):
        kill(eventually("the keeper is back", lambda: anatomy(server).keeper))
        call = Later(lambda: invoke(client, name, 0))
        kill(eventually("the spawner is back", lambda: anatomy(server).spawner))
        check_clear(call.result(), 0)
        recovers(client, name)
    assert value(client, fresh(SLEEPS), 0) == 0
    recovers(client, name)

    def keepers() -> list[int]:
        return [each for each in children(anatomy(server).server) if network_of(each)]

    eventually("one keeper, not one for each kill", lambda: len(keepers()) == 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_in_any_order_under_load(
    server: LampyrServer, client: Any, fresh: Any, seed: int
) -> None:
    dice = random.Random(seed)
    names = [fresh(code, Timeout=20) for code in (SLEEPS, STARTS_SLOWLY, SLEEPS)]
    over = threading.Event()
    ends: Counter[str] = Counter()

    def call(number: int) -> None:
        own = random.Random(f"{seed} {number}")
        while not over.is_set():
            event = own.choice([0, 0, 0.05])
            try:
                answer: Any = invoke(client, own.choice(names), event)
            except ClientError as error:
                answer = error
            ends[check_clear(answer, event)] += 1

    callers = [Later(partial(call, number)) for number in range(4)]
    for _ in range(12):
        threading.Event().wait(0.05 + dice.random() * 0.3)
        now = anatomy(server)
        of_sandboxes = [(pid,) for pid in (*now.inits, *now.functions)]
        rarely = [(now.spawner,), (now.keeper,), (now.spawner, now.keeper), now.templates]
        kill(*dice.choice(of_sandboxes * 2 + rarely))
    over.set()
    for caller in callers:
        assert caller.result() is None
    assert ends["answered"] > 0
    for name in names:
        recovers(client, name)
