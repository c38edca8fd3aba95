"""START, END, REPORT and their kin, word for word as Lambda writes them, as text and as JSON.

Text is the default; a function whose LogFormat is JSON gets the same facts as `platform.*`
records, of which its SystemLogLevel lets some through:
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html

Billed is the whole of the duration and, since 1 August 2025, of the Init that went before it,
rounded up to the next millisecond:
https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final

from lampyr.observe.base import LogEvent

RUNTIME_FAULT: Final = "Runtime."
"""How the type of an error begins that ends the runtime; a handler's own error does not."""
_TYPES_TOLD: Final = (RUNTIME_FAULT, "Function.")
"""INIT_REPORT names no other types than these: a module may raise whatever it likes."""


class Level(IntEnum):
    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    FATAL = 5


class Status(StrEnum):
    """How an Init or an invocation ended, in the words of the Telemetry API."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"


class Phase(StrEnum):
    INIT = "init"
    INVOKE = "invoke"
    """Init again, inside the first invocation, after one that failed or took too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogForm:
    """What is the same in every line of one execution environment."""

    stream: str
    function_name: str
    function_arn: str
    version: str
    memory_mb: int
    json: bool = False
    application_level: Level = Level.TRACE
    """What a function with LogFormat JSON logs below it is dropped."""
    system_level: Level = Level.INFO
    initialization_type: str = "on-demand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A sampled X-Ray segment."""

    trace_id: str
    segment_id: str
    header: str
    """`Root=…;Parent=…;Sampled=1`."""


@dataclass(slots=True, kw_only=True, eq=False)
class Report:
    """The figures of one invocation. Not frozen, as that costs 1 µs on the warm path."""

    request_id: str
    duration_ms: float
    """As long as the handler ran; exactly the timeout where it was reached."""
    max_memory_mb: int
    init_ms: float | None = None
    """Of the Init that this invocation waited for."""
    restore_ms: float | None = None
    """Of the restore that this invocation waited for."""
    status: Status = Status.SUCCESS
    error_type: str | None = None
    trace: Trace | None = None
    invoked_arn: str = ""
    """The function with the qualifier that the call gave, if any: for metrics."""


def stream_name(started: float, version: str, unique: str) -> str:
    """`2026/11/21/[$LATEST]0c5e…`; `started` in seconds since the epoch, `unique` 32 hex digits."""
    day = time.strftime("%Y/%m/%d", time.gmtime(started))
    return f"{day}/[{version}]{unique}"


def billed_ms(duration_ms: float, init_ms: float | None) -> int:
    # Rounded first, so that the last bits of a float do not cost a millisecond.
    return math.ceil(round(duration_ms + (init_ms or 0.0), 3))


def start_text(form: LogForm, request_id: str) -> str:
    return f"START RequestId: {request_id} Version: {form.version}"


def end_text(request_id: str) -> str:
    return f"END RequestId: {request_id}"


def report_text(form: LogForm, report: Report) -> str:
    init, restore, took = report.init_ms, report.restore_ms, report.duration_ms
    text = (
        f"REPORT RequestId: {report.request_id}\tDuration: {took:.2f} ms\t"
        f"Billed Duration: {billed_ms(took, init or restore)} ms\t"
        f"Memory Size: {form.memory_mb} MB\tMax Memory Used: {report.max_memory_mb} MB\t"
    )
    if init is not None:
        text += f"Init Duration: {init:.2f} ms\t"
    if restore is not None:
        text += f"Restore Duration: {restore:.2f} ms\t"
        text += f"Billed Restore Duration: {billed_ms(restore, None)} ms\t"
    if report.status is not Status.SUCCESS:
        text += _status_text(report.status, report.error_type)
    if report.trace is not None:
        trace = report.trace
        text += f"\nXRAY TraceId: {trace.trace_id}\tSegmentId: {trace.segment_id}\tSampled: true\t"
    return text


def invocation_lines(form: LogForm, began_ms: int, ended_ms: int, report: Report) -> str:
    """START, END and REPORT of an invocation that is not sampled, as the file store has lines."""
    ended, request_id = f"{ended_ms}\t{form.stream}\t", report.request_id
    return (
        f"{began_ms}\t{form.stream}\tSTART RequestId: {request_id} Version: {form.version}\n"
        f"{ended}END RequestId: {request_id}\n"
        f"{ended}{report_text(form, report)}\n"
    )


def init_start_text(runtime_version: str, runtime_version_arn: str) -> str:
    return (
        f"INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_version_arn}"
    )


def init_report_text(init_ms: float, phase: Phase, status: Status, error_type: str | None) -> str:
    """For an Init that failed; one that succeeded is told of in the REPORT line alone."""
    if error_type is None or not error_type.startswith(_TYPES_TOLD):
        error_type = "Runtime.Unknown"
    text = f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: {phase}\tStatus: {status}"
    return text if status is Status.TIMEOUT else f"{text}\tError Type: {error_type}"


def timeout_text(now_ms: int, request_id: str, timeout_seconds: float) -> str:
    """What stands in the log of a function that was stopped; its message in the result, too."""
    return f"{iso(now_ms)} {request_id} Task timed out after {timeout_seconds:.2f} seconds\n"


def fault_text(request_id: str, message: str, error_type: str) -> str:
    """What stands in the log when the runtime ended: `message` such as `Runtime exited …`."""
    return f"RequestId: {request_id} Error: {message}\n{error_type}"


def platform_record(
    form: LogForm, level: Level, now_ms: int, kind: str, record: Mapping[str, Any]
) -> Sequence[LogEvent]:
    """A JSON line such as `platform.start`; nothing when the system log level is above it."""
    if level < form.system_level:
        return ()
    line = {"time": iso(now_ms), "type": f"platform.{kind}", "record": record}
    return (LogEvent(now_ms, form.stream, json.dumps(line, separators=(",", ":"))),)


def start_events(
    form: LogForm, now_ms: int, request_id: str, trace: Trace | None
) -> Sequence[LogEvent]:
    """What is written when an invocation begins."""
    if not form.json:
        return (LogEvent(now_ms, form.stream, start_text(form, request_id)),)
    record = {
        "requestId": request_id,
        "functionArn": form.function_arn,
        "version": form.version,
        **_tracing(trace),
    }
    return platform_record(form, Level.INFO, now_ms, "start", record)


def report_events(form: LogForm, now_ms: int, report: Report) -> Sequence[LogEvent]:
    """What is written when an invocation has ended."""
    if not form.json:
        stream = form.stream
        return (
            LogEvent(now_ms, stream, end_text(report.request_id)),
            LogEvent(now_ms, stream, report_text(form, report)),
        )
    succeeded = report.status is Status.SUCCESS
    outcome = {"status": report.status} | (
        {"errorType": report.error_type} if report.error_type else {}
    )
    duration = {"durationMs": round(report.duration_ms, 3)}
    done = {"requestId": report.request_id, **outcome, **_tracing(report.trace)}
    metrics = duration | {
        "billedDurationMs": billed_ms(report.duration_ms, report.init_ms or report.restore_ms),
        "memorySizeMB": form.memory_mb,
        "maxMemoryUsedMB": report.max_memory_mb,
    }
    if report.init_ms is not None:
        metrics["initDurationMs"] = round(report.init_ms, 3)
    if report.restore_ms is not None:
        metrics["restoreDurationMs"] = round(report.restore_ms, 3)
        metrics["billedRestoreDurationMs"] = billed_ms(report.restore_ms, None)
    final = {
        "requestId": report.request_id,
        "metrics": metrics,
        **_tracing(report.trace),
        **outcome,
    }
    low, high = (Level.DEBUG, Level.INFO) if succeeded else (Level.WARN, Level.WARN)
    return (
        *platform_record(form, low, now_ms, "runtimeDone", done | {"metrics": duration}),
        *platform_record(form, high, now_ms, "report", final),
    )


def init_start_events(
    form: LogForm, now_ms: int, runtime_version: str, runtime_version_arn: str
) -> Sequence[LogEvent]:
    """What is written when an execution environment starts on a managed runtime."""
    if not form.json:
        text = init_start_text(runtime_version, runtime_version_arn)
        return (LogEvent(now_ms, form.stream, text),)
    record = {
        "initializationType": form.initialization_type,
        "phase": Phase.INIT,
        "runtimeVersion": runtime_version,
        "runtimeVersionArn": runtime_version_arn,
        "functionName": form.function_name,
        "functionVersion": form.version,
        "instanceId": form.stream,
        "instanceMaxMemory": form.memory_mb * 1024 * 1024,
    }
    return platform_record(form, Level.INFO, now_ms, "initStart", record)


def init_report_events(
    form: LogForm,
    now_ms: int,
    init_ms: float,
    *,
    phase: Phase,
    status: Status,
    error_type: str | None,
) -> Sequence[LogEvent]:
    """What is written when Init has ended: as text only when it failed."""
    if not form.json:
        if status is Status.SUCCESS:
            return ()
        text = init_report_text(init_ms, phase, status, error_type)
        return (LogEvent(now_ms, form.stream, text),)
    record: dict[str, Any] = {
        "initializationType": form.initialization_type,
        "phase": phase,
        "status": status,
        "metrics": {"durationMs": round(init_ms, 3)},
    }
    if error_type:
        record["errorType"] = error_type
    level = Level.DEBUG if status is Status.SUCCESS else Level.WARN
    return platform_record(form, level, now_ms, "initReport", record)


def application_level(message: str) -> Level:
    """The level of a line that a function with LogFormat JSON wrote: its `level`, else INFO."""
    if not message.startswith("{"):
        return Level.INFO
    try:
        level = json.loads(message).get("level")
    except (ValueError, RecursionError):
        return Level.INFO
    return parse_level(level) if isinstance(level, str) else Level.INFO


def parse_level(name: str) -> Level:
    """INFO for a name that is no level; runtimes spell some differently."""
    name = {"WARNING": "WARN", "CRITICAL": "FATAL"}.get(name.upper(), name.upper())
    return Level[name] if name in Level.__members__ else Level.INFO


def iso(now_ms: int) -> str:
    """`2026-11-21T02:49:00.123Z`."""
    seconds, milliseconds = divmod(now_ms, 1_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{milliseconds:03d}Z"


def _status_text(status: Status, error_type: str | None) -> str:
    """Only what ended the runtime is told: a handler that raised has an ordinary REPORT."""
    if status is Status.TIMEOUT:
        return "Status: timeout"
    if status is Status.ERROR and error_type and error_type.startswith(RUNTIME_FAULT):
        return f"Status: error\tError Type: {error_type}"
    return ""


def _tracing(trace: Trace | None) -> Mapping[str, Any]:
    if trace is None:
        return {}
    value = {"spanId": trace.segment_id, "type": "X-Amzn-Trace-Id", "value": trace.header}
    return {"tracing": value}
