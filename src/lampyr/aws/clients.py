"""AWS clients without threads: botocore's models, serializers, parsers and signatures on our HTTP.

A boto3 client blocks; a hundred long polls would take a hundred threads. What makes up a call
besides waiting is botocore's all the same: nothing of any service's protocol is written here.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from lampyr.aws.base import AwsError, AwsUnreachableError, Endpoint, Endpoints
from lampyr.aws.wire import Forwarded
from lampyr.clock import Clock
from lampyr.http_client import Answer, HttpClient, HttpError, Target

if TYPE_CHECKING:
    from lampyr.aws.models import Botocore, Model

ATTEMPTS: Final = 3
BACKOFF_SECONDS: Final = 0.1
SERVER_ERROR: Final = 500
FORWARD_SECONDS: Final = 930.0
"""Longer than the longest function, which an API may wait for."""
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


class AwsClients:
    """Implements `lampyr.aws.base.Aws`."""

    def __init__(self, endpoints: Endpoints, http: HttpClient, clock: Clock) -> None:
        self._endpoints = endpoints
        self._http = http
        self._clock = clock
        self._models: dict[str, Model] = {}
        self._loading = asyncio.Lock()
        self._source: Botocore | None = None

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
            source = await self._botocore()
            url, fields = await asyncio.to_thread(source.signed_anew, service, region, request)
            endpoint = replace(endpoint, url=url)
        try:
            return await self._http.request(
                target_of(endpoint),
                request.method,
                request.path,
                fields,
                request.body,
                timeout_seconds=FORWARD_SECONDS,
                streams=True,
            )
        except HttpError as error:
            raise AwsUnreachableError(f"{service}: {error}") from error

    async def _attempt(
        self,
        model: "Model",
        caller: tuple[str, str],
        request: Mapping[str, Any],
        timeout_seconds: float,
    ) -> Answer:
        account_id, region = caller
        endpoint = await self._endpoints.endpoint(model.signing_name)
        if endpoint.socket is not None:
            today = time.strftime("%Y%m%d", time.gmtime(self._clock.now()))
            written = model.unsigned(request, account_id, region, today)
        else:
            source = await self._botocore()
            if endpoint.is_aws:
                url = await asyncio.to_thread(source.url, model.endpoint_prefix, region)
                endpoint = replace(endpoint, url=url)
                credentials = await asyncio.to_thread(source.credentials)
            else:
                credentials = source.of_account(account_id)
            written = model.signed(request, endpoint, credentials, region)
        return await self._http.request(
            target_of(endpoint),
            written.method,
            written.path,
            written.fields,
            written.body,
            timeout_seconds=timeout_seconds,
        )

    async def _load(self, service: str) -> "Model":
        # Models are files of JSON, some of them large: read once, and beside the event loop.
        source = await self._botocore()
        async with self._loading:
            if service not in self._models:
                self._models[service] = await asyncio.to_thread(source.model, service)
            return self._models[service]

    async def _botocore(self) -> "Botocore":
        async with self._loading:
            if self._source is None:
                self._source = await asyncio.to_thread(_import_botocore)
            return self._source


def _import_botocore() -> "Botocore":
    from lampyr.aws.models import Botocore  # noqa: PLC0415 - slow, and seldom needed

    return Botocore()


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
