"""InvokeWithResponseStream: run a function and pass on what it writes while it writes it.

https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from lampyr.api.event_stream import CONTENT_TYPE, event
from lampyr.api.invocations import check_json, found_version, invocation_of
from lampyr.errors import ServiceError
from lampyr.http1 import Response
from lampyr.invoke.stream import ResponseStream
from lampyr.model.invocation import InvocationType, InvokeResult
from lampyr.tasks import Tasks

if TYPE_CHECKING:
    from lampyr.api.call import Call
    from lampyr.model.function import FunctionVersion
    from lampyr.model.invocation import Invocation

CHUNK_BYTES_MAX: Final = 1024 * 1024
_OCTETS: Final = "application/octet-stream"


async def invoke_with_response_stream(call: Call, request: dict[str, Any]) -> Response:
    reference, function, version = await found_version(call, request)
    if request.get("InvocationType") == InvocationType.DRY_RUN:
        return Response(204, (("x-amzn-RequestId", call.request_id),))
    payload = request.get("Payload") or b"{}"
    await check_json(payload)
    invocation = invocation_of(call, request, function, reference.arn, payload)
    streamed = _Streamed(call, version, invocation)
    await streamed.started()
    return Response(
        200,
        (
            ("x-amzn-RequestId", call.request_id),
            ("X-Amz-Executed-Version", version.version),
            ("content-type", CONTENT_TYPE),
            ("X-Amzn-Remapped-Content-Type", streamed.content_type),
        ),
        stream=streamed.messages(),
    )


class _Streamed:
    """One invocation, run by a task that ends when nobody reads what comes of it."""

    def __init__(self, call: Call, version: FunctionVersion, invocation: Invocation) -> None:
        self._stream = invocation.stream = ResponseStream()
        self._invoker = call.services.invoker
        self._tasks = Tasks()
        self._outcome: InvokeResult | ServiceError | None = None
        self._tasks.start(self._run(version, invocation), "streamed invocation")

    @property
    def content_type(self) -> str:
        return self._stream.content_type

    async def started(self) -> None:
        """Raises what Lambda refuses the call with, which comes before anything is streamed."""
        try:
            await self._stream.started()
        except BaseException:
            await self._tasks.close()
            raise
        if isinstance(self._outcome, ServiceError):
            raise self._outcome

    async def messages(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._stream:
                for at in range(0, len(data), CHUNK_BYTES_MAX):
                    yield event("PayloadChunk", data[at : at + CHUNK_BYTES_MAX], _OCTETS)
            outcome = self._outcome
            if not self._stream.begun and (whole := _whole(outcome)):
                yield event("PayloadChunk", whole, _OCTETS)
            yield event("InvokeComplete", _complete(outcome), "application/json")
        finally:
            await self._tasks.close()

    async def _run(self, version: FunctionVersion, invocation: Invocation) -> None:
        try:
            self._outcome = await self._invoker.invoke(version, invocation)
        except ServiceError as error:
            self._outcome = error
        finally:
            self._stream.end()


def _whole(outcome: InvokeResult | ServiceError | None) -> bytes:
    """What a runtime answered in one piece, as those do that cannot stream."""
    if isinstance(outcome, InvokeResult) and outcome.function_error is None:
        return outcome.payload
    return b""


def _complete(outcome: InvokeResult | ServiceError | None) -> bytes:
    """How it ended, after what was streamed."""
    said: dict[str, str] = {}
    if isinstance(outcome, ServiceError):
        said = {"ErrorCode": outcome.code, "ErrorDetails": outcome.message}
    elif outcome is not None:
        if outcome.function_error is not None:
            details = outcome.payload.decode(errors="replace")
            said = {"ErrorCode": outcome.function_error, "ErrorDetails": details}
        if outcome.log_tail:
            said["LogResult"] = base64.b64encode(outcome.log_tail).decode()
    return json.dumps(said).encode()
