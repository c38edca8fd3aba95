"""SIGTERM and SIGINT: over within five seconds, exit code 0, and nothing left."""

import itertools
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lampyr.testing.leftovers import held_by, left_of
from lampyr.testing.server import STOP_SECONDS_MAX, LampyrServer, command
from tests.conformance.deployed import PYTHON, ROLE, create, invoke, unique_name, value, zipped
from tests.crash.anatomy import (
    anatomy,
    anatomy_of,
    belongings,
    eventually,
    left_of_network,
    network_of,
)
from tests.crash.lives import Later

pytestmark = [pytest.mark.root, pytest.mark.lampyr_only]

SLEEPS = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event"
STARTS_SLOWLY = "import time\ntime.sleep(8)\ndef handler(event, context): return event"
DEAF = """
import signal, subprocess, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
def handler(event, context):
    subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; while true; do sleep 1; done"])
    time.sleep(event)
    return event
"""


def stop(server: LampyrServer, number: signal.Signals, *, group: bool = False) -> None:
    """As a service manager does it, or (with `group`) as Ctrl-C in a terminal does."""
    had = belongings(server)
    assert server.process is not None
    begun = time.monotonic()
    if group:
        os.killpg(server.process.pid, number)
    else:
        server.process.send_signal(number)
    code = server.process.wait(STOP_SECONDS_MAX)
    assert time.monotonic() - begun < STOP_SECONDS_MAX
    assert code == 0, server.told()
    server._ended()
    assert had.left() == []


BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
NewServer = Callable[..., LampyrServer]


@BOTH
def test_with_nothing_to_do(new_server: NewServer, number: signal.Signals) -> None:
    server = new_server()
    server.start()
    stop(server, number, group=True)


@BOTH
def test_with_idle_and_busy_environments(new_server: NewServer, number: signal.Signals) -> None:
    """Some frozen, some running, one that ignores signals and has children that do."""
    server = new_server()
    server.start()
    client = server.client()
    idle, busy, deaf = (create(client, code, Timeout=600) for code in (SLEEPS, SLEEPS, DEAF))
    value(client, idle, 0)
    calls = [Later(partial(invoke, client, name, 300)) for name in (busy, busy, deaf)]
    eventually("four sandboxes", lambda: len(anatomy(server).functions) == 4)
    stop(server, number)
    for call in calls:
        assert isinstance(call.result(5), Exception), "cut off, not left to hang"
    client.close()


def test_a_short_invocation_is_let_end(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    client = server.client()
    name = create(client, SLEEPS)
    value(client, name, 0)
    call = Later(lambda: value(client, name, 0.7))
    threading.Event().wait(0.2)
    stop(server, signal.SIGTERM)
    assert call.result() == 0.7
    client.close()


@pytest.mark.parametrize("enough", [1, 8], ids=["as they begin", "in the middle"])
def test_during_64_cold_starts(new_server: NewServer, enough: int) -> None:
    server = new_server()
    server.start()
    client = server.client()
    name = create(client, STARTS_SLOWLY, Timeout=60)
    calls = [Later(lambda: invoke(client, name, 1)) for _ in range(64)]
    eventually("some have begun", lambda: len(anatomy(server).functions) >= enough)
    stop(server, signal.SIGTERM)
    for call in calls:
        assert isinstance(call.result(5), Exception)
    client.close()


def test_during_deployment(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    client = server.client()
    modules = {f"module{number}.py": f"X = {list(range(400))}\n" for number in range(300)}
    package = zipped({"app.py": SLEEPS, **modules})

    def deploy() -> Any:
        return client.create_function(
            FunctionName=unique_name("deploying"),
            Runtime=PYTHON,
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": package},
        )

    calls = [Later(deploy) for _ in range(8)]
    eventually("some are deployed", lambda: any(call.done for call in calls))
    stop(server, signal.SIGTERM)
    stored = [each for each in (call.result(5) for call in calls) if isinstance(each, dict)]
    client.close()
    server.start()
    client = server.client()
    for each in stored:
        name = each["FunctionName"]
        client.get_waiter("function_active_v2").wait(FunctionName=name)
        assert value(client, name, 0) == 0
    client.close()


def test_with_callers_who_do_not_go(new_server: NewServer) -> None:
    """Idle connections, half a request, a long poll, and one who does not read his answer."""
    server = new_server()
    server.start()
    client = server.client()
    name = create(client, "def handler(event, context): return 'x' * 5_000_000", Timeout=60)
    value(client, name)
    client.close()
    address = ("127.0.0.1", int(server.endpoint_url.rsplit(":", 1)[1]))
    whole = f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nHost: x\r\n"
    begun = [
        "",
        "GET / HT",
        f"{whole}Content-Length: 10\r\n\r\n12",
        f"GET /_lampyr/logs/{name}?wait_seconds=20&since_ms=99999999999999 HTTP/1.1\r\n\r\n",
        f"{whole}Content-Length: 2\r\n\r\n{{}}" * 20,
    ]
    sockets = [socket.create_connection(address) for _ in begun]
    for connection, text in zip(sockets, begun, strict=True):
        connection.sendall(text.encode())
    threading.Event().wait(0.3)
    stop(server, signal.SIGTERM)
    for connection in sockets:
        connection.close()


def test_impatience_does_not_make_it_worse(new_server: NewServer) -> None:
    """Both signals, again and again, until it is over."""
    server = new_server()
    server.start()
    client = server.client()
    name = create(client, SLEEPS, Timeout=60)
    value(client, name, 0)
    call = Later(lambda: invoke(client, name, 50))
    had = belongings(server)
    process = server.process
    assert process is not None
    give_up = time.monotonic() + STOP_SECONDS_MAX
    numbers = itertools.cycle([signal.SIGTERM, signal.SIGINT])
    while process.poll() is None and time.monotonic() < give_up:
        process.send_signal(next(numbers))
        threading.Event().wait(0.05)
    assert process.wait(1) in (0, -signal.SIGTERM, -signal.SIGINT), server.told()
    server._ended()
    assert had.left() == []
    assert isinstance(call.result(5), Exception)
    client.close()


def test_in_the_middle_of_its_start(tmp_path: Path) -> None:
    """Whatever was made by then is gone, and the next one starts as if nothing had been."""
    server = LampyrServer(tmp_path)
    server.temporary.mkdir(parents=True)
    arguments = [*command(), "start", "--port", "0", "--data-dir", str(server.data_dir)]
    dice = random.Random(3)
    for _ in range(6):
        process = subprocess.Popen(
            arguments,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(server.temporary)},
            start_new_session=True,
        )
        threading.Event().wait(0.1 + dice.random() * 0.5)
        held, network = held_by(process.pid), network_of(anatomy_of(process.pid).keeper)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=STOP_SECONDS_MAX)
        assert process.returncode in (0, -signal.SIGTERM), told
        assert b"Traceback" not in told
        assert left_of(held, tmp_path, server.temporary) == []
        assert left_of_network(network) == []
    server.start()
    server.stop()
