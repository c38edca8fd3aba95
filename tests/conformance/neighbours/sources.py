"""Event source mappings in the account that AWS's answers were recorded for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.exceptions import ClientError

from tests.conformance.deployed import create, unique_name
from tests.conformance.recorded.answers import Comparison, answers
from tests.conformance.recorded.scenario import ACCOUNT, REGION, ROLE

if TYPE_CHECKING:
    from tests.conformance.neighbours.conftest import Neighbourhood

SECONDS: Final = 60
CODE: Final = """
import json, os
import boto3

sqs = boto3.client("sqs")

def handler(event, context):
    error = os.environ.get("RAISE")
    said = {"error": error, "event": event} if "WRAPS" in os.environ else event
    sqs.send_message(QueueUrl=os.environ["HEARD"], MessageBody=json.dumps(said))
    if error:
        raise Exception(error)
    return json.loads(os.environ.get("ANSWER", "null"))
"""
SETTINGS: Final = (
    *("BatchSize", "FunctionResponseTypes", "MaximumBatchingWindowInSeconds"),
    *("MaximumRecordAgeInSeconds", "MaximumRetryAttempts", "StartingPosition"),
)
TIMES: Final = ("timestamp", "approximateArrivalOfFirstRecord", "approximateArrivalOfLastRecord")


def replays(*keys: str) -> Callable[[Any], Any]:
    def marked(test: Any) -> Any:
        for key in keys:
            test = pytest.mark.recorded(key)(test)
        return test

    return marked


def keys(start: str) -> list[str]:
    return [key for key in answers() if key.startswith(start)]


class Account:
    """The one that was recorded, in the neighbourhood of the tests."""

    def __init__(self, here: Neighbourhood) -> None:
        self._server = here.server
        self._clients: dict[str, Any] = {}
        self.mappings: list[str] = []

    def of(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._server.client(
                service, aws_access_key_id=ACCOUNT, aws_secret_access_key="x"
            )
        return self._clients[service]

    def function(self, heard: str, **variables: str) -> str:
        given = {"Variables": {"HEARD": heard, **variables}}
        return create(self.of("lambda"), CODE, Role=ROLE, Environment=given, Timeout=5)

    def queue(self, suffix: str = "", **attributes: str) -> str:
        name = unique_name("queue") + suffix
        made = self.of("sqs").create_queue(QueueName=name, Attributes=attributes)
        return str(made["QueueUrl"])

    def map(self, function: str, arn: str, **settings: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.of("lambda").create_event_source_mapping(
            FunctionName=function, EventSourceArn=arn, **settings
        )
        self.mappings.append(made["UUID"])
        return made

    def receive(self, url: str) -> dict[str, Any]:
        """One message, as AWS's SDK returns it."""
        deadline = time.monotonic() + SECONDS
        while True:
            found: dict[str, Any] = self.of("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)
            if found.get("Messages"):
                handle = found["Messages"][0]["ReceiptHandle"]
                self.of("sqs").delete_message(QueueUrl=url, ReceiptHandle=handle)
                return found
            assert time.monotonic() < deadline, f"no message in {url}"

    def events(self, url: str, count: int) -> list[Any]:
        return [json.loads(self.receive(url)["Messages"][0]["Body"]) for _ in range(count)]

    def until(self, fact: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not fact():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def is_empty(self, url: str) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.of("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return not any(int(found["Attributes"][name]) for name in names)

    def mapping(self, uuid: str) -> dict[str, Any]:
        found: dict[str, Any] = self.of("lambda").get_event_source_mapping(UUID=uuid)
        return found

    def refused(self, operation: str, **members: Any) -> dict[str, Any]:
        with pytest.raises(ClientError) as caught:
            getattr(self.of("lambda"), operation)(**members)
        return dict(caught.value.response)


def compared(key: str) -> Comparison:
    found = Comparison(answers()[key])
    found.differs(
        "SenderId", "SentTimestamp", "ApproximateCreationDateTime", why="words stand there"
    )
    found.differs("SizeBytes", why="the embedded DynamoDB counts otherwise")
    found.differs(*TIMES, why="the time of the recording stands there")
    return found


def settings(mapping: dict[str, Any]) -> dict[str, Any]:
    """What a mapping that was recorded can be made with."""
    found = {name: mapping[name] for name in SETTINGS if mapping.get(name)}
    if (criteria := mapping.get("FilterCriteria")) is not None:
        patterns = [json.dumps(each["Pattern"]) for each in criteria["Filters"]]
        found["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in patterns]}
    return found


def arn_of(url: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{url.rpartition('/')[2]}"
