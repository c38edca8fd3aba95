"""From the neighbours to a function: one HTTP request over the unix socket that Lampyr gave.

    POST /invoke
    x-lampyr-function: arn:aws:lambda:us-east-1:000000000000:function:hello:live
    x-lampyr-source: sns                     the service that pushes
    x-lampyr-type: Event | RequestResponse
    x-lampyr-trace: Root=…                   of the request that caused it, where there was one

The answer is the function's: 200 or 202, or the error as Lambda's Invoke gives it.
"""

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any, Final

TIMEOUT_SECONDS: Final = 930.0
"""Longer than the longest function."""
ACCEPTED: Final = 202
ERROR: Final = 300


@dataclass(frozen=True, kw_only=True)
class Outcome:
    body: Any = None
    """What the function returned, read as JSON; or, where `error`, its error object."""
    error: bool = False
    throttled: bool = False


class Pusher:
    def __init__(self, socket_path: str) -> None:
        self._path = socket_path

    def push(self, arn: str, event: Any, *, kind: str, source: str, trace: str = "") -> Outcome:
        """Blocks until Lampyr has answered; never raises."""
        connection = _UnixConnection(self._path)
        headers = {
            "content-type": "application/json",
            "x-lampyr-function": arn,
            "x-lampyr-source": source,
            "x-lampyr-type": kind,
        }
        if trace:
            headers["x-lampyr-trace"] = trace
        try:
            connection.request("POST", "/invoke", json.dumps(event).encode(), headers)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _failed("ServiceException", f"Lampyr cannot be reached: {error}")
        finally:
            connection.close()
        body = _read(data)
        if answer.status >= ERROR:
            kind_of_error = answer.getheader("x-amzn-ErrorType") or "ServiceException"
            said = body if isinstance(body, dict) else {}
            message = str(said.get("Message") or said.get("message") or "")
            return _failed(kind_of_error, message)
        if answer.status == ACCEPTED:
            return Outcome()
        return Outcome(body=body, error=answer.getheader("x-amz-function-error") is not None)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("lampyr", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _failed(code: str, message: str) -> Outcome:
    throttled = code == "TooManyRequestsException"
    return Outcome(
        body={"errorType": code, "errorMessage": message}, error=True, throttled=throttled
    )


def _read(data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")
