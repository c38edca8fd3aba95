"""The log of one execution environment: what its function writes, and Lambda's own lines around.

    environment ── init_start ── start ── report ──▶┐
    stdout, stderr ── output ──▶ LineSplitter ──────┼──▶ LogStore, and the tail of the invocation
    telemetry ── output ──▶ FrameDecoder ───────────┘

Before `report`, and before `end` of Init, read what is in the two pipes: a line belongs to the
invocation during which it was read. START, END and REPORT are made by the log store's writer,
not on the warm path, unless somebody wants the tail.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from lampyr.observe.base import LogEvent, LogGroup, LogSink
from lampyr.worker import report as lines
from lampyr.worker import restore_report as restores
from lampyr.worker.output import FrameDecoder, LineSplitter, Output
from lampyr.worker.report import Level, LogForm, Phase, Report, Status, Trace

LATE_MS_MAX: Final = 3_600_000
"""A time that a runtime client gives is believed if it is at most this old."""


class Start:
    """A START line to be: `LogRecord`."""

    __slots__ = ("form", "now_ms", "request_id", "trace")

    def __init__(self, form: LogForm, now_ms: int, request_id: str, trace: Trace | None) -> None:
        self.form = form
        self.now_ms = now_ms
        self.request_id = request_id
        self.trace = trace

    def events(self) -> Sequence[LogEvent]:
        return lines.start_events(self.form, self.now_ms, self.request_id, self.trace)

    def lines(self) -> None:
        """Seldom written alone."""


class End:
    """END and REPORT to be, and before them START where nothing stands between: `LogRecord`."""

    __slots__ = ("form", "now_ms", "report", "start")

    def __init__(self, form: LogForm, now_ms: int, report: Report, start: Start | None) -> None:
        self.form = form
        self.now_ms = now_ms
        self.report = report
        self.start = start

    def events(self) -> Sequence[LogEvent]:
        ended = lines.report_events(self.form, self.now_ms, self.report)
        return ended if self.start is None else (*self.start.events(), *ended)

    def lines(self) -> bytes | None:
        """As one text, where each event is one line: nearly always."""
        form, start, report = self.form, self.start, self.report
        if form.json or start is None or report.trace is not None:
            return None
        return lines.invocation_lines(form, start.now_ms, self.now_ms, report).encode()


class Tail:
    """The last bytes of an invocation's log; it keeps no more of it than it will give."""

    def __init__(self, bytes_max: int) -> None:
        self._max = bytes_max
        self._size = 0
        self._messages: deque[bytes] = deque()

    def add(self, events: Iterable[LogEvent]) -> None:
        for event in events:
            message = event.message.encode(errors="replace")[-self._max :] + b"\n"
            self._messages.append(message)
            self._size += len(message)
            while self._size - len(self._messages[0]) >= self._max:
                self._size -= len(self._messages.popleft())

    def text(self) -> bytes:
        return b"".join(self._messages)[-self._max :]


class EnvironmentLog:
    """For one event loop. Times are milliseconds since the epoch, durations milliseconds."""

    def __init__(self, store: LogSink, group: LogGroup, form: LogForm, *, tail_bytes: int) -> None:
        self.form = form
        self._store = store
        self._group = group
        self._tail_bytes = tail_bytes
        self._lines = LineSplitter()
        self._frames = FrameDecoder()
        self._tail: Tail | None = None
        self._start: Start | None = None
        """Of an invocation that has written nothing yet: most never do, and then it is written
        together with its END."""

    def init_start(self, now_ms: int, runtime_version: str, runtime_version_arn: str) -> None:
        """On a managed runtime; a custom one has no version to tell of."""
        events = lines.init_start_events(self.form, now_ms, runtime_version, runtime_version_arn)
        self._append(events)

    def init_report(
        self,
        now_ms: int,
        init_ms: float,
        *,
        phase: Phase = Phase.INIT,
        status: Status = Status.SUCCESS,
        error_type: str | None = None,
    ) -> None:
        self._flush_lines(now_ms)
        events = lines.init_report_events(
            self.form, now_ms, init_ms, phase=phase, status=status, error_type=error_type
        )
        self._append(events)

    def snapshot_report(self, now_ms: int, init_ms: float) -> None:
        """INIT_REPORT of an Init that no invocation waited for: its REPORT will not tell of it."""
        self._flush_lines(now_ms)
        self._append(restores.snapshot_report_events(self.form, now_ms, init_ms))

    def restore_start(self, now_ms: int, runtime_version: str, runtime_version_arn: str) -> None:
        events = restores.restore_start_events(
            self.form, now_ms, runtime_version, runtime_version_arn
        )
        self._append(events)

    def restore_report(
        self,
        now_ms: int,
        restore_ms: float,
        *,
        status: Status = Status.SUCCESS,
        error_type: str | None = None,
    ) -> None:
        self._flush_lines(now_ms)
        self._append(
            restores.restore_report_events(
                self.form, now_ms, restore_ms, status=status, error_type=error_type
            )
        )

    def start(
        self, now_ms: int, request_id: str, trace: Trace | None = None, *, tail: bool = False
    ) -> None:
        """An invocation begins: START. `tail`: whether `take_tail` will be asked for it."""
        self._start = Start(self.form, now_ms, request_id, trace)
        if tail:
            self._tail = Tail(self._tail_bytes)
            self._write_start()

    def output(self, now_ms: int, data: bytes) -> None:
        """What came from stdout and stderr."""
        self._append_lines(now_ms, self._lines.feed(data))

    def telemetry(self, now_ms: int, data: bytes) -> None:
        """What came from the descriptor of `_LAMBDA_TELEMETRY_LOG_FD`."""
        self._append_output(now_ms, self._frames.feed(data))

    def platform(self, now_ms: int, message: str) -> None:
        """A line of Lambda's own, such as `report.timeout_text` and `report.fault_text` make."""
        self._flush_lines(now_ms)
        self._append((LogEvent(now_ms, self.form.stream, message),))

    def report(self, now_ms: int, report: Report) -> None:
        """The invocation has ended: END and REPORT."""
        self._flush_lines(now_ms)
        start, self._start = self._start, None
        record = End(self.form, now_ms, report, start)
        self._store.append_record(self._group, record)
        if self._tail is not None:
            self._tail.add(record.events())

    def take_tail(self) -> bytes:
        """The last of what was logged since `start`; empty when that was not asked to keep it."""
        tail, self._tail = self._tail, None
        return b"" if tail is None else tail.text()

    def close(self, now_ms: int) -> None:
        """Nothing more comes from the sandbox: what was begun is a line now."""
        self._write_start()
        self._flush_lines(now_ms)
        self._append_output(now_ms, self._frames.flush())

    def _write_start(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            self._store.append_record(self._group, start)
            if self._tail is not None:
                self._tail.add(start.events())

    def _flush_lines(self, now_ms: int) -> None:
        if self._lines.partial:
            self._append_lines(now_ms, self._lines.flush())

    def _append_lines(self, now_ms: int, messages: Sequence[str]) -> None:
        form = self.form
        if form.json and form.application_level > Level.TRACE:
            wanted = form.application_level
            messages = [text for text in messages if lines.application_level(text) >= wanted]
        self._append([LogEvent(now_ms, form.stream, text) for text in messages])

    def _append_output(self, now_ms: int, outputs: Sequence[Output]) -> None:
        form = self.form
        self._append(
            [
                LogEvent(_believable(item.timestamp_ms, now_ms), form.stream, item.message)
                for item in outputs
                if not form.json or _level(item) >= form.application_level
            ]
        )

    def _append(self, events: Sequence[LogEvent]) -> None:
        if events:
            self._write_start()
            self._store.append(self._group, events)
            if self._tail is not None:
                self._tail.add(events)


def _level(item: Output) -> Level:
    return lines.application_level(item.message) if item.level is None else Level[item.level]


def _believable(timestamp_ms: int | None, now_ms: int) -> int:
    """A function can write any time; the log's order must not suffer."""
    if timestamp_ms is None or not now_ms - LATE_MS_MAX <= timestamp_ms <= now_ms:
        return now_ms
    return timestamp_ms
