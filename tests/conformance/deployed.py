"""Functions for conformance tests: packed, created, active, and deleted again."""

import base64
import io
import itertools
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError, WaiterError

ROLE: Final = "arn:aws:iam::000000000000:role/lambda"
PYTHON: Final = "python3.11"
_NUMBERS: Final = itertools.count(1)


def zipped(files: Mapping[str, str | bytes], *, executable: tuple[str, ...] = ()) -> bytes:
    """A package with these files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name in executable else 0o100644) << 16
            archive.writestr(entry, content)
    return target.getvalue()


def unique_name(word: str = "function") -> str:
    return f"{word}-{os.getpid()}-{next(_NUMBERS)}"


def create(client: Any, code: str | bytes, **configuration: Any) -> str:
    """Create a function and wait until it is active; its name.

    `code` is the text of `app.py`, or a whole package.
    """
    package = zipped({"app.py": code}) if isinstance(code, str) else code
    given = {
        "FunctionName": unique_name(),
        "Runtime": PYTHON,
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"ZipFile": package},
        **configuration,
    }
    name: str = client.create_function(**given)["FunctionName"]
    waiter = client.get_waiter("function_active_v2")
    try:
        waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    except WaiterError as error:
        found: Any = error.last_response
        reason = found.get("Configuration", {}).get("StateReason")
        raise AssertionError(f"{name} is not active: {reason}") from error
    return name


def change(client: Any, name: str, **configuration: Any) -> None:
    """Update the configuration of a function and wait until the update is in force."""
    client.update_function_configuration(FunctionName=name, **configuration)
    waiter = client.get_waiter("function_updated_v2")
    waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})


@contextmanager
def function(client: Any, code: str | bytes, **configuration: Any) -> Iterator[str]:
    """A function for the length of the block."""
    name = create(client, code, **configuration)
    try:
        yield name
    finally:
        client.delete_function(FunctionName=name)


class Answer:
    """What Invoke answered, with the payload and the log read."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        self.status: int = response["StatusCode"]
        self.error: str | None = response.get("FunctionError")
        self.version: str | None = response.get("ExecutedVersion")
        raw = response["Payload"].read()
        self.payload: Any = json.loads(raw) if raw else None
        self.log = base64.b64decode(response.get("LogResult", "")).decode()


def invoke(client: Any, name: str, event: Any = None, **options: Any) -> Answer:
    """Invoke and read the answer; `event` is sent as JSON."""
    payload = json.dumps({} if event is None else event).encode()
    return Answer(client.invoke(FunctionName=name, Payload=payload, **options))


def value(client: Any, name: str, event: Any = None) -> Any:
    """What the function returned; it must not have failed."""
    answer = invoke(client, name, event)
    assert answer.error is None, answer.payload
    return answer.payload


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    """Status, type and message of an error."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    return (
        error["ResponseMetadata"]["HTTPStatusCode"],
        error["Error"]["Code"],
        error["Error"]["Message"],
    )
