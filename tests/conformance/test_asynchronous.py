"""Asynchronous invocation, by boto3, with the minutes between attempts as tenths of a second."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import function, refusal, unique_name

RETRIES = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"
RECORDS = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"
OLD = "https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html"
LIMITS = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
RECORDED = "lambda:TestLambdaFeatures::"
NOTE = """
import json
def handler(event, context):
    print("NOTE", json.dumps([context.aws_request_id, event]))
    if event.get("fail"):
        raise ValueError("as told")
    return {"did": event}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    made = LampyrServer(tmp_path_factory.mktemp("async"), arguments=("--async-speed", "600"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(server: LampyrServer) -> Iterator[Any]:
    made = server.client()
    yield made
    made.close()


@pytest.fixture
def note(client: Any) -> Iterator[str]:
    with function(client, NOTE) as name:
        yield name


def notes(server: LampyrServer, name: str) -> list[tuple[str, Any]]:
    """Request id and event of each run so far."""
    with urlopen(f"{server.endpoint_url}/_lampyr/logs/{quote(name)}", timeout=30) as answer:
        messages = [event["message"] for event in json.load(answer)["events"]]
    lines = [message.partition("NOTE ")[2] for message in messages if "NOTE " in message]
    return [(found[0], found[1]) for found in map(json.loads, lines)]


def eventually(what: str, true: Callable[[], Any], seconds: float = 60.0) -> Any:
    wait = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if found := true():
            return found
        wait.wait(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def metrics(server: LampyrServer, name: str) -> Mapping[str, Any]:
    with urlopen(f"{server.endpoint_url}/_lampyr/metrics", timeout=30) as answer:
        found: Mapping[str, Any] = json.load(answer)["functions"].get(name, {})
    return found


@pytest.mark.recorded(f"{RECORDED}test_invocation_type_no_return_payload[python-Event]")
def test_an_event_is_accepted_and_run(server: LampyrServer, client: Any, note: str) -> None:
    answer = client.invoke(FunctionName=note, InvocationType="Event", Payload=b'{"a": 1}')
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    assert not {"ExecutedVersion", "FunctionError", "LogResult"} & set(answer)
    request_id = answer["ResponseMetadata"]["RequestId"]
    runs = eventually("a run", lambda: notes(server, note))
    assert runs == [(request_id, {"a": 1})]
    assert metrics(server, note)["AsyncEventsReceived"]["sum"] == 1


@pytest.mark.documented(OLD)
def test_the_old_way(server: LampyrServer, client: Any, note: str) -> None:
    answer = client.invoke_async(FunctionName=note, InvokeArgs=b'{"old": true}')
    assert answer["Status"] == 202
    assert eventually("a run", lambda: notes(server, note))[0][1] == {"old": True}


@pytest.mark.documented(RETRIES)
def test_a_function_that_fails_is_run_three_times_with_the_same_id_and_told_of(
    server: LampyrServer, client: Any, note: str
) -> None:
    with function(client, NOTE) as failures:
        arn = client.get_function_configuration(FunctionName=failures)["FunctionArn"]
        client.put_function_event_invoke_config(
            FunctionName=note, DestinationConfig={"OnFailure": {"Destination": arn}}
        )
        client.invoke(FunctionName=note, InvocationType="Event", Payload=b'{"fail": 1}')
        ((_, record),) = eventually("a record", lambda: notes(server, failures))
    runs = eventually("three runs", lambda: len(r := notes(server, note)) >= 3 and r)
    assert len(runs) == 3
    assert len({request_id for request_id, _ in runs}) == 1
    assert record["requestContext"]["requestId"] == runs[0][0]
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["requestContext"]["functionArn"].endswith(f":function:{note}:$LATEST")
    assert record["requestPayload"] == {"fail": 1}
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorMessage"] == "as told"
    assert metrics(server, note)["AsyncEventsDropped"]["sum"] == 1


@pytest.mark.documented(RECORDS)
def test_settings_are_those_of_the_alias_that_was_invoked(
    server: LampyrServer, client: Any, note: str
) -> None:
    with function(client, NOTE) as ends:
        arn = client.get_function_configuration(FunctionName=ends)["FunctionArn"]
        version = client.publish_version(FunctionName=note)["Version"]
        client.create_alias(FunctionName=note, Name="live", FunctionVersion=version)
        client.put_function_event_invoke_config(
            FunctionName=note,
            Qualifier="live",
            MaximumRetryAttempts=0,
            DestinationConfig={
                "OnSuccess": {"Destination": arn},
                "OnFailure": {"Destination": arn},
            },
        )
        for event in (b'{"fail": 1}', b'{"fail": 0}'):
            client.invoke(
                FunctionName=note, Qualifier="live", InvocationType="Event", Payload=event
            )
        client.invoke(FunctionName=note, InvocationType="Event", Payload=b'{"fail": 0}')
        found = eventually("two records", lambda: len(r := notes(server, ends)) == 2 and r)
    records = sorted((record for _, record in found), key=lambda r: r["requestPayload"]["fail"])
    assert [record["requestContext"]["condition"] for record in records] == [
        "Success",
        "RetriesExhausted",
    ]
    assert {record["requestContext"]["approximateInvokeCount"] for record in records} == {1}
    assert records[0]["responseContext"] == {"statusCode": 200, "executedVersion": version}
    assert records[0]["responsePayload"] == {"did": {"fail": 0}}
    assert records[0]["requestContext"]["functionArn"].endswith(":live")


@pytest.mark.documented(LIMITS)
def test_what_is_refused_at_once(client: Any, note: str) -> None:
    too_large = json.dumps("x" * 1_048_575).encode()
    assert refusal(client.invoke, FunctionName=note, InvocationType="Event", Payload=too_large) == (
        413,
        "RequestEntityTooLargeException",
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    )
    status, code, _ = refusal(
        client.invoke, FunctionName=note, InvocationType="Event", Payload=b"{no json"
    )
    assert (status, code) == (400, "InvalidRequestContentException")
    status, code, _ = refusal(client.invoke, FunctionName=unique_name(), InvocationType="Event")
    assert (status, code) == (404, "ResourceNotFoundException")


@pytest.mark.lampyr_only
def test_events_of_a_deleted_function_are_dropped(
    server: LampyrServer, client: Any, note: str
) -> None:
    with function(client, NOTE) as name:
        client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"fail": 1}')
        eventually("a run", lambda: notes(server, name))
    with function(client, NOTE.replace("[context", '["another", context'), FunctionName=name):
        eventually("dropped", lambda: metrics(server, name).get("AsyncEventsDropped"))
        assert "another" not in {request_id for request_id, _ in notes(server, name)}


@pytest.mark.lampyr_only
def test_the_command_hands_an_event_over(server: LampyrServer, note: str) -> None:
    done = server.run("invoke", note, "--async", "--payload", '{"by": "cli"}')
    assert done.returncode == 0, done.stderr
    request_id = done.stderr.strip().removeprefix("accepted: ")
    assert eventually("a run", lambda: notes(server, note)) == [(request_id, {"by": "cli"})]
