"""`lampyr logs`: what a function wrote, every line once, also from before a restart."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import click

from lampyr.cli.client import Target, client_command, not_running
from lampyr.cli.completion import function_names
from lampyr.cli.output import Failure, NotRunning, printable

FOLLOW_SECONDS: Final = 20
"""How long the server may hold a request back until there is something to print."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_AGAIN_SECONDS: Final = 0.25
_INTERRUPTED: Final = 130


class Moment(click.ParamType[int]):
    """A point in time: how long ago, such as 90s, 10m, 1h, 2d, or a date and time of ISO 8601."""

    name = "AGE|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = since_ms(str(value), time.time())
        if found is None:
            self.fail(f"{value!r} is neither an age such as 10m nor a time of ISO 8601", param, ctx)
        return found


def since_ms(text: str, now: float) -> int | None:
    """Milliseconds since the epoch; None when `text` says no time. Local time without a zone."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip()):
        return max(0, round((now - float(match[1]) * _UNITS[match[2]]) * 1_000))
    try:
        return round(datetime.fromisoformat(text.strip()).timestamp() * 1_000)
    except (ValueError, OverflowError, OSError):
        return None


@click.command()
@click.argument("name", shell_complete=function_names)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on.")
@click.option("--since", type=Moment(), help="From when on; else all that is kept.")
@client_command
def logs(*, target: Target, as_json: bool, name: str, follow: bool, since: int | None) -> None:
    """Print what the function NAME (or ARN) wrote, oldest first.

    --follow goes on after a restart of Lampyr where it was. With --json each line is an object.
    """
    reader = Reader(target, name, since or 0)
    # An exception that a signal raises is lost when it meets a finalizer; an end is not.
    signal.signal(signal.SIGINT, _interrupted)
    for event in reader.follow() if follow else reader.all():
        click.echo(_line(event, as_json=as_json))


def _interrupted(_number: int, _frame: object) -> None:
    with suppress(OSError, RuntimeError):  # Nobody reads, or it came in the middle of a write.
        sys.stdout.flush()
    os._exit(_INTERRUPTED)


def _line(event: dict[str, Any], *, as_json: bool) -> str:
    if as_json:
        return json.dumps(event)
    moment = datetime.fromtimestamp(event["timestamp"] / 1_000, UTC)
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1_000:03d}Z"
    # A message may have lines of its own: a stack, say, whose lines runtimes part by a return.
    lines = event["message"].replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    return f"{click.style(stamp, dim=True)} " + "\n".join(printable(line) for line in lines)


@dataclass
class Reader:
    """Reads a log page by page; the cursor says what was printed, also across connections."""

    target: Target
    name: str
    since_ms: int
    cursor: str | None = None

    def all(self) -> Iterator[dict[str, Any]]:
        """What is there; not what is written while it is read."""
        until = time.time() * 1_000
        while events := self._page(wait_seconds=0):
            yield from events
            if events[-1]["timestamp"] > until:
                return

    def follow(self) -> Iterator[dict[str, Any]]:
        yield from self._page(wait_seconds=0)  # A server that never answered is an error.
        told = False
        while True:
            try:
                events = self._page(wait_seconds=FOLLOW_SECONDS)
            except NotRunning as error:
                if not told:
                    click.echo(f"{error.message}; waiting for it to return", err=True)
                told = True
                time.sleep(_AGAIN_SECONDS)
                continue
            told = False
            yield from events

    def _page(self, *, wait_seconds: int) -> list[dict[str, Any]]:
        query = {"since_ms": str(self.since_ms), "wait_seconds": str(wait_seconds)}
        if self.cursor is not None:
            query["cursor"] = self.cursor
        path = f"/_lampyr/logs/{quote(self.name, safe='')}?{urlencode(query)}"
        page = get_json(self.target, path, read_seconds=wait_seconds + 10)
        self.cursor = page["cursor"]
        return list(page["events"])


def get_json(target: Target, path: str, *, read_seconds: int) -> dict[str, Any]:
    """A page of Lampyr's own, asked for as `target` asks for Lambda's: signed, by botocore."""
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - heavy, and not needed to start
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.exceptions import ConnectionError as NoConnection  # noqa: PLC0415
    from botocore.exceptions import HTTPClientError  # noqa: PLC0415
    from botocore.httpsession import URLLib3Session  # noqa: PLC0415

    request = AWSRequest("GET", f"{target.endpoint_url}{path}")
    credentials = target.session.get_credentials()
    SigV4Auth(credentials, "lambda", target.region_name).add_auth(request)
    session = URLLib3Session(timeout=read_seconds)
    try:
        answer = session.send(request.prepare())
        body = answer.content
    except (NoConnection, HTTPClientError):
        raise not_running(target) from None
    finally:
        session.close()
    if answer.status_code != 200:  # noqa: PLR2004 - HTTP's own number
        raise Failure(_refusal(body, answer.status_code, dict(answer.headers)))
    return dict(json.loads(body))


def _refusal(body: bytes, status: int, headers: dict[str, str]) -> str:
    try:
        answer = json.loads(body)
        message = answer.get("Message") or answer.get("message")
    except (ValueError, AttributeError):
        message = body.decode(errors="replace")
    kind = next((v for k, v in headers.items() if k.lower() == "x-amzn-errortype"), str(status))
    return f"{kind}: {message}"
