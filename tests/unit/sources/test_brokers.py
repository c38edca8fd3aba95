"""Where brokers and clusters are, and STOMP's frames."""

import asyncio
from typing import Any

import pytest

from lampyr.aws.base import AwsError
from lampyr.sources.base import SourceError
from lampyr.sources.brokers import Broker, Brokers
from lampyr.sources.stomp import Frame, StompError, encode, read_frame
from lampyr.testing.aws import ScriptedAws

MQ = "arn:aws:mq:us-east-1:000000000000:broker:Our_Broker:b-1"
CLUSTER = "arn:aws:rds:us-east-1:000000000000:cluster:docs"


def described(engine: str, *urls: str) -> dict[str, Any]:
    return {"EngineType": engine, "BrokerInstances": [{"Endpoints": list(urls)}]}


@pytest.mark.parametrize(
    ("answer", "protocol", "port"),
    [
        (described("RABBITMQ", "amqps://b-1.mq.us-east-1.amazonaws.com:5671"), "amqp", 5671),
        (
            described(
                "ACTIVEMQ", "ssl://b-1:61617", "amqp+ssl://b-1:5671", "stomp+ssl://b-1:61614"
            ),
            "stomp",
            61614,
        ),
    ],
)
async def test_amazon_mq_is_asked_for_the_endpoint_that_is_spoken_here(
    answer: dict[str, Any], protocol: str, port: int
) -> None:
    aws = ScriptedAws({"DescribeBroker": answer})
    broker = await Brokers({}, aws).of_mq(MQ)
    assert (broker.protocol, broker.port, broker.tls) == (protocol, port, True)
    assert aws.calls[0].members == {"BrokerId": "b-1"}


async def test_documentdb_is_asked_for_its_cluster() -> None:
    clusters = {"DBClusters": [{"Endpoint": "docs.cluster.here", "Port": 27017}]}
    found = await Brokers({}, ScriptedAws({"DescribeDBClusters": clusters})).of_documentdb(CLUSTER)
    assert found == Broker(
        protocol="mongodb", host="docs.cluster.here", port=27017, tls=True, managed=True
    )


async def test_a_setting_goes_before_the_api_and_is_proposed_when_neither_knows() -> None:
    def refuse(_members: object) -> Any:
        raise AwsError("NotFoundException", "no", status=404, operation="DescribeBroker")

    aws = ScriptedAws({"DescribeBroker": refuse})
    named = Brokers({"our-broker": "amqp://h:1", "docs": "stomp://h:2"}, aws)
    assert str(await named.of_mq(MQ)) == "amqp://h:1"
    with pytest.raises(SourceError, match="which is no cluster"):
        await named.of_documentdb(CLUSTER)
    with pytest.raises(SourceError, match="--broker Our_Broker=amqp:"):
        await Brokers({}, aws).of_mq(MQ)


@pytest.mark.parametrize("body", [b"", b"text", b"long" * 100_000])
async def test_a_frame_is_read_as_it_was_written(body: bytes) -> None:
    sent = Frame(command="MESSAGE", headers={"a:b": "1\n2\\r:3", "c": ""}, body=body)
    length = {"content-length": str(len(body) + 1)}
    binary = Frame(command="MESSAGE", headers=length, body=body + b"\0")
    reader = asyncio.StreamReader()
    reader.feed_data(b"\n" + encode(sent) + encode(binary))
    reader.feed_eof()
    assert [await read_frame(reader) for _ in range(3)] == [None, sent, binary]
    with pytest.raises(ConnectionResetError):
        await read_frame(reader)


@pytest.mark.parametrize("length", ["-1", "x", "999999999999"])
async def test_a_frame_of_no_size_is_refused(length: str) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(f"MESSAGE\ncontent-length:{length}\n\n".encode())
    with pytest.raises(StompError):
        await read_frame(reader)
