"""A queue with functions that answer as a test says and a clock that a test moves."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lampyr.errors import ServiceError, TooManyRequestsException
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.event import Content
from lampyr.model.event_invoke import EventInvokeConfig
from lampyr.model.function import Function, FunctionVersion
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.observe.metrics import Counters
from lampyr.queue.dispatcher import AsyncQueue
from lampyr.queue.parts import QueueParts
from lampyr.store.index import Index, forget
from lampyr.tasks import Tasks
from lampyr.testing.builders import ACCOUNT, REGION, a_function, a_key
from lampyr.testing.clock import ManualClock

Tell = Callable[[InvokeResult | ServiceError], None]

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:letters"
FAILURE = InvokeResult(
    executed_version="$LATEST", payload=b'{"errorMessage": "no"}', function_error="Unhandled"
)
SUCCESS = InvokeResult(executed_version="$LATEST", payload=b'"yes"')
Answer = InvokeResult | Exception


class Functions:
    """A `Runner`: answers what a test says; while `held`, only once `let_go` is called."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.answers: list[Answer] = []
        """Of the next runs; when there is none, success."""
        self.runs: list[tuple[float, str, Invocation]] = []
        self.held: list[asyncio.Future[None]] | None = None
        self.cold = False
        self.seconds = 0.0
        self.room = 1_000
        self.throttled = 0
        self._running = 0

    def begin(self, version: FunctionVersion, invocation: Invocation, tell: Tell) -> bool:
        if self.cold or self.seconds or self.held is not None:
            return False
        if self.answers and isinstance(self.answers[0], Exception):
            raise self.answers[0]
        outcome = self._run(version, invocation)
        assert isinstance(outcome, InvokeResult)
        asyncio.get_running_loop().call_soon(tell, outcome)
        return True

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> InvokeResult:
        if self._running == self.room:
            self.throttled += 1
            raise TooManyRequestsException("Rate Exceeded.")
        outcome = self._run(version, invocation)
        if self.seconds:
            self._running += 1
            await self._clock.sleep(self.seconds)
            self._running -= 1
        if self.held is not None:
            self.held.append(asyncio.get_running_loop().create_future())
            await self.held[-1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _run(self, version: FunctionVersion, invocation: Invocation) -> Answer:
        self.runs.append((self._clock.now(), version.key.name, invocation))
        return self.answers.pop(0) if self.answers else SUCCESS

    def let_go(self) -> None:
        for future in self.held or ():
            if not future.done():
                future.set_result(None)


class Services:
    """An `Aws` that remembers what it was sent."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.sent: list[tuple[str, Mapping[str, Any]]] = []

    async def call(
        self, service: str, account_id: str, region: str, operation: str, /, **members: Any
    ) -> dict[str, Any]:
        if operation == "GetQueueUrl":
            return {"QueueUrl": f"http://queue/{members['QueueName']}"}
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append((operation, members))
        return {}


@dataclass
class Bench:
    clock: ManualClock
    tasks: Tasks
    functions: Functions
    services: Services
    metrics: Counters
    table: Any
    index: Index[Function] = field(default_factory=lambda: Index(forget))
    queue: AsyncQueue = field(init=False)

    def open(self, **options: Any) -> AsyncQueue:
        """A queue over what the table holds."""
        parts = QueueParts(
            table=self.table,
            functions=self.index,
            runner=self.functions,
            aws=self.services,
            clock=self.clock,
            tasks=self.tasks,
            metrics=self.metrics,
            limits=DEFAULT_LIMITS,
            new_id=lambda: "new-id",
            **options,
        )
        self.queue = AsyncQueue(parts)
        self.queue.open()
        return self.queue

    async def end(self) -> None:
        """As the process ends."""
        await self.queue.close(0)
        await self.tasks.close()

    async def function(self, name: str = "hello", **members: Any) -> Function:
        key = a_key(name)
        function = a_function(key, **members)
        assert await self.index.create(function)
        return function

    async def accept(self, function: Function, payload: object = None, **members: Any) -> None:
        content = Content(f"id-{len(self.functions.runs)}", json.dumps(payload).encode(), "Root=1")
        await self.queue.accept(
            function, members.pop("qualifier", None), content._replace(**members)
        )

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)
        await self.queue.written()

    async def advance(self, seconds: float) -> None:
        """To the end, by way of every time at which something happens."""
        end = self.clock.now() + seconds
        await self.settle()
        while self.clock.sleepers and (first := min(self.clock.sleepers)) <= end:
            await self.clock.advance(first - self.clock.now())
            await self.settle()
        await self.clock.advance(end - self.clock.now())
        await self.settle()

    def times(self) -> list[float]:
        """Of all runs, since the clock's start."""
        return [round(at - 1_700_000_000.0, 1) for at, _, _ in self.functions.runs]

    def counted(self, name: str = "hello") -> dict[str, int]:
        found = self.metrics.of(ACCOUNT, REGION).get(name, {})
        return {metric: round(statistic.total) for metric, statistic in found.items()}


def configured(**members: Any) -> dict[str, EventInvokeConfig]:
    return {"$LATEST": EventInvokeConfig(last_modified=0.0, **members)}
