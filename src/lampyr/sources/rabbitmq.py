"""RabbitMQ queues as a source, over AMQP 0-9-1.

Lambda reads a queue with one batch in the function at a time, in order, and a batch that failed
is read again until it succeeds or its messages expire. So at most one batch is taken ahead of
acknowledgement; when it fails, all that was taken goes back to the queue, which puts it where it
was, and is taken anew after a while. Between, it counts as any waiting message: it may expire,
and a queue's delivery limit or dead letters do what they do.

https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html
"""

import asyncio
import base64
import json
import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from lampyr.clock import Clock
from lampyr.sources.base import Message, SourceError
from lampyr.sources.brokers import tls_of
from lampyr.sources.decoding import decoded_bytes
from lampyr.sources.mq_shapes import MqPlace, amqp_properties, fits
from lampyr.sources.rules import backoff_seconds
from lampyr.sources.waiting import first

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 20.0
ANSWER_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 5.0
PREFETCH_MAX: Final = 65_535
"""AMQP counts with 16 bits."""
HOLD_SECONDS: Final = 1_500.0
"""Less than the half hour after which RabbitMQ takes a message back that is not acknowledged."""

_Receipt = tuple[object, int]
"""Which consumer took it, and its delivery tag."""


class RabbitQueue:
    """A `Queue` of one virtual host. `ahead`: how many messages are taken before one is done."""

    def __init__(self, place: MqPlace, ahead: int, clock: Clock) -> None:
        self.lanes_max: int | None = 1
        self._place = place
        self._ahead = min(ahead, PREFETCH_MAX)
        self._clock = clock
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._consumer: str | None = None
        self._round = object()
        """Another whenever what was taken is no longer ours."""
        self._buffer: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._lost: str | None = None
        self._not_before = 0.0
        self._connecting = asyncio.Lock()

    async def open(self) -> None:
        async with self._connecting:
            if self._channel is None:
                await self._guarded(self._connect(), CONNECT_SECONDS)

    async def receive(self, most: int, wait_seconds: float) -> Sequence[Message]:
        await self.open()
        if self._consumer is None:
            await self._clock.sleep(max(0.0, self._not_before - self._clock.monotonic()))
            await self._guarded(self._consume(), ANSWER_SECONDS)
        if not self._buffer and self._lost is None:
            self._arrived.clear()
            await first(self._arrived, self._clock, wait_seconds)
        if self._lost is not None:
            raise await self._failed(self._lost)
        return [self._buffer.popleft() for _ in range(min(most, len(self._buffer)))]

    async def remove(self, messages: Sequence[Message]) -> None:
        for message in messages:
            taken, tag = message.receipt
            if taken is not self._round or self._channel is None:
                raise SourceError(f"the connection to {self._place.broker} was lost meanwhile")
            await self._guarded(self._channel.basic_ack(tag), ANSWER_SECONDS)

    async def give_back(self, messages: Sequence[Message], failures: int) -> None:
        if any(self._is_ours(message.receipt) for message in messages):
            self._not_before = self._clock.monotonic() + backoff_seconds(failures)
            await self._return_all()

    async def let_go(self, messages: Sequence[Message]) -> None:
        if any(self._is_ours(message.receipt) for message in messages):
            await self._return_all()

    def event(self, messages: Sequence[Message]) -> bytes:
        head = {"eventSource": "aws:rmq", "eventSourceArn": self._place.arn}
        name = json.dumps(f"{self._place.queue}::{self._place.virtual_host}")
        texts = ",".join(message.text for message in messages)
        return f'{json.dumps(head)[:-1]}, "rmqMessagesByQueue": {{{name}: [{texts}]}}}}'.encode()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        self._forget()
        if connection is not None:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()
            except _errors() as error:
                log.info("connection not closed in order: %s", error)

    # Taking -----------------------------------------------------------------------------

    async def _connect(self) -> None:
        import aiormq  # noqa: PLC0415 - slow to import, rarely needed
        from yarl import URL  # noqa: PLC0415

        place, broker = self._place, self._place.broker
        url = URL.build(
            scheme="amqps" if broker.tls else "amqp",
            host=broker.host,
            port=broker.port,
            user=place.credentials.user,
            password=place.credentials.password,
            path=f"/{place.virtual_host}",
        )
        connection = aiormq.Connection(url, context=tls_of(broker))
        try:
            await connection.connect()
            channel = await connection.channel(publisher_confirms=False)
            await channel.queue_declare(place.queue, passive=True)
            await channel.basic_qos(prefetch_count=self._ahead)
        except BaseException:
            await connection.close()
            raise
        self._connection, self._channel, self._lost = connection, channel, None
        channel.closing.add_done_callback(lambda done: self._on_closed(channel, done))
        channel.on_consumer_cancel_callbacks.add(lambda _frame: self._lose("the queue is gone"))

    async def _consume(self) -> None:
        assert self._channel is not None  # noqa: S101 - `open` made it
        taking = self._round

        async def take(delivered: "DeliveredMessage") -> None:
            await self._take(delivered, taking)

        answer = await self._channel.basic_consume(self._place.queue, take)
        self._consumer = answer.consumer_tag

    async def _take(self, delivered: "DeliveredMessage", taking: object) -> None:
        if taking is not self._round:
            return  # It came late, and was given back with the others.
        message = self._message(delivered)
        if not fits(message.text):
            log.warning("a message is too large for an event", extra={"queue": self._place.queue})
            await delivered.channel.basic_reject(delivered.delivery_tag or 0, requeue=False)
            return
        self._buffer.append(message)
        self._arrived.set()

    async def _return_all(self) -> None:
        """All that was taken, in its place in the queue; nothing comes until the next receive."""
        channel, consumer = self._channel, self._consumer
        self._forget_taken()
        if channel is None or consumer is None:
            return
        try:
            await self._guarded(channel.basic_cancel(consumer), ANSWER_SECONDS)
            # Tag 0 is all that this channel has: also what was under way until now.
            await self._guarded(channel.basic_nack(0, multiple=True, requeue=True), ANSWER_SECONDS)
        except SourceError as error:
            # The broker takes back what a closed connection had.
            log.info("messages went back with their connection: %s", error)

    # Losing -----------------------------------------------------------------------------

    def _is_ours(self, receipt: _Receipt) -> bool:
        return receipt[0] is self._round

    def _on_closed(self, channel: "AbstractChannel", done: "asyncio.Future[Any]") -> None:
        if channel is self._channel:
            error = None if done.cancelled() else done.exception()
            self._lose(str(error or "closed"))

    def _lose(self, reason: str) -> None:
        self._lost = reason
        self._arrived.set()

    def _forget_taken(self) -> None:
        self._round = object()
        self._consumer = None
        self._buffer.clear()

    def _forget(self) -> None:
        self._channel = None
        self._lost = None
        self._forget_taken()

    async def _failed(self, reason: object) -> SourceError:
        """Connect anew at the next call."""
        await self.close()
        return SourceError(f"RabbitMQ at {self._place.broker}: {reason}")

    async def _guarded(self, doing: Any, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await doing
        except TimeoutError as error:
            raise await self._failed("no answer") from error
        except _errors() as error:
            raise await self._failed(error) from error

    # Shape ------------------------------------------------------------------------------

    def _message(self, delivered: "DeliveredMessage") -> Message:
        shown = {
            "basicProperties": amqp_properties(delivered.header.properties, len(delivered.body)),
            "redelivered": bool(delivered.redelivered),
            "data": base64.b64encode(delivered.body).decode(),
        }
        tag = delivered.delivery_tag or 0
        return Message(
            id=str(tag),
            # https://docs.aws.amazon.com/lambda/latest/dg/with-mq-filtering.html
            record={"data": decoded_bytes(delivered.body)},
            text=json.dumps(shown, separators=(",", ":")),
            receipt=(self._round, tag),
            until=self._clock.monotonic() + HOLD_SECONDS,
        )


def _errors() -> tuple[type[Exception], ...]:
    """What the library raises for a network and for what a broker says; it is loaded by then."""
    from aiormq.exceptions import AMQPError  # noqa: PLC0415

    return (OSError, AMQPError)
