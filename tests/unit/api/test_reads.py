"""Calls that only read are answered on the spot, and say what they would say in a task."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from lampyr.api.app import LambdaApi
from lampyr.api.call import Call
from lampyr.api.operations import handlers
from lampyr.api.spec import service_model
from lampyr.http1 import Request, encode
from lampyr.testing.builders import a_function, a_key
from lampyr.testing.control import Control, running_control
from tests.unit.api.fakes import request, services

PATH = "/2015-03-31/functions/hello/configuration"
MODEL = service_model()
READS = [name for name in handlers(MODEL.operations) if MODEL.operations[name].method == "GET"]


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    async with running_control() as control:
        await control.store.functions.create(a_function(a_key(account_id="000000000000")))
        yield control


def api(control: Control, **options: Any) -> LambdaApi:
    own = replace(services(), store=control.store, control=control.plane, metrics=control.metrics)
    return LambdaApi(own, region="eu-west-1", new_id=lambda: "an-id", **options)


def signed(path: str = PATH, key: str = "AKIAUSER", **fields: str) -> Request:
    scope = f"{key}/20261129/us-east-1/lambda/aws4_request"
    found = {
        "Host": "127.0.0.1:4566",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    path, _, query = path.partition("?")
    raw = {name.encode(): value.encode() for name, value in found.items()}
    return Request("GET", path, query, fields=raw)


async def body_of(api: LambdaApi, read: Request) -> dict[str, Any]:
    """What it says, which is what a task says."""
    answer = api.read(read)
    assert answer == encode(await api.handle(read))
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


@pytest.mark.parametrize("name", READS)
async def test_every_operation_that_reads_is_answered_without_a_task(
    control: Control, name: str
) -> None:
    operation = MODEL.operations[name]
    path = operation.path
    for label, value in {"FunctionName": "hello", "VersionNumber": "1"}.items():
        path = path.replace(f"{{{label}}}", value)
    path = path.replace("{", "").replace("}", "")
    await body_of(api(control), signed(f"{path}?{operation.query}"))


async def test_an_answer_is_kept_until_the_function_is_another(control: Control) -> None:
    served = api(control)
    for _ in range(3):
        assert (await body_of(served, signed()))["Description"] == ""
    key = a_key(account_id="000000000000")
    old = await control.store.functions.get(key)
    assert old is not None
    await control.store.functions.replace(
        old, replace(old, latest=replace(old.latest, description="another"))
    )
    assert (await body_of(served, signed()))["Description"] == "another"
    await control.store.functions.delete(key)
    assert "not found" in (await body_of(served, signed()))["Message"]


@pytest.mark.parametrize(
    ("other", "arn"),
    [
        (signed(X_Amz_Date="20261129T130001Z"), "hello"),
        (signed(f"{PATH}?Qualifier=$LATEST"), "hello:$LATEST"),
        (signed(key="123456789012"), None),
        (signed(key="ASIAFUNCTION"), None),
    ],
    ids=["date", "qualifier", "account", "a function's key"],
)
async def test_what_was_read_is_told_to_nobody_else(
    control: Control, other: Request, arn: str | None
) -> None:
    served = api(control, account_of={"ASIAFUNCTION": "123456789012"}.get)
    first = await body_of(served, signed())
    found = await body_of(served, other)
    expected = arn and first["FunctionArn"].removesuffix("hello") + arn
    assert found.get("FunctionArn") == expected


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(request("POST", PATH), id="no reading"),
        pytest.param(request("GET", "/nothing"), id="no operation"),
        pytest.param(request("GET", PATH, headers={"content-encoding": "gzip"}), id="encoded"),
        pytest.param(request("GET", PATH, b"{}"), id="with a body"),
        pytest.param(
            request("GET", "/", headers={"host": "bucket.s3.localhost"}), id="another service's"
        ),
    ],
)
async def test_everything_else_takes_a_task(control: Control, other: Request) -> None:
    assert api(control).read(other) is None


async def test_one_that_waits_after_all_is_dropped_and_begun_anew(control: Control) -> None:
    begun: list[int] = []

    async def waits(_call: Call, _given: dict[str, Any]) -> Mapping[str, Any]:
        begun.append(0)
        async with asyncio.timeout(20):
            await asyncio.sleep(0)
        return {}

    async def waits_first(call: Call, given: dict[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        return await waits(call, given)

    for handler, starts in ((waits, 2), (waits_first, 1)):
        begun.clear()
        served = api(control, serve={"GetFunctionConfiguration": handler})
        assert served.read(signed()) is None
        assert (await served.handle(signed())).status == 200
        assert len(begun) == starts
