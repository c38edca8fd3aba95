"""The logs and metrics of functions, as the AWS CLI and boto3 find them in CloudWatch."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create, invoke
from tests.conformance.neighbours.conftest import Neighbourhood

METRICS_PAGE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"
LOGS_PAGE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"
CODE: Final = """
def handler(event, context):
    print("hello", event["n"])
    if event["n"] == 3:
        raise ValueError("three")
"""


def lines(logs: Any, group: str) -> list[str]:
    found = logs.filter_log_events(logGroupName=group)["events"]
    return [event["message"].rstrip("\n") for event in found]


@pytest.mark.documented(LOGS_PAGE)
def test_what_a_function_logged_before_anybody_looked_is_in_cloudwatch_logs(
    new_server: Callable[..., LampyrServer],
) -> None:
    server = new_server()
    server.start()
    name = create(server.client(), CODE)
    invoke(server.client(), name, {"n": 1})
    logs = server.client("logs")
    group = f"/aws/lambda/{name}"
    assert "hello 1" in lines(logs, group)
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    day = f"{datetime.now(UTC):%Y/%m/}"
    assert [s["logStreamName"].startswith(day) for s in streams] == [True]
    assert "/[$LATEST]" in streams[0]["logStreamName"]
    server.stop()
    server.start()
    invoke(server.client(), name, {"n": 2})
    told = lines(server.client("logs"), group)
    assert [line for line in told if line.startswith("hello")] == ["hello 1", "hello 2"]
    assert any(line.startswith("REPORT RequestId") for line in told)


@pytest.mark.documented(LOGS_PAGE)
def test_a_log_group_of_ones_own_that_is_deleted_comes_back(here: Neighbourhood) -> None:
    client, logs = here.client("lambda"), here.client("logs")
    name = create(client, CODE, LoggingConfig={"LogGroup": "of-my-own"})
    invoke(client, name, {"n": 1})
    assert "hello 1" in lines(logs, "of-my-own")
    logs.delete_log_group(logGroupName="of-my-own")
    invoke(client, name, {"n": 2})
    told = lines(logs, "of-my-own")
    assert [line for line in told if line.startswith("hello")] == ["hello 2"]


@pytest.mark.documented(METRICS_PAGE)
def test_invocations_errors_durations_and_throttles_are_metrics(here: Neighbourhood) -> None:
    client, cloudwatch = here.client("lambda"), here.client("cloudwatch")
    name = create(client, CODE)
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for n in (1, 2, 3):
        invoke(client, name, {"n": n})
    invoke(client, f"{name}:live", {"n": 4})
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException):
        invoke(client, name, {"n": 5})

    def statistics(metric: str, **dimensions: str) -> dict[str, float]:
        now = datetime.now(UTC)
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=5),
            Period=3600,
            Statistics=["Sum", "SampleCount", "Maximum"],
        )["Datapoints"]
        return {
            key: sum(point[key] for point in points) for key in ("Sum", "SampleCount", "Maximum")
        }

    assert statistics("Invocations", FunctionName=name)["Sum"] == 4
    errors = statistics("Errors", FunctionName=name)
    assert (errors["Sum"], errors["SampleCount"]) == (1, 4)
    duration = statistics("Duration", FunctionName=name)
    assert duration["SampleCount"] == 4
    assert 0 < duration["Maximum"] < time.monotonic() * 1_000
    alias = {"FunctionName": name, "Resource": f"{name}:live"}
    assert statistics("Invocations", **alias)["Sum"] == 1
    assert statistics("Invocations", **alias, ExecutedVersion="1")["Sum"] == 1
    assert statistics("Throttles", FunctionName=name)["Sum"] == 1
