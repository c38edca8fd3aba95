"""Amazon MQ as a source: a RabbitMQ or an ActiveMQ broker, whichever the mapping's ARN means.

https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html
"""

from collections.abc import Sequence
from typing import Final

from lampyr.clock import Clock
from lampyr.model.mapping import EventSourceMapping
from lampyr.sources.activemq import ActiveQueue
from lampyr.sources.base import Message, Queue, SourceError
from lampyr.sources.brokers import RABBITMQ, Brokers
from lampyr.sources.mq_shapes import MqPlace
from lampyr.sources.rabbitmq import RabbitQueue

_VIRTUAL_HOST: Final = "VIRTUAL_HOST"
_AT_FIRST: Final = 1


class MqQueue:
    """A `Queue` that finds out at `open` what it is."""

    def __init__(self, mapping: EventSourceMapping, brokers: Brokers, clock: Clock) -> None:
        self.lanes_max: int | None = _AT_FIRST
        self._mapping = mapping
        self._brokers = brokers
        self._clock = clock
        self._queue: Queue | None = None
        self._lost = False

    async def open(self) -> None:
        """Addresses and secrets may have changed since they were last of use."""
        found = await self._find()
        await found.open()
        old, self._queue = self._queue, found
        self.lanes_max, self._lost = found.lanes_max, False
        if old is not None:
            await old.close()

    async def receive(self, most: int, wait_seconds: float) -> Sequence[Message]:
        if self._lost:
            await self.open()
        try:
            return await self._found.receive(most, wait_seconds)
        except SourceError:
            self._lost = True
            raise

    async def remove(self, messages: Sequence[Message]) -> None:
        await self._found.remove(messages)

    async def give_back(self, messages: Sequence[Message], failures: int) -> None:
        await self._found.give_back(messages, failures)

    async def let_go(self, messages: Sequence[Message]) -> None:
        await self._found.let_go(messages)

    def event(self, messages: Sequence[Message]) -> bytes:
        return self._found.event(messages)

    async def close(self) -> None:
        if self._queue is not None:
            await self._queue.close()

    @property
    def _found(self) -> Queue:
        if self._queue is None:
            raise SourceError("the broker is not known yet")
        return self._queue

    async def _find(self) -> Queue:
        mapping, source = self._mapping, self._mapping.source
        hosts = [a.uri for a in mapping.settings.access or () if a.type == _VIRTUAL_HOST]
        place = MqPlace(
            arn=source.arn or "",
            queue=source.queue or "",
            broker=await self._brokers.of_mq(source.arn or ""),
            credentials=await self._brokers.credentials(mapping),
            virtual_host=(hosts[0] if hosts else None) or "/",
        )
        batch = mapping.settings.batch_size or 1
        if place.broker.protocol == RABBITMQ:
            return RabbitQueue(place, batch, self._clock)
        return ActiveQueue(place, batch, self._clock)
