"""The services around Lambda, as the benchmark writes to them and reads a queue."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import boto3
from botocore.config import Config

ENTRIES_MAX: Final = 10
"""Of one batch operation of SQS."""
_TARGETS: Final = {
    "dynamodb": "DynamoDB_20120810",
    "events": "AWSEvents",
    "kinesis": "Kinesis_20131202",
    "sqs": "AmazonSQS",
}


def client(port: int, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
    )


class Json:
    """One kept connection to one service, without what an SDK costs."""

    def __init__(self, service: str, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._target = _TARGETS[service]
        scope = f"000000000000/20260101/us-east-1/{service}/aws4_request"
        signature = f"Credential={scope}, SignedHeaders=host, Signature=00"
        self._headers = {
            "content-type": "application/x-amz-json-1.0",
            "authorization": f"AWS4-HMAC-SHA256 {signature}",
            "x-amz-date": "20260101T000000Z",
        }

    @classmethod
    def over_tcp(cls, service: str, port: int) -> Self:
        return cls(service, http.client.HTTPConnection("127.0.0.1", port, timeout=60))

    @classmethod
    def over_unix(cls, service: str, path: Path) -> Self:
        return cls(service, _UnixConnection(path))

    def call(self, operation: str, **members: Any) -> Any:
        headers = {**self._headers, "x-amz-target": f"{self._target}.{operation}"}
        self._connection.request("POST", "/", json.dumps(members).encode(), headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{operation}: {answer.status} {data[:300]!r}")
        return json.loads(data or b"{}")

    def close(self) -> None:
        self._connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def make_queue(port: int, name: str) -> tuple[str, str]:
    """Its URL and ARN."""
    sqs = client(port, "sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, found["Attributes"]["QueueArn"]


def fill(port: int, url: str, count: int) -> None:
    sqs = Json.over_tcp("sqs", port)
    for first in range(0, count, ENTRIES_MAX):
        entries = [
            {"Id": str(number), "MessageBody": str(time.time())}
            for number in range(min(ENTRIES_MAX, count - first))
        ]
        sqs.call("SendMessageBatch", QueueUrl=url, Entries=entries)
    sqs.close()


def receive(sqs: Json, url: str, most: int) -> list[Any]:
    """One long poll, as Lampyr makes it."""
    members = {"MaxNumberOfMessages": most, "WaitTimeSeconds": 20, "AttributeNames": ["All"]}
    answer = sqs.call("ReceiveMessage", QueueUrl=url, MessageAttributeNames=["All"], **members)
    return list(answer.get("Messages", ()))


def remove(sqs: Json, url: str, messages: list[Any]) -> None:
    entries = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(messages)
    ]
    sqs.call("DeleteMessageBatch", QueueUrl=url, Entries=entries)


def drained_a_second(sqs: Json, url: str, count: int, batch: int) -> float:
    """Messages a second that a loop of receiving and deleting gets through, after the first."""
    begun, first, left = 0.0, 0, count
    while left:
        messages = receive(sqs, url, batch)
        remove(sqs, url, messages)
        left -= len(messages)
        if not begun:
            begun, first = time.perf_counter(), len(messages)
    return (count - first) / (time.perf_counter() - begun)


class LongPolls(threading.Thread):
    """Receives and deletes `count` messages, each with the time in it at which it was sent."""

    def __init__(self, sqs: Json, url: str, count: int) -> None:
        super().__init__(daemon=True)
        self._sqs, self._url, self._count = sqs, url, count
        self.samples: list[float] = []
        """Seconds from sending a message to having it."""

    def run(self) -> None:
        while len(self.samples) < self._count:
            messages = receive(self._sqs, self._url, ENTRIES_MAX)
            now = time.time()
            self.samples += [now - float(message["Body"]) for message in messages]
            remove(self._sqs, self._url, messages)


def write_spaced(write: Callable[[str], object], count: int, pause: float) -> None:
    """`write` gets the time at which it is called, so often; seconds since the epoch, as text."""
    for _ in range(count):
        write(repr(time.time()))
        time.sleep(pause)
