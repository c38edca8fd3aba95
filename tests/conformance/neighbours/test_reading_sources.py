"""Event source mappings over real queues and streams: what functions get, and what is left."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.conformance.deployed import create, unique_name
from tests.conformance.neighbours.conftest import Neighbourhood

ACCOUNT: Final = "000000000000"
SECONDS: Final = 60
CODE: Final = """
import json, os
import boto3

sqs = boto3.client("sqs")

def handler(event, context):
    sqs.send_message(QueueUrl=os.environ["HEARD"], MessageBody=json.dumps(event))
    records = event["Records"]
    texts = [json.dumps(record) for record in records]
    if any("always-bad" in text for text in texts):
        raise ValueError("bad")
    once = [r["messageId"] for r, text in zip(records, texts) if "bad-once" in text
            and r["attributes"]["ApproximateReceiveCount"] == "1"]
    return {"batchItemFailures": [{"itemIdentifier": item} for item in once]}
"""


class Bench:
    """A function that repeats what it gets to a queue of the test's."""

    def __init__(self, here: Neighbourhood) -> None:
        self.functions, self.sqs = here.client("lambda"), here.client("sqs")
        self.heard_url = self.queue()
        variables = {"Variables": {"HEARD": self.heard_url}}
        self.function = create(self.functions, CODE, Environment=variables, Timeout=30)
        self.mappings: list[str] = []
        self.heard: list[Any] = []

    def queue(self, suffix: str = "", **attributes: str) -> str:
        name = unique_name("queue") + suffix
        return str(self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def map_hurried(self, url: str, **settings: Any) -> None:
        """Messages come back soon. A queue that is like this from the start takes no mapping."""
        uuid = self.functions.create_event_source_mapping(
            EventSourceArn=self.arn(url), FunctionName=self.function, Enabled=False, **settings
        )["UUID"]
        self.mappings.append(uuid)
        self.until(lambda: self.state(uuid) == "Disabled")
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5"})
        self.functions.update_event_source_mapping(UUID=uuid, Enabled=True)
        self.until(lambda: self.state(uuid) == "Enabled")

    def arn(self, url: str) -> str:
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(found["Attributes"]["QueueArn"])

    def map(self, arn: str, **settings: Any) -> str:
        uuid = self.functions.create_event_source_mapping(
            EventSourceArn=arn, FunctionName=self.function, **settings
        )["UUID"]
        self.mappings.append(uuid)
        self.until(lambda: self.state(uuid) == "Enabled")
        return str(uuid)

    def state(self, uuid: str) -> str:
        return str(self.functions.get_event_source_mapping(UUID=uuid)["State"])

    def result(self, uuid: str) -> str:
        found = self.functions.get_event_source_mapping(UUID=uuid)
        return str(found.get("LastProcessingResult"))

    def listen(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """The events that the function got, once they are enough."""
        self.until(lambda: enough(self._more()))
        return self.heard

    def _more(self) -> list[Any]:
        answer = self.sqs.receive_message(
            QueueUrl=self.heard_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        for message in answer.get("Messages", ()):
            self.heard.append(json.loads(message["Body"]))
            self.sqs.delete_message(QueueUrl=self.heard_url, ReceiptHandle=message["ReceiptHandle"])
        return self.heard

    def until(self, fact: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not fact():
            assert time.monotonic() < deadline, self.heard
            time.sleep(0.02)

    def left(self, url: str) -> int:
        """Messages of a queue, seen or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)


def bodies(events: list[Any]) -> list[str]:
    return [record["body"] for event in events for record in event["Records"]]


@pytest.fixture
def bench(here: Neighbourhood) -> Iterator[Bench]:
    bench = Bench(here)
    yield bench
    for uuid in bench.mappings:
        bench.functions.delete_event_source_mapping(UUID=uuid)
    bench.functions.delete_function(FunctionName=bench.function)


@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"
)
def test_a_partial_failure_brings_back_that_message_alone(bench: Bench) -> None:
    url = bench.queue()
    bench.map_hurried(url, FunctionResponseTypes=["ReportBatchItemFailures"])
    entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(["ok", "bad-once"])]
    bench.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    heard = bench.listen(lambda events: bodies(events).count("bad-once") == 2)
    assert bodies(heard).count("ok") == 1
    bench.until(lambda: bench.left(url) == 0)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html")
def test_filtered_messages_are_deleted_and_never_delivered(bench: Bench) -> None:
    url = bench.queue()
    for kind in ("tea", "order", "tea"):
        bench.sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"kind": kind}))
    pattern = {"Pattern": json.dumps({"body": {"kind": ["order"]}})}
    bench.map(bench.arn(url), FilterCriteria={"Filters": [pattern]})
    heard = bench.listen(lambda events: len(bodies(events)) >= 1)
    bench.until(lambda: bench.left(url) == 0)
    assert [json.loads(body)["kind"] for body in bodies(heard)] == ["order"]


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html")
def test_a_fifo_queue_keeps_the_order_of_each_group(bench: Bench) -> None:
    url = bench.queue(".fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for number in range(12):
        bench.sqs.send_message(
            QueueUrl=url, MessageBody=f"{number:02d}", MessageGroupId=f"g{number % 3}"
        )
    bench.map(bench.arn(url), BatchSize=2)
    heard = bench.listen(lambda events: len(bodies(events)) >= 12)
    records = [record for event in heard for record in event["Records"]]
    for group in ("g0", "g1", "g2"):
        mine = [r["body"] for r in records if r["attributes"]["MessageGroupId"] == group]
        assert mine == sorted(mine)
        assert len(mine) == 4


@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html"
)
def test_a_mapping_that_is_switched_off_and_on_loses_nothing(bench: Bench) -> None:
    url = bench.queue()
    uuid = bench.map(bench.arn(url), BatchSize=1)
    bench.sqs.send_message(QueueUrl=url, MessageBody="before")
    bench.listen(lambda events: bodies(events) == ["before"])
    bench.functions.update_event_source_mapping(UUID=uuid, Enabled=False)
    bench.until(lambda: bench.state(uuid) == "Disabled")
    bench.sqs.send_message(QueueUrl=url, MessageBody="meanwhile")
    assert bench.left(url) >= 1
    bench.functions.update_event_source_mapping(UUID=uuid, Enabled=True, BatchSize=3)
    bench.until(lambda: bench.state(uuid) == "Enabled")
    bench.listen(lambda events: bodies(events) == ["before", "meanwhile"])


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html")
def test_a_stream_s_records_reach_the_function_in_order(bench: Bench, here: Neighbourhood) -> None:
    kinesis, name = here.client("kinesis"), unique_name("stream")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    arn = kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"]
    uuid = bench.map(arn, StartingPosition="TRIM_HORIZON", BatchSize=10)
    for number in range(5):
        kinesis.put_record(StreamName=name, Data=f"data-{number}".encode(), PartitionKey="p")
    heard = bench.listen(lambda events: sum(len(e["Records"]) for e in events) == 5)
    records = [record for event in heard for record in event["Records"]]
    numbers = [record["kinesis"]["sequenceNumber"] for record in records]
    assert numbers == sorted(numbers, key=int)
    first = records[0]
    assert first["kinesis"]["data"] == "ZGF0YS0w"
    assert first["kinesis"]["partitionKey"] == "p"
    assert first["kinesis"]["kinesisSchemaVersion"] == "1.0"
    assert first["eventName"] == "aws:kinesis:record"
    assert first["eventID"].endswith(f":{numbers[0]}")
    assert first["invokeIdentityArn"].endswith(":role/lambda")
    bench.until(lambda: bench.result(uuid) == "OK")


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html")
def test_changes_of_a_table_reach_the_function(bench: Bench, here: Neighbourhood) -> None:
    dynamodb, name = here.client("dynamodb"), unique_name("table")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    arn = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    bench.map(arn, StartingPosition="TRIM_HORIZON")
    key = {"id": {"S": "one"}}
    dynamodb.put_item(TableName=name, Item={**key, "n": {"N": "1"}, "b": {"B": b"foobar"}})
    dynamodb.put_item(TableName=name, Item={**key, "n": {"N": "2"}})
    dynamodb.delete_item(TableName=name, Key=key)
    heard = bench.listen(lambda events: sum(len(e["Records"]) for e in events) == 3)
    records = [record for event in heard for record in event["Records"]]
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    assert records[0]["dynamodb"]["NewImage"]["b"] == {"B": "Zm9vYmFy"}
    assert records[1]["dynamodb"]["OldImage"]["n"] == {"N": "1"}
    assert records[0]["eventSource"] == "aws:dynamodb"
    assert records[0]["eventVersion"] == "1.1"
    assert isinstance(records[0]["dynamodb"]["ApproximateCreationDateTime"], int)
