"""What of a call is botocore's: models, serializers, parsers, signatures, endpoints, credentials.

Imported when the first call is made: it costs a tenth of a second and 10 MB.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlencode, urlsplit

import botocore.session
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from lampyr.aws.base import AwsCallError, AwsError, AwsUnreachableError, Endpoint
from lampyr.aws.wire import Forwarded
from lampyr.http_client import Answer

ERROR: Final = 300
_PREFIXES: Final[Mapping[str, str]] = {"iotdata": "data-ats.iot", "ses": "email"}
"""Of AWS's host names, where they differ from what services are signed for."""
_SIGNATURE: Final = frozenset(
    {"authorization", "host", "x-amz-date", "x-amz-security-token", "content-length", "connection"}
)
_PROTOCOLS: Final = ("json", "rest-json", "rest-xml", "query", "ec2", "smithy-rpc-v2-cbor")


class Botocore:
    """Blocks, but for the models once they are read."""

    def __init__(self) -> None:
        self._session = botocore.session.Session()

    def model(self, service: str) -> "Model":
        try:
            return Model(self._session.get_service_model(service))
        except BotoCoreError as error:
            raise AwsCallError(f"{service}: {error}") from error

    def credentials(self) -> Any:
        """Of whoever runs Lampyr."""
        found = self._session.get_credentials()
        if found is None:
            raise AwsCallError(
                "this endpoint is AWS itself, and whoever runs Lampyr has no AWS credentials"
            )
        return found.get_frozen_credentials()

    def of_account(self, account_id: str) -> Any:
        """For servers that are compatible: the access key is the account's id."""
        return Credentials(account_id, "lampyr")

    def url(self, prefix: str, region: str) -> str:
        """Where AWS itself has a service."""
        resolver = self._session.get_component("endpoint_resolver")
        found = resolver.construct_endpoint(prefix, region)
        if found is None:
            raise AwsCallError(f"AWS has no endpoint '{prefix}' in {region}")
        return f"https://{found['hostname']}"

    def signed_anew(
        self, service: str, region: str, request: Forwarded
    ) -> tuple[str, list[tuple[str, str]]]:
        """URL and headers of somebody else's request, signed for AWS itself."""
        named = dict(request.fields)
        streams = named.get("x-amz-target", "").startswith("DynamoDBStreams")
        prefix = "streams.dynamodb" if streams else _PREFIXES.get(service, service)
        url = self.url(prefix, region)
        unsigned = AWSRequest(request.method, f"{url}{request.path}", data=request.body)
        for name, value in request.fields:
            if name not in _SIGNATURE:
                unsigned.headers[name] = value
        auth = S3SigV4Auth if service == "s3" else SigV4Auth
        auth(self.credentials(), service, region).add_auth(unsigned)
        return url, [(name, _text(value)) for name, value in unsigned.headers.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    method: str
    path: str
    fields: list[tuple[str, str]]
    body: bytes


class Model:
    """One service: how its calls are written, signed and read."""

    def __init__(self, model: Any) -> None:
        known = model.metadata.get("protocols") or [model.metadata["protocol"]]
        protocol = next(each for each in _PROTOCOLS if each in known)
        self.name: str = model.service_name
        self.signing_name: str = model.signing_name
        self.endpoint_prefix: str = model.endpoint_prefix
        self._model = model
        self._is_json = protocol == "json"
        self._plain: dict[str, _Plain] = {}
        # Our own calls are right, or fail where they are tested.
        self._serializer = create_serializer(protocol, include_validation=False)
        self._parser = create_parser(protocol)
        self._auth = S3SigV4Auth if self.signing_name == "s3" else SigV4Auth

    def request(self, operation: str, members: dict[str, Any]) -> Mapping[str, Any]:
        plain = self._plain_of(operation)
        if plain is not None and (written := plain.request(members)) is not None:
            return written
        model = self._model.operation_model(operation)
        for token in model.idempotent_members:
            members.setdefault(token, str(uuid.uuid4()))
        return cast("Mapping[str, Any]", self._serializer.serialize_to_request(members, model))

    def unsigned(
        self, request: Mapping[str, Any], account_id: str, region: str, today: str
    ) -> Written:
        """For the embedded neighbours, who look at nothing of a signature but who signs."""
        scope = f"{account_id}/{today}/{region}/{self.signing_name}/aws4_request"
        fields = [
            ("host", "localhost"),
            (
                "authorization",
                f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            ),
        ]
        fields += [(name, _text(value)) for name, value in request["headers"].items()]
        if request["url_path"] == "/" and not request["query_string"]:
            return _written(request["method"], "/", fields, request["body"])
        given = {**request, "headers": {}}
        given.pop("host_prefix", None)
        prepare_request_dict(given, "http://localhost")
        return _written(given["method"], _path(given["url"]), fields, given["body"])

    def signed(
        self, request: Mapping[str, Any], endpoint: Endpoint, credentials: Any, region: str
    ) -> Written:
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
        fields = [(name, _text(value)) for name, value in prepared.headers.items()]
        if "host" not in {name.lower() for name, _ in fields}:
            fields.append(("host", urlsplit(prepared.url).netloc))
        return _written(prepared.method, _path(prepared.url), fields, prepared.body)

    def _plain_of(self, operation: str) -> "_Plain | None":
        if not self._is_json:
            return None
        found = self._plain.get(operation)
        if found is None:
            found = self._plain[operation] = _Plain(self._model, operation)
        return found

    def parsed(self, operation: str, answer: Answer) -> dict[str, Any]:
        plain = self._plain_of(operation)
        if plain is not None and (read := plain.answer(answer)) is not None:
            return read
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


class _Plain:
    """A call of JSON in and JSON out, written and read as it stands where that comes to the same.

    That is: unless it has members that JSON cannot say (times and bytes), or an error. It takes a
    tenth of the time, which is what a poller has between two messages.
    """

    def __init__(self, service: Any, operation: str) -> None:
        model = service.operation_model(operation)
        version = service.metadata.get("jsonVersion", "1.0")
        self._headers = {
            "x-amz-target": f"{service.metadata['targetPrefix']}.{operation}",
            "content-type": f"application/x-amz-json-{version}",
        }
        if "awsQueryCompatible" in service.metadata:
            self._headers["x-amzn-query-mode"] = "true"
        self._in = _unsayable(model.input_shape) | {f'"{n}"' for n in model.idempotent_members}
        self._out = [name.encode() for name in _unsayable(model.output_shape)]
        self._endpoint = model.endpoint is not None

    def request(self, members: dict[str, Any]) -> Mapping[str, Any] | None:
        try:
            text = json.dumps(members, separators=(",", ":"))
        except TypeError:
            return None
        if self._endpoint or any(name in text for name in self._in):
            return None
        return {
            "method": "POST",
            "url_path": "/",
            "query_string": "",
            "headers": self._headers,
            "body": text.encode(),
        }

    def answer(self, answer: Answer) -> dict[str, Any] | None:
        body = answer.body
        if answer.status >= ERROR or any(name in body for name in self._out):
            return None
        try:
            found = json.loads(body or b"{}")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


def _unsayable(shape: Any) -> set[str]:
    """Names, in quotes, of the members below a shape that are times, bytes or called otherwise."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [] if shape is None else [shape]
    while waiting:
        each = waiting.pop()
        if each.type_name == "list":
            waiting.append(each.member)
        elif each.type_name == "map":
            waiting += [each.key, each.value]
        elif each.type_name == "structure" and each.name not in seen:
            seen.add(each.name)
            for name, member in each.members.items():
                wire = member.serialization.get("name", name)
                if wire != name or member.serialization.get("jsonvalue") or _ends_so(member):
                    found |= {f'"{wire}"', f'"{name}"'}
                waiting.append(member)
    return found


def _ends_so(shape: Any) -> bool:
    """Whether it is a time or bytes, or a list or map of such."""
    while shape.type_name in {"list", "map"}:
        shape = shape.member if shape.type_name == "list" else shape.value
    return shape.type_name in {"blob", "timestamp"}


class _Whole:
    """A streamed body that is here already; the parser hands it through as it is."""

    def __init__(self, body: bytes) -> None:
        self.body = body


def _path(url: str) -> str:
    split = urlsplit(url)
    return (split.path or "/") + (f"?{split.query}" if split.query else "")


def _written(method: str, path: str, fields: list[tuple[str, str]], body: Any) -> Written:
    data = body or b""
    if isinstance(data, dict):  # Of the query protocol.
        data = urlencode(data, doseq=True)
    return Written(
        method=method,
        path=path,
        fields=fields,
        body=data.encode() if isinstance(data, str) else bytes(data),
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
