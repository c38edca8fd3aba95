"""boto3's paginators and waiters: every list page by page, every state to wait for."""

from collections.abc import Iterator
from typing import Any, Final

import boto3
import pytest
from botocore import xform_name

from lampyr.api.operations import handlers
from lampyr.api.spec import service_model
from lampyr.testing.builders import ROLE, a_zip
from lampyr.testing.server import LampyrServer

API: Final = "https://docs.aws.amazon.com/lambda/latest/api/"
ACCOUNT: Final = "310987654321"
SERVED: Final = handlers(service_model().operations)
COUNT: Final = 3
KAFKA: Final[dict[str, Any]] = {
    # The one kind of source that is not looked for when a mapping is made.
    "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["127.0.0.1:9092"]}},
    "SourceAccessConfigurations": [
        {
            "Type": "BASIC_AUTH",
            "URI": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:name-AbCdEf",
        }
    ],
    "Topics": ["topic"],
    "StartingPosition": "LATEST",
}
WAIT: Final = {"Delay": 0.05, "MaxAttempts": 600}
NAMED: Final = {"FunctionName": "one"}


class Things:
    """Three of everything that is listed, in an account that has nothing else."""

    def __init__(self, client: Any) -> None:
        self.client = client
        for name in ("one", "two", "three"):
            self.create(name)

    def create(self, name: str) -> None:
        self.client.create_function(
            FunctionName=name,
            Role=ROLE,
            Runtime="python3.11",
            Handler="app.handler",
            Code={"ZipFile": a_zip()},
        )
        self.client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=WAIT)

    def list_functions(self) -> dict[str, Any]:
        return {}

    def list_versions_by_function(self) -> dict[str, Any]:
        for memory in (129, 130):
            self.client.update_function_configuration(**NAMED, MemorySize=memory)
            self.client.get_waiter("function_updated_v2").wait(**NAMED, WaiterConfig=WAIT)
            self.client.publish_version(**NAMED)
        return NAMED

    def list_aliases(self) -> dict[str, Any]:
        for name in ("a", "b", "c"):
            self.client.create_alias(**NAMED, Name=name, FunctionVersion="$LATEST")
        return NAMED

    def list_function_event_invoke_configs(self) -> dict[str, Any]:
        for qualifier in ("a", "b", "$LATEST"):
            self.client.put_function_event_invoke_config(
                **NAMED, Qualifier=qualifier, MaximumRetryAttempts=1
            )
        return NAMED

    def list_function_url_configs(self) -> dict[str, Any]:
        for qualifier in ("a", "b", "c"):
            self.client.create_function_url_config(**NAMED, Qualifier=qualifier, AuthType="NONE")
        return NAMED

    def list_provisioned_concurrency_configs(self) -> dict[str, Any]:
        for number in (1, 2, 3):
            self.client.update_function_configuration(FunctionName="two", Timeout=number + 3)
            self.client.get_waiter("function_updated_v2").wait(
                FunctionName="two", WaiterConfig=WAIT
            )
            version = self.client.publish_version(FunctionName="two")["Version"]
            self.client.put_provisioned_concurrency_config(
                FunctionName="two", Qualifier=version, ProvisionedConcurrentExecutions=1
            )
        return {"FunctionName": "two"}

    def list_layers(self) -> dict[str, Any]:
        for name in ("one", "two", "three"):
            self.client.publish_layer_version(LayerName=name, Content={"ZipFile": a_zip()})
        return {}

    def list_layer_versions(self) -> dict[str, Any]:
        for _ in (2, 3):
            self.client.publish_layer_version(LayerName="one", Content={"ZipFile": a_zip()})
        return {"LayerName": "one"}

    def list_event_source_mappings(self) -> dict[str, Any]:
        for name in ("one", "two", "three"):
            self.client.create_event_source_mapping(FunctionName=name, **KAFKA, Enabled=False)
        return {}

    def list_code_signing_configs(self) -> dict[str, Any]:
        profile = f"arn:aws:signer:us-east-1:{ACCOUNT}:/signing-profiles/p/1234567890"
        publishers = {"SigningProfileVersionArns": [profile]}
        for _ in range(COUNT):
            made = self.client.create_code_signing_config(AllowedPublishers=publishers)
            self.signing = made["CodeSigningConfig"]["CodeSigningConfigArn"]
        return {}

    def list_functions_by_code_signing_config(self) -> dict[str, Any]:
        for name in ("one", "two", "three"):
            self.client.put_function_code_signing_config(
                FunctionName=name, CodeSigningConfigArn=self.signing
            )
        return {"CodeSigningConfigArn": self.signing}


@pytest.fixture(scope="module")
def things(lampyr_server: LampyrServer) -> Iterator[Things]:
    client = lampyr_server.client(aws_access_key_id=ACCOUNT, aws_secret_access_key="x")
    things = Things(client)
    yield things
    for page in client.get_paginator("list_event_source_mappings").paginate():
        for mapping in page["EventSourceMappings"]:
            client.delete_event_source_mapping(UUID=mapping["UUID"])
    for function in client.list_functions()["Functions"]:
        client.delete_function(FunctionName=function["FunctionName"])
    client.close()


def served() -> list[str]:
    """The lists that boto3 pages through and Lampyr serves."""
    client = boto3.client("lambda", region_name="us-east-1")
    return [
        name
        for name in (xform_name(operation) for operation in sorted(SERVED))
        if client.can_paginate(name)
    ]


def settled(item: Any) -> Any:
    """Without what changes by itself: how far the thing has come."""
    if not isinstance(item, dict):
        return item
    moving = ("State", "Status", "LastModified", "Allocated", "Available")
    return {name: value for name, value in item.items() if not name.startswith(moving)}


@pytest.mark.documented(API + "API_ListFunctions.html")
def test_every_list_comes_page_by_page(things: Things) -> None:
    made = [name for name in vars(Things) if name.startswith("list_")]
    names = served()
    assert not set(names) - set(made), "a list without a test"
    for name in made:  # In this order: what one makes, others list too.
        if name not in names:
            continue
        arguments = getattr(things, name)()
        paginator = things.client.get_paginator(name)
        key = paginator.result_keys[0].parsed["value"]
        whole = getattr(things.client, name)(**arguments)
        assert len(whole[key]) == COUNT, name
        assert not whole.get("NextMarker"), name
        pages = list(paginator.paginate(**arguments, PaginationConfig={"PageSize": 1}))
        assert [len(page[key]) for page in pages] == [1] * COUNT, name
        items = [settled(item) for item in whole[key]]
        assert [settled(page[key][0]) for page in pages] == items, name
        found = paginator.paginate(**arguments, PaginationConfig={"PageSize": 2, "MaxItems": 2})
        assert [settled(item) for item in found.build_full_result()[key]] == items[:2], name


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html")
def test_every_waiter_ends(things: Things) -> None:
    client = things.client
    waiters = set(client.waiter_names)
    for name in sorted(waiters):
        qualifier = {"Qualifier": "1"} if name == "published_version_active" else {}
        client.get_waiter(name).wait(**NAMED, **qualifier, WaiterConfig=WAIT)
    assert {"function_active_v2", "function_updated_v2", "published_version_active"} <= waiters
