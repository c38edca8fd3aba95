"""The command against a real Lampyr: start, use, stop, kill and start again."""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from lampyr.testing.leftovers import left_of
from lampyr.testing.server import LampyrServer, ServerError, command

pytestmark = pytest.mark.lampyr_only

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "hello-python"
NewServer = Callable[..., LampyrServer]


def deploy(server: LampyrServer, name: str = "hello") -> None:
    runtimes = json.loads(server.run("runtimes", "--json").stdout)
    if not any(r["name"] == "python3.11" and r["found"] for r in runtimes):
        pytest.skip("python3.11 is not on this host")
    answer = server.run(
        "deploy",
        str(EXAMPLE),
        "--name",
        name,
        "--handler",
        "app.handler",
        "--runtime",
        "python3.11",
    )
    assert answer.returncode == 0, answer.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def test_it_says_where_it_is_ready_and_answers_there(new_server: NewServer) -> None:
    server = new_server()
    url = server.start()
    assert url.startswith("http://127.0.0.1:")
    assert server.health()
    assert server.run("list", "--json").stdout == "[]\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_nothing_left(new_server: NewServer, number: signal.Signals) -> None:
    server = new_server()
    server.start()
    deploy(server)
    assert server.run("invoke", "hello", "--payload", "{}").returncode == 0
    held = server.held()
    assert len(held.processes) > 1
    assert server.process is not None
    server.process.send_signal(number)
    assert server.process.wait(5) == 0
    assert not left_of(held, server.directory, server.temporary)
    server.process = None


def test_functions_and_logs_survive_a_kill(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    deploy(server)
    assert server.run("invoke", "hello", "--payload", '{"name": "before"}').returncode == 0
    assert "hello, before" in server.run("logs", "hello", "--since", "1h").stdout
    held = server.kill()
    server.start()
    assert json.loads(server.run("list", "--json").stdout)[0]["FunctionName"] == "hello"
    assert server.run("invoke", "hello", "--payload", '{"name": "after"}').returncode == 0
    log = server.run("logs", "hello", "--since", "1h").stdout
    assert (log.count("hello, before"), log.count("hello, after")) == (1, 1)
    server.stop()
    assert not left_of(held, server.directory, server.temporary)


def test_following_a_log_outlives_the_server(new_server: NewServer) -> None:
    port = free_port()
    server = new_server()
    server.start(port=port)
    deploy(server)
    server.run("invoke", "hello", "--payload", '{"name": "one"}')
    follower = subprocess.Popen(
        [*command(), "logs", "hello", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**server.client_environment(), "PYTHONUNBUFFERED": "1"},
    )
    lines: list[str] = []
    seen = {name: threading.Event() for name in ("one", "two")}

    def read() -> None:
        assert follower.stdout is not None
        for line in follower.stdout:
            lines.append(line)
            for name, event in seen.items():
                if f"hello, {name}" in line:
                    event.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert seen["one"].wait(20)
        server.stop()
        server.start(port=port)
        server.run("invoke", "hello", "--payload", '{"name": "two"}')
        assert seen["two"].wait(20), lines
    finally:
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
        reader.join(10)
        assert follower.stdout is not None
        follower.stdout.close()
    text = "".join(lines)
    assert (text.count("hello, one"), text.count("hello, two")) == (1, 1)


def test_the_errors_of_a_function_and_of_the_service_read_well(
    lampyr_server: LampyrServer, tmp_path: Path
) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "app.py").write_text(
        "def handler(event, context):\n    raise ValueError('told to')\n"
    )
    deploy(lampyr_server, "cli-errors")
    assert lampyr_server.run("deploy", str(source), "--name", "cli-errors").returncode == 0
    failed = lampyr_server.run("invoke", "cli-errors", "--payload", "{}", "--tail")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "ValueError: told to" in failed.stderr
    assert "REPORT RequestId" in failed.stderr
    assert lampyr_server.run("delete", "cli-errors", "--yes").returncode == 0
    gone = lampyr_server.run("invoke", "cli-errors")
    assert gone.returncode == 1
    assert gone.stderr.startswith("Error: ResourceNotFoundException: Function not found: arn:aws")


def test_a_runtime_that_is_not_there_says_what_to_run(lampyr_server: LampyrServer) -> None:
    missing = [
        r for r in json.loads(lampyr_server.run("runtimes", "--json").stdout) if not r["found"]
    ]
    if not missing:
        pytest.skip("every runtime is on this host")
    name = missing[0]["name"]
    answer = lampyr_server.run(
        *("deploy", str(EXAMPLE), "--name", "cli-missing"),
        *("--handler", "app.handler", "--runtime", name),
    )
    assert answer.returncode == 1
    assert f"lampyr runtimes install {name}" in answer.stderr


def test_a_port_that_is_taken_is_said_without_a_traceback(new_server: NewServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door, pytest.raises(ServerError) as refused:
        new_server().start(port=int(door.getsockname()[1]))
    assert "Traceback" not in str(refused.value)


def test_two_do_not_share_a_data_directory(new_server: NewServer) -> None:
    first, second = new_server(), new_server()
    first.start()
    second.arguments = ("--data-dir", str(first.data_dir))
    with pytest.raises(ServerError) as refused:
        second.start()
    assert "Traceback" not in str(refused.value)
    assert first.health()


def test_doctor_says_whether_functions_can_run_isolated(lampyr_server: LampyrServer) -> None:
    report = lampyr_server.run("doctor", "--json")
    assert json.loads(report.stdout)["isolated"] == (report.returncode == 0)
    assert lampyr_server.run("doctor").stdout
    if os.geteuid() == 0:
        assert report.returncode == 0, report.stdout
