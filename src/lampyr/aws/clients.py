"""AWS clients without threads: botocore's models, serializers, parsers and signatures on our HTTP.

A boto3 client blocks; a hundred long polls would take a hundred threads. What makes up a call
besides waiting is botocore's all the same: nothing of any service's protocol is written here.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import urlsplit

import botocore.session
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from lampyr.aws.base import AwsCallError, AwsError, AwsUnreachableError, Endpoint, Endpoints
from lampyr.clock import Clock
from lampyr.http_client import Answer, HttpClient, HttpError, Target

ATTEMPTS: Final = 3
BACKOFF_SECONDS: Final = 0.1
SERVER_ERROR: Final = 500
ERROR: Final = 300
FORWARD_SECONDS: Final = 930.0
"""Longer than the longest function, which an API may wait for."""
_PREFIXES: Final[Mapping[str, str]] = {"iotdata": "data-ats.iot", "ses": "email"}
"""Of AWS's host names, where they differ from what services are signed for."""
_SIGNATURE: Final = frozenset(
    {"authorization", "host", "x-amz-date", "x-amz-security-token", "content-length", "connection"}
)
_PROTOCOLS: Final = ("json", "rest-json", "rest-xml", "query", "ec2", "smithy-rpc-v2-cbor")
_THROTTLED: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """Somebody else's request; `path` with its query, names of `fields` in lower case."""

    method: str
    path: str
    fields: list[tuple[str, str]]
    body: bytes


class AwsClients:
    """Implements `lampyr.aws.base.Aws`."""

    def __init__(self, endpoints: Endpoints, http: HttpClient, clock: Clock) -> None:
        self._endpoints = endpoints
        self._http = http
        self._clock = clock
        self._models: dict[str, _Model] = {}
        self._loading = asyncio.Lock()
        self._session: Any = None

    async def call(
        self,
        service: str,
        account_id: str,
        region: str,
        operation: str,
        /,
        *,
        timeout_seconds: float = 60.0,
        **members: Any,
    ) -> dict[str, Any]:
        model = self._models.get(service) or await self._load(service)
        request = model.request(operation, members)
        caller = (account_id, region)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._attempt(model, caller, request, timeout_seconds)
                return model.parsed(operation, answer)
            except HttpError as error:
                raise AwsUnreachableError(f"{operation} of {service}: {error}") from error
            except AwsError as error:
                again = error.status >= SERVER_ERROR or error.code in _THROTTLED
                if not again or attempt == ATTEMPTS:
                    raise
            await self._clock.sleep(BACKOFF_SECONDS * 2**attempt)
        raise AssertionError("unreachable")  # pragma: no cover - the last attempt raises

    async def forward(self, service: str, region: str, request: Forwarded) -> Answer:
        """Pass on what somebody else wrote and signed; the answer as it comes.

        To AWS it goes signed anew, as its own signature names another host. Raises
        `AwsUnreachableError`.
        """
        endpoint = await self._endpoints.endpoint(service)
        fields = request.fields
        if endpoint.is_aws:
            url, fields = await asyncio.to_thread(self._signed_anew, service, region, request)
            endpoint = replace(endpoint, url=url)
        try:
            return await self._http.request(
                target_of(endpoint),
                request.method,
                request.path,
                fields,
                request.body,
                timeout_seconds=FORWARD_SECONDS,
            )
        except HttpError as error:
            raise AwsUnreachableError(f"{service}: {error}") from error

    def _signed_anew(
        self, service: str, region: str, request: Forwarded
    ) -> tuple[str, list[tuple[str, str]]]:
        named = dict(request.fields)
        streams = named.get("x-amz-target", "").startswith("DynamoDBStreams")
        prefix = "streams.dynamodb" if streams else _PREFIXES.get(service, service)
        url = f"https://{self._aws_host(prefix, region)}"
        kept = {name: value for name, value in request.fields if name not in _SIGNATURE}
        unsigned = AWSRequest(request.method, f"{url}{request.path}", data=request.body)
        for name, value in kept.items():
            unsigned.headers[name] = value
        auth = S3SigV4Auth if service == "s3" else SigV4Auth
        auth(self._host_credentials(), service, region).add_auth(unsigned)
        return url, [(name, _text(value)) for name, value in unsigned.headers.items()]

    async def _attempt(
        self,
        model: "_Model",
        caller: tuple[str, str],
        request: Mapping[str, Any],
        timeout_seconds: float,
    ) -> Answer:
        account_id, region = caller
        endpoint = await self._endpoints.endpoint(model.signing_name)
        if endpoint.is_aws:
            credentials = await asyncio.to_thread(self._host_credentials)
            host = await asyncio.to_thread(self._aws_host, model.endpoint_prefix, region)
            endpoint = replace(endpoint, url=f"https://{host}")
        else:
            credentials = Credentials(account_id, "lampyr")
        signed = model.signed(request, endpoint, credentials, region)
        return await self._http.request(
            target_of(endpoint),
            signed.method,
            signed.path,
            signed.fields,
            signed.body,
            timeout_seconds=timeout_seconds,
        )

    async def _load(self, service: str) -> "_Model":
        # Models are files of JSON, some of them large: read once, and beside the event loop.
        async with self._loading:
            if service not in self._models:
                try:
                    self._models[service] = await asyncio.to_thread(self._read, service)
                except BotoCoreError as error:
                    raise AwsCallError(f"{service}: {error}") from error
            return self._models[service]

    def _read(self, service: str) -> "_Model":
        return _Model(self._botocore().get_service_model(service))

    def _host_credentials(self) -> Any:
        found = self._botocore().get_credentials()
        if found is None:
            raise AwsCallError(
                "this endpoint is AWS itself, and whoever runs Lampyr has no AWS credentials"
            )
        return found.get_frozen_credentials()

    def _aws_host(self, prefix: str, region: str) -> str:
        resolver = self._botocore().get_component("endpoint_resolver")
        found = resolver.construct_endpoint(prefix, region)
        if found is None:
            raise AwsCallError(f"AWS has no endpoint '{prefix}' in {region}")
        return str(found["hostname"])

    def _botocore(self) -> Any:
        if self._session is None:
            self._session = botocore.session.Session()
        return self._session


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    method: str
    path: str
    fields: list[tuple[str, str]]
    body: bytes


class _Model:
    """One service: how its calls are written, signed and read."""

    def __init__(self, model: Any) -> None:
        known = model.metadata.get("protocols") or [model.metadata["protocol"]]
        protocol = next(each for each in _PROTOCOLS if each in known)
        self.name: str = model.service_name
        self.signing_name: str = model.signing_name
        self.endpoint_prefix: str = model.endpoint_prefix
        self._model = model
        self._serializer = create_serializer(protocol)
        self._parser = create_parser(protocol)
        self._auth = S3SigV4Auth if self.signing_name == "s3" else SigV4Auth

    def request(self, operation: str, members: dict[str, Any]) -> Mapping[str, Any]:
        model = self._model.operation_model(operation)
        for token in model.idempotent_members:
            members.setdefault(token, str(uuid.uuid4()))
        return cast("Mapping[str, Any]", self._serializer.serialize_to_request(members, model))

    def signed(
        self, request: Mapping[str, Any], endpoint: Endpoint, credentials: Any, region: str
    ) -> _Signed:
        given = {**request, "headers": dict(request["headers"])}
        if not endpoint.is_aws:
            given.pop("host_prefix", None)
        prepare_request_dict(given, endpoint.url)
        unsigned = AWSRequest(
            method=given["method"], url=given["url"], data=given["body"], headers=given["headers"]
        )
        unsigned.context.update(given["context"])
        self._auth(credentials, self.signing_name, region).add_auth(unsigned)
        prepared = unsigned.prepare()
        split = urlsplit(prepared.url)
        fields = [(name, _text(value)) for name, value in prepared.headers.items()]
        if "host" not in {name.lower() for name, _ in fields}:
            fields.append(("host", split.netloc))
        body: Any = prepared.body or b""
        return _Signed(
            method=prepared.method,
            path=(split.path or "/") + (f"?{split.query}" if split.query else ""),
            fields=fields,
            body=body.encode() if isinstance(body, str) else bytes(body),
        )

    def parsed(self, operation: str, answer: Answer) -> dict[str, Any]:
        model = self._model.operation_model(operation)
        failed = answer.status >= ERROR
        body: Any = answer.body
        if model.has_streaming_output and not failed:
            body = _Whole(answer.body)
        response = {
            "headers": HeadersDict(answer.fields),
            "status_code": answer.status,
            "body": body,
            "context": {"operation_name": operation},
        }
        try:
            found = dict(self._parser.parse(response, model.output_shape))
        except BotoCoreError as error:
            raise AwsUnreachableError(f"{operation} of {self.name}: {error}") from error
        if failed:
            said = found.get("Error", {})
            code = str(said.get("Code") or answer.status)
            message = str(said.get("Message") or said.get("message") or "")
            raise AwsError(code, message, status=answer.status, operation=operation)
        found.pop("ResponseMetadata", None)
        for name, value in found.items():
            if isinstance(value, _Whole):
                found[name] = value.body
        return found


class _Whole:
    """A streamed body that is here already; the parser hands it through as it is."""

    def __init__(self, body: bytes) -> None:
        self.body = body


@lru_cache(maxsize=256)
def target_of(endpoint: Endpoint) -> Target:
    split = urlsplit(endpoint.url)
    tls = split.scheme == "https"
    return Target(
        host=split.hostname or "localhost",
        port=split.port or (443 if tls else 80),
        tls=tls,
        socket=endpoint.socket,
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
