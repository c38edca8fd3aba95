"""Functions of package type Image: kept as they are given, not run yet, and they say so."""

from typing import Any, Final

import pytest

from tests.conformance.deployed import ROLE, refusal, unique_name, zipped

DIGEST: Final = "0123456789abcdef" * 4
REPOSITORY: Final = "000000000000.dkr.ecr.us-east-1.amazonaws.com/shop"
INVALID: Final = "InvalidParameterValueException"


@pytest.mark.lampyr_only
def test_an_image_is_kept_and_fails_with_a_reason(lambda_client: Any) -> None:
    name = unique_name("image")
    given = {"FunctionName": name, "Role": ROLE, "PackageType": "Image"}
    config = {"Command": ["app.handler"], "EntryPoint": ["/entry"], "WorkingDirectory": "/app"}
    code = {"ImageUri": f"{REPOSITORY}:1.2@sha256:{DIGEST}"}
    created = lambda_client.create_function(**given, Code=code, ImageConfig=config)
    assert (created["State"], created["CodeSha256"]) == ("Pending", DIGEST)
    assert created["ImageConfigResponse"] == {"ImageConfig": config}
    waiter = lambda_client.get_waiter("function_active_v2")
    with pytest.raises(Exception, match='matched expected path: "Failed"'):
        waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    found = lambda_client.get_function(FunctionName=name)
    assert "does not run container images yet" in found["Configuration"]["StateReason"]
    assert found["Code"] == {
        "RepositoryType": "ECR",
        "ImageUri": code["ImageUri"],
        "ResolvedImageUri": f"{REPOSITORY}@sha256:{DIGEST}",
    }
    assert refusal(lambda_client.invoke, FunctionName=name)[1] != "ServiceException"
    lambda_client.delete_function(FunctionName=name)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/images-create.html")
def test_images_and_zips_do_not_mix(lambda_client: Any) -> None:
    image = {"ImageUri": f"{REPOSITORY}:1"}
    given = {"FunctionName": unique_name("image"), "Role": ROLE, "PackageType": "Image"}
    create = lambda_client.create_function
    told = "Please don't provide Handler or Runtime or Layer when the intended function "
    assert refusal(create, **given, Code=image, Handler="app.handler") == (
        400,
        INVALID,
        f"{told}PackageType is Image.",
    )
    bad = "Source image shop is not valid. Provide a valid source image."
    assert refusal(create, **given, Code={"ImageUri": "shop"}) == (400, INVALID, bad)
    status, code, _ = refusal(create, **given, Code={"ZipFile": zipped({"a": ""})})
    assert (status, code) == (400, INVALID)
    mandatory = refusal(create, **{**given, "PackageType": "Zip"}, Code=image)[2]
    assert mandatory.startswith("Runtime and Handler are mandatory parameters")
