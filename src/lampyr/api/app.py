"""The Lambda API over HTTP: match, parse, validate, call, serialize.

What goes wrong on the way ends here: a `ServiceError` becomes the answer that AWS gives, anything
else is Lampyr's own mistake, is logged with its traceback and answered without it.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple, Protocol

from lampyr.api import local, reads, warm
from lampyr.api.auth import SignatureAuth
from lampyr.api.call import Call, Services
from lampyr.api.operations import Handler, handlers
from lampyr.api.origins import Origins
from lampyr.api.parser import Parse, compile_parser
from lampyr.api.plans import Plans
from lampyr.api.reads import Read
from lampyr.api.router import Match, Router, parse_query
from lampyr.api.serializer import ErrorSerializer, Serialize, compile_serializer
from lampyr.api.spec import Operation, ServiceModel, service_model
from lampyr.api.validator import Validate, compile_validator
from lampyr.api.warm import Plan, WarmPath
from lampyr.errors import (
    NotServedError,
    RequestEntityTooLargeException,
    RequestTooLargeException,
    ServiceError,
    ServiceException,
    UnknownOperationException,
    UnsupportedMediaTypeException,
)
from lampyr.http1 import Request, Response, encode
from lampyr.limits import KIB, MIB
from lampyr.neighbours.rules import LAMBDA, service_of, shares_with_other_sites

log = logging.getLogger(__name__)

LARGE_BODY_BYTES: Final = 256 * KIB
"""From here on JSON is read on a thread, so that other callers do not wait for it."""
BODY_BYTES: Final = 1 * MIB
"""Of an operation that has no limit of its own below; its members' limits are far under that."""
CODE_BODY_BYTES: Final = 70_167_211
"""A package of 50 MB as base64, and 256 KB for what stands around it: AWS's figure."""
INVOKE_BODY_BYTES: Final = 6 * MIB
EVENT_BODY_BYTES: Final = 6 * MIB + 100 * KIB
"""Durable executions: payloads of 6 MB inside a document of JSON."""
BODY_LIMITS: Final[Mapping[str, int]] = {
    "CheckpointDurableExecution": EVENT_BODY_BYTES,
    "CreateFunction": CODE_BODY_BYTES,
    "Invoke": INVOKE_BODY_BYTES,
    "InvokeAsync": INVOKE_BODY_BYTES,
    "InvokeWithResponseStream": INVOKE_BODY_BYTES,
    "PublishLayerVersion": CODE_BODY_BYTES,
    "UpdateFunctionCode": CODE_BODY_BYTES,
}
_WIRE_NAMES: Final[Mapping[str, str]] = {"Invoke": "InvokeFunction"}
"""What AWS calls an operation in this one message, where it differs from the model."""


NEIGHBOUR_BODY_BYTES: Final = 128 * MIB
"""Of a request to another service; S3's larger objects come in parts."""

MATCHES_MAX: Final = 4_096
PLANS_MAX: Final = 4_096
READS_MAX: Final = 1_024
"""Each may hold an answer of some kilobytes."""
_UUID_MASK: Final = ~(0xF << 76 | 0x3 << 62)
_UUID_4: Final = 0x4 << 76 | 0x2 << 62
"""Version and variant of a random UUID (RFC 9562, section 5.4)."""


class Tables(NamedTuple):
    """One operation, compiled."""

    parse: Parse
    validate: Validate
    serialize: Serialize
    reads_json: bool
    handler: Handler | None


class Neighbours(Protocol):
    """Where requests go that are for other services."""

    async def forward(
        self, request: Request, *, service: str, region: str, access_key: str | None
    ) -> Response: ...


class LambdaApi:
    """Answers every request that reaches Lampyr's port.

    `account_of` gives the account of a temporary access key that a function got, else None.
    `hosts` are names under which Lampyr may be reached beside addresses and local names.
    """

    def __init__(
        self,
        services: Services,
        *,
        region: str,
        account_of: Callable[[str], str | None] = lambda _key: None,
        base_url: str = "http://127.0.0.1:4566",
        hosts: Collection[str] = (),
        neighbours: Neighbours | None = None,
        model: ServiceModel | None = None,
        serve: Mapping[str, Handler] | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._services = services
        self._model = service_model() if model is None else model
        self._router = Router(self._model.operations.values())
        self._handlers = handlers(self._model.operations) if serve is None else serve
        self._auth = SignatureAuth(region, account_of)
        self._origins = Origins(base_url, hosts)
        self._neighbours = neighbours
        self._error = ErrorSerializer(self._model)
        self._new_id = new_id or random_id
        self._tables: dict[str, Tables] = {}
        self._matches: dict[tuple[str, str], Match] = {}
        # The others are compiled when they are first called; this one should not be slower then.
        tables = self._compile(self._model.operations["Invoke"])
        self._warm = WarmPath(services, tables.serialize, self._error)
        self._plans: Plans[Plan] = Plans(PLANS_MAX)
        self._reads: Plans[Read] = Plans(READS_MAX)

    async def handle(self, request: Request) -> Response:
        request_id = self._new_id()
        try:
            return await self._serve(request, request_id)
        except ServiceError as error:
            return self._error(error, request_id)
        except Exception:  # The border: whatever it is, one request fails and says so.
            log.exception(
                "request failed",
                extra={"request_id": request_id, "method": request.method, "path": request.path},
            )
            sorry = f"Lampyr failed to serve this request; its log says why, under {request_id}."
            return self._error(ServiceException(sorry), request_id)

    def plan(self, request: Request) -> Plan | None:
        """What the head of a request says that may be served without a task, by `begin`.

        None for everything else than Invoke, and where it says something that is refused.
        """
        if request.method == reads.METHOD:
            return None
        key = self._plans.key(request)
        plan = None if key is None else self._plans.get(key)
        if plan is None:
            plan = self._read_plan(request)
            if plan is not None and plan.repeats and key is not None:
                self._plans.keep(key, plan)
        return plan

    def _read_plan(self, request: Request) -> Plan | None:
        found = self._match(request.method, request.path, request.query)
        if found is None or found[0].name != "Invoke":
            return None
        headers = request.headers
        service = service_of(request.method, request.path, request.query, headers)
        if service not in {None, LAMBDA} or "content-encoding" in headers:
            return None
        tables = self._tables["Invoke"]
        try:
            call = self._call(request, "")
            arguments = tables.parse(found[1], request.query, headers, b"")
            tables.validate(arguments)
            if not warm.is_plain(arguments):
                return None
            lasting = self._auth.is_lasting(headers, request.query)
            return Plan(call, arguments, repeats=lasting)
        except ServiceError:
            return None  # The other way comes to the same error, and says it.

    def begin(self, plan: Plan, body: bytes, done: Callable[[bytes], None]) -> bool:
        """Serve a warm invocation without a task: `done` gets the answer, once, some time later.

        False where it takes more than that: then nothing has happened, and `handle` serves it.
        The same tables and rules are used; what is saved is two turns of the event loop.
        """
        return self._warm.begin(plan, body, self._new_id(), done)

    def read(self, request: Request) -> bytes | None:
        """The answer to a call that only reads; None where it takes a task, or is none."""
        if request.method != reads.METHOD or request.body:
            return None
        key = self._reads.key(request)
        read = None if key is None else self._reads.get(key)
        request_id = self._new_id()
        try:
            if read is None:
                read = self._read_head(request)
                if read is None:
                    return None
                if key is not None and self._auth.is_lasting(request.headers, request.query):
                    self._reads.keep(key, read)
            return read.answer(request_id)
        except ServiceError as error:
            return encode(self._error(error, request_id))
        except Exception:  # noqa: BLE001 - `handle` fails in the same way and says so, or does not
            return None

    def _read_head(self, request: Request) -> Read | None:
        found = self._match(request.method, request.path, request.query)
        headers = request.headers
        if found is None or "content-encoding" in headers:
            return None
        if service_of(request.method, request.path, request.query, headers) not in {None, LAMBDA}:
            return None
        operation, labels = found
        tables = self._tables.get(operation.name) or self._compile(operation)
        if tables.handler is None:
            return None
        call = self._call(request, "")
        arguments = tables.parse(labels, request.query, headers, b"")
        tables.validate(arguments)
        return Read(operation.name, call, arguments, tables.handler, tables.serialize)

    def body_limit(self, request: Request) -> int:
        """How many bytes of body a request may have; asked before the body is read."""
        operation = self._operation_of(request.method, request.path)
        if operation is not None:
            return BODY_LIMITS.get(operation.name, BODY_BYTES)
        service = service_of(request.method, request.path, request.query, request.headers)
        return BODY_BYTES if service in {None, LAMBDA} else NEIGHBOUR_BODY_BYTES

    def too_large(self, request: Request) -> Response:
        """The answer to a request whose body was over its limit."""
        operation = self._operation_of(request.method, request.path)
        name = "" if operation is None else operation.name
        limit = BODY_LIMITS.get(name, BODY_BYTES)
        kind = RequestTooLargeException if name == "Invoke" else RequestEntityTooLargeException
        shown = f"{_WIRE_NAMES.get(name, name)} operation" if name else "request"
        message = f"Request must be smaller than {limit} bytes for the {shown}"
        return self._error(kind(message), self._new_id())

    async def _serve(self, request: Request, request_id: str) -> Response:
        method, path, query = request.method, request.path, request.query
        headers = request.headers
        service = service_of(method, path, query, headers, request.body)
        if service not in {None, LAMBDA}:
            return await self._forward(request, str(service))
        found = self._match(method, path, query)
        if found is None and local.is_health(path) and method in {"GET", "HEAD"}:
            return local.health(request_id)
        call = self._call(request, request_id)
        if found is None:
            if path.startswith(local.PREFIXES):
                return await local.serve(call, request)
            raise UnknownOperationException(self._unknown(method, path))
        operation, labels = found
        tables = self._tables.get(operation.name) or self._compile(operation)
        if tables.handler is None:
            raise NotServedError(f"Lampyr does not serve {operation.name} yet")
        if "content-encoding" in headers:
            _check_encoding(headers["content-encoding"])
        if len(request.body) > LARGE_BODY_BYTES and tables.reads_json:
            arguments = await asyncio.to_thread(tables.parse, labels, query, headers, request.body)
        else:
            arguments = tables.parse(labels, query, headers, request.body)
        tables.validate(arguments)
        output = await tables.handler(call, arguments)
        return output if isinstance(output, Response) else tables.serialize(output, request_id)

    async def _forward(self, request: Request, service: str) -> Response:
        headers = request.headers
        base_url = self._origins.base_url(headers)
        if not shares_with_other_sites(service):
            self._origins.check(request.method, headers, base_url)
        caller = self._auth.caller(headers, request.query)
        if self._neighbours is None:
            raise NotServedError(f"This is Lambda; nobody here serves {service}")
        return await self._neighbours.forward(
            request, service=service, region=caller.region, access_key=caller.access_key
        )

    def _call(self, request: Request, request_id: str) -> Call:
        headers = request.headers
        base_url = self._origins.base_url(headers)
        self._origins.check(request.method, headers, base_url)
        caller = self._auth.caller(headers, request.query)
        return Call(
            request_id=request_id,
            account_id=caller.account_id,
            region=caller.region,
            base_url=base_url,
            services=self._services,
            trace=headers.get("x-amzn-trace-id"),
            from_function=request.from_function,
        )

    def _compile(self, operation: Operation) -> Tables:
        model = self._model
        tables = self._tables[operation.name] = Tables(
            compile_parser(model, operation),
            compile_validator(model, operation),
            compile_serializer(model, operation),
            _reads_json(model, operation),
            self._handlers.get(operation.name),
        )
        return tables

    def _match(self, method: str, path: str, query: str) -> Match | None:
        """What the router says; for a path without a query it is asked once."""
        if query:
            return self._router.match(method, path, parse_query(query))
        known = self._matches.get((method, path))
        if known is None:
            known = self._router.match(method, path, {})
            if known is None:
                return None
            if len(self._matches) >= MATCHES_MAX:
                self._matches.clear()
            self._matches[method, path] = known
        # The labels become the operation's input, which is the caller's to change.
        return known[0], dict(known[1])

    def _operation_of(self, method: str, path: str) -> Operation | None:
        found = self._match(method, path, "")
        return None if found is None else found[0]

    def _unknown(self, method: str, path: str) -> str:
        shown = f"{method} {path[:1024]}"
        if methods := self._router.methods(path):
            return f"{shown} is no operation of Lambda; this path takes {', '.join(methods)}"
        return f"{shown} is no operation of Lambda"


def random_id() -> str:
    """A version 4 UUID, ten times faster than `uuid.uuid4`; it names, and keeps no secret."""
    text = f"{random.getrandbits(128) & _UUID_MASK | _UUID_4:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _reads_json(model: ServiceModel, operation: Operation) -> bool:
    """False where the body is taken as it stands."""
    shape = model.shape(operation.input) if operation.input is not None else None
    if shape is None or shape.payload is None:
        return True
    return model.shape(shape.members[shape.payload].shape).type != "blob"


def _check_encoding(encoding: str) -> None:
    if encoding.lower() not in {"", "identity"}:
        raise UnsupportedMediaTypeException(
            f"Content-Encoding {encoding[:64]!r} is not supported: send the body as it is."
        )
