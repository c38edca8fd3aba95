"""`lampyr invoke`: one event in, the function's answer out."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import click

from lampyr.cli.client import INVOKE_SECONDS_MAX, Target, client_command
from lampyr.cli.completion import function_names
from lampyr.cli.output import FAILED, Failure, print_json, printable


@click.command()
@click.argument("name", shell_complete=function_names)
@click.option("--payload", default=None, help="JSON, or @FILE, or - for standard input.")
@click.option("--qualifier", help="A version or an alias.")
@click.option("--tail", is_flag=True, help="Print the end of the log, on standard error.")
@click.option("--async", "event", is_flag=True, help="Only hand the event over; do not wait.")
@click.option("--client-context", help="JSON, or @FILE, for the handler's context.")
@client_command
def invoke(
    *,
    target: Target,
    as_json: bool,
    name: str,
    payload: str | None,
    qualifier: str | None,
    tail: bool,
    event: bool,
    client_context: str | None,
) -> None:
    """Run the function NAME (or ARN) and print the payload it returned, as it is.

    When the function fails, its error goes to standard error and the exit code is 1.
    """
    if event and tail:
        raise click.UsageError("--tail waits for the log; --async does not wait")
    members: dict[str, Any] = {"InvocationType": "Event" if event else "RequestResponse"}
    if payload is not None:
        members["Payload"] = _read(payload)
    if qualifier is not None:
        members["Qualifier"] = qualifier
    if tail:
        members["LogType"] = "Tail"
    if client_context is not None:
        members["ClientContext"] = base64.b64encode(_read(client_context)).decode()
    client = target.client(read_seconds=INVOKE_SECONDS_MAX)
    answer = client.invoke(FunctionName=name, **members)
    _print(answer, answer["Payload"].read(), as_json=as_json, event=event)


def _read(given: str) -> bytes:
    if given in {"-", "@-"}:
        return sys.stdin.buffer.read()
    if not given.startswith("@"):
        return given.encode()
    try:
        return Path(given[1:]).expanduser().read_bytes()
    except OSError as error:
        raise Failure(f"{given[1:]}: {error.strerror}") from None


def _print(answer: dict[str, Any], body: bytes, *, as_json: bool, event: bool) -> None:
    log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
    failed = answer.get("FunctionError")
    if as_json:
        _print_all(answer, body, log)
    else:
        for line in log.splitlines():
            click.echo(printable(line), err=True)
        if event:
            click.echo(f"accepted: {answer['ResponseMetadata'].get('RequestId', '')}", err=True)
        elif failed:
            click.echo(readable_error(failed, body), err=True)
        else:
            _print_raw(body)
    if failed:
        sys.exit(FAILED)


def _print_all(answer: dict[str, Any], body: bytes, log: str) -> None:
    shown = {
        "StatusCode": answer["StatusCode"],
        "RequestId": answer["ResponseMetadata"].get("RequestId"),
        "ExecutedVersion": answer.get("ExecutedVersion"),
        "FunctionError": answer.get("FunctionError"),
        "Payload": _value(body),
        "Log": log.splitlines() or None,
    }
    print_json({name: value for name, value in shown.items() if value is not None})


def _print_raw(body: bytes) -> None:
    out = sys.stdout.buffer
    out.write(body)
    if sys.stdout.isatty() and not body.endswith(b"\n"):
        out.write(b"\n")
    out.flush()


def _value(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def readable_error(kind: str, body: bytes) -> str:
    """A function's error as its language would print it: type, message, then the stack."""
    error = _value(body)
    if not isinstance(error, dict) or "errorMessage" not in error:
        return f"{kind}: {printable(body.decode(errors='replace'))}"
    name = error.get("errorType") or kind
    lines = [f"{click.style(str(name), fg='red')}: {error['errorMessage']}"]
    for key in ("stackTrace", "trace"):
        frames = error.get(key)
        if isinstance(frames, list):
            lines += [line for frame in frames for line in str(frame).rstrip().splitlines()]
    first, *rest = lines
    return "\n".join([first, *(f"  {printable(line)}" for line in rest)])
