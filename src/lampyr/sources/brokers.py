"""Where a broker or a cluster answers: told by its operator, or by AWS's API.

A setting that names one goes first: `[brokers]`, by the name that stands in the ARN. Otherwise
Amazon MQ's or DocumentDB's API is asked, where `--endpoint mq=…` or `docdb=…` says.

https://docs.aws.amazon.com/amazon-mq/latest/api-reference/brokers-broker-id.html
"""

import json
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from lampyr.aws.base import Aws, AwsCallError
from lampyr.model.mapping import EventSourceMapping
from lampyr.sources.base import SourceError

RABBITMQ: Final = "amqp"
ACTIVEMQ: Final = "stomp"
DOCUMENTDB: Final = "mongodb"
_URL: Final = re.compile(r"(amqp|stomp|mongodb)(s|\+ssl)?://(\[[0-9A-Fa-f:.]+\]|[^/:]+):(\d+)/?")
_BASIC_AUTH: Final = "BASIC_AUTH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    protocol: str
    """`RABBITMQ`, `ACTIVEMQ` or `DOCUMENTDB`."""
    host: str
    port: int
    tls: bool
    managed: bool = False
    """AWS runs it."""

    def __str__(self) -> str:
        return f"{self.protocol}{'+ssl' if self.tls else ''}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    user: str
    password: str


class Brokers:
    """`named`: URLs by name, in small letters with `-` for `_`."""

    def __init__(self, named: Mapping[str, str], aws: Aws) -> None:
        self._named = named
        self._aws = aws

    async def of_mq(self, arn: str) -> Broker:
        """By the ARN of an Amazon MQ broker; raises `SourceError` when it is not known."""
        _, _, _, region, account_id, _, name, broker_id = arn.split(":", 7)
        if (named := self._by_name(name)) is not None:
            if named.protocol == DOCUMENTDB:
                raise SourceError(f"the broker '{name}' is set to {named}, which is no broker")
            return named
        try:
            found = await self._aws.call(
                "mq", account_id, region, "DescribeBroker", BrokerId=broker_id
            )
        except AwsCallError as error:
            _unknown(name, "amqp://127.0.0.1:5672", error)
        urls = [
            url
            for instance in found.get("BrokerInstances") or ()
            for url in instance.get("Endpoints") or ()
        ]
        broker = _first(urls, RABBITMQ if _is_rabbitmq(found) else ACTIVEMQ)
        if broker is None:
            raise SourceError(f"the broker '{name}' has no endpoint that Lampyr can read from")
        return broker

    async def of_documentdb(self, arn: str) -> Broker:
        """By the ARN of a DocumentDB cluster; raises `SourceError` when it is not known."""
        _, _, _, region, account_id, _, name = arn.split(":", 6)
        if (named := self._by_name(name)) is not None:
            if named.protocol != DOCUMENTDB:
                raise SourceError(f"the cluster '{name}' is set to {named}, which is no cluster")
            return named
        try:
            found = await self._aws.call(
                "docdb", account_id, region, "DescribeDBClusters", DBClusterIdentifier=name
            )
            (cluster,) = found["DBClusters"]
            host, port = str(cluster["Endpoint"]), int(cluster["Port"])
        except AwsCallError as error:
            _unknown(name, "mongodb://127.0.0.1:27017", error)
        except (KeyError, ValueError) as error:
            raise SourceError(f"the cluster '{name}' has no endpoint") from error
        return Broker(protocol=DOCUMENTDB, host=host, port=port, tls=True, managed=True)

    async def credentials(self, mapping: EventSourceMapping) -> Credentials:
        """User and password of a mapping's BASIC_AUTH, from Secrets Manager."""
        for access in mapping.settings.access or ():
            if access.type == _BASIC_AUTH:
                secret = await read_secret(mapping, access.uri or "", self._aws)
                try:
                    return Credentials(user=secret["username"], password=secret["password"])
                except KeyError as error:
                    raise SourceError(f"the secret {access.uri} has no {error}") from error
        raise SourceError(f"the mapping has no {_BASIC_AUTH} secret")

    def _by_name(self, name: str) -> Broker | None:
        url = self._named.get(name.lower().replace("_", "-"))
        return None if url is None else parsed(url)


def parsed(url: str, *, managed: bool = False) -> Broker | None:
    """None when it is no URL of a protocol that is spoken here."""
    match = _URL.fullmatch(url)
    if match is None:
        return None
    protocol, tls, host, port = match.groups()
    return Broker(
        protocol=protocol, host=host.strip("[]"), port=int(port), tls=bool(tls), managed=managed
    )


async def read_secret(mapping: EventSourceMapping, arn: str, aws: Aws) -> Mapping[str, str]:
    """A secret that is a JSON object."""
    account_id, region = mapping.key.account_id, mapping.key.region
    try:
        found = await aws.call("secretsmanager", account_id, region, "GetSecretValue", SecretId=arn)
        secret = json.loads(found["SecretString"])
    except (AwsCallError, KeyError, ValueError) as error:
        raise SourceError(f"the secret {arn} cannot be read: {error}") from error
    if not isinstance(secret, dict):
        raise SourceError(f"the secret {arn} is no JSON object")
    return secret


def tls_of(broker: Broker) -> ssl.SSLContext | None:
    """Trusts what the host trusts."""
    return ssl.create_default_context() if broker.tls else None


def _first(urls: Iterable[str], protocol: str) -> Broker | None:
    brokers = (parsed(url, managed=True) for url in urls)
    return next((found for found in brokers if found and found.protocol == protocol), None)


def _is_rabbitmq(described: Mapping[str, Any]) -> bool:
    return str(described.get("EngineType", "")).upper() == "RABBITMQ"


def _unknown(name: str, example: str, error: AwsCallError) -> NoReturn:
    raise SourceError(
        f"the address of '{name}' is not known: {error}; a setting can say it: "
        f"--broker {name}={example}"
    ) from error
