"""A recorded scenario, replayed: our requests by boto3, each answer beside AWS's.

boto3 talks to the whole API of a Lampyr in this process; what lies below the control operations,
the environments, is not there. So a request costs a millisecond, and a scenario no server.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from lampyr.http1 import Request, Response
from lampyr.testing.builders import a_key, a_zip
from lampyr.testing.control import Control
from tests.conformance.recorded.answers import Comparison

ACCOUNT: Final = "111111111111"
REGION: Final = "us-east-1"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/lambda"
ENDPOINT: Final = "http://127.0.0.1:4566"
FUNCTION: Final[Mapping[str, Any]] = {
    "FunctionName": "hello",
    "Role": ROLE,
    "Runtime": "python3.12",
    "Handler": "handler.handler",
    "Code": {"ZipFile": a_zip()},
}
HELLO: Final = {"FunctionName": "hello"}
CONFIGURATION: Final = (
    *("Description", "Environment", "Handler", "MemorySize", "Runtime", "SnapStart", "Timeout"),
    *("TracingConfig", "EphemeralStorage"),
)
"""What a function that was recorded shows, and can be created with."""

Handle = Callable[[Request], Awaitable[Response]]


class Boto:
    """boto3's client of an API that is called as a function; made once, it serves many."""

    def __init__(self) -> None:
        session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="x")
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        self._client = session.client(
            "lambda", region_name=REGION, endpoint_url=ENDPOINT, config=config
        )
        self._client.meta.events.register("before-send.lambda.*", self._send)
        self.handle: Handle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """What boto3 returns, or the body of the error that it raises."""
        self._loop = asyncio.get_running_loop()
        try:
            return await asyncio.to_thread(getattr(self._client, operation), **parameters)
        except ClientError as error:
            return dict(error.response)

    def close(self) -> None:
        self._client.close()

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        assert self.handle is not None
        assert self._loop is not None
        answering = self.handle(_request(request))
        answer = asyncio.run_coroutine_threadsafe(_awaited(answering), self._loop).result()
        headers: Any = dict(answer.headers)
        return AWSResponse(request.url, answer.status, headers, Raw(answer.body))


class Raw(io.BytesIO):
    """A body as botocore reads it from urllib3."""

    def stream(self, _size: int = 0, **_: Any) -> Any:
        yield self.read()


class Scenario(Comparison):
    """One recorded scenario: `await scenario("name of the answer", "operation", …)`."""

    def __init__(self, recorded: Mapping[str, Any], control: Control, boto: Boto) -> None:
        super().__init__(recorded)
        self.control = control
        self.do = boto
        """A request whose answer was not recorded."""

    async def __call__(self, step: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Send a request; its answer must be like the one that was recorded as `step`."""
        answer = await self.do(operation, **parameters)
        self.compare(step, answer)
        return answer

    async def create(self, step: str | None = None, /, **more: Any) -> dict[str, Any]:
        """CreateFunction of what the recorded answer shows, and wait until it is active."""
        given = {**FUNCTION, **shown(self.recorded.get(step or "", {})), **more}
        answer = await self.do("create_function", **given)
        if step is not None:
            self.compare(step, answer)
        await self.settle(given["FunctionName"])
        return answer

    async def update(self, step: str, /, **changed: Any) -> dict[str, Any]:
        """UpdateFunctionConfiguration, and wait until it is in force."""
        answer = await self(step, "update_function_configuration", **{**HELLO, **changed})
        await self.settle()
        return answer

    async def settle(self, name: str = "hello") -> None:
        await self.control.settle(a_key(name, account_id=ACCOUNT))


def shown(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What a function with this recorded configuration is created with."""
    found = {name: recorded[name] for name in CONFIGURATION if name in recorded}
    if "SnapStart" in found:
        found["SnapStart"] = {"ApplyOn": found["SnapStart"]["ApplyOn"]}
    return found


async def _awaited(answering: Awaitable[Response]) -> Response:
    return await answering


def _request(prepared: Any) -> Request:
    path, _, query = prepared.url.removeprefix(ENDPOINT).partition("?")
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in prepared.headers.items()
    }
    request = Request(prepared.method, path, query, {"host": "127.0.0.1:4566", **headers})
    body: Any = prepared.body or b""
    request.body = body if isinstance(body, bytes) else str(body).encode()
    return request
