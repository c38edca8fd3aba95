"""Functions that invoke themselves, by way of each service that passes the lineage on."""

import json
import time
from typing import Any, Final
from urllib.request import urlopen

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import change, create, unique_name
from tests.conformance.neighbours.conftest import Neighbourhood

PAGE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html"
pytestmark = pytest.mark.documented(PAGE)
SECONDS_MAX: Final = 90
RUNS: Final = 16
CODE: Final = """
import boto3, json, os
def handler(event, context):
    print("LOOP")
    way, to = os.environ["WAY"], os.environ["TO"]
    client = boto3.client("lambda" if way == "invoke" else way)
    if way == "lambda":
        client.invoke(FunctionName=to, InvocationType="Event", Payload=b"{}")
    elif way == "invoke":
        try:
            client.invoke(FunctionName=to)
        except client.exceptions.RecursiveInvocationException as error:
            print("STOPPED", error)
    elif way == "sns":
        client.publish(TopicArn=to, Message="again")
    elif way == "s3":
        client.put_object(Bucket=to, Key=context.aws_request_id, Body=b"again")
    else:
        client.send_message(QueueUrl=to, MessageBody="again")
"""


class Loop:
    """A function that calls itself once it is told how."""

    def __init__(self, here: Neighbourhood) -> None:
        self._here = here
        self.client = here.client("lambda")
        self.name = create(self.client, CODE, Timeout=60, MemorySize=512)
        found = self.client.get_function_configuration(FunctionName=self.name)
        self.arn: str = found["FunctionArn"]

    def by(self, way: str, to: str) -> None:
        change(self.client, self.name, Environment={"Variables": {"WAY": way, "TO": to}})

    def lines(self) -> list[str]:
        return lines_of(self._here.server, self.name)

    def dropped(self) -> int:
        with urlopen(f"{self._here.server.endpoint_url}/_lampyr/metrics", timeout=30) as answer:
            found = json.load(answer)["functions"].get(self.name, {})
        return int(found.get("RecursiveInvocationsDropped", {}).get("sum", 0))

    def stops(self) -> None:
        give_up = time.monotonic() + SECONDS_MAX
        while not self.dropped():
            assert time.monotonic() < give_up, f"still loops after {len(self.lines())} runs"
            time.sleep(0.05)
        while self.lines().count("LOOP") < RUNS:  # The last line may come a moment later.
            assert time.monotonic() < give_up
            time.sleep(0.05)
        assert self.lines().count("LOOP") == RUNS


def lines_of(server: LampyrServer, name: str) -> list[str]:
    with urlopen(f"{server.endpoint_url}/_lampyr/logs/{name}", timeout=30) as answer:
        return [event["message"].strip() for event in json.load(answer)["events"]]


@pytest.fixture
def loop(here: Neighbourhood) -> Any:
    made = Loop(here)
    yield made
    made.client.delete_function(FunctionName=made.name)


def test_by_events_of_its_own_into_the_dead_letters(here: Neighbourhood, loop: Loop) -> None:
    sqs = here.client("sqs")
    url = sqs.create_queue(QueueName=unique_name("letters"))["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{url.rpartition('/')[2]}"
    change(loop.client, loop.name, DeadLetterConfig={"TargetArn": arn})
    loop.by("lambda", loop.name)
    loop.client.invoke(FunctionName=loop.name, InvocationType="Event")
    loop.stops()
    answer = sqs.receive_message(
        QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["ErrorCode"]
    )
    (letter,) = answer["Messages"]
    assert letter["Body"] == "{}"


def test_by_calls_that_wait_for_one_another(loop: Loop) -> None:
    loop.by("invoke", loop.name)
    loop.client.invoke(FunctionName=loop.name)
    loop.stops()
    give_up = time.monotonic() + SECONDS_MAX
    while not (told := [line for line in loop.lines() if line.startswith("STOPPED")]):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert len(told) == 1
    assert "RecursiveInvocationException" in told[0]


def test_by_a_topic(here: Neighbourhood, loop: Loop) -> None:
    sns = here.client("sns")
    topic = sns.create_topic(Name=unique_name("topic"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=loop.arn)
    loop.by("sns", topic)
    sns.publish(TopicArn=topic, Message="begin")
    loop.stops()


def test_by_a_bucket(here: Neighbourhood, loop: Loop) -> None:
    s3, bucket = here.client("s3"), unique_name("bucket")
    s3.create_bucket(Bucket=bucket)
    told = {"LambdaFunctionArn": loop.arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [told]}
    )
    loop.by("s3", bucket)
    s3.put_object(Bucket=bucket, Key="first", Body=b"")
    loop.stops()


def test_by_a_queue(here: Neighbourhood, loop: Loop) -> None:
    sqs = here.client("sqs")
    seconds = {"VisibilityTimeout": "60"}
    url = sqs.create_queue(QueueName=unique_name("queue"), Attributes=seconds)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{url.rpartition('/')[2]}"
    loop.by("sqs", url)
    mapping = loop.client.create_event_source_mapping(
        FunctionName=loop.name, EventSourceArn=arn, BatchSize=1
    )
    sqs.send_message(QueueUrl=url, MessageBody="begin")
    try:
        loop.stops()
    finally:
        loop.client.delete_event_source_mapping(UUID=mapping["UUID"])


def test_a_function_that_may_loop_is_not_stopped(loop: Loop) -> None:
    loop.client.put_function_recursion_config(FunctionName=loop.name, RecursiveLoop="Allow")
    loop.by("lambda", loop.name)
    loop.client.invoke(FunctionName=loop.name, InvocationType="Event")
    give_up = time.monotonic() + SECONDS_MAX
    while loop.lines().count("LOOP") <= RUNS + 3:
        assert time.monotonic() < give_up
        time.sleep(0.05)
