"""ActiveMQ queues as a source, over STOMP.

Lambda has up to five batches of a queue in the function at once, and its client's redelivery
policy is JMS's own: a message that failed is tried again after a second, six times; then the
broker is told, which moves it to its dead-letter queue. Until it is done a message is not
acknowledged, so that the broker gives it to others when Lampyr ends, however it does.

https://docs.aws.amazon.com/lambda/latest/dg/services-mq-errors.html
https://activemq.apache.org/components/classic/documentation/redelivery-policy
"""

import asyncio
import heapq
import json
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.sources.base import Message, SourceError
from lampyr.sources.brokers import tls_of
from lampyr.sources.decoding import decoded_bytes
from lampyr.sources.mq_shapes import MqPlace, expired, fits, jms_message
from lampyr.sources.stomp import Frame, StompConnection, StompError, reason
from lampyr.sources.waiting import first

log = logging.getLogger(__name__)

LANES_MAX: Final = 5
PREFETCH_MAX: Final = 32_000
"""ActiveMQ counts with 15 bits."""
CONNECT_SECONDS: Final = 20.0
CLOSE_SECONDS: Final = 5.0
HOLD_SECONDS: Final = 3_600.0
"""A message is ours while the connection lasts; so long Lambda may refuse to run its batch."""
REDELIVERY_SECONDS: Final = 1.0
REDELIVERIES_MAX: Final = 6
_SUBSCRIPTION: Final = "lampyr"
_RECEIPT: Final = "subscribed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """How the broker knows a message, and what is known of it here."""

    round: object
    frame: Frame
    failed: int = 0


class ActiveQueue:
    """A `Queue`. `batch`: of how many messages a batch is made."""

    def __init__(self, place: MqPlace, batch: int, clock: Clock) -> None:
        self.lanes_max: int | None = LANES_MAX
        self._place = place
        self._ahead = min(batch * LANES_MAX, PREFETCH_MAX)
        self._clock = clock
        self._connection: StompConnection | None = None
        self._round = object()
        """Another for each connection: what came by an earlier one is no longer ours."""
        self._buffer: deque[Message] = deque()
        self._held: list[tuple[float, int, Message]] = []
        """Those that failed, a heap by when they are due."""
        self._count = 0
        self._arrived = asyncio.Event()
        self._lost: str | None = None
        self._connecting = asyncio.Lock()
        self._subscribed = asyncio.Event()

    async def open(self) -> None:
        async with self._connecting:
            if self._connection is not None:
                return
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._connect()
            except (OSError, EOFError, StompError, TimeoutError) as error:
                text = str(error) or "no answer"
                raise await self._failed(text) from error
            except asyncio.CancelledError:  # Nobody else knows of it: its caller has no queue yet.
                await self.close()
                raise

    async def receive(self, most: int, wait_seconds: float) -> Sequence[Message]:
        await self.open()
        self._bring_back()
        if not self._buffer and self._lost is None:
            self._arrived.clear()
            await first(self._arrived, self._clock, min(wait_seconds, self._until_due()))
            self._bring_back()
        if self._lost is not None:
            raise await self._failed(self._lost)
        return [self._buffer.popleft() for _ in range(min(most, len(self._buffer)))]

    async def remove(self, messages: Sequence[Message]) -> None:
        await self._answer("ACK", messages)

    async def give_back(self, messages: Sequence[Message], failures: int) -> None:
        now, more = self._clock.now(), 1 if failures else 0
        hopeless: list[Message] = []
        for message in messages:
            taken: _Taken = message.receipt
            if taken.round != self._round:
                continue
            again = replace(taken, failed=taken.failed + more)
            if again.failed > REDELIVERIES_MAX or expired(taken.frame.headers, now):
                hopeless.append(message)
            else:
                self._hold(self._message(again))
        if hopeless:
            try:
                await self._answer("NACK", hopeless)
            except SourceError as error:
                log.info("messages went back with their connection: %s", error)

    async def let_go(self, messages: Sequence[Message]) -> None:
        ours = [message for message in messages if message.receipt.round == self._round]
        self._buffer.extendleft(reversed(ours))

    def event(self, messages: Sequence[Message]) -> bytes:
        head = {"eventSource": "aws:mq", "eventSourceArn": self._place.arn}
        texts = ",".join(message.text for message in messages)
        return f'{json.dumps(head)[:-1]}, "messages": [{texts}]}}'.encode()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        self._round = object()
        self._lost = None
        self._buffer.clear()
        self._held.clear()
        if connection is not None:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()
            except TimeoutError:
                log.info("connection not closed in order")

    async def _connect(self) -> None:
        place, broker = self._place, self._place.broker
        connection = StompConnection(self._clock, self._on_frame, self._lose)
        self._connection = connection
        self._subscribed.clear()
        user, password = place.credentials.user, place.credentials.password
        await connection.connect(broker.host, broker.port, tls_of(broker), user, password)
        headers = {
            "id": _SUBSCRIPTION,
            "destination": f"/queue/{place.queue}",
            "ack": "client-individual",
            "activemq.prefetchSize": str(self._ahead),
            "receipt": _RECEIPT,
        }
        await connection.send(Frame(command="SUBSCRIBE", headers=headers))
        await self._subscribed.wait()
        if self._lost is not None:
            raise StompError(self._lost)

    # What comes -------------------------------------------------------------------------

    def _on_frame(self, frame: Frame) -> None:
        if frame.command == "MESSAGE":
            message = self._message(_Taken(round=self._round, frame=frame))
            if fits(message.text):
                self._buffer.append(message)
                self._arrived.set()
            else:
                self._refuse(message)
        elif frame.command == "RECEIPT":
            self._subscribed.set()
        elif frame.command == "ERROR":
            self._lose(reason(frame))

    def _refuse(self, message: Message) -> None:
        log.warning("a message is too large for an event", extra={"queue": self._place.queue})
        if self._connection is not None:
            self._connection.post(_answer("NACK", message))

    def _lose(self, text: str) -> None:
        self._lost = text
        self._subscribed.set()
        self._arrived.set()

    async def _failed(self, text: str) -> SourceError:
        """Connect anew at the next call."""
        await self.close()
        return SourceError(f"ActiveMQ at {self._place.broker}: {text}")

    # What failed ------------------------------------------------------------------------

    def _hold(self, message: Message) -> None:
        self._count += 1
        due = self._clock.monotonic() + REDELIVERY_SECONDS
        heapq.heappush(self._held, (due, self._count, message))
        self._arrived.set()  # Whoever waits has to wait less long.

    def _bring_back(self) -> None:
        now = self._clock.monotonic()
        due: list[Message] = []
        while self._held and self._held[0][0] <= now:
            due.append(heapq.heappop(self._held)[2])
        self._buffer.extendleft(reversed(due))

    def _until_due(self) -> float:
        if not self._held:
            return float("inf")
        return max(0.0, self._held[0][0] - self._clock.monotonic())

    async def _answer(self, command: str, messages: Iterable[Message]) -> None:
        frames = []
        for message in messages:
            if message.receipt.round != self._round:
                raise SourceError(f"the connection to {self._place.broker} was lost meanwhile")
            frames.append(_answer(command, message))
        if self._connection is None:
            raise SourceError(f"there is no connection to {self._place.broker}")
        try:
            await self._connection.send(*frames)
        except OSError as error:
            raise SourceError(f"ActiveMQ at {self._place.broker}: {error}") from error

    def _message(self, taken: _Taken) -> Message:
        frame, again = taken.frame, taken.failed > 0
        text = jms_message(
            frame.headers, frame.body, self._place.queue, self._clock.now(), redelivered=again
        )
        record: dict[str, Any] = {"data": decoded_bytes(frame.body)}
        return Message(
            id=frame.headers.get("message-id", ""),
            record=record,
            text=text,
            receipt=taken,
            until=self._clock.monotonic() + HOLD_SECONDS,
        )


def _answer(command: str, message: Message) -> Frame:
    return Frame(command=command, headers={"id": message.receipt.frame.headers.get("ack", "")})
