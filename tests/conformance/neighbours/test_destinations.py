"""Records of asynchronous invocations and dead letters, as the services receive them.

Each message is compared with the one that AWS sent. A minute between attempts is a second here.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.request import Request, urlopen

import pytest

from tests.conformance.deployed import change, create, unique_name
from tests.conformance.neighbours.conftest import Neighbourhood
from tests.conformance.recorded.answers import Comparison, answers
from tests.conformance.recorded.scenario import ACCOUNT, REGION

RECORDS: Final = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"
RECORDED: Final = "lambda_destinations:"
AS_A_QUEUE: Final = "test_sqs_queue_as_lambda_dead_letter_queue"
SECONDS_MAX: Final = 90
CODE: Final = """
def handler(event, context):
    if "message" in event:
        raise Exception("intentional failure")
    if event.get("raise_error"):
        raise Exception("Test exception (this is intentional)")
    if event.get("mode") == "failure":
        raise Exception("intentional failure!")
    return {"hello": "world", "success": True, "test": "abc", "val": 5}
"""


class Async:
    """A function, with clients of the account that AWS's answers were recorded for."""

    def __init__(self, here: Neighbourhood) -> None:
        self._server = here.server
        self.client = self.of("lambda")
        self.name = create(self.client, CODE, Handler="app.handler")
        self.arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"

    def of(self, service: str) -> Any:
        return self._server.client(service, aws_access_key_id=ACCOUNT, aws_secret_access_key="x")

    def invoke(self, event: Any) -> None:
        payload = json.dumps(event)
        self.client.invoke(FunctionName=self.name, InvocationType="Event", Payload=payload)

    def configure(self, **members: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.put_function_event_invoke_config(
            FunctionName=self.name, **members
        )
        return answer

    def queue(self) -> tuple[str, str]:
        """A new one: its URL and ARN."""
        name = unique_name("letters")
        url: str = self.of("sqs").create_queue(QueueName=name)["QueueUrl"]
        return url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def receive(self, url: str) -> dict[str, Any]:
        """The next message, with all that AWS shows of it."""
        sqs, give_up = self.of("sqs"), time.monotonic() + SECONDS_MAX
        while time.monotonic() < give_up:
            answer: dict[str, Any] = sqs.receive_message(
                QueueUrl=url,
                WaitTimeSeconds=5,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
            if messages := answer.get("Messages"):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])
                return answer
        raise AssertionError(f"no message within {SECONDS_MAX} s")


@pytest.fixture
def asked(here: Neighbourhood) -> Iterator[Async]:
    made = Async(here)
    yield made
    made.client.delete_function(FunctionName=made.name)


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Iterator[Comparison]:
    marker = request.node.get_closest_marker("recorded")
    assert marker is not None
    key = marker.args[0].removeprefix(RECORDED)
    apart = ("stackTrace", "timestamp", "time", "Attributes")
    comparison = Comparison(answers()[key], apart)
    yield comparison
    comparison.ends()


@pytest.mark.recorded(AS_A_QUEUE)
@pytest.mark.recorded(f"{RECORDED}TestLambdaDLQ::test_dead_letter_queue")
def test_a_dead_letter_queue_gets_the_event(asked: Async, recorded: Comparison) -> None:
    why = "what a function shows is replayed elsewhere; here it is what its queue gets"
    recorded.leave("create_lambda_with_dlq", "delete_dlq", "invoke_result", "log_result", why=why)
    url, arn = asked.queue()
    change(asked.client, asked.name, DeadLetterConfig={"TargetArn": arn})
    asked.invoke({"raise_error": 1})
    answer = asked.receive(url)
    recorded.compare("receive_result", answer)
    again = Comparison(answers()[AS_A_QUEUE], ("Attributes",))
    configured = asked.client.get_function_configuration(FunctionName=asked.name)
    again.compare("lambda-response-dlq-config", configured["DeadLetterConfig"])
    again.compare("messages", answer)
    again.ends()


@pytest.mark.recorded(
    f"{RECORDED}TestLambdaDestinationSqs::test_lambda_destination_default_retries"
)
def test_a_record_after_three_attempts(asked: Async, recorded: Comparison) -> None:
    url, arn = asked.queue()
    both = {"OnSuccess": {"Destination": arn}, "OnFailure": {"Destination": arn}}
    recorded.compare("put_function_event_invoke_config", asked.configure(DestinationConfig=both))
    asked.invoke({"raise_error": 1})
    answer = asked.receive(url)
    recorded.compare("receive_message_result", answer)
    (message,) = answer["Messages"]
    assert message["Attributes"]["AWSTraceHeader"].startswith("Root=1-")


@pytest.mark.recorded(f"{RECORDED}TestLambdaDestinationSqs::test_retries")
def test_as_many_attempts_as_were_asked_for(asked: Async, recorded: Comparison) -> None:
    url, arn = asked.queue()
    asked.configure(MaximumRetryAttempts=2, DestinationConfig={"OnFailure": {"Destination": arn}})
    asked.invoke({"message": "one"})
    recorded.compare("queue_destination_payload", asked.receive(url))


@pytest.mark.recorded(f"{RECORDED}TestLambdaDestinationSqs::test_maxeventage")
def test_no_attempt_that_would_come_too_late(asked: Async, recorded: Comparison) -> None:
    asked.client.invoke(FunctionName=asked.name, Payload="{}")
    url, arn = asked.queue()
    for age, step in (
        (60, "no_retry_failure_message"),
        (150, "single_retry_failure_message"),
    ):
        asked.configure(
            MaximumEventAgeInSeconds=age,
            MaximumRetryAttempts=2,
            DestinationConfig={"OnFailure": {"Destination": arn}},
        )
        asked.invoke({"message": "one"})
        recorded.compare(step, asked.receive(url)["Messages"][0])


@pytest.mark.recorded(f"{RECORDED}TestLambdaDestinationEventbridge::test_invoke_lambda_eventbridge")
def test_an_event_bus_gets_both_ends(asked: Async, recorded: Comparison) -> None:
    events, bus = asked.of("events"), unique_name("bus")
    bus_arn = events.create_event_bus(Name=bus)["EventBusArn"]
    url, queue = asked.queue()
    events.put_rule(Name="all", EventBusName=bus, EventPattern='{"source": ["lambda"]}')
    events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "q", "Arn": queue}])
    both = {"OnSuccess": {"Destination": bus_arn}, "OnFailure": {"Destination": bus_arn}}
    asked.configure(MaximumRetryAttempts=0, DestinationConfig=both)
    for mode in ("success", "failure"):
        asked.invoke({"mode": mode})
        body = json.loads(asked.receive(url)["Messages"][0]["Body"])
        recorded.compare(f"lambda_destination_event_bus_{mode}", body)


@pytest.mark.documented(RECORDS)
def test_a_topic_and_a_bucket(asked: Async) -> None:
    sns, s3, bucket = asked.of("sns"), asked.of("s3"), unique_name("bucket")
    url, queue = asked.queue()
    topic = sns.create_topic(Name=unique_name("topic"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    s3.create_bucket(Bucket=bucket)
    change(asked.client, asked.name, DeadLetterConfig={"TargetArn": topic})
    ends = {
        "OnSuccess": {"Destination": topic},
        "OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"},
    }
    asked.configure(MaximumRetryAttempts=0, DestinationConfig=ends)

    asked.invoke({})
    told = json.loads(asked.receive(url)["Messages"][0]["Body"])
    assert json.loads(told["Message"])["requestContext"]["condition"] == "Success"

    asked.invoke({"mode": "failure"})
    letter = json.loads(asked.receive(url)["Messages"][0]["Body"])
    assert json.loads(letter["Message"]) == {"mode": "failure"}
    assert letter["MessageAttributes"]["ErrorCode"] == {"Type": "Number", "Value": "200"}
    assert letter["MessageAttributes"]["ErrorMessage"]["Value"] == "intentional failure!"
    give_up = time.monotonic() + SECONDS_MAX
    while not (found := s3.list_objects_v2(Bucket=bucket).get("Contents")):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    key = found[0]["Key"]
    assert key.startswith(f"aws/lambda/async/{asked.name}/20")
    record = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responsePayload"]["errorMessage"] == "intentional failure!"


@pytest.mark.documented(RECORDS)
def test_what_cannot_be_delivered_is_counted(asked: Async, here: Neighbourhood) -> None:
    missing = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{unique_name('missing')}"
    change(asked.client, asked.name, DeadLetterConfig={"TargetArn": missing})
    asked.configure(
        MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": missing}}
    )
    asked.invoke({"mode": "failure"})
    give_up = time.monotonic() + SECONDS_MAX
    while "DeadLetterErrors" not in (found := metrics(asked, here)):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert found["DestinationDeliveryFailures"]["sum"] == 1
    assert found["DeadLetterErrors"]["sum"] == 1
    assert statistics(asked, "DestinationDeliveryFailures")["Sum"] == 1
    assert statistics(asked, "AsyncEventsDropped")["Sum"] == 1
    age = statistics(asked, "AsyncEventAge")
    assert (age["SampleCount"], age["Unit"]) == (1, "Milliseconds")


def statistics(asked: Async, name: str) -> dict[str, Any]:
    """As CloudWatch shows it."""
    now = datetime.now(UTC)
    answer = asked.of("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=name,
        Dimensions=[{"Name": "FunctionName", "Value": asked.name}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=5),
        Period=3600,
        Statistics=["Sum", "SampleCount"],
    )
    (point,) = answer["Datapoints"]
    return dict(point)


def metrics(asked: Async, here: Neighbourhood) -> dict[str, Any]:
    credential = f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/{REGION}/lambda/aws4_request"
    headers = {"Authorization": f"{credential}, SignedHeaders=host, Signature=0"}
    request = Request(f"{here.server.endpoint_url}/_lampyr/metrics", headers=headers)
    with urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)["functions"].get(asked.name, {})
    return found
