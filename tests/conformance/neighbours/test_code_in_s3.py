"""Code and layers that come from S3."""

from typing import Any, Final

import pytest

from tests.conformance.deployed import PYTHON, ROLE, function, refusal, unique_name, value, zipped
from tests.conformance.neighbours.conftest import Neighbourhood

CODE: Final = "https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCode.html"


def answering(number: int) -> bytes:
    return zipped({"app.py": f"def handler(event, context):\n    return {number}\n"})


@pytest.mark.documented(CODE)
def test_code_is_the_object_of_that_version(here: Neighbourhood) -> None:
    s3, client = here.client("s3"), here.client("lambda")
    bucket = unique_name("code")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="a b/app.zip", Body=answering(1))["VersionId"]
    s3.put_object(Bucket=bucket, Key="a b/app.zip", Body=answering(2))
    where: dict[str, Any] = {"S3Bucket": bucket, "S3Key": "a b/app.zip"}
    name = unique_name()
    client.create_function(
        FunctionName=name,
        Runtime=PYTHON,
        Role=ROLE,
        Handler="app.handler",
        Code={**where, "S3ObjectVersion": first},
    )
    settled = {"Delay": 0.05, "MaxAttempts": 1200}
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=settled)
    assert value(client, name) == 1
    # What becomes of the object later does not matter.
    s3.delete_object(Bucket=bucket, Key="a b/app.zip", VersionId=first)
    assert value(client, name) == 1
    would = client.update_function_code(FunctionName=name, DryRun=True, **where)
    done = client.update_function_code(FunctionName=name, Publish=True, **where)
    assert (would["CodeSha256"], done["Version"]) == (done["CodeSha256"], "1")
    client.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier="1", WaiterConfig=settled
    )
    assert value(client, f"{name}:1") == 2
    for missing, told in (
        ({**where, "S3Key": "none"}, "NoSuchKey"),
        ({**where, "S3Bucket": unique_name("none")}, "NoSuchBucket"),
        ({**where, "S3ObjectVersion": first}, "NoSuchVersion"),
    ):
        status, code, message = refusal(client.update_function_code, FunctionName=name, **missing)
        assert (status, code) == (400, "InvalidParameterValueException")
        assert message.startswith(f"Error occurred while GetObject. S3 Error Code: {told}. ")
    client.delete_function(FunctionName=name)


@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html"
)
def test_a_layer_comes_from_s3(here: Neighbourhood) -> None:
    s3, client = here.client("s3"), here.client("lambda")
    bucket = unique_name("layers")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="l.zip", Body=zipped({"python/shared.py": "NAME = 's3'"}))
    content = {"S3Bucket": bucket, "S3Key": "l.zip"}
    layer = client.publish_layer_version(LayerName=bucket, Content=content)["LayerVersionArn"]
    code = "import shared\ndef handler(event, context):\n    return shared.NAME\n"
    with function(client, code, Layers=[layer]) as name:
        assert value(client, name) == "s3"
