"""`kill -9` of the server, alone or with its helpers, at any point of a function's life."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create as create_active
from tests.conformance.deployed import function, invoke, value
from tests.crash.anatomy import (
    Belongings,
    anatomy,
    belongings,
    eventually,
    frozen,
    kill,
)
from tests.crash.lives import Known, Later, Lives, check_whole, create, package

pytestmark = [pytest.mark.root, pytest.mark.lampyr_only]

NewServer = Callable[..., LampyrServer]
WITH: dict[str, tuple[str, ...]] = {
    "server": ("server",),
    "server, spawner": ("server", "spawner"),
    "server, keeper": ("server", "keeper"),
    "all three": ("server", "spawner", "keeper"),
}


def crash(server: LampyrServer, *parts: str) -> Belongings:
    """Kill these processes of a server; what it held."""
    had = belongings(server)
    now = anatomy(server)
    kill(*(getattr(now, part) for part in parts or ("server",)))
    server.kill()
    return had


def nothing_half_there(server: LampyrServer) -> None:
    """In the files, beside what the API says."""
    data = server.data_dir
    partial = [*data.glob("blobs/partial*"), *data.glob("**/*.partial"), *data.glob("**/*.tmp")]
    assert not partial


@pytest.mark.parametrize("parts", WITH.values(), ids=WITH.keys())
@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_is_there_after_a_kill_at_any_moment(
    new_server: NewServer, parts: tuple[str, ...], seed: int
) -> None:
    dice = random.Random(f"{parts} {seed}")
    server = new_server()
    server.start()
    lives = Lives(server, callers=4)
    lives.begin()
    moment = dice.randint(1, 40)
    eventually("acknowledged", lambda: lives.acknowledged >= moment or lives.wrong)
    threading.Event().wait(dice.random() * 0.03)
    had = crash(server, *parts)
    lives.end()
    server.start()
    assert had.left(taken_over=True) == []
    client = server.client()
    for known in lives.known:
        check_whole(client, known)
    nothing_half_there(server)
    client.close()
    server.stop()


def test_a_function_that_was_pending_or_being_updated_comes_to_its_end(
    new_server: NewServer,
) -> None:
    server = new_server()
    server.start()
    client = server.client()
    updated = Known("updated", marks=["one"], created=True)
    create(client, updated)
    client.get_waiter("function_active_v2").wait(FunctionName="updated")
    pending = Known("pending", marks=["two"], created=True)
    create(client, pending)
    client.update_function_code(FunctionName="updated", ZipFile=package("three"), Publish=True)
    updated.marks, updated.published = ["three"], {"1": "three"}
    crash(server)
    client.close()
    server.start()
    client = server.client()
    check_whole(client, pending)
    check_whole(client, updated)
    client.close()


SLOW = """
import time, sys
print("begun", flush=True)
def handler(event, context):
    print("invoked", flush=True)
    time.sleep(event)
    return event
"""


@pytest.mark.parametrize("parts", [("server",), ("server", "spawner")], ids=["server", "both"])
def test_invocations_end_with_the_server_and_leave_nothing(
    new_server: NewServer, parts: tuple[str, ...]
) -> None:
    """One runs, one starts, one idles frozen: each is removed, and each caller hears of it."""
    server = new_server()
    server.start()
    client = server.client()
    running, idle = (create_active(client, SLOW, Timeout=60) for _ in range(2))
    starting = create_active(client, "import time\ntime.sleep(60)", Timeout=60)
    value(client, idle, 0)
    eventually("frozen", lambda: frozen(server))
    calls = [Later(lambda: invoke(client, running, 60)), Later(lambda: invoke(client, starting))]
    eventually("three sandboxes", lambda: len(anatomy(server).functions) == 3)
    had = crash(server, *parts)
    for call in calls:
        assert isinstance(call.result(5), Exception)
    client.close()
    if parts == ("server",):
        assert had.left() == [], "the spawner removes all of it by itself"
    server.start()
    assert had.left(taken_over=True) == []
    client = server.client()
    assert value(client, running, 0) == 0
    client.close()


def test_the_start_after_a_kill_may_be_killed_too(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    client = server.client()
    name = create_active(client, SLOW)
    value(client, name, 0)
    client.close()
    for parts in (("server", "spawner", "keeper"), ("server", "spawner"), ("server",)):
        had = crash(server, *parts)
        server.start()
        client = server.client()
        assert value(client, name, 0) == 0
        assert had.left(taken_over=True) == []
        client.close()


def test_a_server_killed_as_it_starts_leaves_no_trouble(new_server: NewServer) -> None:
    import subprocess

    from lampyr.testing.server import command

    server = new_server()
    server.start()
    client = server.client()
    name = create_active(client, SLOW)
    client.close()
    server.stop()
    arguments = [*command(), "start", "--port", "0", "--data-dir", str(server.data_dir)]
    dice = random.Random(5)
    for _ in range(6):
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        threading.Event().wait(0.05 + dice.random() * 0.6)
        process.kill()
        process.wait()
    server.start()
    had = belongings(server)
    client = server.client()
    assert value(client, name, 0) == 0
    client.close()
    server.stop()
    assert had.left() == []


def test_another_lampyr_on_the_host_is_not_disturbed(new_server: NewServer) -> None:
    killed, other = new_server(), new_server()
    killed.start()
    other.start()
    clients = [killed.client(), other.client()]
    names = [create_active(client, SLOW, Timeout=60) for client in clients]
    for client, name in zip(clients, names, strict=True):
        value(client, name, 0)
    long = Later(lambda: value(clients[1], names[1], 3))
    eventually("two environments", lambda: len(anatomy(other).functions) == 1)
    before = anatomy(other)
    crash(killed, "server", "spawner", "keeper")
    killed.start()
    now = anatomy(other)
    assert (now.spawner, now.keeper) == (before.spawner, before.keeper)
    assert now.functions == before.functions
    assert long.result() == 3
    assert value(clients[1], names[1], 0) == 0
    for client in clients:
        client.close()


def test_the_log_has_each_line_once_also_from_before_the_kill(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    client = server.client()
    name = create_active(client, "def handler(event, context):\n    print('line', event)")
    for number in range(20):
        value(client, name, number)
    assert lines(server, name) == list(range(20))
    crash(server, "server", "spawner")
    client.close()
    server.start()
    client = server.client()
    assert lines(server, name) == list(range(20))
    for number in range(20, 30):
        value(client, name, number)
    assert lines(server, name) == list(range(30))
    client.close()
    server.stop()
    server.start()
    assert lines(server, name) == list(range(30))


def lines(server: LampyrServer, name: str) -> list[int]:
    told = server.run("logs", name, "--since", "1h")
    assert told.returncode == 0, told.stderr
    return [int(line.split()[-1]) for line in told.stdout.splitlines() if " line " in f" {line} "]


def test_deleting_is_for_good(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    client = server.client()
    with function(client, SLOW) as name:
        value(client, name, 0)
    crash(server)
    client.close()
    server.start()
    client = server.client()
    assert client.list_functions()["Functions"] == []
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        invoke(client, name)
    client.close()


def test_a_package_whose_upload_the_kill_cut_off_is_not_kept(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    client = server.client()
    from tests.conformance.deployed import PYTHON, ROLE, zipped

    noise = random.Random(0).randbytes(30_000_000)
    large = zipped({"app.py": SLOW, "noise": noise})

    def upload() -> Any:
        return client.create_function(
            FunctionName="large",
            Runtime=PYTHON,
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": large},
        )

    call = Later(upload)
    threading.Event().wait(0.3)
    crash(server)
    assert call.result() is not None
    client.close()
    server.start()
    client = server.client()
    names = [each["FunctionName"] for each in client.list_functions()["Functions"]]
    if not isinstance(call.result(), Exception):
        assert names == ["large"]
    if names:
        client.get_waiter("function_active_v2").wait(FunctionName="large")
        assert value(client, "large", 0) == 0
    else:
        assert not list((server.data_dir / "blobs").iterdir())
    nothing_half_there(server)
    client.close()
