import json
from dataclasses import replace
from typing import Any

import pytest

from lampyr.worker import report
from lampyr.worker.report import Level, LogForm, Phase, Report, Status, Trace
from lampyr.worker.restore_report import (
    restore_report_events,
    restore_start_events,
    snapshot_report_events,
)

REQUEST_ID = "8f507cfc-8f50-4b8f-9d3c-2f1d6a1c7e11"
STREAM = "2026/11/21/[$LATEST]" + "0c5e" * 8
NOW_MS = 1_795_226_923_045
TEXT = LogForm(
    stream=STREAM,
    function_name="hello",
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:hello",
    version="$LATEST",
    memory_mb=128,
)
TRACE = Trace(
    trace_id="1-6ac7d63f-0104e99861c65c8039f183da",
    segment_id="7c4eb6a6d56f2a27",
    header="Root=1-6ac7d63f-0104e99861c65c8039f183da;Parent=7c4eb6a6d56f2a27;Sampled=1",
)


def as_json(level: Level = Level.INFO) -> LogForm:
    return LogForm(
        stream=STREAM,
        function_name="hello",
        function_arn=TEXT.function_arn,
        version="$LATEST",
        memory_mb=128,
        json=True,
        system_level=level,
    )


def made(**changes: Any) -> Report:
    return replace(Report(request_id=REQUEST_ID, duration_ms=1.234, max_memory_mb=35), **changes)


def records(events: Any) -> list[dict[str, Any]]:
    return [json.loads(event.message) for event in events]


def test_a_stream_is_named_by_day_version_and_environment() -> None:
    assert report.stream_name(NOW_MS / 1_000, "$LATEST", "0c5e" * 8) == (
        "2026/11/21/[$LATEST]0c5e0c5e0c5e0c5e0c5e0c5e0c5e0c5e"
    )


@pytest.mark.recorded("TestLambdaFeatures::test_invocation_with_logs[python3.10]")
def test_the_lines_around_an_invocation_are_lambdas() -> None:
    (start,) = report.start_events(TEXT, NOW_MS, REQUEST_ID, None)
    end, final = report.report_events(TEXT, NOW_MS, made(init_ms=99.991))
    assert start == (NOW_MS, STREAM, f"START RequestId: {REQUEST_ID} Version: $LATEST")
    assert end.message == f"END RequestId: {REQUEST_ID}"
    assert final.message == (
        f"REPORT RequestId: {REQUEST_ID}\tDuration: 1.23 ms\tBilled Duration: 102 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 35 MB\tInit Duration: 99.99 ms\t"
    )


def test_a_warm_report_has_no_init() -> None:
    assert report.report_text(TEXT, made()) == (
        f"REPORT RequestId: {REQUEST_ID}\tDuration: 1.23 ms\tBilled Duration: 2 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 35 MB\t"
    )


@pytest.mark.parametrize(
    ("duration_ms", "init_ms", "billed"),
    [
        # The first two are REPORT lines that Lambda wrote in 2026.
        (17.21, 80.52, 98),
        (1233.96, 463.512, 1698),
        (3000.0, None, 3000),
        (3000.0, 402.04, 3403),
        (0.1 + 0.2 + 0.7, None, 1),
        (0.004, None, 1),
        (1.0004, None, 1),
        (1.001, None, 2),
    ],
)
def test_billed_is_duration_and_init_rounded_up_to_a_millisecond(
    duration_ms: float, init_ms: float | None, billed: int
) -> None:
    assert report.billed_ms(duration_ms, init_ms) == billed


def test_a_report_says_what_ended_the_runtime() -> None:
    timeout = made(duration_ms=3000.0, init_ms=402.04, status=Status.TIMEOUT)
    assert report.report_text(TEXT, timeout).endswith(
        "Max Memory Used: 35 MB\tInit Duration: 402.04 ms\tStatus: timeout"
    )
    exited = made(status=Status.ERROR, error_type="Runtime.ExitError")
    assert report.report_text(TEXT, exited).endswith(
        "Max Memory Used: 35 MB\tStatus: error\tError Type: Runtime.ExitError"
    )


def test_a_handler_that_raised_has_an_ordinary_report() -> None:
    raised = made(status=Status.ERROR, error_type="KeyError")
    assert report.report_text(TEXT, raised) == report.report_text(TEXT, made())


def test_a_sampled_trace_is_told_of_in_the_same_event() -> None:
    text = report.report_text(TEXT, made(trace=TRACE))
    assert text.endswith(
        "Max Memory Used: 35 MB\t\nXRAY TraceId: 1-6ac7d63f-0104e99861c65c8039f183da\t"
        "SegmentId: 7c4eb6a6d56f2a27\tSampled: true\t"
    )


def test_init_is_told_of_as_text_when_it_failed() -> None:
    def text(status: Status, error_type: str | None = None) -> list[str]:
        events = report.init_report_events(
            TEXT, NOW_MS, 316.8, phase=Phase.INIT, status=status, error_type=error_type
        )
        return [event.message for event in events]

    assert text(Status.SUCCESS) == []
    assert text(Status.ERROR, "Runtime.ImportModuleError") == [
        (
            "INIT_REPORT Init Duration: 316.80 ms\tPhase: init\tStatus: error\t"
            "Error Type: Runtime.ImportModuleError"
        )
    ]
    assert text(Status.ERROR, "KeyError")[0].endswith("Status: error\tError Type: Runtime.Unknown")
    assert text(Status.TIMEOUT) == [
        "INIT_REPORT Init Duration: 316.80 ms\tPhase: init\tStatus: timeout"
    ]


@pytest.mark.recorded("lambda_common")
def test_init_start_names_the_runtime() -> None:
    arn = "arn:aws:lambda:us-east-1::runtime:0123"
    (event,) = report.init_start_events(TEXT, NOW_MS, "python:3.13.v1", arn)
    assert event.message == (
        "INIT_START Runtime Version: python:3.13.v1\t"
        "Runtime Version ARN: arn:aws:lambda:us-east-1::runtime:0123"
    )


def test_a_timeout_and_a_fault_are_told_of_in_lambdas_words() -> None:
    assert report.timeout_text(NOW_MS, REQUEST_ID, 3) == (
        f"2026-11-21T02:08:43.045Z {REQUEST_ID} Task timed out after 3.00 seconds\n"
    )
    message = "Runtime exited with error: exit status 1"
    assert report.fault_text(REQUEST_ID, message, "Runtime.ExitError") == (
        f"RequestId: {REQUEST_ID} Error: {message}\nRuntime.ExitError"
    )


def test_as_json_the_same_facts_are_platform_records() -> None:
    form = as_json()
    (start,) = report.start_events(form, NOW_MS, REQUEST_ID, None)
    assert start.message == (
        '{"time":"2026-11-21T02:08:43.045Z","type":"platform.start","record":'
        f'{{"requestId":"{REQUEST_ID}","functionArn":"{TEXT.function_arn}","version":"$LATEST"}}}}'
    )
    (final,) = report.report_events(form, NOW_MS, made(duration_ms=1233.96, init_ms=463.512))
    assert final.message == (
        '{"time":"2026-11-21T02:08:43.045Z","type":"platform.report","record":'
        f'{{"requestId":"{REQUEST_ID}","metrics":{{"durationMs":1233.96,"billedDurationMs":1698,'
        '"memorySizeMB":128,"maxMemoryUsedMB":35,"initDurationMs":463.512},"status":"success"}}'
    )


@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html"
)
@pytest.mark.parametrize(
    ("level", "status", "kinds"),
    [
        (Level.DEBUG, Status.SUCCESS, ["start", "runtimeDone", "report"]),
        (Level.INFO, Status.SUCCESS, ["start", "report"]),
        (Level.WARN, Status.SUCCESS, []),
        (Level.WARN, Status.TIMEOUT, ["runtimeDone", "report"]),
    ],
)
def test_the_system_log_level_lets_some_records_through(
    level: Level, status: Status, kinds: list[str]
) -> None:
    form = as_json(level)
    events = [
        *report.start_events(form, NOW_MS, REQUEST_ID, None),
        *report.report_events(form, NOW_MS, made(status=status)),
    ]
    assert [record["type"] for record in records(events)] == [f"platform.{kind}" for kind in kinds]


def test_json_tells_of_init_errors_and_traces() -> None:
    form = as_json(Level.DEBUG)
    (begun,) = records(report.init_start_events(form, NOW_MS, "python:3.13.v1", "arn"))
    assert begun["record"]["instanceId"] == STREAM
    assert begun["record"]["instanceMaxMemory"] == 128 * 1024 * 1024
    (ended,) = records(
        report.init_report_events(
            form, NOW_MS, 10_000.4567, phase=Phase.INVOKE, status=Status.ERROR, error_type="X"
        )
    )
    assert ended["type"] == "platform.initReport"
    assert ended["record"] == {
        "initializationType": "on-demand",
        "phase": "invoke",
        "status": "error",
        "metrics": {"durationMs": 10_000.457},
        "errorType": "X",
    }
    done, final = records(
        report.report_events(
            form, NOW_MS, made(status=Status.ERROR, error_type="KeyError", trace=TRACE)
        )
    )
    for record in (done["record"], final["record"]):
        assert record["status"] == "error"
        assert record["errorType"] == "KeyError"
        assert record["tracing"]["value"] == TRACE.header


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ('{"level": "debug", "msg": "x"}', Level.DEBUG),
        ('{"level":"WARNING"}', Level.WARN),
        ('{"level":"critical"}', Level.FATAL),
        ('{"level":"loud"}', Level.INFO),
        ('{"level":7}', Level.INFO),
        ('{"msg":"x"}', Level.INFO),
        ("{not json", Level.INFO),
        ('{"a":' * 100_000, Level.INFO),
        ("plain ERROR", Level.INFO),
    ],
)
def test_the_level_of_a_line_is_the_one_it_names(message: str, level: Level) -> None:
    assert report.application_level(message) == level


def test_a_restore_is_told_of_in_text_and_as_json() -> None:
    form = TEXT
    started = restore_start_events(form, 0, "python:3.12.1", "arn:runtime")
    assert started[0].message == (
        "RESTORE_START Runtime Version: python:3.12.1\tRuntime Version ARN: arn:runtime"
    )
    done = restore_report_events(form, 0, 12.345, status=Status.SUCCESS, error_type=None)
    assert done[0].message == "RESTORE_REPORT Restore Duration: 12.35 ms"
    failed = restore_report_events(form, 0, 1.0, status=Status.ERROR, error_type="Runtime.X")
    assert failed[0].message.endswith("1.00 ms\tStatus: error\tError Type: Runtime.X")
    assert snapshot_report_events(form, 0, 7.0)[0].message == "INIT_REPORT Init Duration: 7.00 ms"
    structured = replace(form, json=True, initialization_type="snap-start")
    record = json.loads(
        restore_report_events(structured, 0, 12.345, status=Status.SUCCESS, error_type=None)[
            0
        ].message
    )
    assert record["type"] == "platform.restoreReport"
    assert record["record"] == {"status": "success", "metrics": {"durationMs": 12.345}}
    assert restore_start_events(structured, 0, "v", "a")[0].message.find("restoreStart") > 0
