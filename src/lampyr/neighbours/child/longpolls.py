"""SQS's long polls: answered as soon as a message comes, and ended when their caller has gone.

ministack looks into a queue ten times a second while a poll waits, and goes on after its caller's
connection was closed: the next messages would be given to nobody, and not be seen again before
their visibility timeout is over.
"""

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Final

TARGET: Final = (b"x-amz-target", b"AmazonSQS.ReceiveMessage")
PARAMETERS: Final = {
    "_act_receive_message": ("data", "qurl"),
    "_get_q": ("url", "action"),
}
"""Of ministack's SQS: what is relied on, and the names of its parameters."""
_QUEUE: Final = contextvars.ContextVar[Any]("lampyr_queue")
"""Which queue this poll reads: ministack's record of it."""

App = Callable[[Any, Any, Any], Awaitable[None]]


def differences(sqs: Any) -> list[str]:
    """What of SQS is not as this was written for."""
    wrong = []
    for name, expected in PARAMETERS.items():
        found = getattr(sqs, name, None)
        if not callable(found) or tuple(inspect.signature(found).parameters) != expected:
            wrong.append(f"sqs.{name} does not take {expected}")
    if getattr(sqs, "_HANDLERS", {}).get("ReceiveMessage") is not sqs._act_receive_message:  # noqa: SLF001
        wrong.append("sqs._HANDLERS names another ReceiveMessage")
    if not hasattr(getattr(sqs, "esm_wake", None), "set"):
        wrong.append("sqs.esm_wake is no event")
    return wrong


class LongPolls:
    """Polls that wait, and for which queue."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], Any] = {}
        self._looking = False

    def install(self, sqs: Any) -> None:
        """To be called on the loop that serves: others may write to queues on threads."""
        loop = asyncio.get_running_loop()
        receive, woken = sqs._act_receive_message, sqs.esm_wake.set  # noqa: SLF001

        async def named(data: dict[str, Any], qurl: str) -> dict[str, Any]:
            queue = sqs._get_q(data.get("QueueUrl", qurl), "sqs:ReceiveMessage")  # noqa: SLF001
            _QUEUE.set(queue)
            found: dict[str, Any] = await receive(data, qurl)
            return found

        def written() -> None:
            """Whoever puts a message into any queue does this after it."""
            woken()
            if self._waiting and not self._looking:
                self._looking = True
                loop.call_soon_threadsafe(self._look)

        sqs._act_receive_message = sqs._HANDLERS["ReceiveMessage"] = named  # noqa: SLF001
        sqs.esm_wake.set = written
        sqs.asyncio = SimpleNamespace(iscoroutine=asyncio.iscoroutine, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        """Until there may be a message: messages also become visible again, in time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = future.get_loop().call_later(seconds, _wake, future)
        self._waiting[future] = _QUEUE.get()
        try:
            await future
        finally:
            timer.cancel()
            del self._waiting[future]

    def _look(self) -> None:
        self._looking = False
        for future, queue in self._waiting.items():
            if queue["messages"]:
                _wake(future)


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def attended(app: App) -> App:
    """The application, but that a poll ends when its caller hangs up."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("type") == "http" and TARGET in scope["headers"]:
            await _Attended(app, receive).serve(scope, send)
        else:
            await app(scope, receive, send)

    return serve


class _Attended:
    def __init__(self, app: App, receive: Any) -> None:
        self._app = app
        self._receive = receive
        self._read = asyncio.Event()

    async def serve(self, scope: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:
            work = group.create_task(_waited_for(self._app(scope, self._received, send)))
            watch = group.create_task(self._until_gone(work))
            await asyncio.wait((work,))
            watch.cancel()

    async def _received(self) -> Any:
        message = await self._receive()
        if not message.get("more_body"):
            self._read.set()
        return message

    async def _until_gone(self, work: "asyncio.Task[None]") -> None:
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        work.cancel()


async def _waited_for(work: Awaitable[None]) -> None:
    await work
