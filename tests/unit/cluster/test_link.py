"""Front and worker, joined by a wire that carries bytes: frames, calls, environments."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.cluster.frames import Decoder, FrameError, encode
from lampyr.cluster.hosted import HostedWorker, SentLogs, ToldCredentials
from lampyr.cluster.link import Link, LinkLostError
from lampyr.cluster.remote import LOST, FrontParts, RemoteEnvironment, RemoteWorker
from lampyr.cluster.workers import Workers
from lampyr.errors import SnapStartException
from lampyr.model.function import FunctionVersion, Reason
from lampyr.model.invocation import InvokeResult
from lampyr.observe.base import LogEvent, LogGroup
from lampyr.tasks import Tasks
from lampyr.testing.clock import ManualClock
from lampyr.testing.environments import FakeCluster, a_version, an_invocation
from lampyr.worker.credentials import CredentialBook
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.environment_log import End, Start
from lampyr.worker.outcomes import Failure
from lampyr.worker.report import LogForm, Report, Status, Trace
from lampyr.worker.sandbox.base import Exit, SandboxError
from lampyr.worker.states import OVER
from lampyr.worker.told import EnvironmentStoppedError, EventUnreadError
from lampyr.worker.worker import Worker

GROUP = LogGroup("000000000000", "us-east-1", "/aws/lambda/hello")
messages = st.lists(st.tuples(st.dictionaries(st.text(), st.text()), st.binary()), max_size=5)


@given(sent=messages, cuts=st.lists(st.integers(0, 500), max_size=10))
def test_messages_come_as_they_were_sent_however_the_stream_is_cut(
    sent: list[tuple[dict[str, str], bytes]], cuts: list[int]
) -> None:
    stream = b"".join(encode(head, body) for head, body in sent)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    decoder, before, got = Decoder(), 0, []
    for place in places:
        got += decoder.feed(stream[before:place])
        before = place
    assert got == sent


@pytest.mark.parametrize("data", [b"\xff" * 8, encode({}, b"")[:8] + b"{]", b"\0\0\0\2\0\0\0\0[]"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        Decoder().feed(data)


class Wire(asyncio.Transport):
    """What is written at one end arrives at the other, in the next turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.other: asyncio.Protocol | None = None

    def write(self, data: Any) -> None:
        if self.other is not None:
            asyncio.get_running_loop().call_soon(self._arrive, bytes(data))

    def _arrive(self, data: bytes) -> None:
        if self.other is not None:
            self.other.data_received(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.other = None


class Lines:
    def __init__(self) -> None:
        self.events: list[tuple[LogGroup, list[LogEvent]]] = []

    def append(self, group: LogGroup, events: Any) -> None:
        self.events.append((group, list(events)))

    def append_record(self, group: LogGroup, record: Any) -> None:
        self.events.append((group, record.events()))


class FakeWorker(FakeCluster):
    """The `Worker` of the other process."""

    reason: Reason | None = None

    async def prepare(self, version: FunctionVersion) -> Reason | None:
        assert version.key.name
        return self.reason

    async def stop(self, environment_id: Any) -> None:
        await super().stop(self.started[environment_id].environment)


class Hosted(HostedWorker):
    def lost(self) -> None:
        """The process would end."""


class Pair:
    """A front and one worker."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.tasks = Tasks()
        self.worker = FakeWorker(self.clock)
        self.lines, self.book = Lines(), CredentialBook(bytes)
        self.lost = 0
        parts = FrontParts(
            logs=self.lines,
            credentials=self.book,
            package=self.nothing,
            in_use=self.nothing,
            clock=self.clock,
        )
        self.remote = RemoteWorker(parts, self.tasks, self.count_loss)
        self.hosted = Hosted(cast("Worker", self.worker), self.clock, cast("Link", None))
        self.link = Link(self.hosted, self.tasks)
        self.hosted.link = self.link
        self.wires = Wire(), Wire()
        self.wires[0].other, self.wires[1].other = self.link.stream, self.remote.link.stream
        self.remote.link.stream.connection_made(self.wires[0])
        self.link.stream.connection_made(self.wires[1])

    async def nothing(self, *_: str) -> Any:
        return None

    def count_loss(self) -> None:
        self.lost += 1

    async def start(self, **how: Any) -> RemoteEnvironment:
        given = {"init_seconds": 10.0, "within": None, "provisioned": False, **how}
        made = await self.remote.start(a_version(), None, **given)
        assert isinstance(made, RemoteEnvironment)
        return made

    def run(self, environment: RemoteEnvironment, payload: bytes = b"7") -> Any:
        now = self.clock.monotonic()
        return environment.invoke(an_invocation(payload), started=now - 1, deadline=now + 3)

    def environment(self, remote: RemoteEnvironment) -> ExecutionEnvironment:
        return self.worker.started[remote.id].environment

    def cut(self) -> None:
        for wire in self.wires:
            wire.abort()
        self.remote.link.stream.connection_lost(None)


class Pool:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def idle(self, environment: Any) -> None:
        self.heard.append(f"idle {environment.state.value}")

    def over(self, environment: Any) -> None:
        self.heard.append("over")


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    yield pair
    await pair.tasks.close()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_remote_environment_runs_one_invocation_after_the_other(pair: Pair) -> None:
    environment = await pair.start()
    pool = environment.owner = Pool()
    for payload in (b"1", b"\xc3\xbc" * 100_000):
        result = await pair.run(environment, payload)
        assert (result.payload, result.executed_version) == (payload, "$LATEST")
        await settle()
    assert pool.heard == ["idle ready", "idle ready"]
    environment.freeze()
    await settle()
    assert pair.environment(environment).frozen
    deadline_ms = pair.worker.started[environment.id].got[-1][1]
    assert deadline_ms == (pair.clock.now() + 3) * 1000
    await pair.remote.stop(environment.id)
    assert pair.worker.stopped == [environment.id]
    assert pair.remote.load == 0


async def test_what_fails_there_is_told_here(pair: Pair) -> None:
    failure = Failure(error_type="E", payload=b"{}", log_text="why", log_tail=b"\xff")
    pair.worker.failures = [failure, SandboxError("mount failed"), SnapStartException("hook")]
    how: dict[str, Any] = {"init_seconds": 1.0, "within": None, "provisioned": True}
    assert await pair.remote.start(a_version(), None, **how) == failure
    with pytest.raises(SandboxError, match="mount failed"):
        await pair.remote.start(a_version(), None, **how)
    with pytest.raises(SnapStartException, match="hook"):
        await pair.remote.start(a_version(), None, **how)
    assert await pair.remote.prepare(a_version()) is None
    pair.worker.reason = Reason(message="not here", code="InvalidRuntime")
    assert await pair.remote.prepare(a_version()) == pair.worker.reason
    assert pair.worker.starts[0]["provisioned"]


async def test_an_environment_that_ends_while_an_event_is_on_its_way_has_not_read_it(
    pair: Pair,
) -> None:
    environment = await pair.start()
    pool = environment.owner = Pool()
    pair.environment(environment).exited(Exit(code=1))
    result = pair.run(environment)
    with pytest.raises(EventUnreadError):
        await result
    assert (pool.heard, environment.state in OVER) == (["over"], True)


async def test_an_environment_that_ended_right_after_its_init_is_known_to_be_over(
    pair: Pair,
) -> None:
    pair.worker.held = True
    coming = asyncio.ensure_future(pair.start())
    while not pair.worker.started:
        await asyncio.sleep(0)
    next(iter(pair.worker.started.values())).environment.exited(Exit(code=1))
    assert (await coming).state in OVER


async def test_when_the_worker_is_lost_whoever_waits_hears_of_it(pair: Pair) -> None:
    pair.worker.held = True
    environment = await pair.start()
    pool = environment.owner = Pool()
    pair.worker.gate = asyncio.Event()
    coming = asyncio.ensure_future(pair.start())
    result = pair.run(environment)
    await settle()
    pair.cut()
    with pytest.raises(EnvironmentStoppedError, match=LOST):
        await result
    with pytest.raises(LinkLostError):
        await coming
    with pytest.raises(LinkLostError):
        await pair.remote.prepare(a_version())
    await pair.remote.stop(environment.id)
    assert (pool.heard, pair.lost, pair.remote.load) == (["over"], 1, 0)


async def test_lines_of_the_log_come_before_what_is_told_after_them(pair: Pair) -> None:
    logs, book = SentLogs(pair.link), ToldCredentials(bytes, pair.link)
    logs.append(GROUP, [LogEvent(1, "stream", "one")])
    issued = book.issue("000000000000", "role", "hello")
    await settle()
    assert pair.lines.events == [(GROUP, [LogEvent(1, "stream", "one")])]
    end = an_end()
    logs.append_record(GROUP, end)
    logs.append(GROUP, [LogEvent(9, "stream", "two")])
    logs.flush()
    await settle()
    assert [list(events) for _, events in pair.lines.events[1:]] == [
        list(end.events()),
        [LogEvent(9, "stream", "two")],
    ]
    assert pair.book.account_of(issued.access_key_id) == "000000000000"
    book.revoke(issued.access_key_id)
    await settle()
    assert len(pair.book) == 0
    again = book.issue("000000000000", "role", "hello")
    await settle()
    assert pair.book.account_of(again.access_key_id)
    pair.cut()
    assert len(pair.book) == 0, "they end with the worker"


def an_end() -> End:
    """With every member that may be missing."""
    form = LogForm(stream="s", function_name="hello", function_arn="a", version="1", memory_mb=128)
    trace = Trace(trace_id="1", segment_id="2", header="Root=1;Parent=2;Sampled=1")
    report = Report(request_id="r", duration_ms=1.5, max_memory_mb=3, init_ms=2.0, trace=trace)
    report.status = Status.TIMEOUT
    return End(form, 7, report, Start(form, 5, "r", trace))


class Host:
    """A place that does what a test says."""

    def __init__(self, *loads: Any) -> None:
        self.load = 0
        self.outcomes = list(loads)
        self.calls: list[str] = []

    async def prepare(self, version: FunctionVersion) -> Reason | None:
        self.calls.append("prepare")
        found: Reason | None = self._next()
        return found

    async def start(self, version: FunctionVersion, tenant_id: Any, **_: Any) -> Any:
        self.calls.append("start")
        return self._next()

    def retire(self, deployment_ids: Any) -> None:
        self.calls.append(f"retire {deployment_ids}")

    def relieve(self) -> None:
        self.calls.append("relieve")

    async def stop(self, environment_id: str) -> None:
        self.calls.append(f"stop {environment_id}")

    def _next(self) -> Any:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_an_environment_is_started_where_the_fewest_are_and_stopped_there() -> None:
    made = RemoteEnvironment("e1", a_version(), cast("Link", None), ManualClock())
    busy, free, workers = Host(), Host(made), Workers()
    busy.load = 3
    workers.join(busy)
    workers.join(free)
    assert await workers.start(a_version(), None, init_seconds=1) is made
    await workers.stop(made)
    await workers.stop(made)
    assert (busy.calls, free.calls) == ([], ["start", "stop e1"])


async def test_what_a_lost_worker_was_starting_is_started_on_another() -> None:
    failure = Failure(error_type="E", payload=b"{}")
    workers = Workers()
    lost, other = Host(LinkLostError(), LinkLostError()), Host(None, failure)
    other.load = 1
    workers.join(lost)
    workers.join(other)
    assert await workers.prepare(a_version()) is None
    coming = asyncio.ensure_future(workers.start(a_version(), None, init_seconds=1))
    workers.leave(lost)
    assert await coming == failure
    workers.leave(other)
    later = asyncio.ensure_future(workers.prepare(a_version()))
    await settle()
    assert not later.done()
    reason = Reason(message="not here", code="InvalidRuntime")
    workers.join(Host(reason))
    assert await later == reason


def test_results_keep_every_member() -> None:
    from lampyr.cluster.messages import of_invocation, of_result, to_invocation, to_result

    result = InvokeResult(
        executed_version="1", payload=b"{}", function_error="Unhandled", log_tail=b"\xff"
    )
    again = to_result(dict(of_result(result)), result.payload)
    invocation = an_invocation(b"1", tenant_id="blue", wants_log_tail=True, nested=True)
    copied = to_invocation(of_invocation(invocation), b"1")
    for before, after in ((result, again), (invocation, copied)):
        for name in type(before).__dataclass_fields__:
            if name != "nested":  # What that is for, the front has done by then.
                assert getattr(before, name) == getattr(after, name), name
