"""Mappings of streams beside what AWS answered, and what its functions and destinations got.

Scenarios run at once: most of their time is a batching window of a second, and retries.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from tests.conformance.deployed import unique_name
from tests.conformance.neighbours.sources import Account, arn_of, compared, replays, settings
from tests.conformance.recorded.answers import Comparison

KINESIS: Final = "TestKinesisSource::test_kinesis_"
DYNAMODB: Final = "TestDynamoDBEventSourceMapping::test_"
FOO: Final = {"batchItemFailures": [{"foo": 123}]}


class Streams:
    """Scenarios of streams that run at once: `finish` is called when all have begun."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._rest: list[Callable[[], None]] = []

    def begin(self, key: str, begin: Callable[["Streams", Comparison, str], Any]) -> None:
        recorded = compared(key)
        go_on = begin(self, recorded, key)

        def finish() -> None:
            go_on()
            recorded.ends()

        self._rest.append(finish)

    def finish(self) -> None:
        for finish in self._rest:
            finish()

    def kinesis(self) -> str:
        kinesis, name = self.account.of("kinesis"), unique_name("stream")
        kinesis.create_stream(StreamName=name, ShardCount=1)
        found = kinesis.describe_stream(StreamName=name)["StreamDescription"]
        self.account.until(lambda: _is_active(kinesis, name))
        return str(found["StreamARN"])

    def table(self, key: str, view: str) -> tuple[str, str]:
        """Its name, and the ARN of its stream."""
        name = unique_name("table")
        made = self.account.of("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
        )
        return name, made["TableDescription"]["LatestStreamArn"]


def _is_active(kinesis: Any, name: str) -> bool:
    found = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    return bool(found["StreamStatus"] == "ACTIVE")


KINESIS_ANSWERS: Final = {
    "failure_scenarios[invalid_key_foo_null_value_failure]": {"batchItemFailures": [{"foo": None}]},
    "failure_scenarios[item_identifier_not_present_failure]": FOO,
    "failure_scenarios[null_item_identifier_failure]": {
        "batchItemFailures": [{"itemIdentifier": None}]
    },
    "success_scenarios[empty_string_success]": "",
    "success_scenarios[null_batch_item_failure_success]": {"batchItemFailures": None},
    "success_scenarios[null_success]": None,
}
MADE: Final = "create_event_source_mapping_response"


@replays(
    *(f"{KINESIS}report_batch_item_{name}" for name in KINESIS_ANSWERS),
    f"{KINESIS}empty_provided",
    f"{KINESIS}event_source_mapping_with_s3_on_failure_destination",
)
def test_kinesis(account: Account) -> None:
    streams = Streams(account)
    for name, answer in KINESIS_ANSWERS.items():
        begin = _kinesis_reports(answer)
        streams.begin(f"{KINESIS}report_batch_item_{name}", begin)
    streams.begin(f"{KINESIS}empty_provided", _kinesis_without_destination)
    streams.begin(f"{KINESIS}event_source_mapping_with_s3_on_failure_destination", _kinesis_to_s3)
    streams.finish()


def _kinesis_reports(answer: Any) -> Callable[[Streams, Comparison, str], Any]:
    def begin(streams: Streams, recorded: Comparison, _: str) -> Any:
        account = streams.account
        heard, failed, stream = account.queue(), account.queue(), streams.kinesis()
        given = settings(recorded.recorded[MADE])
        if "sqs_payload" in recorded.recorded:
            given["DestinationConfig"] = {"OnFailure": {"Destination": arn_of(failed)}}
        else:
            recorded.differs("DestinationConfig", why="what was asked for is not known")
        function = account.function(heard, ANSWER=json.dumps(answer))
        _put(account, stream, b"hello", "test")
        recorded.compare(MADE, account.map(function, stream, **given))

        return _arrivals(account, recorded, ("kinesis_events", heard), ("sqs_payload", failed))

    return begin


def _arrivals(
    account: Account, recorded: Comparison, invoked: tuple[str, str], reported: tuple[str, str]
) -> Callable[[], None]:
    """Compare what came to two queues, each with the name of its record; reports, if any came."""
    (events, heard), (reports, failed) = invoked, reported

    def go_on() -> None:
        count = len(recorded.recorded[events])
        recorded.compare(events, account.events(heard, count))
        if reports in recorded.recorded:
            recorded.compare(reports, account.receive(failed))

    return go_on


def _kinesis_without_destination(streams: Streams, recorded: Comparison, _: str) -> Any:
    account = streams.account
    heard, stream = account.queue(), streams.kinesis()
    given = settings(recorded.recorded[MADE])
    _put(account, stream, b"hello", "test")
    made = account.map(
        account.function(heard), stream, DestinationConfig={"OnFailure": {}}, **given
    )
    recorded.compare(MADE, made)

    def go_on() -> None:
        account.until(lambda: account.mapping(made["UUID"])["LastProcessingResult"] == "OK")
        account.until(lambda: account.mapping(made["UUID"])["State"] == "Enabled")
        recorded.compare("get_esm_result", account.mapping(made["UUID"]))

    return go_on


def _kinesis_to_s3(streams: Streams, recorded: Comparison, _: str) -> Any:
    account, stream = streams.account, streams.kinesis()
    given = settings(recorded.recorded[MADE])
    event = recorded.recorded["record_body"]["payload"]["Records"][0]["kinesis"]
    body = b'{"input": "hello", "value": "world", "raise_error": 1}'
    bucket = _bucket(account)
    given["DestinationConfig"] = {"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}}
    function = account.function(account.queue(), RAISE="as told")
    _put(account, stream, body, event["partitionKey"])
    recorded.compare(MADE, account.map(function, stream, **given))
    return lambda: recorded.compare("record_body", _object(account, bucket))


def _put(account: Account, arn: str, data: bytes, partition: str) -> None:
    account.of("kinesis").put_record(StreamARN=arn, Data=data, PartitionKey=partition)


def _bucket(account: Account) -> str:
    name = unique_name("bucket")
    account.of("s3").create_bucket(Bucket=name)
    return name


def _object(account: Account, bucket: str) -> Any:
    s3 = account.of("s3")
    account.until(lambda: s3.list_objects_v2(Bucket=bucket).get("KeyCount", 0) == 1)
    (found,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    return json.loads(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())


SECOND_ITEMS: Final = {
    "content_filter_type": {"id": {"S": "id_value_2"}, "absentKey": {"S": "absentValue"}},
    "content_multiple_filters": {"id": {"S": "id_value"}, "id2": {"S": "id2_new_value"}},
    "content_or_filter": {"id": {"S": "id_value"}, "id2": {"S": "id2_new_value"}},
    "date_time_conversion": {"id": {"S": "id_value_2"}},
    "insert_same_entry_twice": {"id": {"S": "id_value"}, "id2": {"S": "id2_value"}},
}
DYNAMODB_ANSWERS: Final = {
    "failure_scenarios[invalid_key_foo_failure]": FOO,
    "failure_scenarios[unhandled_exception_in_function]": "raise",
    "success_scenarios[empty_batch_item_failure_success]": {"batchItemFailures": []},
    "success_scenarios[empty_dict_success]": {},
    "success_scenarios[null_batch_item_failure_success]": {"batchItemFailures": None},
}
ITEM: Final = {"my_partition_key": {"S": "hello world"}}
TABLES: Final = "DynamoDB's answers"


@replays(
    *(f"{DYNAMODB}dynamodb_event_filter[{name}]" for name in SECOND_ITEMS),
    *(f"{DYNAMODB}dynamodb_report_batch_item_{name}" for name in DYNAMODB_ANSWERS),
    f"{DYNAMODB}dynamodb_event_source_mapping",
    f"{DYNAMODB}deletion_event_source_mapping_with_dynamodb",
    f"{DYNAMODB}dynamodb_event_source_mapping_with_on_failure_destination_config",
    f"{DYNAMODB}dynamodb_event_source_mapping_with_s3_on_failure_destination",
    f"{DYNAMODB}dynamodb_event_source_mapping_with_sns_on_failure_destination_config",
)
def test_dynamodb(account: Account) -> None:
    streams = Streams(account)
    for name in SECOND_ITEMS:
        streams.begin(f"{DYNAMODB}dynamodb_event_filter[{name}]", _table_filter)
    for name, answer in DYNAMODB_ANSWERS.items():
        begin = _table_reports(answer)
        streams.begin(f"{DYNAMODB}dynamodb_report_batch_item_{name}", begin)
    start = f"{DYNAMODB}dynamodb_event_source_mapping"
    streams.begin(start, _table_plain)
    streams.begin(f"{DYNAMODB}deletion_event_source_mapping_with_dynamodb", _table_gone)
    streams.begin(f"{start}_with_on_failure_destination_config", _table_to_sqs)
    streams.begin(f"{start}_with_s3_on_failure_destination", _table_to_s3)
    streams.begin(f"{start}_with_sns_on_failure_destination_config", _table_to_sns)
    streams.finish()


def _table_filter(streams: Streams, recorded: Comparison, key: str) -> Any:
    account, heard = streams.account, streams.account.queue()
    recorded.leave("table_creation_response", why=TABLES)
    table, stream = streams.table("id", "NEW_AND_OLD_IMAGES")
    mapping = recorded.recorded[MADE]
    if "date_time" in key:
        times = mapping["FilterCriteria"]["Filters"][0]["Pattern"]["dynamodb"]
        times["ApproximateCreationDateTime"] = [{"numeric": [">", 0]}]
    recorded.compare(MADE, account.map(account.function(heard), stream, **settings(mapping)))
    (first,) = recorded.recorded["lambda-log-events"]
    put = account.of("dynamodb").put_item
    put(TableName=table, Item=first["Records"][0]["dynamodb"]["NewImage"])

    def go_on() -> None:
        found = account.events(heard, 1)
        recorded.compare("lambda-log-events", found)
        put(TableName=table, Item=SECOND_ITEMS[key.rpartition("[")[2].rstrip("]")])
        more = len(recorded.recorded["lambda-multiple-log-events"]) - 1
        found += account.events(heard, more)
        recorded.compare("lambda-multiple-log-events", found)

    return go_on


def _table_reports(answer: Any) -> Callable[[Streams, Comparison, str], Any]:
    def begin(streams: Streams, recorded: Comparison, _: str) -> Any:
        account = streams.account
        heard, failed = account.queue(), account.queue()
        recorded.leave("create-table-result", why=TABLES)
        table, stream = streams.table("my_partition_key", "NEW_IMAGE")
        raises = {"RAISE": "as told"} if answer == "raise" else {"ANSWER": json.dumps(answer)}
        account.map(
            account.function(heard, **raises),
            stream,
            BatchSize=1,
            StartingPosition="TRIM_HORIZON",
            MaximumRetryAttempts=3,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            DestinationConfig={"OnFailure": {"Destination": arn_of(failed)}},
        )
        item = {**ITEM, "binary_key": {"B": b"foobar"}}
        account.of("dynamodb").put_item(TableName=table, Item=item)

        return _arrivals(
            account, recorded, ("dynamodb_events", heard), ("destination_queue_messages", failed)
        )

    return begin


def _table_plain(streams: Streams, recorded: Comparison, _: str) -> Any:
    account, heard = streams.account, streams.account.queue()
    recorded.leave("create-table-result", why=TABLES)
    table, stream = streams.table("my_partition_key", "NEW_IMAGE")
    given = settings(recorded.recorded[MADE])
    recorded.compare(MADE, account.map(account.function(heard), stream, **given))
    item = {**ITEM, "binary_key": {"B": b"foobar"}}
    account.of("dynamodb").put_item(TableName=table, Item=item)
    return lambda: recorded.compare("event_logs", account.events(heard, 1))


def _table_gone(streams: Streams, recorded: Comparison, _: str) -> Any:
    """A mapping is there also when its table is not any more."""
    account = streams.account
    recorded.leave("create_dynamodb_table_response", why=TABLES)
    table, stream = streams.table("id", "NEW_IMAGE")
    function = account.function(account.queue())
    made = account.map(function, stream, StartingPosition="TRIM_HORIZON")
    recorded.compare("create_event_source_mapping_result", made)
    account.until(lambda: account.mapping(made["UUID"])["State"] == "Enabled")
    account.of("dynamodb").delete_table(TableName=table)

    def go_on() -> None:
        recorded.differs("LastProcessingResult", "State", why="who reads it hears that it is gone")
        found = account.of("lambda").list_event_source_mappings(EventSourceArn=stream)
        recorded.compare("list_event_source_mapping_result", found)

    return go_on


def _failing(streams: Streams, recorded: Comparison, destination: str) -> None:
    account = streams.account
    recorded.leave("create_table_response", "update_table_response", why=TABLES)
    table, stream = streams.table("my_partition_key", "NEW_IMAGE")
    given = settings(recorded.recorded[MADE])
    given["DestinationConfig"] = {"OnFailure": {"Destination": destination}}
    function = account.function(account.queue(), RAISE="as told")
    recorded.compare(MADE, account.map(function, stream, **given))
    account.of("dynamodb").put_item(TableName=table, Item=ITEM)


def _table_to_sqs(streams: Streams, recorded: Comparison, _: str) -> Any:
    failed = streams.account.queue()
    _failing(streams, recorded, arn_of(failed))
    step = "destination_queue_messages"
    return lambda: recorded.compare(step, streams.account.receive(failed))


def _table_to_s3(streams: Streams, recorded: Comparison, _: str) -> Any:
    bucket = _bucket(streams.account)
    _failing(streams, recorded, f"arn:aws:s3:::{bucket}")
    return lambda: recorded.compare("record_body", _object(streams.account, bucket))


def _table_to_sns(streams: Streams, recorded: Comparison, _: str) -> Any:
    account, failed = streams.account, streams.account.queue()
    topic = account.of("sns").create_topic(Name=unique_name("topic"))["TopicArn"]
    account.of("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn_of(failed))
    recorded.differs(
        *("Timestamp", "SigningCertURL", "UnsubscribeURL", "Signature"),
        why="the embedded SNS's own",
    )
    _failing(streams, recorded, topic)
    step = "failure_sns_message"
    return lambda: recorded.compare(step, account.events(failed, 1)[0])
