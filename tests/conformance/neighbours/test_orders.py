"""The example application, whole: an order in by HTTP, out by a topic; a bad one a dead letter."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.conformance.neighbours.conftest import Neighbourhood

EXAMPLE: Final = Path(__file__).parents[3] / "examples" / "orders" / "start.py"
SECONDS: Final = 90


def _post(url: str, endpoint_url: str, order: Any) -> tuple[int, Any]:
    """As a browser would, but without asking a name server for `localhost`'s children."""
    split = urlsplit(url)
    request = Request(f"{endpoint_url}{split.path}", json.dumps(order).encode())
    request.add_header("Host", split.netloc)
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=60) as answer:
        return answer.status, json.load(answer)


def _received(sqs: Any, url: str, count: int) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + SECONDS
    while len(found) < count:
        assert time.monotonic() < deadline, found
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2, MaxNumberOfMessages=10)
        for message in answer.get("Messages", ()):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


@pytest.mark.lampyr_only
def test_the_orders_application_starts_with_one_command_and_loses_no_order(
    here: Neighbourhood,
) -> None:
    environment = {**os.environ, **here.server.client_environment()}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "example-orders"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    sqs, sns = here.client("sqs"), here.client("sns")
    ear = sqs.create_queue(QueueName="example-orders-ear")["QueueUrl"]
    named = sqs.get_queue_attributes(QueueUrl=ear, AttributeNames=["QueueArn"])
    arn = named["Attributes"]["QueueArn"]
    sns.subscribe(
        TopicArn=made["topic"],
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    ids = {}
    for item in ("tea", "milk", "sugar"):
        status, answer = _post(made["url"], here.server.endpoint_url, {"item": item})
        assert status == 202
        ids[item] = answer["id"]
    _, bad = _post(made["url"], here.server.endpoint_url, {"item": "none", "count": 0})
    heard = _received(sqs, ear, 3)
    assert {order["item"]: order["id"] for order in heard} == ids
    (dead,) = _received(sqs, made["dead_letters"], 1)
    assert dead["id"] == bad["id"]
