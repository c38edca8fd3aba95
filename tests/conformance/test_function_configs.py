"""URLs, code signing, recursion, runtime management and scaling of functions, by boto3."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.conformance.deployed import ROLE, function, refusal, unique_name, zipped

API: Final = "https://docs.aws.amazon.com/lambda/latest/api/"
DOCS: Final = "https://docs.aws.amazon.com/lambda/latest/dg/"
ARN: Final = "arn:aws:lambda:us-east-1:000000000000:function"
CODE: Final = "def handler(event, context): return 1"
PROFILE: Final = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/test/1"
INVALID: Final = (400, "InvalidParameterValueException")
MISSING: Final = (404, "ResourceNotFoundException")


@pytest.fixture(scope="module")
def name(lambda_client: Any) -> Iterator[str]:
    """A function with version 1 and an alias of it."""
    with function(lambda_client, CODE, Publish=True) as name:
        lambda_client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        yield name


@pytest.mark.documented(API + "API_CreateFunctionUrlConfig.html")
def test_urls_of_a_function_and_of_its_alias(lambda_client: Any, name: str) -> None:
    client = lambda_client
    cors = {"AllowOrigins": ["*"], "AllowMethods": ["GET"], "MaxAge": 5, "AllowCredentials": True}
    own = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors=cors)
    assert own["Cors"] == cors
    host, _, rest = own["FunctionUrl"].removeprefix("https://").partition(".")
    assert (len(host), host.isalnum(), rest) == (32, True, "lambda-url.us-east-1.on.aws/")
    given = {"FunctionName": name, "Qualifier": "live"}
    other = client.create_function_url_config(
        **given, AuthType="NONE", InvokeMode="RESPONSE_STREAM"
    )
    assert (other["FunctionArn"], other["InvokeMode"]) == (f"{ARN}:{name}:live", "RESPONSE_STREAM")
    assert other["FunctionUrl"] != own["FunctionUrl"]
    found = client.update_function_url_config(FunctionName=name, AuthType="NONE", Cors={})
    assert found["FunctionUrl"] == own["FunctionUrl"]
    assert "Cors" not in client.get_function_url_config(FunctionName=name)
    page = client.list_function_url_configs(FunctionName=name, MaxItems=1)
    second = client.list_function_url_configs(FunctionName=name, Marker=page["NextMarker"])
    urls = [*page["FunctionUrlConfigs"], *second["FunctionUrlConfigs"]]
    arns = [f"{ARN}:{name}", f"{ARN}:{name}:live"]
    assert [url["FunctionArn"] for url in urls] == arns
    client.delete_alias(FunctionName=name, Name="live")
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert refusal(client.get_function_url_config, **given)[:2] == MISSING
    client.delete_function_url_config(FunctionName=name)
    assert client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"] == []


@pytest.fixture
def config(lambda_client: Any) -> Iterator[str]:
    """The ARN of a code signing configuration, which warns."""
    made = lambda_client.create_code_signing_config(
        AllowedPublishers={"SigningProfileVersionArns": [PROFILE]}, Tags={"a": "b"}
    )["CodeSigningConfig"]
    assert made["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}
    arn: str = made["CodeSigningConfigArn"]
    yield arn
    for used in lambda_client.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)[
        "FunctionArns"
    ]:
        lambda_client.delete_function_code_signing_config(FunctionName=used)
    lambda_client.delete_code_signing_config(CodeSigningConfigArn=arn)


@pytest.mark.documented(DOCS + "configuration-codesigning.html")
def test_code_without_a_signature_is_let_in_or_not(lambda_client: Any, config: str) -> None:
    client, signing = lambda_client, {"CodeSigningConfigArn": config}
    package = zipped({"app.py": CODE})
    with function(client, CODE, **signing) as name:
        arns = client.list_functions_by_code_signing_config(**signing)["FunctionArns"]
        assert arns == [f"{ARN}:{name}"]
        client.update_function_code(FunctionName=name, ZipFile=package)
        client.get_waiter("function_updated_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
        )
        policy = {"UntrustedArtifactOnDeployment": "Enforce"}
        client.update_code_signing_config(**signing, CodeSigningPolicies=policy)
        refused = (
            400,
            "CodeVerificationFailedException",
            (
                "Lambda cannot deploy the function. The function or layer might be signed using "
                "a signature that the client is not configured to accept. Check the provided "
                "signature for unsigned."
            ),
        )
        update = {"FunctionName": name, "ZipFile": package}
        assert refusal(client.update_function_code, **update) == refused
        assert refusal(client.update_function_code, **update, DryRun=True) == refused
        other = unique_name()
        new: dict[str, Any] = {
            "FunctionName": other,
            "Role": ROLE,
            "Runtime": "python3.11",
            "Handler": "app.handler",
            "Code": {"ZipFile": package},
        }
        assert refusal(client.create_function, **new, **signing) == refused
        assert refusal(client.get_function, FunctionName=other)[:2] == MISSING
        in_use = refusal(client.delete_code_signing_config, **signing)
        assert in_use[:2] == (409, "ResourceConflictException")
        client.delete_function_code_signing_config(FunctionName=name)
        client.update_function_code(**update)
        found = client.get_function_code_signing_config(FunctionName=name)
        assert "CodeSigningConfigArn" not in found


@pytest.mark.documented(API + "API_PutFunctionCodeSigningConfig.html")
def test_code_signing_configs_that_are_not_there(
    lambda_client: Any, name: str, config: str
) -> None:
    client = lambda_client
    gone = {"CodeSigningConfigArn": config[:-17] + "a" * 17}
    message = (
        f"The Lambda code signing configuration {gone['CodeSigningConfigArn']} can not be found."
    )
    for call in (
        client.get_code_signing_config,
        client.update_code_signing_config,
        client.delete_code_signing_config,
        client.list_functions_by_code_signing_config,
    ):
        assert refusal(call, **gone) == (*MISSING, message)
    put = client.put_function_code_signing_config
    refused = refusal(put, FunctionName=name, **gone)
    assert refused[:2] == (404, "CodeSigningConfigNotFoundException")
    missing = refusal(put, FunctionName="doesnotexist", **gone)
    assert missing == (*MISSING, f"Function not found: {ARN}:doesnotexist")
    pages = client.get_paginator("list_code_signing_configs").paginate(
        PaginationConfig={"PageSize": 1}
    )
    listed = [each["CodeSigningConfigArn"] for page in pages for each in page["CodeSigningConfigs"]]
    assert config in listed
    client.tag_resource(Resource=config, Tags={"c": "d"})
    assert client.list_tags(Resource=config)["Tags"] == {"a": "b", "c": "d"}
    publishers = {"SigningProfileVersionArns": [f"{ARN}:a"]}
    answer = refusal(client.create_code_signing_config, AllowedPublishers=publishers)
    assert answer[:2] == INVALID


@pytest.mark.documented(DOCS + "invocation-recursion.html")
def test_recursion_is_terminated_unless_it_is_allowed(lambda_client: Any, name: str) -> None:
    get = lambda_client.get_function_recursion_config
    assert get(FunctionName=name)["RecursiveLoop"] == "Terminate"
    for mode in ("Allow", "Terminate"):
        answer = lambda_client.put_function_recursion_config(FunctionName=name, RecursiveLoop=mode)
        assert answer["RecursiveLoop"] == mode
        assert get(FunctionName=name)["RecursiveLoop"] == mode
    missing = (*MISSING, f"Function not found: {ARN}:doesnotexist")
    assert refusal(get, FunctionName="doesnotexist") == missing
    put = lambda_client.put_function_recursion_config
    assert refusal(put, FunctionName="doesnotexist", RecursiveLoop="Allow") == missing


@pytest.mark.documented(DOCS + "runtimes-update.html")
def test_runtimes_are_updated_with_the_host(lambda_client: Any, name: str) -> None:
    get = lambda_client.get_runtime_management_config
    put = lambda_client.put_runtime_management_config
    for qualifier in ("$LATEST", "1"):
        given = {"FunctionName": name, "Qualifier": qualifier}
        expected = ("Auto", f"{ARN}:{name}:{qualifier}")
        for answer in (put(**given, UpdateRuntimeOn="Auto"), get(**given)):
            assert (answer["UpdateRuntimeOn"], answer["FunctionArn"]) == expected
    runtime = "arn:aws:lambda:us-east-1::runtime:" + "0" * 64
    manual = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": runtime}
    for unserved in ({"UpdateRuntimeOn": "FunctionUpdate"}, manual):
        assert refusal(put, FunctionName=name, **unserved)[:2] == (501, "ServiceException")
    assert refusal(put, FunctionName=name, UpdateRuntimeOn="Manual")[:2] == INVALID
    automatic = {**manual, "UpdateRuntimeOn": "Auto"}
    assert refusal(put, FunctionName=name, **automatic)[:2] == INVALID
    assert refusal(get, FunctionName=f"{name}:7")[:2] == MISSING
    assert refusal(get, FunctionName=f"{name}:live")[:2] == INVALID


@pytest.mark.documented(API + "API_PutFunctionScalingConfig.html")
def test_scaling_is_for_functions_on_managed_instances(lambda_client: Any, name: str) -> None:
    put, get = lambda_client.put_function_scaling_config, lambda_client.get_function_scaling_config
    scaling = {"FunctionScalingConfig": {"MaxExecutionEnvironments": 1}}
    for qualifier in ("1", "$LATEST.PUBLISHED"):
        given = {"FunctionName": name, "Qualifier": qualifier}
        assert refusal(put, **given, **scaling)[:2] == INVALID
        assert refusal(get, **given)[:2] == INVALID
    assert refusal(get, FunctionName=name, Qualifier="7")[:2] == MISSING
    assert refusal(get, FunctionName="doesnotexist", Qualifier="1")[:2] == MISSING
