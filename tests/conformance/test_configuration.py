"""What a function's configuration does: logs, size of `/tmp`, memory, CPU, variables, limits."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import change, function, invoke, refusal, value

LEVELS: Final = (
    "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html"
)
GROUPS: Final = (
    "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html"
)
STORAGE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-ephemeral-storage.html"
MEMORY: Final = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"
LIMITS: Final = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
LOUD: Final = """
import logging, os, sys
log = logging.getLogger("shop")
def handler(event, context):
    log.debug("d")
    log.info("i", extra={"order": 7})
    log.warning("w")
    log.error("e")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("x")
    print("printed")
    if event.get("fail"):
        raise KeyError("as told")
"""


def logged(server: LampyrServer, name: str, done: Callable[[list[str]], bool]) -> list[str]:
    """The messages of the function's log, once `done` says that they are all there."""
    deadline = time.monotonic() + 10
    while True:
        with urlopen(f"{server.endpoint_url}/_lampyr/logs/{name}", timeout=10) as answer:
            messages = [event["message"] for event in json.load(answer)["events"]]
        if done(messages) or time.monotonic() > deadline:
            return messages
        threading.Event().wait(0.02)


def documents(messages: list[str]) -> list[dict[str, Any]]:
    found = []
    for message in messages:
        try:
            found.append(json.loads(message))
        except ValueError:
            found.append({"text": message})
    return found


@pytest.mark.documented(LEVELS)
def test_a_json_log_has_documents_of_the_runtime_and_of_the_platform(
    lampyr_server: LampyrServer, lambda_client: Any
) -> None:
    given = {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "DEBUG"}
    with function(lambda_client, LOUD, LoggingConfig=given) as name:
        answer = invoke(lambda_client, name, LogType="Tail")
        shown = lambda_client.get_function_configuration(FunctionName=name)["LoggingConfig"]
        assert shown == {**given, "LogGroup": f"/aws/lambda/{name}"}
        read = documents(
            logged(lampyr_server, name, lambda found: "platform.report" in "".join(found))
        )
    assert answer.error is None
    told = [each for each in read if "level" in each]
    assert [(each["level"], each["message"]) for each in told] == [
        ("DEBUG", "d"),
        ("INFO", "i"),
        ("WARNING", "w"),  # As AWS's client for Python spells it.
        ("ERROR", "e"),
        ("ERROR", "x"),
    ]
    assert told[1]["order"] == 7
    assert told[1]["logger"] == "shop"
    assert told[4]["errorType"] == "ZeroDivisionError"
    types = [each["type"] for each in read if "type" in each]
    assert types == [
        "platform.initStart",
        "platform.initReport",
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
    ]
    request_id = told[0]["requestId"]
    start = next(each for each in read if each.get("type") == "platform.start")
    assert start["record"]["requestId"] == request_id
    report = next(each for each in read if each.get("type") == "platform.report")
    assert report["record"]["status"] == "success"
    assert report["record"]["metrics"]["memorySizeMB"] == 128
    assert {"text": "printed"} in read, "what is printed stays as it is"
    assert "platform.report" in answer.log


@pytest.mark.documented(LEVELS)
def test_levels_keep_out_what_is_below_them(
    lampyr_server: LampyrServer, lambda_client: Any
) -> None:
    given = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "WARN"}
    with function(lambda_client, LOUD, LoggingConfig=given) as name:
        invoke(lambda_client, name)
        invoke(lambda_client, name, {"fail": True})
        read = documents(logged(lampyr_server, name, lambda found: "as told" in "".join(found)))
        assert not [each for each in read if each.get("level") in ("DEBUG", "INFO", "WARN")]
        assert [each["message"] for each in read if each.get("message") == "e"] == ["e", "e"]
        assert [each for each in read if each.get("errorType") == "KeyError"]
        types = {each["type"] for each in read if "type" in each}
        assert "platform.start" not in types
        change(lambda_client, name, LoggingConfig={"LogFormat": "Text"})
        answer = invoke(lambda_client, name, LogType="Tail")
        assert answer.log.startswith("START RequestId: ")
        assert "[WARNING]\t" in answer.log
        assert "[DEBUG]\t" not in answer.log
        status, code, _ = refusal(
            lambda_client.update_function_configuration,
            FunctionName=name,
            LoggingConfig={"LogFormat": "Text", "SystemLogLevel": "WARN"},
        )
        assert (status, code) == (400, "InvalidParameterValueException")


@pytest.mark.documented(GROUPS)
def test_a_log_group_of_ones_own(lampyr_server: LampyrServer, lambda_client: Any) -> None:
    code = """
import os
def handler(event, context):
    print("into", context.log_group_name)
    return [context.log_group_name, os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]]
"""
    group = "/shop/orders"
    with function(lambda_client, code, LoggingConfig={"LogGroup": group}) as name:
        assert value(lambda_client, name) == [group, group]
        wanted = f"into {group}"
        assert wanted in logged(lampyr_server, name, lambda found: wanted in found)
        with function(lambda_client, code, LoggingConfig={"LogGroup": group}) as other:
            value(lambda_client, other)
            both = logged(lampyr_server, other, lambda found: found.count(wanted) == 2)
            assert both.count(wanted) == 2, "functions that share a group share its log"


@pytest.mark.documented(STORAGE)
def test_tmp_is_as_large_as_it_was_asked_for_and_is_no_memory(lambda_client: Any) -> None:
    code = """
import os, shutil
def handler(event, context):
    total = shutil.disk_usage("/tmp").total
    written, block = 0, bytes(1 << 20)
    try:
        with open("/tmp/file", "wb", buffering=0) as file:
            while written < 2048:
                written += file.write(block) / (1 << 20)
    except OSError as error:
        os.unlink("/tmp/file")
        return [total >> 20, round(written), error.strerror]
"""
    with function(lambda_client, code, EphemeralStorage={"Size": 700}, Timeout=60) as name:
        for size in (700, 1024):
            if size != 700:
                change(lambda_client, name, EphemeralStorage={"Size": size})
            total, written, reason = value(lambda_client, name)
            assert reason == "No space left on device"
            assert size <= total <= size * 1.05
            assert size <= written <= size * 1.05, "with 128 MB of memory"


@pytest.mark.root
@pytest.mark.documented(MEMORY)
def test_memory_and_cpu_are_those_of_the_memory_size(
    lampyr_server: LampyrServer, lambda_client: Any
) -> None:
    """CPU time grows with memory: a whole CPU at 1,769 MB."""
    code = """
def handler(event, context):
    return context.log_stream_name.rpartition("]")[2]
"""
    with function(lambda_client, code, MemorySize=256) as name:
        for size in (256, 1769, 3538):
            if size != 256:
                change(lambda_client, name, MemorySize=size)
            environment = value(lambda_client, name)
            memory, quota, period = limits_of(lampyr_server, environment)
            assert memory == size * 1024 * 1024
            assert quota / period == pytest.approx(size / 1769, rel=0.01)


def limits_of(server: LampyrServer, environment: str) -> tuple[int, int, int]:
    """Bytes, and microseconds of CPU time in each period."""
    found: dict[str, str] = {}
    for group in server.held().cgroups:
        if group.name == environment:
            for file in group.iterdir():
                if file.name in (
                    "memory.limit_in_bytes",
                    "memory.max",
                    "cpu.cfs_quota_us",
                    "cpu.cfs_period_us",
                    "cpu.max",
                ):
                    found[file.name] = Path(file).read_text()
    if not found:
        pytest.skip("no control group may be made on this host")
    if "cpu.max" in found:
        quota, period = found["cpu.max"].split()
        return int(found["memory.max"]), int(quota), int(period)
    return (
        int(found["memory.limit_in_bytes"]),
        int(found["cpu.cfs_quota_us"]),
        int(found["cpu.cfs_period_us"]),
    )


@pytest.mark.documented(LIMITS)
def test_processes_and_files_are_limited(lambda_client: Any) -> None:
    code = """
import os, resource, threading
def files():
    opened = []
    try:
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return [len(opened), error.strerror]
    finally:
        for number in opened:
            os.close(number)
def processes():
    made, gate = 0, threading.Event()
    threads = []
    try:
        for _ in range(3000):
            thread = threading.Thread(target=gate.wait)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        pass
    gate.set()
    for thread in threads:
        thread.join()
    return len(threads)
def handler(event, context):
    return {"files": files(), "processes": processes(),
            "core": resource.getrlimit(resource.RLIMIT_CORE)[0]}
"""
    with function(lambda_client, code, MemorySize=1024, Timeout=60) as name:
        seen = value(lambda_client, name)
        count, reason = seen["files"]
        assert 900 < count <= 1024
        assert reason == "Too many open files"
        assert 900 < seen["processes"] <= 1024
        assert seen["core"] == 0
        assert value(lambda_client, name)["processes"] > 900, "and it goes on"


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html")
def test_variables_are_literal_and_limited(lambda_client: Any) -> None:
    code = "import os\ndef handler(event, context): return {k: os.environ.get(k) for k in event}"
    variables = {"PLAIN": "x y", "EMPTY": "", "UNI": "ü\n$HOME", "PATH": "/mine:/usr/bin:/bin"}
    with function(lambda_client, code, Environment={"Variables": variables}) as name:
        assert value(lambda_client, name, list(variables)) == variables
        for wrong in ({"AWS_REGION": "x"}, {"LAMBDA_TASK_ROOT": "x"}, {"KEY": "x" * 5000}):
            status, code, _ = refusal(
                lambda_client.update_function_configuration,
                FunctionName=name,
                Environment={"Variables": wrong},
            )
            assert (status, code) == (400, "InvalidParameterValueException")
        change(lambda_client, name, Environment={"Variables": {}})
        assert value(lambda_client, name, ["PLAIN"]) == {"PLAIN": None}


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html")
def test_handler_and_runtime_can_be_changed(lambda_client: Any) -> None:
    code = "import sys\ndef handler(e, c): return 1\ndef other(e, c): return sys.version_info[1]"
    with function(lambda_client, code) as name:
        assert value(lambda_client, name) == 1
        change(lambda_client, name, Handler="app.other")
        assert value(lambda_client, name) == 11


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html")
def test_the_tail_of_the_log_is_its_last_four_kilobytes(lambda_client: Any) -> None:
    code = "def handler(event, context):\n for n in range(1000): print('line', n)"
    with function(lambda_client, code) as name:
        answer = invoke(lambda_client, name, LogType="Tail")
        assert len(answer.log.encode()) <= 4096
        assert "line 999\n" in answer.log
        assert answer.log.rstrip().splitlines()[-1].startswith("REPORT RequestId: ")
        assert invoke(lambda_client, name).log == "", "it is given to who asks for it"
