"""Streams of each kind of source, and a mapping that reads one into a function of the test's."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import AsyncMongoClient

from lampyr.aws.base import Aws, Endpoint
from lampyr.aws.clients import AwsClients
from lampyr.clock import SystemClock
from lampyr.http_client import HttpClient
from lampyr.model.mapping import (
    DocumentDatabase,
    EventSource,
    EventSourceMapping,
    MappingSettings,
    MappingState,
    SourceAccess,
    SourceKind,
)
from lampyr.model.resource import ResourceKey
from lampyr.sources.bells import Bells
from lampyr.sources.brokers import Broker, Brokers, Credentials
from lampyr.sources.documentdb import DocumentDbStream
from lampyr.sources.dynamodb import DynamoDbStream
from lampyr.sources.kafka import KafkaStream
from lampyr.sources.kinesis import KinesisStream
from lampyr.sources.settings import stream_rules
from lampyr.sources.stream_base import Checkpoints, Stream
from lampyr.sources.stream_poller import StreamPoller
from lampyr.testing.aws import ScriptedAws
from lampyr.testing.builders import ACCOUNT, REGION, a_key
from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import unique_name
from tests.contract.documentdb import FakeCluster
from tests.unit.sources.fakes import FakeCheckpoints, FakeDiscards, FakeFunction

SECONDS: Final = 60
CLUSTER_ARN: Final = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:docs"
SECRET: Final = json.dumps({"username": "u", "password": "p"})


class Bed:
    """A new stream with one shard or partition, and what is known of it from outside."""

    kind: SourceKind
    member = ""
    """The path to a body in what filters see."""

    def __init__(self) -> None:
        self.name = unique_name("stream")
        self.arn: str | None = None
        self.endpoints: tuple[str, ...] = ()

    async def open(self, **security: Any) -> None:
        """Make the stream; `security` is what those who write are told, where anything is."""

    async def put(self, *bodies: str) -> None:
        raise NotImplementedError

    def stream(self, mapping: EventSourceMapping, kept: Checkpoints) -> Stream:
        raise NotImplementedError

    def bodies(self, event: Any) -> list[str]:
        raise NotImplementedError

    def pattern(self, wanted: str) -> str:
        *path, last = self.member.split(".")
        found: dict[str, Any] = {last: [wanted]}
        for name in reversed(path):
            found = {name: found}
        return json.dumps(found)

    async def close(self) -> None: ...


class NeighbourBed(Bed):
    def __init__(self, server: LampyrServer) -> None:
        super().__init__()
        self._http = HttpClient(SystemClock())
        self._url = server.endpoint_url
        self.aws = AwsClients(self, self._http, SystemClock())

    async def endpoint(self, service: str) -> Endpoint:
        return Endpoint(url=self._url)

    async def close(self) -> None:
        await self._http.close()

    async def call(self, service: str, operation: str, **members: Any) -> dict[str, Any]:
        return await self.aws.call(service, ACCOUNT, REGION, operation, **members)


class KinesisBed(NeighbourBed):
    kind = SourceKind.KINESIS
    member = "data.body"

    async def open(self, **security: Any) -> None:
        await self.call("kinesis", "CreateStream", StreamName=self.name, ShardCount=1)
        async with asyncio.timeout(SECONDS):
            while True:
                answer = await self.call("kinesis", "DescribeStream", StreamName=self.name)
                if answer["StreamDescription"]["StreamStatus"] == "ACTIVE":
                    break
                await asyncio.sleep(0.05)
        self.arn = answer["StreamDescription"]["StreamARN"]

    async def put(self, *bodies: str) -> None:
        for body in bodies:
            data = json.dumps({"body": body}).encode()
            await self.call(
                "kinesis", "PutRecord", StreamName=self.name, Data=data, PartitionKey="p"
            )

    def stream(self, mapping: EventSourceMapping, kept: Checkpoints) -> Stream:
        arn, clock = self.arn or "", SystemClock()
        return KinesisStream(arn, role="role", aws=self.aws, bells=Bells(), clock=clock)

    def bodies(self, event: Any) -> list[str]:
        found = [base64.b64decode(record["kinesis"]["data"]) for record in event["Records"]]
        return [json.loads(data)["body"] for data in found]


class DynamoDbBed(NeighbourBed):
    kind = SourceKind.DYNAMODB
    member = "dynamodb.NewImage.body.S"

    async def open(self, **security: Any) -> None:
        made = await self.call(
            "dynamodb",
            "CreateTable",
            TableName=self.name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.arn = made["TableDescription"]["LatestStreamArn"]

    async def put(self, *bodies: str) -> None:
        for body in bodies:
            item = {"id": {"S": body}, "body": {"S": body}}
            await self.call("dynamodb", "PutItem", TableName=self.name, Item=item)

    def stream(self, mapping: EventSourceMapping, kept: Checkpoints) -> Stream:
        return DynamoDbStream(self.arn or "", aws=self.aws, bells=Bells(), clock=SystemClock())

    def bodies(self, event: Any) -> list[str]:
        return [record["dynamodb"]["NewImage"]["body"]["S"] for record in event["Records"]]


class KafkaBed(Bed):
    kind = SourceKind.KAFKA
    member = "value.body"
    made_first = True
    """Topics do not come to be by being written to."""

    def __init__(self, brokers: tuple[str, ...]) -> None:
        super().__init__()
        self.endpoints = brokers
        self._producer: Any = None

    async def open(self, **security: Any) -> None:
        servers = list(self.endpoints)
        if self.made_first:
            admin = AIOKafkaAdminClient(bootstrap_servers=servers, **security)
            await admin.start()
            await admin.create_topics([NewTopic(self.name, 2, 1)])
            await admin.close()
        self._producer = AIOKafkaProducer(bootstrap_servers=servers, **security)
        await self._producer.start()

    async def put(self, *bodies: str) -> None:
        for body in bodies:
            value = json.dumps({"body": body}).encode()
            await self._producer.send_and_wait(self.name, value, partition=0)

    def stream(self, mapping: EventSourceMapping, kept: Checkpoints) -> Stream:
        return KafkaStream(mapping, aws=cast("Aws", None), clock=SystemClock(), kept=kept)

    def bodies(self, event: Any) -> list[str]:
        (records,) = event["records"].values()
        return [json.loads(base64.b64decode(record["value"]))["body"] for record in records]

    async def close(self) -> None:
        await self._producer.stop()


class MockKafkaBed(KafkaBed):
    """librdkafka's mock cluster: it makes topics when they are written to."""

    made_first = False


class MongoBed(Bed):
    """A change stream of a server that speaks MongoDB's protocol."""

    kind = SourceKind.DOCUMENTDB
    member = "event.fullDocument.body"

    def __init__(self, port: int) -> None:
        super().__init__()
        self.arn = CLUSTER_ARN
        self._url = f"mongodb://127.0.0.1:{port}"
        self._client: Any = None

    async def open(self, **security: Any) -> None:
        self._client = AsyncMongoClient(self._url, retryWrites=False)
        self.collection = self._client["shop"][self.name]

    async def put(self, *bodies: str) -> None:
        for body in bodies:
            await self.collection.insert_one({"body": body})

    def stream(self, mapping: EventSourceMapping, kept: Checkpoints) -> Stream:
        aws = ScriptedAws({"GetSecretValue": {"SecretString": SECRET}})
        brokers = Brokers({"docs": self._url}, aws)
        return DocumentDbStream(
            mapping, brokers=brokers, clock=SystemClock(), connect=_without_user
        )

    def bodies(self, event: Any) -> list[str]:
        return [change["event"]["fullDocument"]["body"] for change in event["events"]]

    async def close(self) -> None:
        await self._client.close()


def _without_user(broker: Broker, _: Credentials) -> Any:
    """The server has no users."""
    return AsyncMongoClient(broker.host, broker.port, retryWrites=False)


class DocumentDbBed(Bed):
    kind = SourceKind.DOCUMENTDB
    member = "event.fullDocument.body"

    def __init__(self) -> None:
        super().__init__()
        self.arn = CLUSTER_ARN
        self.cluster = FakeCluster(now=int(SystemClock().now()))

    async def put(self, *bodies: str) -> None:
        self.cluster.put(*bodies)

    def stream(self, mapping: EventSourceMapping, kept: Checkpoints) -> Stream:
        aws = ScriptedAws({"GetSecretValue": {"SecretString": SECRET}})
        return DocumentDbStream(
            mapping,
            brokers=Brokers({"docs": "mongodb://127.0.0.1:1"}, aws),
            clock=SystemClock(),
            connect=self.cluster.connect,
        )

    def bodies(self, event: Any) -> list[str]:
        return [change["event"]["fullDocument"]["body"] for change in event["events"]]


class Bench:
    """A mapping from the bed's stream to a function of the test's."""

    def __init__(self, bed: Bed, **settings: Any) -> None:
        self.bed = bed
        self.function = FakeFunction()
        self.checkpoints = FakeCheckpoints()
        self.discards = FakeDiscards()
        self.results: list[str] = []
        self.mapping = mapping_of(bed, **settings)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stream = self.bed.stream(self.mapping, self.checkpoints)
        keeps: Any = stream if isinstance(stream, KafkaStream) else self.checkpoints
        poller = StreamPoller(
            rules=stream_rules(self.mapping),
            stream=stream,
            caller=self.function,
            checkpoints=keeps,
            discards=self.discards,
            clock=SystemClock(),
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

    def changes(self) -> list[str]:
        """Of a change stream, the kinds of what the function got."""
        changes = [change for event in self.function.events for change in event["events"]]
        return [change["event"]["operationType"] for change in changes]

    async def until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not fact():
                await asyncio.sleep(0.01)

    async def heard(self, sent: list[str]) -> None:
        """Exactly these, and the function is done with them."""
        await self.until(lambda: len(self.bodies()) >= len(sent) and not self.function.running)
        assert self.bodies() == sent


def mapping_of(bed: Bed, **settings: Any) -> EventSourceMapping:
    documents = bed.kind is SourceKind.DOCUMENTDB
    given: dict[str, Any] = {"batch_size": 10, "batching_window_seconds": 0}
    if documents:
        collection = bed.name if isinstance(bed, MongoBed) else "orders"
        given["document_database"] = DocumentDatabase(database="shop", collection=collection)
        given["access"] = (SourceAccess(type="BASIC_AUTH", uri="arn:of:the:secret"),)
    return EventSourceMapping(
        key=ResourceKey(ACCOUNT, REGION, "the-mapping"),
        source=EventSource(
            kind=bed.kind,
            arn=bed.arn,
            endpoints=bed.endpoints,
            topic=bed.name if bed.kind is SourceKind.KAFKA else None,
            consumer_group=bed.name if bed.kind is SourceKind.KAFKA else None,
            starting_position="TRIM_HORIZON",
        ),
        function=a_key(),
        qualifier=None,
        settings=MappingSettings(**{**given, **settings}),
        state=MappingState.ENABLED,
        state_reason="",
        last_modified=0.0,
    )
