"""Mappings of queues beside what AWS answered, and what its functions and dead letters got."""

import json
from typing import Any, Final

from tests.conformance.neighbours.sources import Account, arn_of, compared, keys, replays, settings
from tests.conformance.recorded.answers import Comparison
from tests.conformance.recorded.scenario import ACCOUNT, REGION

SQS: Final = "TestSQSEventSourceMapping::test_"


FILTERS: Final = keys(f"{SQS}sqs_event_filter[")
PLAIN: Final = f"{SQS}sqs_event_source_mapping"
STEPS: Final = {
    PLAIN: ("create-event-source-mapping-response", "events"),
    **dict.fromkeys(FILTERS, ("create_event_source_mapping_response", "invocation_events")),
}


@replays(*STEPS)
def test_filters_of_queues_let_through_what_they_let_through_on_aws(account: Account) -> None:
    heard = account.queue()
    function = account.function(heard)
    scenarios = {}
    for key, (made, _) in STEPS.items():
        recorded, url = compared(key), account.queue()
        given = settings(recorded.recorded[made])
        recorded.compare(made, account.map(function, arn_of(url), **given))
        scenarios[arn_of(url)] = (recorded, key, url)
    for recorded, key, url in scenarios.values():
        (event,) = recorded.recorded[STEPS[key][1]]
        bodies = [json.dumps(event["Records"][0]["body"])]
        bodies += ['{"other": 1}', "this is a test string"] if key in FILTERS else []
        for body in reversed(bodies):
            account.of("sqs").send_message(QueueUrl=url, MessageBody=body)
    found: dict[str, list[Any]] = {arn: [] for arn in scenarios}
    for event in account.events(heard, len(scenarios)):
        found[event["Records"][0]["eventSourceARN"]].append(event)
    for arn, (recorded, key, _) in scenarios.items():
        recorded.compare(STEPS[key][1], found[arn])
        recorded.ends()
    account.until(lambda: all(map(account.is_empty, [url for _, _, url in scenarios.values()])))
    assert account.is_empty(heard)


@replays(*keys(f"{SQS}sqs_event_source_mapping_batch_size["))
def test_large_batches(account: Account) -> None:
    for key in keys(f"{SQS}sqs_event_source_mapping_batch_size["):
        recorded, url, heard = compared(key), account.queue(), account.queue()
        steps = [step for step in recorded.recorded if step.startswith("send-message-batch")]
        recorded.leave(*steps, why="SQS's answers")
        recorded.differs("MaximumBatchingWindowInSeconds", why="its name stands there")
        bodies = [record["body"] for record in recorded.recorded["Records"]]
        for body in bodies:
            account.of("sqs").send_message(QueueUrl=url, MessageBody=body)
        made = "create-event-source-mapping-response"
        size = recorded.recorded[made]["BatchSize"]
        window = {"BatchSize": size, "MaximumBatchingWindowInSeconds": 1}
        mapping = account.map(account.function(heard), arn_of(url), **window)
        recorded.compare(made, mapping)
        records: list[Any] = []
        while len(records) < len(bodies):
            (event,) = account.events(heard, 1)
            records += event["Records"]
        recorded.compare("Records", sorted(records, key=lambda record: str(record["body"])))
        recorded.ends()


@replays(
    f"{SQS}event_source_mapping_default_batch_size",
    *keys(f"{SQS}sqs_invalid_event_filter["),
    "test_esm_with_not_existing_sqs_queue",
    "test_fifo_message_group_parallelism",
)
def test_what_is_asked_of_a_mapping_of_a_queue(account: Account) -> None:
    url, heard = account.queue(), account.queue()
    function = account.function(heard)
    recorded = compared(f"{SQS}event_source_mapping_default_batch_size")
    asked = {"FunctionName": function, "EventSourceArn": arn_of(url)}
    too_much = {"BatchSize": 11, "MaximumBatchingWindowInSeconds": 0}
    made = account.map(function, arn_of(url))
    recorded.compare("create-event-source-mapping", made)
    for operation, whose in (("create", asked), ("update", {"UUID": made["UUID"]})):
        answer = account.refused(f"{operation}_event_source_mapping", **whose, **too_much)
        recorded.compare(f"invalid-{operation}-event-source-mapping", answer)
    recorded.ends()
    for key in keys(f"{SQS}sqs_invalid_event_filter["):
        recorded = compared(key)
        pattern = "null" if key.endswith("[None]") else "simple string"
        asked["FilterCriteria"] = {"Filters": [{"Pattern": pattern}]}  # type: ignore[assignment]
        answer = account.refused("create_event_source_mapping", **asked)
        recorded.compare("create_event_source_mapping_exception", answer)
    recorded = compared("test_esm_with_not_existing_sqs_queue")
    nowhere = f"arn:aws:sqs:{REGION}:{ACCOUNT}:not-existing"
    gone = {"FunctionName": function, "EventSourceArn": nowhere}
    recorded.compare("error", account.refused("create_event_source_mapping", **gone))
    recorded = compared("test_fifo_message_group_parallelism")
    fifo = account.queue(".fifo", FifoQueue="true", ContentBasedDeduplication="true")
    off = account.map(function, arn_of(fifo), BatchSize=1, Enabled=False)
    recorded.compare("create_esm_disabled", off | {"State": "Disabled"})
    account.until(lambda: account.mapping(off["UUID"])["State"] == "Disabled")
    on = account.of("lambda").update_event_source_mapping(UUID=off["UUID"], Enabled=True)
    recorded.compare("update_esm_enabling", on)
    account.until(lambda: account.mapping(off["UUID"])["State"] == "Enabled")
    recorded.compare("get_esm_enabled", account.mapping(off["UUID"]))
    recorded.ends()


@replays("test_message_body_and_attributes_passed_correctly")
def test_a_message_s_attributes(account: Account) -> None:
    recorded, url, heard = _told("message_body_and_attributes_passed_correctly", account)
    values = {"Title": "The Whistler", "Author": "John Grisham"}
    attributes = {n: {"DataType": "String", "StringValue": v} for n, v in values.items()}
    attributes["WeeksOn"] = {"DataType": "Number", "StringValue": "6"}
    account.map(account.function(heard, WRAPS="1"), arn_of(url))
    body = json.dumps({"destination": heard, "fail_attempts": 0})
    account.of("sqs").send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
    recorded.compare("first_attempt", account.receive(heard))
    recorded.ends()


@replays("test_redrive_policy_with_failing_lambda")
def test_a_message_that_fails_is_given_twice_and_then_to_the_dead_letters(account: Account) -> None:
    recorded, _, heard = _told("redrive_policy_with_failing_lambda", account)
    dead = account.queue()
    redrive = json.dumps({"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": 2})
    url = account.queue(RedrivePolicy=redrive)
    function = account.function(heard, WRAPS="1", RAISE="failed attempt")
    made = account.map(function, arn_of(url), Enabled=False)
    account.until(lambda: account.mapping(made["UUID"])["State"] == "Disabled")
    hurried = {"VisibilityTimeout": "3"}  # Less than the function may take: not from the start.
    account.of("sqs").set_queue_attributes(QueueUrl=url, Attributes=hurried)
    body = json.dumps({"destination": heard, "fail_attempts": 2})
    account.of("sqs").send_message(QueueUrl=url, MessageBody=body)
    account.of("lambda").update_event_source_mapping(UUID=made["UUID"], Enabled=True)
    recorded.compare("first_attempt", account.receive(heard))
    recorded.compare("second_attempt", account.receive(heard))
    recorded.compare("dlq_response", account.receive(dead))
    recorded.ends()


def _told(name: str, account: Account) -> tuple[Comparison, str, str]:
    recorded, heard = compared(f"test_{name}"), account.queue()
    url = account.of("sqs").get_queue_url(QueueName=heard.rpartition("/")[2])
    recorded.compare("get_destination_queue_url", url)
    return recorded, account.queue(), heard
