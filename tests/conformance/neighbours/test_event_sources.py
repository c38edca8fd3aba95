"""Event source mappings of queues and streams that are there, or are not."""

from typing import Any, Final

import pytest

from tests.conformance.deployed import function, refusal, unique_name
from tests.conformance.neighbours.conftest import Neighbourhood

PLACE: Final = "us-east-1:000000000000"
INVALID: Final = (400, "InvalidParameterValueException")
ANSWER: Final = "def handler(event, context): return 1"


@pytest.mark.recorded("test_esm_with_not_existing_sqs_queue")
def test_a_source_has_to_be_there(here: Neighbourhood) -> None:
    client, word = here.client("lambda"), unique_name("source")
    table = f"arn:aws:dynamodb:{PLACE}:table/{word}/stream/2026-01-01T00:00:00.000"
    stream = f"arn:aws:kinesis:{PLACE}:stream/{word}"
    create, latest = client.create_event_source_mapping, {"StartingPosition": "LATEST"}
    with function(client, ANSWER, Timeout=60) as name:
        given: dict[str, Any] = {"FunctionName": name}
        queue = f"arn:aws:sqs:{PLACE}:{word}"
        assert refusal(create, **given, EventSourceArn=queue) == (
            *INVALID,
            (
                "Error occurred while ReceiveMessage. SQS Error Code: "
                "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue "
                "does not exist."
            ),
        )
        for arn in (stream, table):
            answer = refusal(create, **given, **latest, EventSourceArn=arn)
            assert answer == (*INVALID, f"Stream not found: {arn}")
        url = here.client("sqs").create_queue(QueueName=word)["QueueUrl"]
        assert refusal(create, **given, EventSourceArn=queue) == (
            *INVALID,
            "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds",
        )
        attributes = {"VisibilityTimeout": "60"}
        here.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)
        here.client("kinesis").create_stream(StreamName=word, ShardCount=1)
        table = here.client("dynamodb").create_table(
            TableName=word,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )["TableDescription"]["LatestStreamArn"]
        for source in (
            {"EventSourceArn": queue},
            {"EventSourceArn": stream, **latest},
            {"EventSourceArn": table, **latest},
        ):
            assert create(**given, **source, Enabled=False)["State"] == "Disabled"
