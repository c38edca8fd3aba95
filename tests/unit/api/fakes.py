"""A `LambdaApi` on services that are not there, for what ends before an operation needs them."""

from collections.abc import Mapping
from typing import Any, cast

from lampyr.api.app import LambdaApi
from lampyr.api.call import Call, Services
from lampyr.api.operations import Handler
from lampyr.http1 import Request, Response
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.function import Function, FunctionKey
from lampyr.observe.memory import MemoryLogStore
from lampyr.observe.metrics import Counters
from lampyr.testing.aws import ScriptedAws

NOW = 1_763_700_000.0


class HeldClock:
    def __init__(self, now: float = NOW) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class FakeFunctions:
    def __init__(self) -> None:
        self.found: dict[FunctionKey, Function] = {}

    async def get(self, key: FunctionKey) -> Function | None:
        return self.found.get(key)


class FakeBlobs:
    def __init__(self) -> None:
        self.paths: dict[str, Any] = {}

    async def path(self, sha256: str) -> Any:
        return self.paths.get(sha256)


class FakeStore:
    def __init__(self) -> None:
        self.functions = FakeFunctions()
        self.blobs = FakeBlobs()


def services() -> Services:
    return Services(
        store=cast("Any", FakeStore()),
        control=cast("Any", None),
        invoker=cast("Any", None),
        queue=cast("Any", None),
        metrics=Counters(lambda: NOW),
        logs=MemoryLogStore(),
        clock=HeldClock(),
        limits=DEFAULT_LIMITS,
        aws=ScriptedAws(),
        download_secret=b"secret",
    )


def answering(output: Mapping[str, Any]) -> Handler:
    async def answer(_call: Call, _request: dict[str, Any]) -> Mapping[str, Any]:
        return output

    return answer


def api(serve: Mapping[str, Handler] | None = None, **options: Any) -> LambdaApi:
    options.setdefault("services", services())
    ids = (f"00000000-0000-4000-8000-{number:012d}" for number in range(10**9))
    options.setdefault("new_id", lambda: next(ids))
    return LambdaApi(region="eu-west-1", serve={} if serve is None else serve, **options)


def request(
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Request:
    path, _, query = target.partition("?")
    made = Request(method, path, query, {"host": "127.0.0.1:4566", **(headers or {})})
    made.body = body
    return made


def header(response: Response, name: str) -> str | None:
    return next((v for k, v in response.headers if k.lower() == name.lower()), None)
