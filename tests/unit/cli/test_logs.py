"""`lampyr logs`: every line once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.cli.client import Target
from lampyr.cli.logs import Reader, get_json, since_ms
from lampyr.cli.output import NotRunning
from tests.unit.cli.conftest import Run
from tests.unit.cli.stub import Stub

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", (NOW - 90) * 1000),
        ("10m", (NOW - 600) * 1000),
        ("1.5h", (NOW - 5400) * 1000),
        ("2d", (NOW - 172_800) * 1000),
        ("99999w", 0),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:01+01:00", 1000),
        ("yesterday", None),
        ("", None),
        ("10", None),
    ],
)
def test_since(text: str, expected: float | None) -> None:
    assert since_ms(text, NOW) == expected


@given(st.text())
def test_since_never_fails(text: str) -> None:
    assert since_ms(text, NOW) is None or isinstance(since_ms(text, NOW), int)


@pytest.fixture
def logged(stub: Stub) -> Stub:
    stub.functions["hello"] = {}
    stub.log += [{"timestamp": 1_000 * n, "stream": "s", "message": f"line {n}"} for n in range(7)]
    return stub


def test_every_page_is_printed(run: Run, logged: Stub) -> None:
    lines = run("logs", "hello").stdout.splitlines()
    assert lines[0] == "1970-01-01T00:00:00.000Z line 0"
    assert [line[25:] for line in lines] == [f"line {n}" for n in range(7)]
    as_json = run("logs", "hello", "--json").stdout.splitlines()
    assert [json.loads(line) for line in as_json] == logged.log


def test_since_is_asked_of_the_server(run: Run, logged: Stub) -> None:
    run("logs", "hello", "--since", "1970-01-01T00:00:05Z")
    assert logged.seen[0][2]["since_ms"] == ["5000"]
    assert run("logs", "hello", "--since", "soon").exit_code == 2


def test_a_message_of_several_lines_is_several_lines(run: Run, stub: Stub) -> None:
    stub.functions["hello"] = {}
    stub.log.append({"timestamp": 0, "stream": "s", "message": "[ERROR] x\n  at y\r  at z\r\n"})
    assert run("logs", "hello").stdout == "1970-01-01T00:00:00.000Z [ERROR] x\n  at y\n  at z\n"


def test_what_a_function_writes_cannot_command_the_terminal(run: Run, stub: Stub) -> None:
    stub.functions["hello"] = {}
    stub.log.append({"timestamp": 0, "stream": "s", "message": "a\x1b]0;title\x07\tb"})
    assert run("logs", "hello").stdout == "1970-01-01T00:00:00.000Z a\\x1b]0;title\\x07\tb\n"


@pytest.mark.parametrize("drop", [0, 1], ids=["refused", "cut off"])
def test_a_page_that_cannot_be_had_is_a_server_that_is_not_there(stub: Stub, drop: int) -> None:
    stub.drop_next = drop
    url = stub.url if drop else "http://127.0.0.1:1"
    target = Target(endpoint_url=url, region=None, default_region="us-east-1")
    with pytest.raises(NotRunning):
        get_json(target, "/_lampyr/logs/hello?since_ms=0", read_seconds=5)


def test_following_prints_each_line_once_when_connections_break(
    logged: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("lampyr.cli.logs.time.sleep", waits.append)
    target = Target(endpoint_url=logged.url, region=None, default_region="us-east-1")
    events: Iterator[dict[str, Any]] = Reader(target, "hello", 0).follow()
    first = [next(events)["message"] for _ in range(3)]
    logged.drop_next = 3
    logged.log.append({"timestamp": 9_000, "stream": "s", "message": "after"})
    rest = [next(events)["message"] for _ in range(5)]
    assert [*first, *rest] == [*(f"line {n}" for n in range(7)), "after"]
    assert len(waits) == 3
    assert capsys.readouterr().err.count("waiting for it to return") == 1
