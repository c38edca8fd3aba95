"""Lampyr's own pages beside Lambda's API: health, logs of functions, packages to download.

    GET /_lampyr/health                 that it answers, and what it is; also at /_localstack/health
    GET /_lampyr/logs/{function}        a page of its log; waits for one when told to
    GET /_lampyr/code/{sha256}          a code package, for links that GetFunction gave
    GET /_lampyr/metrics                counts since the start, and how many events wait

They are read only. The log takes `since_ms` (milliseconds since the epoch), `cursor` (from the
page before) and `wait_seconds` (at most 20).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import unquote

import lampyr
from lampyr.api import downloads
from lampyr.api.call import Call
from lampyr.api.router import parse_query
from lampyr.api.serializer import CONTENT_TYPE, REQUEST_ID, to_json
from lampyr.arn import function_reference
from lampyr.errors import (
    AccessDeniedException,
    InvalidParameterValueException,
    ResourceNotFoundException,
    UnknownOperationException,
)
from lampyr.http1 import Request, Response
from lampyr.observe.base import LogEvent, LogGroup, LogPage, LogStore
from lampyr.observe.metrics import Statistic

PREFIXES: Final = ("/_lampyr/", "/_localstack/")
WAIT_SECONDS_MAX: Final = 20.0
TOGETHER_SECONDS: Final = 0.05
"""Between two pages of who follows: a busy function's lines come together, not one by one."""
SINCE_DIGITS_MAX: Final = 15
_HEALTH_PATHS: Final = frozenset({"/_lampyr/health", "/_localstack/health"})
_LOGS: Final = "/_lampyr/logs/"
_METRICS: Final = "/_lampyr/metrics"

_Page = Callable[[Call, str, Mapping[str, str]], Awaitable[Response]]


def health(request_id: str) -> Response:
    """Made of constants: it says that requests are answered, and no more than that."""
    body = {
        "status": "running",
        "services": {"lambda": "running"},
        "edition": "lampyr",
        "version": lampyr.__version__,
    }
    return Response(200, (CONTENT_TYPE, (REQUEST_ID, request_id)), to_json(body))


def is_health(path: str) -> bool:
    return path in _HEALTH_PATHS


async def serve(call: Call, request: Request) -> Response:
    """Any other page of Lampyr's own; raises `UnknownOperationException` when there is none."""
    page, name = _page(request)
    query = {key: values[-1] for key, values in parse_query(request.query).items()}
    return await page(call, name, query)


def _page(request: Request) -> tuple[_Page, str]:
    if request.method in {"GET", "HEAD"}:
        if request.path == _METRICS:
            return _metrics, ""
        for prefix, page in ((_LOGS, _logs), (downloads.PREFIX, _code)):
            name = request.path.removeprefix(prefix)
            if name and name != request.path:
                return page, unquote(name)
    raise UnknownOperationException(f"Lampyr has no page {request.method} {request.path}")


async def _code(call: Call, sha256: str, query: Mapping[str, str]) -> Response:
    services = call.services
    expires, signature = query.get("expires", ""), query.get("signature", "")
    now = services.clock.now()
    if not downloads.verify(services.download_secret, sha256, expires, signature, now):
        raise AccessDeniedException("This link has expired or was not given by Lampyr.")
    path = await services.store.blobs.path(sha256)
    if path is None:
        raise ResourceNotFoundException("There is no such code package.")
    body = await asyncio.to_thread(path.read_bytes)
    headers = (("content-type", "application/zip"), (REQUEST_ID, call.request_id))
    return Response(200, headers, body)


async def _metrics(call: Call, _name: str, _query: Mapping[str, str]) -> Response:
    """Of the caller's account and Region, under the names of Lambda's metrics."""
    services = call.services
    functions = {
        name: {metric: _statistic(found) for metric, found in of_function.items()}
        for name, of_function in services.metrics.of(call.account_id, call.region).items()
    }
    body = {"functions": functions, "eventsWaiting": len(services.queue)}
    return Response(200, (CONTENT_TYPE, (REQUEST_ID, call.request_id)), to_json(body))


def _statistic(found: Statistic) -> dict[str, float]:
    return {"count": found.count, "sum": found.total, "maximum": found.greatest}


async def _logs(call: Call, name: str, query: Mapping[str, str]) -> Response:
    since = query.get("since_ms", "0")
    if not (since.isascii() and since.isdigit()) or len(since) > SINCE_DIGITS_MAX:
        raise InvalidParameterValueException("since_ms must be milliseconds since the epoch.")
    wait = _wait_seconds(query.get("wait_seconds", "0"))
    cursor = query.get("cursor") or None
    group, exists = await _group(call, name)
    logs = call.services.logs
    if cursor is not None and wait:
        await call.services.clock.sleep(min(wait, TOGETHER_SECONDS))
    try:
        page = await logs.read(group, since_ms=int(since), cursor=cursor)
    except ValueError:
        raise InvalidParameterValueException("cursor must be one that Lampyr gave.") from None
    if not page.events and cursor is None and not exists:
        raise ResourceNotFoundException(f"There is no function and no log of {name!r}.")
    if not page.events and wait:
        page = await _wait(logs, group, page, wait)
    return _answer(call, page)


def _wait_seconds(text: str) -> float:
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    if not 0 <= wait <= WAIT_SECONDS_MAX:
        most = f"{WAIT_SECONDS_MAX:g}"
        raise InvalidParameterValueException(f"wait_seconds must be a number from 0 to {most}.")
    return wait


async def _group(call: Call, name: str) -> tuple[LogGroup, bool]:
    """Where the function writes, and whether there is such a function; logs outlive theirs."""
    key = function_reference(call, name).key
    function = await call.services.store.functions.get(key)
    group = f"/aws/lambda/{key.name}" if function is None else function.latest.logging.log_group
    return LogGroup(key.account_id, key.region, group), function is not None


async def _wait(logs: LogStore, group: LogGroup, page: LogPage, seconds: float) -> LogPage:
    """The first page that has events; the empty one when none came in time."""
    pages: Any = logs.follow(group, page.cursor)
    async with aclosing(pages):
        try:
            async with asyncio.timeout(seconds):
                found: LogPage = await anext(pages, page)
        except TimeoutError:
            return page
    return found


def _answer(call: Call, page: LogPage) -> Response:
    body = {"events": [_event(event) for event in page.events], "cursor": page.cursor}
    return Response(200, (CONTENT_TYPE, (REQUEST_ID, call.request_id)), to_json(body))


def _event(event: LogEvent) -> dict[str, Any]:
    return {
        "timestamp": event.timestamp_ms,
        "logStreamName": event.stream,
        "message": event.message,
    }
