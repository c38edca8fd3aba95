"""Packages from S3: read in parts, refused in S3's words, and kept here."""

from dataclasses import replace
from typing import Any

import pytest

from lampyr.aws.base import AwsError, AwsUnreachableError
from lampyr.control import functions, layers, uploads
from lampyr.control.requests import PublishLayer, S3Object, UpdateCode
from lampyr.errors import InvalidParameterValueException, ServiceError, ServiceException
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.resource import ResourceKey
from lampyr.testing.aws import ScriptedAws
from lampyr.testing.builders import ACCOUNT, REGION, a_key, a_zip
from lampyr.testing.control import Control, running_control
from tests.unit.control.calls import create, creating, look, packages

WHERE = S3Object(bucket="bucket", key="code/app.zip", version="3")


def s3(data: bytes) -> ScriptedAws:
    """An S3 with one object."""

    def get(members: dict[str, Any]) -> dict[str, Any]:
        first, _, last = members["Range"].removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last), len(data) - 1)
        if start > end:
            raise AwsError("InvalidRange", "no", status=416, operation="GetObject")
        span = f"bytes {start}-{end}/{len(data)}"
        return {"Body": data[start : end + 1], "ETag": '"etag"', "ContentRange": span}

    return ScriptedAws({"GetObject": get})


async def refusal(control: Control, **more: Any) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await functions.create(control.plane, creating(package=WHERE, **more))
    assert packages(control) == set()
    return refused.value


async def test_code_is_read_in_parts_of_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART_BYTES", 100)
    package = a_zip()
    aws = s3(package)
    async with running_control(aws=aws) as control:
        version = await create(control, package=WHERE)
        assert packages(control) == {package}
        assert version.code_bytes == len(package)
        key = ResourceKey(ACCOUNT, REGION, "shared")
        await layers.publish(control.plane, PublishLayer(key=key, package=WHERE))
    first, second = aws.calls[0].members, aws.calls[1].members
    assert first == {
        "Bucket": "bucket",
        "Key": "code/app.zip",
        "VersionId": "3",
        "Range": "bytes=0-99",
    }
    assert second == {**first, "Range": "bytes=100-199", "IfMatch": '"etag"'}
    assert (aws.calls[0].account_id, aws.calls[0].region) == (ACCOUNT, REGION)


async def test_a_dry_run_reads_and_keeps_nothing() -> None:
    aws = s3(a_zip({"app.py": "handler = print"}))
    async with running_control(aws=aws) as control:
        await create(control)
        request = UpdateCode(key=a_key(), package=WHERE, dry_run=True)
        told = await functions.update_code(control.plane, request)
        assert told.code_sha256 != (await look(control)).latest.code_sha256
        assert packages(control) == {a_zip()}


async def test_code_from_s3_may_be_larger_than_a_request_but_not_than_its_quota() -> None:
    limits = replace(DEFAULT_LIMITS, code_bytes_zipped=10, code_bytes_unzipped=1_000)
    for package, message in (
        (a_zip(), None),
        (b"x" * 1_001, "Unzipped size must be smaller than 1000 bytes"),
        (a_zip({"a": b"x" * 1_001}), "Unzipped size must be smaller than 1000 bytes"),
        (b"", "Uploaded file must be a non-empty zip"),
    ):
        async with running_control(aws=s3(package), limits=limits) as control:
            if message is None:
                await create(control, package=WHERE)
            else:
                assert (await refusal(control)).message == message


async def test_what_s3_says_is_passed_on() -> None:
    aws = ScriptedAws()
    for said, kind, message in (
        (
            AwsError("NoSuchKey", "Gone.", status=404, operation="GetObject"),
            InvalidParameterValueException,
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: Gone.",
        ),
        (
            AwsUnreachableError("nobody listens"),
            ServiceException,
            "Error occurred while GetObject. nobody listens",
        ),
    ):

        def fail(_: object, error: Exception = said) -> dict[str, Any]:
            raise error

        aws.answers["GetObject"] = fail
        async with running_control(aws=aws) as control:
            refused = await refusal(control)
            assert (type(refused), refused.message) == (kind, message)
