"""What the log says of an environment with SnapStart: its Init ahead of need, and its restore.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart-monitoring.html
"""

from collections.abc import Sequence
from typing import Any

from lampyr.observe.base import LogEvent
from lampyr.worker.report import Level, LogForm, Phase, Status, init_report_events, platform_record


def snapshot_report_events(form: LogForm, now_ms: int, init_ms: float) -> Sequence[LogEvent]:
    """The end of an Init that no invocation waited for: no REPORT will tell of it."""
    if not form.json:
        return (LogEvent(now_ms, form.stream, f"INIT_REPORT Init Duration: {init_ms:.2f} ms"),)
    return init_report_events(
        form, now_ms, init_ms, phase=Phase.INIT, status=Status.SUCCESS, error_type=None
    )


def restore_start_events(
    form: LogForm, now_ms: int, runtime_version: str, runtime_version_arn: str
) -> Sequence[LogEvent]:
    if not form.json:
        text = (
            f"RESTORE_START Runtime Version: {runtime_version}\t"
            f"Runtime Version ARN: {runtime_version_arn}"
        )
        return (LogEvent(now_ms, form.stream, text),)
    record = {
        "runtimeVersion": runtime_version,
        "runtimeVersionArn": runtime_version_arn,
        "functionName": form.function_name,
        "functionVersion": form.version,
        "instanceId": form.stream,
        "instanceMaxMemory": form.memory_mb * 1024 * 1024,
    }
    return platform_record(form, Level.INFO, now_ms, "restoreStart", record)


def restore_report_events(
    form: LogForm, now_ms: int, restore_ms: float, *, status: Status, error_type: str | None
) -> Sequence[LogEvent]:
    if not form.json:
        text = f"RESTORE_REPORT Restore Duration: {restore_ms:.2f} ms"
        if status is not Status.SUCCESS:
            text += f"\tStatus: {status}"
        if status is Status.ERROR and error_type:
            text += f"\tError Type: {error_type}"
        return (LogEvent(now_ms, form.stream, text),)
    record: dict[str, Any] = {"status": status, "metrics": {"durationMs": round(restore_ms, 3)}}
    if error_type:
        record["errorType"] = error_type
    level = Level.INFO if status is Status.SUCCESS else Level.WARN
    return platform_record(form, level, now_ms, "restoreReport", record)
