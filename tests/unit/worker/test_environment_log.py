import struct

from lampyr.observe.base import LogEvent, LogGroup, LogRecord
from lampyr.worker.environment_log import EnvironmentLog, Tail
from lampyr.worker.report import Level, LogForm, Report, Status, timeout_text

GROUP = LogGroup("000000000000", "us-east-1", "/aws/lambda/hello")
NOW_MS = 1_795_226_923_045
ID = "8f507cfc"


class Collecting:
    """The half of a log store that an execution environment uses."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def append(self, group: LogGroup, events: list[LogEvent]) -> None:
        assert group == GROUP
        self.events += events

    def append_record(self, group: LogGroup, record: LogRecord) -> None:
        self.append(group, list(record.events()))

    @property
    def messages(self) -> list[str]:
        return [event.message for event in self.events]


def make(
    *, json: bool = False, level: Level = Level.TRACE, tail_bytes: int = 4096
) -> tuple[EnvironmentLog, Collecting]:
    store = Collecting()
    form = LogForm(
        stream="stream",
        function_name="hello",
        function_arn="arn",
        version="1",
        memory_mb=128,
        json=json,
        application_level=level,
        system_level=Level.WARN,
    )
    return EnvironmentLog(store, GROUP, form, tail_bytes=tail_bytes), store  # type: ignore[arg-type]


def report() -> Report:
    return Report(request_id=ID, duration_ms=1.5, max_memory_mb=30)


def frame(message: bytes, at_ms: int, kind: int = 0x03) -> bytes:
    return struct.pack(">IIQ", 0xA55A0000 | kind, len(message), at_ms * 1_000) + message


REPORT = (
    f"REPORT RequestId: {ID}\tDuration: 1.50 ms\tBilled Duration: 2 ms\t"
    "Memory Size: 128 MB\tMax Memory Used: 30 MB\t"
)


def test_lines_stand_between_start_and_end_and_are_the_tail() -> None:
    log, store = make()
    log.start(NOW_MS, ID, tail=True)
    log.output(NOW_MS, b"hello\nno end")
    log.telemetry(NOW_MS, frame(b"[INFO] framed\n", NOW_MS))
    log.report(NOW_MS, report())
    expected = [
        f"START RequestId: {ID} Version: 1",
        "hello",
        "[INFO] framed",
        "no end",
        f"END RequestId: {ID}",
        REPORT,
    ]
    assert store.messages == expected
    assert log.take_tail().decode() == "".join(f"{line}\n" for line in expected)
    assert log.take_tail() == b""


def test_a_tail_is_of_its_own_invocation_alone() -> None:
    log, _ = make()
    log.output(NOW_MS, b"during init\n")
    log.start(NOW_MS, "first")
    log.output(NOW_MS, b"of the first\n")
    log.report(NOW_MS, report())
    assert log.take_tail() == b""
    log.start(NOW_MS, ID, tail=True)
    log.report(NOW_MS, report())
    assert log.take_tail().splitlines()[0] == f"START RequestId: {ID} Version: 1".encode()


def test_the_tail_is_the_last_bytes_and_no_more_is_kept() -> None:
    tail = Tail(100)
    lines = [f"{number:09d}" for number in range(1_000)]
    tail.add([LogEvent(1, "s", line) for line in lines])
    assert tail.text() == "".join(f"{line}\n" for line in lines).encode()[-100:]
    assert sum(map(len, tail._messages)) < 120
    tail.add([LogEvent(1, "s", "y" * 1_000)])
    assert tail.text() == b"y" * 99 + b"\n"


def test_a_timeout_stands_after_what_the_function_began_to_write() -> None:
    log, store = make()
    log.start(NOW_MS, ID)
    log.output(NOW_MS, b"half a li")
    log.platform(NOW_MS, timeout_text(NOW_MS, ID, 3))
    assert store.messages[1:] == [
        "half a li",
        f"2026-11-21T02:08:43.045Z {ID} Task timed out after 3.00 seconds\n",
    ]


def test_a_time_that_cannot_be_is_not_believed() -> None:
    log, store = make()
    for at in (0, NOW_MS - 1_000, NOW_MS + 1_000, 2**53):
        log.telemetry(NOW_MS, frame(b"x", at))
    assert [event.timestamp_ms for event in store.events] == [NOW_MS, NOW_MS - 1_000] + [NOW_MS] * 2


def test_a_function_with_json_logs_is_filtered_by_its_level() -> None:
    log, store = make(json=True, level=Level.WARN)
    log.output(NOW_MS, b'plain\n{"level":"DEBUG"}\n{"level":"ERROR"}\n')
    log.telemetry(NOW_MS, frame(b"info", NOW_MS, 0x0E) + frame(b"error", NOW_MS, 0x16))
    log.telemetry(NOW_MS, frame(b"no level", NOW_MS, 0x02))
    assert store.messages == ['{"level":"ERROR"}', "error"]


def test_a_function_with_text_logs_is_not_filtered() -> None:
    log, store = make(level=Level.FATAL)
    log.output(NOW_MS, b"plain\n")
    log.telemetry(NOW_MS, frame(b"debug", NOW_MS, 0x0B))
    assert store.messages == ["plain", "debug"]


def test_init_and_exit() -> None:
    log, store = make()
    log.init_start(NOW_MS, "python:3.13.v1", "arn")
    log.output(NOW_MS, b"importing")
    log.init_report(NOW_MS, 5.0, status=Status.ERROR, error_type="Runtime.ExitError")
    log.output(NOW_MS, b"last words")
    log.telemetry(NOW_MS, frame(b"cut short", NOW_MS)[:-2])
    log.close(NOW_MS)
    assert store.messages == [
        "INIT_START Runtime Version: python:3.13.v1\tRuntime Version ARN: arn",
        "importing",
        (
            "INIT_REPORT Init Duration: 5.00 ms\tPhase: init\tStatus: error\t"
            "Error Type: Runtime.ExitError"
        ),
        "last words",
        "cut sho",
    ]
