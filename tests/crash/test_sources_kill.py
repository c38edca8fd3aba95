"""`kill -9` in the middle of batches: every message is processed, in order by shard and by group.

Half of the messages are in a FIFO queue of several groups, half in a stream of several shards, both
in the embedded neighbours. What the function gets it says batch by batch: to another queue, or,
when it is the neighbours that are killed, in its log, which is Lampyr's.
"""

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.request import urlopen

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create
from tests.crash.anatomy import children, command_line, kill

pytestmark = [pytest.mark.lampyr_only, pytest.mark.root]

MESSAGES: Final = int(os.environ.get("LAMPYR_TEST_MESSAGES", "2000"))
GROUPS: Final = 20
SHARDS: Final = 4
SECONDS: Final = 100 + MESSAGES // 50
VISIBILITY: Final = 4
CODE: Final = """
import base64, json, os, time
import boto3

sqs = boto3.client("sqs")

def text(record):
    if "body" in record:
        return record["body"]
    return base64.b64decode(record["kinesis"]["data"]).decode()

def handler(event, context):
    said = json.dumps({"at": time.time_ns(), "got": [text(record) for record in event["Records"]]})
    if "HEARD" in os.environ:
        sqs.send_message(QueueUrl=os.environ["HEARD"], MessageBody=said)
    else:
        print("SAID", said)
"""


class Traffic:
    """Sources and a function of one server, and what the function said so far."""

    def __init__(self, server: LampyrServer) -> None:
        self.server = server
        self.sent: dict[str, list[str]] = {}
        """By group or shard, in the order in which they were sent."""
        self.said: list[tuple[int, list[str]]] = []
        self.heard_url = ""
        self.function = ""
        self._cursor = ""
        self.sources: list[str] = []
        self._more: Callable[[], None] = self._more_of_queue
        self.connect()

    def connect(self) -> None:
        """Also to the server that came after another."""
        self.sqs, self.functions = self.server.client("sqs"), self.server.client("lambda")

    def close(self) -> None:
        self.sqs.close()
        self.functions.close()

    def make(self) -> None:
        self.heard_url = self.sqs.create_queue(QueueName="heard")["QueueUrl"]
        attributes = {"FifoQueue": "true", "VisibilityTimeout": str(VISIBILITY)}
        url = self.sqs.create_queue(QueueName="groups.fifo", Attributes=attributes)["QueueUrl"]
        kinesis = self.server.client("kinesis")
        kinesis.create_stream(StreamName="shards", ShardCount=SHARDS)
        kinesis.get_waiter("stream_exists").wait(
            StreamName="shards", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        names = [f"group-{number}" for number in range(GROUPS)]
        names += [f"shard-{number}" for number in range(SHARDS)]
        for name in names:
            count = MESSAGES // 2 // (GROUPS if name.startswith("group") else SHARDS)
            self.sent[name] = [f"{name}/{number:05d}" for number in range(count)]
        with ThreadPoolExecutor(4) as pool:
            groups = [name for name in names if name.startswith("group")]
            list(pool.map(lambda name: self._fill_group(url, name), groups))
        for number in range(SHARDS):
            self._fill_shard(kinesis, number)
        kinesis.close()
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        stream = arn["Attributes"]["QueueArn"].replace(":sqs:", ":kinesis:")
        self.sources = [
            arn["Attributes"]["QueueArn"],
            stream.replace("groups.fifo", "stream/shards"),
        ]

    def _fill_group(self, url: str, name: str) -> None:
        for some in slices(self.sent[name], 10):
            entries = [
                {
                    "Id": str(number),
                    "MessageBody": body,
                    "MessageGroupId": name,
                    "MessageDeduplicationId": body.replace("/", "-"),
                }
                for number, body in enumerate(some)
            ]
            answer = self.sqs.send_message_batch(QueueUrl=url, Entries=entries)
            assert not answer.get("Failed"), answer

    def _fill_shard(self, kinesis: Any, number: int) -> None:
        # The middle of the shard's part of the hashes.
        where = str((2 * number + 1) * (1 << 128) // (2 * SHARDS))
        for some in slices(self.sent[f"shard-{number}"], 250):
            records = [
                {"Data": b.encode(), "PartitionKey": b, "ExplicitHashKey": where} for b in some
            ]
            answer = kinesis.put_records(StreamName="shards", Records=records)
            assert not answer["FailedRecordCount"], answer

    def begin(self, *, in_log: bool = False) -> None:
        """Read both."""
        variables = {} if in_log else {"HEARD": self.heard_url}
        name = self.function = create(
            self.functions, CODE, Timeout=VISIBILITY, Environment={"Variables": variables}
        )
        self._more = self._more_of_log if in_log else self._more_of_queue
        queue, stream = self.sources
        self.functions.create_event_source_mapping(
            EventSourceArn=queue, FunctionName=name, BatchSize=10
        )
        self.functions.create_event_source_mapping(
            EventSourceArn=stream,
            FunctionName=name,
            BatchSize=20,
            StartingPosition="TRIM_HORIZON",
        )

    def listen(self, enough: Callable[[set[str]], bool]) -> None:
        """Until what the function said is enough."""
        deadline = time.monotonic() + SECONDS
        while not enough(heard := {text for _, got in self.said for text in got}):
            missing = self.missing()
            assert time.monotonic() < deadline, f"{len(heard)} heard, not {missing[:10]}"
            self._more()

    def _more_of_queue(self) -> None:
        answer = self.sqs.receive_message(
            QueueUrl=self.heard_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        entries: list[dict[str, str]] = []
        for message in answer.get("Messages", ()):
            self._note(message["Body"])
            receipt = message["ReceiptHandle"]
            entries.append({"Id": str(len(entries)), "ReceiptHandle": receipt})
        if entries:
            self.sqs.delete_message_batch(QueueUrl=self.heard_url, Entries=entries)

    def _more_of_log(self) -> None:
        place = f"{self.server.endpoint_url}/_lampyr/logs/{self.function}"
        with urlopen(f"{place}?wait_seconds=1&cursor={self._cursor}", timeout=30) as answer:
            page = json.load(answer)
        self._cursor = page["cursor"]
        for event in page["events"]:
            if event["message"].startswith("SAID "):
                self._note(event["message"][5:])

    def _note(self, text: str) -> None:
        said = json.loads(text)
        self.said.append((said["at"], said["got"]))

    def missing(self) -> list[str]:
        heard = {text for _, got in self.said for text in got}
        return [text for texts in self.sent.values() for text in texts if text not in heard]

    def check(self) -> None:
        """All are there, each group and shard in the order in which it was sent."""
        self.listen(lambda _heard: not self.missing())
        first: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for _, got in sorted(self.said):
            for text in got:
                first[text.partition("/")[0]].setdefault(text)
        for name, texts in self.sent.items():
            assert list(first[name]) == texts, f"the order of {name}"


def slices(texts: list[str], most: int) -> Iterable[list[str]]:
    return (texts[at : at + most] for at in range(0, len(texts), most))


@pytest.mark.timeout(2 * SECONDS + 60)
def test_a_server_that_is_killed_in_the_middle_of_batches_loses_nothing(
    new_server: Callable[..., LampyrServer],
) -> None:
    dice = random.Random(5)
    server = new_server()
    server.start()
    traffic = Traffic(server)
    traffic.make()
    traffic.begin()
    for part in (0.2, 0.6):
        few = int(MESSAGES * part)
        traffic.listen(lambda heard, few=few: len(heard) >= few)  # type: ignore[misc]
        time.sleep(dice.random() * 0.1)
        server.kill()
        traffic.close()
        server.start()
        traffic.connect()
    traffic.check()
    traffic.close()


@pytest.mark.timeout(2 * SECONDS + 60)
def test_neighbours_that_are_killed_are_read_on_from_what_they_still_have(
    new_server: Callable[..., LampyrServer],
) -> None:
    """What their process had taken since it last stopped dies with it; that is theirs, not ours."""
    server = new_server()
    server.start()
    traffic = Traffic(server)
    traffic.make()
    traffic.close()
    server.stop()
    server.start()
    traffic.connect()
    traffic.begin(in_log=True)
    traffic.listen(lambda heard: len(heard) >= MESSAGES // 5)
    kill(neighbours_of(server))
    traffic.check()
    traffic.close()


def neighbours_of(server: LampyrServer) -> int:
    assert server.process is not None
    (found,) = (pid for pid in children(server.process.pid) if "neighbours" in command_line(pid))
    return found
