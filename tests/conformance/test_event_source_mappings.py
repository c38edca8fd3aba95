"""Event source mappings by boto3: each kind of source with its settings, states and refusals."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import function, refusal, unique_name

API: Final = "https://docs.aws.amazon.com/lambda/latest/api/"
RECORDED: Final = "TestLambdaEventSourceMappings::"
FUNCTION: Final = "arn:aws:lambda:us-east-1:000000000000:function"
MAPPING: Final = "arn:aws:lambda:us-east-1:000000000000:event-source-mapping"
PLACE: Final = "us-east-1:000000000000"
SECRET: Final = f"arn:aws:secretsmanager:{PLACE}:secret:broker"
BROKER: Final = f"arn:aws:mq:{PLACE}:broker:b:b-1"
CLUSTER: Final = f"arn:aws:kafka:{PLACE}:cluster/c/1"
DOCUMENTS: Final = f"arn:aws:rds:{PLACE}:cluster:d"
INVALID: Final = (400, "InvalidParameterValueException")
LATEST: Final = {"StartingPosition": "LATEST"}
ACCESS: Final = {"SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": SECRET}]}
STATES_SECONDS_MAX: Final = 60
KEYS: Final = "arn:aws:kms:us-east-1:000000000000:key/a"


@pytest.fixture(scope="module")
def lambda_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Of a Lampyr that cannot ask whether a source is there: tests/conformance/neighbours does."""
    server = LampyrServer(tmp_path_factory.mktemp("mappings"), arguments=["--neighbours", "off"])
    server.start()
    client = server.client()
    yield client
    client.close()
    server.stop()


@pytest.fixture(scope="module")
def name(lambda_client: Any) -> Iterator[str]:
    """A function with version 1 and an alias of it."""
    with function(lambda_client, "def handler(event, context): return 1", Publish=True) as name:
        lambda_client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        yield name


def queue(suffix: str = "") -> str:
    return f"arn:aws:sqs:{PLACE}:{unique_name('queue')}{suffix}"


def stream() -> str:
    return f"arn:aws:kinesis:{PLACE}:stream/{unique_name('stream')}"


def table() -> str:
    return f"arn:aws:dynamodb:{PLACE}:table/{unique_name('t')}/stream/2026-01-01T00:00:00.000"


def kafka(*endpoints: str) -> dict[str, Any]:
    brokers = {"KAFKA_BOOTSTRAP_SERVERS": list(endpoints)}
    return {"SelfManagedEventSource": {"Endpoints": brokers}, **LATEST, **ACCESS}


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """All but what differs from call to call."""
    uuid = answer.pop("UUID")
    assert answer.pop("EventSourceMappingArn") == f"{MAPPING}:{uuid}"
    assert answer.pop("LastModified")
    answer.pop("ResponseMetadata", None)
    if answer.get("LastProcessingResult", "").startswith("PROBLEM: the neighbours are off"):
        # Sooner or later the poller says so: here nobody has the source.
        answer["LastProcessingResult"] = "No records processed"
    return answer


def settled(client: Any, uuid: str, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + STATES_SECONDS_MAX
    while (found := client.get_event_source_mapping(UUID=uuid))["State"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return dict(found)


STREAM: Final = {
    "BatchSize": 100,
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {"OnFailure": {}},
    "FunctionResponseTypes": [],
    "LastProcessingResult": "No records processed",
    "MaximumBatchingWindowInSeconds": 0,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "ParallelizationFactor": 1,
    "State": "Creating",
    "StateTransitionReason": "User action",
    "TumblingWindowInSeconds": 0,
}
SQS: Final = {
    "BatchSize": 10,
    "FunctionResponseTypes": [],
    "MaximumBatchingWindowInSeconds": 0,
    "State": "Creating",
    "StateTransitionReason": "USER_INITIATED",
}
OTHER: Final = {
    "BatchSize": 100,
    "LastProcessingResult": "No records processed",
    "State": "Creating",
    "StateTransitionReason": "USER_INITIATED",
}


@pytest.mark.recorded(RECORDED + "test_event_source_mapping_lifecycle")
def test_the_life_of_a_mapping(lambda_client: Any, name: str) -> None:
    client, source, failure = lambda_client, table(), queue()
    given = {
        "BatchSize": 1,
        "DestinationConfig": {"OnFailure": {"Destination": failure}},
        "MaximumBatchingWindowInSeconds": 1,
        "MaximumRetryAttempts": 1,
        "StartingPosition": "TRIM_HORIZON",
        "EventSourceArn": source,
    }
    answer = client.create_event_source_mapping(FunctionName=name, **given)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    uuid = answer["UUID"]
    expected = {**STREAM, **given, "FunctionArn": f"{FUNCTION}:{name}"}
    assert shown(answer) == expected
    assert shown(settled(client, uuid, "Enabled")) == {**expected, "State": "Enabled"}
    update, refused = (
        client.update_event_source_mapping,
        (
            *INVALID,
            "Unsupported 'scalingConfig' parameter for given event source mapping type.",
        ),
    )
    assert refusal(update, UUID=uuid, ScalingConfig={"MaximumConcurrency": 2}) == refused
    answer = update(UUID=uuid, Enabled=False, BatchSize=7, DestinationConfig={"OnFailure": {}})
    expected |= {"BatchSize": 7, "DestinationConfig": {"OnFailure": {}}}
    assert shown(answer) == {**expected, "State": "Disabling"}
    settled(client, uuid, "Disabled")
    assert update(UUID=uuid, ParallelizationFactor=3)["State"] == "Updating"
    settled(client, uuid, "Disabled")
    answer = update(UUID=uuid, Enabled=True, FunctionName=f"{name}:live")
    expected |= {"ParallelizationFactor": 3, "FunctionArn": f"{FUNCTION}:{name}:live"}
    assert shown(answer) == {**expected, "State": "Enabling"}
    settled(client, uuid, "Enabled")
    answer = client.delete_event_source_mapping(UUID=uuid)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert shown(answer) == {**expected, "State": "Deleting"}
    gone = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
    deadline = time.monotonic() + STATES_SECONDS_MAX
    while client.list_event_source_mappings(EventSourceArn=source)["EventSourceMappings"]:
        assert time.monotonic() < deadline
    for call in (
        client.get_event_source_mapping,
        client.delete_event_source_mapping,
        update,
    ):
        assert refusal(call, UUID=uuid) == gone


@pytest.mark.recorded(RECORDED + "test_function_name_variations")
def test_a_mapping_names_its_function_as_the_call_did(lambda_client: Any, name: str) -> None:
    arn = f"{FUNCTION}:{name}"
    forms = {
        name: arn,
        f"{name}:$LATEST": f"{arn}:$LATEST",
        f"000000000000:function:{name}:1": f"{arn}:1",
        f"{arn}:live": f"{arn}:live",
    }
    source = queue()
    for form, expected in forms.items():
        answer = lambda_client.create_event_source_mapping(FunctionName=form, EventSourceArn=source)
        assert shown(answer) == {**SQS, "FunctionArn": expected, "EventSourceArn": source}
    listed = lambda_client.list_event_source_mappings
    for form, expected in forms.items():
        found = listed(FunctionName=form, EventSourceArn=source)["EventSourceMappings"]
        assert [each["FunctionArn"] for each in found] == [expected]
    pages: list[list[str]] = []
    marker: dict[str, str] = {}
    while True:
        page = listed(EventSourceArn=source, MaxItems=3, **marker)
        pages.append([each["UUID"] for each in page["EventSourceMappings"]])
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert [len(uuids) for uuids in pages] == [3, 1]
    assert len({uuid for uuids in pages for uuid in uuids}) == 4


@pytest.mark.recorded(RECORDED + "test_create_event_source_self_managed")
def test_kafka_of_ones_own(lambda_client: Any, name: str) -> None:
    create, arn, topic = lambda_client.create_event_source_mapping, f"{FUNCTION}:{name}", "topic"
    broker = f"{unique_name('kafka')}:1000"
    given = {"FunctionName": name, "Topics": [topic]}
    answer = create(**given, **kafka(broker))
    uuid = answer["UUID"]
    expected = {**OTHER, **kafka(broker), "Topics": [topic], "FunctionArn": arn}
    assert shown(answer) == {
        **expected,
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": uuid},
    }
    group = {"SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "random_id"}}
    more = {"BatchSize": 1, "Topics": ["topic_2"], **group}
    answer = create(FunctionName=name, **kafka(broker), **more)
    assert shown(answer) == {**expected, **more}
    for brokers in ([broker], [broker, "kafka:2000"]):
        assert refusal(create, **given, **kafka(*brokers)) == (
            409,
            "ResourceConflictException",
            (
                f'An event source mapping with event source ("{",".join(brokers)}"), function '
                f'("{arn}"), topics ("{topic}") already exists. Please update or delete the '
                f"existing mapping with UUID {uuid}"
            ),
        )
    without = kafka("other:1")
    del without["SourceAccessConfigurations"]
    assert refusal(create, **given, **without) == (
        *INVALID,
        "Required 'sourceAccessConfigurations' parameter is missing.",
    )


@pytest.mark.documented(API + "API_CreateEventSourceMapping.html")
def test_every_other_kind_of_source(lambda_client: Any, name: str) -> None:
    create = lambda_client.create_event_source_mapping
    one = unique_name()
    sources: list[dict[str, Any]] = [
        {"EventSourceArn": f"{CLUSTER}-{one}", "Topics": ["topic"], **LATEST},
        {
            "EventSourceArn": f"{BROKER}-{one}",
            "Queues": ["q"],
            "SourceAccessConfigurations": [
                {"Type": "BASIC_AUTH", "URI": SECRET},
                {"Type": "VIRTUAL_HOST", "URI": "/"},
            ],
        },
        {
            "EventSourceArn": f"{DOCUMENTS}-{one}",
            "DocumentDBEventSourceConfig": {"DatabaseName": "d", "FullDocument": "UpdateLookup"},
            **LATEST,
            **ACCESS,
        },
    ]
    for source in sources:
        answer = create(FunctionName=name, **source)
        answer.pop("AmazonManagedKafkaEventSourceConfig", None)
        assert shown(answer) == {**OTHER, **source, "FunctionArn": f"{FUNCTION}:{name}"}
    uuid = create(
        FunctionName=name,
        EventSourceArn=queue(".fifo"),
        FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": ["a"]})}]},
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ProvisionedPollerConfig={"MinimumPollers": 5},
        Tags={"a": "b"},
    )["UUID"]
    found = settled(lambda_client, uuid, "Enabled")
    assert found["ProvisionedPollerConfig"] == {"MinimumPollers": 5, "MaximumPollers": 200}
    assert found["FilterCriteria"] == {"Filters": [{"Pattern": '{"body": ["a"]}'}]}
    answer = lambda_client.update_event_source_mapping(
        UUID=uuid,
        FilterCriteria={},
        ProvisionedPollerConfig={},
        FunctionResponseTypes=[],
        ScalingConfig={"MaximumConcurrency": 2},
    )
    assert answer["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert answer.keys().isdisjoint({"FilterCriteria", "ProvisionedPollerConfig"})
    arn = f"{MAPPING}:{uuid}"
    assert lambda_client.list_tags(Resource=arn)["Tags"] == {"a": "b"}
    lambda_client.tag_resource(Resource=arn, Tags={"c": "d"})
    lambda_client.untag_resource(Resource=arn, TagKeys=["a"])
    assert lambda_client.list_tags(Resource=arn)["Tags"] == {"c": "d"}


REFUSED: Final[list[tuple[dict[str, Any], str]]] = [
    ({}, "Unrecognized event source."),
    (
        {"EventSourceArn": f"arn:aws:events:{PLACE}:rule/r"},
        f"Unrecognized event source. Unsupported source arn : arn:aws:events:{PLACE}:rule/r",
    ),
    ({"EventSourceArn": queue(), "FunctionName": "doesnotexist"}, "Function does not exist"),
    ({"EventSourceArn": queue(), "FunctionName": "{name}:7"}, "Function does not exist"),
    (
        {"EventSourceArn": queue(), "BatchSize": 11},
        (
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10"
        ),
    ),
    (
        {"EventSourceArn": queue(".fifo"), "MaximumBatchingWindowInSeconds": 1},
        "Batching window is not supported for FIFO queues",
    ),
    (
        {
            "EventSourceArn": queue(),
            "DestinationConfig": {"OnFailure": {"Destination": queue()}},
        },
        "Unsupported DestinationConfig parameter for given event source mapping type.",
    ),
    (
        {"EventSourceArn": queue(), "FilterCriteria": {"Filters": [{"Pattern": "simple string"}]}},
        "Invalid filter pattern definition.",
    ),
    (
        {"EventSourceArn": stream(), "StartingPosition": "AT_TIMESTAMP"},
        "Need to specify a timestamp",
    ),
]


@pytest.mark.recorded(RECORDED + "test_event_source_mapping_exceptions")
@pytest.mark.parametrize(("request_", "message"), REFUSED, ids=[each[1] for each in REFUSED])
def test_what_creating_a_mapping_refuses(
    lambda_client: Any, name: str, request_: dict[str, Any], message: str
) -> None:
    function_name = request_.get("FunctionName", "{name}").format(name=name)
    given = {**request_, "FunctionName": function_name}
    assert refusal(lambda_client.create_event_source_mapping, **given) == (*INVALID, message)


@pytest.mark.documented(API + "API_CreateEventSourceMapping.html")
def test_a_source_is_mapped_to_a_function_once(lambda_client: Any, name: str) -> None:
    create, source = lambda_client.create_event_source_mapping, queue()
    uuid = create(FunctionName=name, EventSourceArn=source, Enabled=False)["UUID"]
    assert lambda_client.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    assert refusal(create, FunctionName=name, EventSourceArn=source) == (
        409,
        "ResourceConflictException",
        (
            f'An event source mapping with SQS arn (" {source} ") and function (" {name} ") '
            f"already exists. Please update or delete the existing mapping with UUID {uuid}"
        ),
    )
    create(FunctionName=f"{name}:1", EventSourceArn=source)
    missing = refusal(create, FunctionName=name, EventSourceArn=stream())
    assert missing[:2] == (400, "ValidationException")
    assert "'startingPosition'" in missing[2]


@pytest.mark.lampyr_only
def test_mappings_outlive_their_function_and_a_restart(new_server: Any) -> None:
    server: LampyrServer = new_server("--sandbox", "process", "--neighbours", "off")
    server.start()
    client, source = server.client(), queue()
    with function(client, "def handler(event, context): return 1") as name:
        uuid = client.create_event_source_mapping(FunctionName=name, EventSourceArn=source)["UUID"]
        settled(client, uuid, "Enabled")
    client.close()
    server.stop()
    server.start()
    client = server.client()
    found = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert [each["UUID"] for each in found] == [uuid]
    for unserved in (
        {"KMSKeyArn": KEYS},
        {"MetricsConfig": {"Metrics": ["EventCount"]}},
        {"LoggingConfig": {"SystemLogLevel": "INFO"}},
        {"SelfManagedKafkaEventSourceConfig": {"ConsumptionMode": "Queue"}},
        {"SourceAccessConfigurations": [{"Type": "OAUTHBEARER_AUTH", "URI": KEYS}]},
        {"DestinationConfig": {"OnFailure": {"Destination": "kafka://topic"}}},
    ):
        status, code, _ = refusal(client.update_event_source_mapping, UUID=uuid, **unserved)
        assert (status, code) == (501, "ServiceException")
    client.close()
