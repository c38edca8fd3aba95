"""Functions, versions and tags by boto3: names, pages, waiters, revisions, updates under way."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError, WaiterError

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import (
    PYTHON,
    ROLE,
    change,
    create,
    function,
    invoke,
    refusal,
    unique_name,
    value,
    zipped,
)

API: Final = "https://docs.aws.amazon.com/lambda/latest/api/"
STATES: Final = "https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html"
ANSWER: Final = "def handler(event, context): return 1"
ARN: Final = "arn:aws:lambda:us-east-1:000000000000:function"
FORMS: Final = ("{name}", "000000000000:function:{name}", "function:{name}", ARN + ":{name}")
"""`function:NAME` is no documented form, and Lambda takes it."""


@pytest.fixture(scope="module")
def published(lambda_client: Any) -> Iterator[str]:
    """A function with version 1."""
    with function(lambda_client, ANSWER, Publish=True, Tags={"a": "b"}) as name:
        yield name


@pytest.fixture
def account(lampyr_server: LampyrServer) -> Iterator[Any]:
    """A client of an account that has no functions."""
    client = lampyr_server.client(aws_access_key_id="210987654321", aws_secret_access_key="x")
    yield client
    for made in client.list_functions()["Functions"]:
        client.delete_function(FunctionName=made["FunctionName"])
    client.close()


@pytest.mark.documented(API + "API_GetFunction.html")
@pytest.mark.parametrize("form", FORMS[:2] + FORMS[3:])
def test_every_operation_takes_every_form_of_a_name(
    lambda_client: Any, published: str, form: str
) -> None:
    named = form.format(name=published)
    client = lambda_client
    for operation in (client.get_function_configuration, client.get_function):
        latest, first = operation(FunctionName=named), operation(FunctionName=f"{named}:1")
        by_parameter = operation(FunctionName=named, Qualifier="1")
        answers = [each.get("Configuration", each) for each in (latest, first, by_parameter)]
        arns = [f"{ARN}:{published}", f"{ARN}:{published}:1", f"{ARN}:{published}:1"]
        assert [each["FunctionArn"] for each in answers] == arns
    assert len(client.list_versions_by_function(FunctionName=named)["Versions"]) == 2
    assert client.publish_version(FunctionName=named)["Version"] == "1"
    assert invoke(client, named, Qualifier="1").version == "1"
    assert invoke(client, f"{named}:1").version == "1"
    change(client, named, Description="")
    package = zipped({"app.py": ANSWER})
    assert client.update_function_code(FunctionName=named, ZipFile=package, DryRun=True)
    mismatch = refusal(client.get_function, FunctionName=f"{named}:1", Qualifier="2")
    assert mismatch[:2] == (400, "InvalidParameterValueException")


@pytest.mark.documented(API + "API_DeleteFunction.html")
@pytest.mark.parametrize("form", FORMS[:2] + FORMS[3:])
def test_every_form_of_a_name_deletes(lambda_client: Any, form: str) -> None:
    name = create(lambda_client, ANSWER, FunctionName=form.format(name=unique_name()), Publish=True)
    assert ":" not in name
    named = form.format(name=name)
    lambda_client.delete_function(FunctionName=f"{named}:1")
    listed = lambda_client.list_versions_by_function(FunctionName=named)["Versions"]
    assert [each["Version"] for each in listed] == ["$LATEST"]
    assert refusal(lambda_client.delete_function, FunctionName=f"{named}:$LATEST")[0] == 400
    lambda_client.delete_function(FunctionName=named)
    status, code, _ = refusal(lambda_client.get_function, FunctionName=named)
    assert (status, code) == (404, "ResourceNotFoundException")


@pytest.mark.documented(API + "API_PublishVersion.html")
@pytest.mark.parametrize("operation", ["update_function_configuration", "publish_version"])
def test_a_version_is_not_changed(lambda_client: Any, published: str, operation: str) -> None:
    call = getattr(lambda_client, operation)
    status, code, _ = refusal(call, FunctionName=f"{published}:1", Description="no")
    assert (status, code) in (
        (400, "InvalidParameterValueException"),
        (400, "ValidationException"),
    )


@pytest.mark.documented(API + "API_ListFunctions.html")
def test_pages_have_every_function_once_in_order(account: Any) -> None:
    names = sorted(f"page-{number}" for number in range(7))
    for name in reversed(names):
        create(account, ANSWER, FunctionName=name)
    pages = list(account.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["Functions"]) for page in pages] == [3, 3, 1]
    listed = [each["FunctionName"] for page in pages for each in page["Functions"]]
    assert listed == names
    first = account.list_functions(MaxItems=3)
    account.delete_function(FunctionName="page-3")
    rest = account.list_functions(Marker=first["NextMarker"])
    assert [each["FunctionName"] for each in rest["Functions"]] == names[4:], "none is skipped"
    status, code, _ = refusal(account.list_functions, Marker="nonsense")
    assert (status, code) == (400, "InvalidParameterValueException")


@pytest.mark.documented(API + "API_ListFunctions.html")
def test_all_versions_are_listed_when_asked_for(account: Any) -> None:
    create(account, ANSWER, FunctionName="one", Publish=True)
    create(account, ANSWER, FunctionName="two")
    change(account, "one", Description="again")
    account.publish_version(FunctionName="one", Description="second")
    paginator = account.get_paginator("list_functions")
    pages = paginator.paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 1})
    listed = [(f["FunctionName"], f["Version"]) for page in pages for f in page["Functions"]]
    assert listed == [("one", "$LATEST"), ("one", "1"), ("one", "2"), ("two", "$LATEST")]
    paginator = account.get_paginator("list_versions_by_function")
    pages = list(paginator.paginate(FunctionName="one", PaginationConfig={"PageSize": 2}))
    versions = [each["Version"] for page in pages for each in page["Versions"]]
    assert (len(pages), versions) == (2, ["$LATEST", "1", "2"])
    usage = account.get_account_settings()["AccountUsage"]
    assert usage["FunctionCount"] == 2


@pytest.mark.documented(STATES)
def test_every_waiter_comes_to_its_end(lambda_client: Any) -> None:
    quick = {"Delay": 0.05, "MaxAttempts": 600}
    name = unique_name("waited")
    waiter = lambda_client.get_waiter("function_exists")
    with pytest.raises(WaiterError):
        waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.01, "MaxAttempts": 2})
    with function(lambda_client, ANSWER, FunctionName=name, Publish=True):
        for waiter_name in (
            "function_exists",
            "function_active",
            "function_active_v2",
            "function_updated",
            "function_updated_v2",
        ):
            waiter = lambda_client.get_waiter(waiter_name)
            waiter.wait(FunctionName=name, WaiterConfig=quick)
        waiter = lambda_client.get_waiter("published_version_active")
        waiter.wait(FunctionName=name, Qualifier="1", WaiterConfig=quick)


@pytest.mark.documented(API + "API_UpdateFunctionCode.html")
def test_an_older_revision_is_refused(lambda_client: Any) -> None:
    package = zipped({"app.py": ANSWER})
    with function(lambda_client, ANSWER) as name:
        old = lambda_client.get_function_configuration(FunctionName=name)
        change(lambda_client, name, RevisionId=old["RevisionId"], Timeout=5)
        new = lambda_client.get_function_configuration(FunctionName=name)
        assert new["RevisionId"] != old["RevisionId"]
        for call, arguments in (
            (lambda_client.update_function_configuration, {"Timeout": 7}),
            (lambda_client.update_function_code, {"ZipFile": package}),
            (lambda_client.update_function_code, {"ZipFile": package, "DryRun": True}),
            (lambda_client.publish_version, {}),
        ):
            stale = {"FunctionName": name, "RevisionId": old["RevisionId"], **arguments}
            status, code, message = refusal(call, **stale)
            assert (status, code) == (412, "PreconditionFailedException")
            assert message.startswith("The Revision Id provided does not match the latest")
        assert lambda_client.get_function_configuration(FunctionName=name) | {
            "ResponseMetadata": None
        } == new | {"ResponseMetadata": None}
        published = lambda_client.publish_version(FunctionName=name, RevisionId=new["RevisionId"])
        assert published["Version"] == "1"


@pytest.mark.documented(API + "API_UpdateFunctionCode.html")
def test_a_dry_run_of_new_code_changes_nothing(lambda_client: Any) -> None:
    package = zipped({"app.py": "def handler(event, context): return 2"})
    with function(lambda_client, ANSWER) as name:
        before = lambda_client.get_function_configuration(FunctionName=name)
        answer = lambda_client.update_function_code(FunctionName=name, ZipFile=package, DryRun=True)
        assert answer["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
        after = lambda_client.get_function_configuration(FunctionName=name)
        assert (after["CodeSha256"], after["RevisionId"]) == (
            before["CodeSha256"],
            before["RevisionId"],
        )
        assert value(lambda_client, name) == 1
        bad = refusal(
            lambda_client.update_function_code, FunctionName=name, ZipFile=b"no zip", DryRun=True
        )
        assert bad[:2] == (400, "InvalidParameterValueException")


@pytest.mark.documented(API + "API_UpdateFunctionCode.html")
def test_code_is_updated_and_published_at_once(lambda_client: Any) -> None:
    with function(lambda_client, ANSWER, Publish=True) as name:
        answer = lambda_client.update_function_code(
            FunctionName=name,
            ZipFile=zipped({"app.py": "def handler(event, context): return 2"}),
            Publish=True,
        )
        assert (answer["Version"], answer["FunctionArn"]) == ("2", f"{ARN}:{name}:2")
        waiter = lambda_client.get_waiter("published_version_active")
        waiter.wait(FunctionName=name, Qualifier="2", WaiterConfig={"Delay": 0.05})
        answers = [invoke(lambda_client, name, Qualifier=q).payload for q in ("1", "2", "$LATEST")]
        assert answers == [1, 2, 2]
        assert lambda_client.publish_version(FunctionName=name)["Version"] == "2", "nothing changed"


@pytest.mark.documented(STATES)
def test_one_update_at_a_time_and_the_old_code_answers_meanwhile(lambda_client: Any) -> None:
    slow = {f"module{number}.py": "x = 1\n" * 20_000 for number in range(40)}
    slow["app.py"] = "def handler(event, context): return 2"
    with function(lambda_client, ANSWER) as name:
        answer = lambda_client.update_function_code(FunctionName=name, ZipFile=zipped(slow))
        assert (answer["State"], answer["LastUpdateStatus"]) == ("Active", "InProgress")
        status, code, message = refusal(
            lambda_client.update_function_configuration, FunctionName=name, Timeout=9
        )
        assert (status, code) == (409, "ResourceConflictException")
        assert message == (
            "The operation cannot be performed at this time. An update is in progress for "
            f"resource: {ARN}:{name}"
        )
        assert value(lambda_client, name) == 1
        found = lambda_client.get_function_configuration(FunctionName=name)
        assert found["LastUpdateStatus"] == "InProgress", "the package is not slow enough"
        waiter = lambda_client.get_waiter("function_updated_v2")
        waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
        assert value(lambda_client, name) == 2


@pytest.mark.documented(STATES)
def test_a_function_that_is_pending_takes_neither_updates_nor_invocations(
    lambda_client: Any,
) -> None:
    slow = {f"module{number}.py": "x = 1\n" * 20_000 for number in range(40)}
    name = unique_name("pending")
    lambda_client.create_function(
        FunctionName=name,
        Runtime=PYTHON,
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": zipped({**slow, "app.py": ANSWER})},
    )
    status, code, message = refusal(
        lambda_client.update_function_configuration, FunctionName=name, Timeout=9
    )
    assert (status, code) == (409, "ResourceConflictException")
    assert message.endswith("The function is currently in the following state: Pending")
    status, code, message = refusal(lambda_client.invoke, FunctionName=name)
    assert (status, code) == (409, "ResourceConflictException")
    assert message.endswith("The function is currently in the following state: Pending")
    lambda_client.delete_function(FunctionName=name)


@pytest.mark.documented(API + "API_CreateFunction.html")
def test_of_many_that_create_one_name_one_wins(
    lampyr_server: LampyrServer, lambda_client: Any
) -> None:
    name, outcomes = unique_name("race"), []
    arguments = {
        "FunctionName": name,
        "Runtime": PYTHON,
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"ZipFile": zipped({"app.py": ANSWER})},
    }

    def race() -> None:
        client = lampyr_server.client()
        with suppress(ClientError):
            outcomes.append(client.create_function(**arguments)["FunctionName"])
        client.close()

    racers = [threading.Thread(target=race) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert outcomes == [name]
    status, code, message = refusal(lambda_client.create_function, **arguments)
    assert (status, code) == (409, "ResourceConflictException")
    assert message == f"Function already exist: {name}"
    lambda_client.delete_function(FunctionName=name)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html")
def test_tags_belong_to_the_function(lambda_client: Any, published: str) -> None:
    arn = f"{ARN}:{published}"
    assert lambda_client.list_tags(Resource=arn)["Tags"] == {"a": "b"}
    lambda_client.tag_resource(Resource=arn, Tags={"c": "d", "a": "ü"})
    assert lambda_client.get_function(FunctionName=published)["Tags"] == {"a": "ü", "c": "d"}
    lambda_client.untag_resource(Resource=arn, TagKeys=["c", "nothing"])
    assert lambda_client.list_tags(Resource=arn)["Tags"] == {"a": "ü"}
    for tags in ({"aws:x": "y"}, {str(number): "" for number in range(51)}):
        status, code, _ = refusal(lambda_client.tag_resource, Resource=arn, Tags=tags)
        assert (status, code) == (400, "InvalidParameterValueException")
    status, code, _ = refusal(lambda_client.tag_resource, Resource=f"{arn}:1", Tags={"x": "y"})
    assert (status, code) == (400, "InvalidParameterValueException")
    lambda_client.tag_resource(Resource=arn, Tags={"a": "b"})


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
def test_an_account_sees_its_own_functions_alone(
    lampyr_server: LampyrServer, lambda_client: Any, account: Any
) -> None:
    name = create(account, ANSWER, FunctionName=unique_name("theirs"))
    elsewhere = lampyr_server.client(region_name="eu-west-1")
    try:
        for client in (lambda_client, elsewhere):
            listed = client.list_functions(MaxItems=50)["Functions"]
            assert name not in [each["FunctionName"] for each in listed]
            assert refusal(client.delete_function, FunctionName=name)[0] == 404
        arn = account.get_function_configuration(FunctionName=name)["FunctionArn"]
        assert arn == f"arn:aws:lambda:us-east-1:210987654321:function:{name}"
        status, code, _ = refusal(lambda_client.invoke, FunctionName=arn)
        assert (status, code) == (403, "AccessDeniedException")
        # The same name is another function there.
        with function(elsewhere, "def handler(event, context): return 2", FunctionName=name):
            assert (value(account, name), value(elsewhere, name)) == (1, 2)
    finally:
        elsewhere.close()


@pytest.mark.documented(API + "API_Invoke.html")
def test_payloads_of_every_kind_of_json_come_back(lambda_client: Any) -> None:
    events: list[Any] = [
        None,
        True,
        0,
        -1.5,
        "ü\u2028\U0001f600",
        [],
        {},
        [[{"a": None}]],
        "x" * 100_000,
    ]
    with function(lambda_client, "def handler(event, context): return [event]") as name:
        for event in events:
            raw = json.dumps(event).encode()
            response = lambda_client.invoke(FunctionName=name, Payload=raw)
            assert json.loads(response["Payload"].read()) == [event]
        assert json.loads(lambda_client.invoke(FunctionName=name)["Payload"].read()) == [{}]
