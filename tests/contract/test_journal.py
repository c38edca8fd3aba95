"""What a sandbox writes to its pipes becomes the log of its environment, in order, line by line."""

import asyncio
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lampyr.observe.base import LogGroup
from lampyr.observe.memory import MemoryLogStore
from lampyr.testing.clock import ManualClock
from lampyr.testing.environments import an_invocation
from lampyr.worker import outcomes
from lampyr.worker.environment_log import EnvironmentLog
from lampyr.worker.journal import Journal
from lampyr.worker.report import LogForm

GROUP = LogGroup("000000000000", "us-east-1", "/aws/lambda/hello")
ID = an_invocation().request_id


class Pipes:
    """Both pipes of a sandbox, with the journal at their ends."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_700_000_000.0)
        self.store = MemoryLogStore()
        output, self.stdout = os.pipe2(os.O_NONBLOCK)
        telemetry, self.telemetry = os.pipe2(os.O_NONBLOCK)
        form = LogForm(
            stream="s", function_name="hello", function_arn="a", version="$LATEST", memory_mb=128
        )
        log = EnvironmentLog(self.store, GROUP, form, tail_bytes=4096)
        sandbox = cast("Any", SimpleNamespace(output=output, telemetry=telemetry))
        self.journal = Journal(log, sandbox, self.clock, ("python:3.12.1", "arn:of:it"))
        self.open = {self.stdout, self.telemetry}

    def write(self, text: bytes) -> None:
        os.write(self.stdout, text)

    def close(self) -> None:
        for descriptor in self.open:
            os.close(descriptor)
        self.open.clear()
        self.journal.close()

    async def lines(self) -> list[str]:
        page = await self.store.read(GROUP)
        return [event.message for event in page.events]


@pytest.fixture
async def pipes() -> "Any":
    pipes = Pipes()
    yield pipes
    pipes.close()


def finish(pipes: Pipes, **more: Any) -> bytes:
    invocation = an_invocation(wants_log_tail=more.pop("tail", False))
    facts: dict[str, Any] = {"seconds": 0.0125, "memory_bytes": 35_000_000, "failure": None}
    return pipes.journal.finish(invocation, **{**facts, **more})


async def test_what_was_written_before_the_response_lies_before_the_end(pipes: Pipes) -> None:
    pipes.journal.init_done(0.1)
    pipes.journal.begin(an_invocation())
    pipes.write(b"hello\nworld\n")
    finish(pipes)
    assert await pipes.lines() == [
        ("INIT_START Runtime Version: python:3.12.1\tRuntime Version ARN: arn:of:it"),
        f"START RequestId: {ID} Version: $LATEST",
        "hello",
        "world",
        f"END RequestId: {ID}",
        (
            f"REPORT RequestId: {ID}\tDuration: 12.50 ms\tBilled Duration: 113 ms\t"
            "Memory Size: 128 MB\tMax Memory Used: 34 MB\tInit Duration: 100.00 ms\t"
        ),
    ]


async def test_the_tail_holds_this_invocation_and_no_other(pipes: Pipes) -> None:
    pipes.journal.begin(an_invocation())
    pipes.write(b"first\n")
    assert finish(pipes) == b""
    pipes.journal.begin(an_invocation(wants_log_tail=True))
    pipes.write(b"second\n")
    tail = finish(pipes, tail=True).decode().splitlines()
    assert [line.split()[0] for line in tail] == ["START", "second", "END", "REPORT"]


async def test_a_timeout_is_told_between_the_last_line_and_end(pipes: Pipes) -> None:
    pipes.journal.begin(an_invocation())
    pipes.write(b"half a line")
    finish(pipes, failure=outcomes.timed_out(ID, 3.0))
    lines = await pipes.lines()
    assert lines[2] == "half a line"
    assert lines[3].endswith(f"Z {ID} Task timed out after 3.00 seconds\n")
    assert lines[-1].endswith("Status: timeout")


async def test_output_is_read_while_the_function_runs(pipes: Pipes) -> None:
    pipes.journal.begin(an_invocation())
    pipes.write(b"early\n")
    while "early" not in await pipes.lines():
        await asyncio.sleep(0)


async def test_a_pipe_that_ends_is_closed_once(pipes: Pipes) -> None:
    os.close(pipes.stdout)
    pipes.open.discard(pipes.stdout)
    pipes.journal.drain()
    pipes.journal.drain()
    finish_ok: Iterator[str] = iter(await pipes.lines())
    assert next(finish_ok).startswith("INIT_START")
