"""The services beside Lambda, through Lampyr's port: from outside, from inside, after a stop."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import function, value
from tests.conformance.neighbours.conftest import Neighbourhood

pytestmark = pytest.mark.lampyr_only
PATIENCE_SECONDS: Final = 60
INSIDE: Final = """
import boto3, os
def handler(event, context):
    body = boto3.client("s3").get_object(Bucket=event["bucket"], Key="in")["Body"].read().decode()
    queue = boto3.client("sqs").get_queue_url(QueueName=event["queue"])["QueueUrl"]
    boto3.client("sqs").send_message(QueueUrl=queue, MessageBody=body)
    return boto3.client("sts").get_caller_identity()["Account"]
"""


def child_of(server: LampyrServer) -> int | None:
    """The process of the neighbours."""
    for process in server.held().processes:
        command = Path(f"/proc/{process.pid}/cmdline")
        if command.exists() and b"neighbours.child.launcher" in command.read_bytes():
            return process.pid
    return None


def eventually(look: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.05)
    return found


def test_a_function_reaches_the_services_through_lampyrs_endpoint(here: Neighbourhood) -> None:
    s3, sqs = here.client("s3"), here.client("sqs")
    s3.create_bucket(Bucket="inside")
    s3.put_object(Bucket="inside", Key="in", Body=b"hello")
    queue = sqs.create_queue(QueueName="inside")["QueueUrl"]
    with function(here.client("lambda"), INSIDE, Timeout=60, MemorySize=512) as name:
        account = value(here.client("lambda"), name, {"bucket": "inside", "queue": "inside"})
    assert account == "000000000000"
    messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    assert [message["Body"] for message in messages] == ["hello"]


def test_objects_of_any_name_and_some_size_come_back_as_they_were(here: Neighbourhood) -> None:
    s3 = here.client("s3")
    s3.create_bucket(Bucket="objects")
    body = os.urandom(9_000_000)
    for key in ("plain", "a b/ü+%?.zip"):
        s3.put_object(Bucket="objects", Key=key, Body=body, Metadata={"a": "b c"})
        head = s3.head_object(Bucket="objects", Key=key)
        assert (head["ContentLength"], head["Metadata"]) == (len(body), {"a": "b c"})
    url = s3.generate_presigned_url("get_object", {"Bucket": "objects", "Key": "a b/ü+%?.zip"})
    with urlopen(url, timeout=30) as answer:
        assert answer.read() == body
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_answer_without_end_arrives_as_it_comes(here: Neighbourhood) -> None:
    kinesis = here.client("kinesis")
    kinesis.create_stream(StreamName="fan", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="fan", WaiterConfig={"Delay": 1})
    described = kinesis.describe_stream_summary(StreamName="fan")["StreamDescriptionSummary"]
    registered = kinesis.register_stream_consumer(
        StreamARN=described["StreamARN"], ConsumerName="c"
    )
    kinesis.put_record(StreamName="fan", PartitionKey="p", Data=b"hello")
    shard = kinesis.list_shards(StreamName="fan")["Shards"][0]["ShardId"]
    stream = kinesis.subscribe_to_shard(
        ConsumerARN=registered["Consumer"]["ConsumerARN"],
        ShardId=shard,
        StartingPosition={"Type": "TRIM_HORIZON"},
    )["EventStream"]
    for event in stream:
        if records := event["SubscribeToShardEvent"]["Records"]:
            assert records[0]["Data"] == b"hello"
            break
    stream.close()


def test_what_runs_code_without_a_sandbox_is_not_served(here: Neighbourhood) -> None:
    for service, call in (("glue", "get_databases"), ("ecs", "list_clusters")):
        with pytest.raises(ClientError, match="no neighbour that serves") as refused:
            getattr(here.client(service), call)()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_child_that_dies_is_replaced_and_functions_never_notice(
    new_server: Callable[..., LampyrServer],
) -> None:
    server = new_server()
    server.start()
    sqs = server.client("sqs")
    sqs.list_queues()
    before = child_of(server)
    assert before is not None
    code = "def handler(event, context): return 'here'"
    with function(server.client(), code) as name:
        os.kill(before, signal.SIGKILL)
        assert value(server.client(), name) == "here"

        def answers() -> bool:
            try:
                sqs.list_queues()
            except ClientError:  # One request was with the child that died.
                return False
            return True

        eventually(answers)
    assert child_of(server) not in {before, None}
    assert any("have died (signal 9)" in line for line in server.errors)


def test_nothing_starts_before_it_is_called_and_what_is_there_survives_a_stop_and_a_crash(
    new_server: Callable[..., LampyrServer],
) -> None:
    server = new_server()
    server.start()
    server.client().list_functions()
    assert child_of(server) is None
    queue = server.client("sqs").create_queue(QueueName="kept")["QueueUrl"]

    def send(body: str) -> None:
        server.client("sqs").send_message(QueueUrl=queue, MessageBody=body)

    def bodies() -> set[str]:
        attributes = {"MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "WaitTimeSeconds": 20}
        got = server.client("sqs").receive_message(QueueUrl=queue, **attributes)
        return {message["Body"] for message in got["Messages"]}

    send("one")
    assert child_of(server) is not None
    server.stop()
    server.start()
    assert bodies() == {"one"}
    send("two")
    server.kill()
    server.start()  # While the other's child may still be saving.
    assert bodies() == {"one", "two"}


def test_services_can_be_elsewhere_or_off(
    here: Neighbourhood, new_server: Callable[..., LampyrServer]
) -> None:
    elsewhere = here.server.endpoint_url
    server = new_server("--neighbours", "off", "--endpoint", f"sqs={elsewhere}")
    server.start()
    here.client("sqs").create_queue(QueueName="elsewhere")
    assert "elsewhere" in json.dumps(server.client("sqs").list_queues()["QueueUrls"])
    with pytest.raises(ClientError, match="the neighbours are off"):
        server.client("dynamodb").list_tables()
