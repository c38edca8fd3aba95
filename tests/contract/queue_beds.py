"""Queues of each kind of source, and a mapping that reads one into a function of the test's."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiormq
import pytest
from yarl import URL

from lampyr.aws.base import Endpoint
from lampyr.aws.clients import AwsClients
from lampyr.clock import SystemClock
from lampyr.http_client import HttpClient
from lampyr.model.mapping import (
    EventSource,
    EventSourceMapping,
    MappingSettings,
    MappingState,
    SourceAccess,
    SourceKind,
)
from lampyr.model.resource import ResourceKey
from lampyr.sources.base import Queue
from lampyr.sources.brokers import Brokers
from lampyr.sources.mq import MqQueue
from lampyr.sources.queue_poller import QueuePoller
from lampyr.sources.settings import subscription
from lampyr.sources.sqs import SqsQueue
from lampyr.sources.stomp import Frame, StompConnection
from lampyr.testing.aws import ScriptedAws
from lampyr.testing.builders import ACCOUNT, REGION, a_key
from lampyr.testing.server import LampyrServer
from tests.brokers import PASSWORD, USER, VIRTUAL_HOST, ActiveMq, RabbitMq, missing
from tests.conformance.deployed import unique_name
from tests.unit.sources.fakes import FakeFunction

SECONDS: Final = 60
SECRET: Final = json.dumps({"username": USER, "password": PASSWORD})
BROKER_ARN: Final = f"arn:aws:mq:{REGION}:{ACCOUNT}:broker:Our_Broker:b-1234"
VISIBILITY: Final = 2


class Bed:
    """A new queue of one kind of source, and what is known of it from outside."""

    kind = SourceKind.MQ
    ordered = True

    def __init__(self) -> None:
        self.name = unique_name("queue")
        self.arn = BROKER_ARN

    async def open(self) -> None:
        """Make the queue."""

    async def put(self, *bodies: str, **properties: Any) -> None:
        raise NotImplementedError

    def queue(self, mapping: EventSourceMapping) -> Queue:
        return MqQueue(mapping, self.brokers(), SystemClock())

    def brokers(self) -> Brokers:
        aws = ScriptedAws({"GetSecretValue": {"SecretString": SECRET}})
        return Brokers({"our-broker": self.url()}, aws)

    def url(self) -> str:
        raise NotImplementedError

    def bodies(self, event: Any) -> list[str]:
        raise NotImplementedError

    async def left(self) -> int:
        """How many messages the queue has that are not done."""
        raise NotImplementedError

    async def close(self) -> None: ...


class SqsBed(Bed):
    kind = SourceKind.SQS
    ordered = False
    suffix = ""

    def __init__(self, server: LampyrServer) -> None:
        super().__init__()
        self.name += self.suffix
        self._http = HttpClient(SystemClock())
        self._url = server.endpoint_url
        self.aws = AwsClients(self, self._http, SystemClock())
        self._queue_url = ""

    async def endpoint(self, service: str) -> Endpoint:
        return Endpoint(url=self._url)

    async def open(self) -> None:
        attributes = {"VisibilityTimeout": str(VISIBILITY)}
        if self.suffix:
            attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        made = await self._call("CreateQueue", QueueName=self.name, Attributes=attributes)
        self._queue_url = made["QueueUrl"]
        self.arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.name}"

    async def put(self, *bodies: str, **properties: Any) -> None:
        for body in bodies:
            more = {**properties, **({"MessageGroupId": "group"} if self.suffix else {})}
            await self._call("SendMessage", QueueUrl=self._queue_url, MessageBody=body, **more)

    def queue(self, mapping: EventSourceMapping) -> Queue:
        return SqsQueue(self.arn, self.aws, SystemClock())

    def bodies(self, event: Any) -> list[str]:
        return [record["body"] for record in event["Records"]]

    async def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = await self._call(
            "GetQueueAttributes", QueueUrl=self._queue_url, AttributeNames=names
        )
        return sum(int(found["Attributes"][name]) for name in names)

    async def _call(self, operation: str, **members: Any) -> dict[str, Any]:
        return await self.aws.call("sqs", ACCOUNT, REGION, operation, **members)

    async def close(self) -> None:
        await self._http.close()


class FifoBed(SqsBed):
    suffix = ".fifo"
    ordered = True


class RabbitBed(Bed):
    def __init__(self, broker: RabbitMq) -> None:
        super().__init__()
        self._broker = broker
        self._connection: Any = None
        self._channel: Any = None

    def url(self) -> str:
        return f"amqp://127.0.0.1:{self._broker.port}"

    async def open(self) -> None:
        where = {"host": "127.0.0.1", "port": self._broker.port, "path": f"/{VIRTUAL_HOST}"}
        url = URL.build(scheme="amqp", user=USER, password=PASSWORD, **where)  # type: ignore[arg-type]
        self._connection = await aiormq.connect(url)
        self._channel = await self._connection.channel()
        await self._channel.queue_declare(self.name, durable=True)

    async def put(self, *bodies: str, **properties: Any) -> None:
        given = aiormq.spec.Basic.Properties(**properties)
        for body in bodies:
            await self._channel.basic_publish(
                body.encode(), routing_key=self.name, properties=given
            )

    def bodies(self, event: Any) -> list[str]:
        (messages,) = event["rmqMessagesByQueue"].values()
        return [base64.b64decode(message["data"]).decode() for message in messages]

    async def left(self) -> int:
        """Those that are with a reader are not counted by the broker: it has to be gone."""
        found = await self._channel.queue_declare(self.name, passive=True)
        return int(found.message_count)

    async def close(self) -> None:
        await self._connection.close()


class ActiveBed(Bed):
    ordered = False

    def __init__(self, broker: ActiveMq) -> None:
        super().__init__()
        self._broker = broker
        self._connection: Any = None
        self._sent = 0
        self._receipts: list[str] = []
        self.came: list[Frame] = []

    def url(self) -> str:
        return f"stomp://127.0.0.1:{self._broker.port}"

    async def open(self) -> None:
        self._connection = StompConnection(SystemClock(), self._on_frame, lambda _text: None)
        await self._connection.connect("127.0.0.1", self._broker.port, None, USER, PASSWORD)

    def _on_frame(self, frame: Frame) -> None:
        if frame.command == "RECEIPT":
            self._receipts.append(frame.headers["receipt-id"])
        else:
            self.came.append(frame)

    async def put(self, *bodies: str, **properties: Any) -> None:
        for body in bodies:
            self._sent += 1
            headers = {"destination": f"/queue/{self.name}", "receipt": str(self._sent)}
            headers |= properties
            await self._connection.send(Frame(command="SEND", headers=headers, body=body.encode()))
        await until(lambda: str(self._sent) in self._receipts)

    def bodies(self, event: Any) -> list[str]:
        return [base64.b64decode(message["data"]).decode() for message in event["messages"]]

    async def left(self) -> int:
        return len(await self.looked())

    async def looked(self) -> list[Frame]:
        """What a look through it shows, which takes nothing."""
        self._sent += 1
        before = len(self.came)
        end = f"browse-{self._sent}"
        headers = {"id": end, "destination": f"/queue/{self.name}", "browser": "true"}
        await self._connection.send(Frame(command="SUBSCRIBE", headers=headers))
        await until(lambda: any(f.headers.get("browser") == "end" for f in self.came[before:]))
        found = self.came[before:-1]
        await self._connection.send(Frame(command="UNSUBSCRIBE", headers={"id": end}))
        return found

    async def close(self) -> None:
        await self._connection.close()


class Bench:
    """A mapping from the bed's queue to a function of the test's."""

    def __init__(self, bed: Bed, **settings: Any) -> None:
        self.bed = bed
        self.function = FakeFunction()
        self.results: list[str] = []
        given = {"batch_size": 5, "batching_window_seconds": 0, **settings}
        self.mapping = mapping_of(bed, **given)
        self.queue: Queue | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.queue = self.bed.queue(self.mapping)
        poller = QueuePoller(
            subscription(self.mapping),
            self.queue,
            self.function,
            SystemClock(),
            result=self.results.append,
        )
        task = asyncio.create_task(poller.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def bodies(self) -> list[str]:
        return [body for event in self.function.events for body in self.bed.bodies(event)]

    async def drained(self) -> None:
        """Nothing is left in the queue once nobody reads it."""
        async with asyncio.timeout(SECONDS):
            while await self.bed.left():
                await asyncio.sleep(0.05)

    async def emptied(self) -> None:
        """Read until nothing comes back, also of what was not acknowledged."""
        async with asyncio.timeout(SECONDS):
            while await self.bed.left():
                async with self.running():
                    while await self.bed.left() or self.function.running:
                        await asyncio.sleep(0.05)


def mapping_of(bed: Bed, **settings: Any) -> EventSourceMapping:
    access = [SourceAccess(type="BASIC_AUTH", uri="arn:of:the:secret")]
    if isinstance(bed, RabbitBed):
        access.append(SourceAccess(type="VIRTUAL_HOST", uri=VIRTUAL_HOST))
    return EventSourceMapping(
        key=ResourceKey(ACCOUNT, REGION, "the-mapping"),
        source=EventSource(kind=bed.kind, arn=bed.arn, queue=bed.name),
        function=a_key(),
        qualifier=None,
        settings=MappingSettings(access=tuple(access), **settings),
        state=MappingState.ENABLED,
        state_reason="",
        last_modified=0.0,
    )


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not fact():
            await asyncio.sleep(0.01)


KINDS: Final = ("sqs", "fifo", "rabbitmq", "activemq")


@pytest.fixture(scope="module")
def brokers() -> Iterator[tuple[RabbitMq, ActiveMq]]:
    if reason := missing():
        pytest.skip(reason)
    both = (RabbitMq(), ActiveMq())
    try:
        for broker in both:
            broker.wait()
        yield both
    finally:
        for broker in both:
            broker.stop()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    server = LampyrServer(tmp_path_factory.mktemp("sqs"), arguments=("--neighbours", "on"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=KINDS)
async def bed(request: pytest.FixtureRequest) -> AsyncIterator[Bed]:
    bed: Bed
    if request.param in ("sqs", "fifo"):
        server = request.getfixturevalue("here")
        bed = SqsBed(server) if request.param == "sqs" else FifoBed(server)
    else:
        rabbit, active = request.getfixturevalue("brokers")
        bed = RabbitBed(rabbit) if request.param == "rabbitmq" else ActiveBed(active)
    await bed.open()
    yield bed
    await bed.close()


def only(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bed", kinds, indirect=True)
