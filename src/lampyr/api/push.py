"""Where the embedded neighbours invoke functions: a unix socket of their own, no signature.

One request, as `lampyr.neighbours.child.push` writes it. Whoever can open the socket is the
neighbours' process, which speaks for every account; so the function's ARN says the account.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from lampyr.api.app import random_id
from lampyr.api.call import Call, Services
from lampyr.api.operations import invoke
from lampyr.api.serializer import CONTENT_TYPE, ERROR_TYPE, to_json
from lampyr.api.warm import Plan
from lampyr.arn import parse
from lampyr.errors import (
    InvalidParameterValueException,
    ServiceError,
    ServiceException,
    UnknownOperationException,
)
from lampyr.http1 import Request, Response
from lampyr.limits import MIB
from lampyr.model.invocation import InvocationType

log = logging.getLogger(__name__)

PATH: Final = "/invoke"
BODY_BYTES: Final = 6 * MIB
ACCEPTED: Final = 202
REFUSED: Final = 400


class PushApi:
    """Implements `lampyr.api.server.Api`."""

    def __init__(self, services: Services, base_url: str) -> None:
        self._services = services
        self._base_url = base_url

    def plan(self, request: Request) -> None:
        """Nothing is served without a task."""

    def read(self, request: Request) -> bytes | None:  # noqa: ARG002
        return None

    def begin(self, plan: Plan, body: bytes, done: Callable[[bytes], None]) -> bool:  # noqa: ARG002
        return False

    async def handle(self, request: Request) -> Response:
        try:
            return await self._serve(request)
        except ServiceError as error:
            return _refusal(error)
        except Exception:  # The border: one push fails and says so.
            log.exception("push failed", extra={"path": request.path})
            return _refusal(ServiceException("Lampyr failed to serve this."))

    def body_limit(self, request: Request) -> int:  # noqa: ARG002 - one limit for all
        return BODY_BYTES

    def too_large(self, request: Request) -> Response:  # noqa: ARG002 - the same
        return _refusal(InvalidParameterValueException("The event is larger than 6 MB."))

    async def _serve(self, request: Request) -> Response:
        if (request.method, request.path) != ("POST", PATH):
            raise UnknownOperationException("There is no such page.")
        headers = request.headers
        arn = headers.get("x-lampyr-function", "")
        named = parse(arn)
        if named is None or named.account_id is None or named.region is None:
            raise InvalidParameterValueException(f"{arn[:256]!r} is no function's ARN.")
        call = Call(
            request_id=random_id(),
            account_id=named.account_id,
            region=named.region,
            base_url=self._base_url,
            services=self._services,
            trace=headers.get("x-lampyr-trace"),
        )
        kind = headers.get("x-lampyr-type", InvocationType.REQUEST_RESPONSE)
        members = {"FunctionName": arn, "InvocationType": kind, "Payload": request.body}
        output = await invoke.invoke(call, members)
        return Response(ACCEPTED) if kind == InvocationType.EVENT else _answer(output)


def _answer(output: dict[str, Any]) -> Response:
    headers = [CONTENT_TYPE]
    if (error := output.get("FunctionError")) is not None:
        headers.append(("x-amz-function-error", error))
    return Response(200, headers, output.get("Payload") or b"")


def _refusal(error: ServiceError) -> Response:
    headers = (CONTENT_TYPE, (ERROR_TYPE, error.code))
    return Response(REFUSED, headers, to_json({"message": error.message}))
