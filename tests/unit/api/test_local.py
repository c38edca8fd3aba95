"""Lampyr's own pages."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from lampyr.api import downloads
from lampyr.api.call import Services
from lampyr.api.local import TOGETHER_SECONDS
from lampyr.http1 import Response
from lampyr.model.function import Function, FunctionKey
from lampyr.observe.base import LogEvent, LogGroup
from lampyr.tasks import Tasks
from lampyr.testing.clock import ManualClock
from tests.unit.api.fakes import NOW, FakeStore, api, header, request, services
from tests.unit.api.versions import version

KEY = FunctionKey("000000000000", "eu-west-1", "hello")
GROUP = LogGroup("000000000000", "eu-west-1", "/aws/lambda/hello")


async def get(target: str, made: Services | None = None, method: str = "GET") -> Response:
    return await api(services=made or services()).handle(request(method, target))


def with_function(log_group: str = "/aws/lambda/hello") -> Services:
    made = services()
    latest = version()
    object.__setattr__(latest.logging, "log_group", log_group)
    store = cast("FakeStore", made.store)
    store.functions.found[KEY] = Function(key=KEY, latest=latest, created=0.0)
    return made


def page(response: Response) -> Any:
    assert response.status == 200, response.body
    return json.loads(response.body)


@pytest.mark.parametrize("path", ["/_lampyr/health", "/_localstack/health"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_health_is_answered_under_either_name(path: str, method: str) -> None:
    found = page(await get(path, method=method))
    assert (found["status"], found["services"]) == ("running", {"lambda": "running"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "/_lampyr/health"), ("GET", "/_lampyr/nothing"), ("GET", "/_lampyr/logs/")),
        *(("DELETE", "/_lampyr/logs/hello"), ("GET", "/_localstack/init")),
    ],
)
async def test_there_are_no_other_pages(method: str, path: str) -> None:
    response = await get(path, method=method)
    assert response.status == 404
    assert f"{method} {path}" in json.loads(response.body)["message"]


async def test_a_log_is_read_page_by_page_each_line_once() -> None:
    made = with_function()
    made.logs.append(GROUP, [LogEvent(1_000, "s", "one"), LogEvent(2_000, "s", "two")])
    first = page(await get("/_lampyr/logs/hello", made))
    assert first["events"] == [
        {"timestamp": 1_000, "logStreamName": "s", "message": "one"},
        {"timestamp": 2_000, "logStreamName": "s", "message": "two"},
    ]
    cursor = first["cursor"]
    assert page(await get(f"/_lampyr/logs/hello?cursor={cursor}", made))["events"] == []
    made.logs.append(GROUP, [LogEvent(3_000, "s", "three")])
    again = page(await get(f"/_lampyr/logs/hello?cursor={cursor}&since_ms=500", made))
    assert [event["message"] for event in again["events"]] == ["three"]


async def test_a_log_can_be_read_from_a_time_on() -> None:
    made = with_function()
    made.logs.append(GROUP, [LogEvent(1_000, "s", "one"), LogEvent(2_000, "s", "two")])
    found = page(await get("/_lampyr/logs/hello?since_ms=1500", made))
    assert [event["message"] for event in found["events"]] == ["two"]


async def test_an_arn_names_a_function_and_its_own_log_group_is_read() -> None:
    made = with_function(log_group="/mine")
    made.logs.append(LogGroup("000000000000", "eu-west-1", "/mine"), [LogEvent(1, "s", "x")])
    arn = "arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Ahello"
    assert len(page(await get(f"/_lampyr/logs/{arn}", made))["events"]) == 1


async def test_the_log_of_a_function_that_was_deleted_can_still_be_read() -> None:
    made = services()
    made.logs.append(GROUP, [LogEvent(1, "s", "x")])
    assert len(page(await get("/_lampyr/logs/hello", made))["events"]) == 1


async def test_what_never_was_has_no_log() -> None:
    response = await get("/_lampyr/logs/hello")
    assert response.status == 404
    assert header(response, "x-amzn-ErrorType") == "ResourceNotFoundException"


async def test_a_reader_who_waits_is_answered_as_soon_as_there_is_a_line() -> None:
    made = with_function()
    tasks = Tasks()
    reading = tasks.start(get("/_lampyr/logs/hello?wait_seconds=20", made), "reader")
    for _ in range(10):
        await asyncio.sleep(0)
    assert not reading.done()
    made.logs.append(GROUP, [LogEvent(1, "s", "x")])
    assert [event["message"] for event in page(await reading)["events"]] == ["x"]
    await tasks.close()


async def test_who_follows_gets_in_one_page_what_came_within_a_moment() -> None:
    clock = ManualClock()
    made = replace(with_function(), clock=clock)
    made.logs.append(GROUP, [LogEvent(1_000, "s", "one")])
    cursor = page(await get("/_lampyr/logs/hello", made))["cursor"]
    made.logs.append(GROUP, [LogEvent(2_000, "s", "two")])
    tasks = Tasks()
    following = get(f"/_lampyr/logs/hello?wait_seconds=20&cursor={cursor}", made)
    reading = tasks.start(following, "reader")
    while not clock.sleepers:
        await asyncio.sleep(0)
    made.logs.append(GROUP, [LogEvent(3_000, "s", "three")])
    await clock.advance(TOGETHER_SECONDS)
    found = page(await reading)
    assert [event["message"] for event in found["events"]] == ["two", "three"]
    await tasks.close()


async def test_a_reader_who_waited_in_vain_gets_an_empty_page_to_go_on_from() -> None:
    found = page(await get("/_lampyr/logs/hello?wait_seconds=0.01", with_function()))
    assert found["events"] == []
    assert isinstance(found["cursor"], str)


@pytest.mark.parametrize(
    "query",
    [
        *("since_ms=x", "since_ms=-1", "since_ms=9999999999999999", "cursor=nonsense"),
        *("wait_seconds=x", "wait_seconds=nan", "wait_seconds=-1", "wait_seconds=21"),
    ],
)
async def test_parameters_that_mean_nothing(query: str) -> None:
    response = await get(f"/_lampyr/logs/hello?{query}", with_function())
    assert response.status == 400
    assert header(response, "x-amzn-ErrorType") == "InvalidParameterValueException"


async def test_a_package_is_downloaded_by_its_link(tmp_path: Path) -> None:
    made = services()
    sha256 = "ab" * 32
    package = tmp_path / "package"
    package.write_bytes(b"PK")
    cast("FakeStore", made.store).blobs.paths[sha256] = package
    path = downloads.path(made.download_secret, sha256, int(NOW) + 600)
    response = await get(path, made)
    assert (response.status, response.body) == (200, b"PK")
    assert header(response, "content-type") == "application/zip"
    assert (await get(path.replace("signature=", "signature=0"), made)).status == 403
    assert (await get(f"/_lampyr/code/{sha256}", made)).status == 403
    gone = downloads.path(made.download_secret, "cd" * 32, int(NOW) + 600)
    assert (await get(gone, made)).status == 404
