"""Requests that are not Lambda's, passed on to the service they are for.

What arrives is passed on as it is: neither read nor signed anew (but for AWS itself). Two things
change on the way to the embedded neighbours, who tell accounts apart by their access keys: the key
of a function's role becomes the id of its account, and nobody reaches their administration.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from html import escape
from typing import Final, Protocol

from lampyr.aws.base import AwsUnreachableError, NoEndpointError
from lampyr.aws.wire import Forwarded
from lampyr.http1 import BrokenStreamError, Request, Response
from lampyr.http_client import Answer, HttpError
from lampyr.neighbours.rules import is_administration, shares_with_other_sites

_NOT_PASSED_ON: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "expect"}
    | {"content-length", "transfer-encoding"}
)
_CORS: Final = "access-control-"
UNAVAILABLE: Final = 503
NOT_SERVED: Final = 501
NOT_FOUND: Final = 404


class Forwarder(Protocol):
    async def forward(self, service: str, region: str, request: Forwarded) -> Answer: ...


class NeighbourDoor:
    def __init__(
        self,
        forwarder: Forwarder,
        account_of: Callable[[str], str | None],
        called: Callable[[str, str], None] = lambda _service, _region: None,
    ) -> None:
        """`account_of` gives the account of an access key that a function got, else None.

        `called` hears of each call that was answered: its service and Region.
        """
        self._forwarder = forwarder
        self._account_of = account_of
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}
        """By service: what is done before a request is passed on to it."""
        self._called = called

    async def forward(
        self, request: Request, *, service: str, region: str, access_key: str | None
    ) -> Response:
        """The service's answer, or why there is none, in words that its clients read."""
        if is_administration(request.path):
            return refusal(request, service, NOT_FOUND, "NotFound", "There is no such page.")
        if (prepare := self.before.get(service)) is not None:
            await prepare()
        path = f"{request.path}?{request.query}" if request.query else request.path
        forwarded = Forwarded(
            method=request.method,
            path=path,
            fields=self._fields(request, access_key),
            body=request.body,
        )
        try:
            answer = await self._forwarder.forward(service, region, forwarded)
        except NoEndpointError as error:
            return refusal(request, service, NOT_SERVED, "NotImplemented", str(error))
        except AwsUnreachableError as error:
            return refusal(request, service, UNAVAILABLE, "ServiceUnavailable", str(error))
        self._called(service, region)
        return _response(request, answer, with_cors=shares_with_other_sites(service))

    def _fields(self, request: Request, access_key: str | None) -> list[tuple[str, str]]:
        fields = [(n, v) for n, v in request.headers.items() if n not in _NOT_PASSED_ON]
        account_id = None if access_key is None else self._account_of(access_key)
        if account_id is None:
            return fields
        theirs, ours = f"Credential={access_key}/", f"Credential={account_id}/"
        return [
            (name, value.replace(theirs, ours) if name == "authorization" else value)
            for name, value in fields
            if name != "x-amz-security-token"
        ]


def refusal(request: Request, service: str, status: int, code: str, message: str) -> Response:
    """An error in the words of the service's protocol, so that clients show the message."""
    content = request.headers.get("content-type", "")
    said = escape(message, quote=False)
    if service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>"
    elif content.startswith("application/x-www-form-urlencoded"):
        text = (
            f"<ErrorResponse><Error><Type>Receiver</Type><Code>{code}</Code>"
            f"<Message>{said}</Message></Error></ErrorResponse>"
        )
    else:
        body = json.dumps({"__type": code, "message": message})
        kind = content if "json" in content else "application/json"
        headers = (("content-type", kind), ("x-amzn-errortype", code))
        return Response(status, headers, body.encode())
    return Response(status, (("content-type", "application/xml"),), text.encode())


def _response(request: Request, answer: Answer, *, with_cors: bool) -> Response:
    fields, length = [], None
    for name, value in answer.fields:
        if name == "content-length" and value.isdigit():
            length = int(value)
        elif name not in _NOT_PASSED_ON and (with_cors or not name.startswith(_CORS)):
            fields.append((name, value))
    if answer.stream is not None:
        stream = _unbroken(answer.stream)
        return Response(answer.status, fields, length=length, stream=stream)
    if request.method != "HEAD":
        length = None
    return Response(answer.status, fields, answer.body, length=length)


async def _unbroken(stream: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(stream):
        try:
            async for piece in stream:
                yield piece
        except HttpError as error:
            raise BrokenStreamError from error
