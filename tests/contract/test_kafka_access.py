"""How a mapping proves to a Kafka cluster who it is, over TLS, before a broker that is not ours."""

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import trustme

from lampyr.clock import SystemClock
from lampyr.model.mapping import EventSourceMapping, SourceAccess
from lampyr.sources.kafka import KafkaStream
from lampyr.sources.kafka_access import _load_client
from lampyr.sources.stream_base import Checkpoints, Stream
from lampyr.testing.aws import ScriptedAws
from tests import servers
from tests.contract.kafka_gate import Gate
from tests.contract.stream_beds import Bench, KafkaBed

pytestmark = [
    pytest.mark.skipif(servers.missing() is not None, reason=str(servers.missing())),
    pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html"),
]
USER: Final = {"username": "reader", "password": "a secret"}


ACCESS: Final = {
    "PLAIN": "BASIC_AUTH",
    "SCRAM-SHA-256": "SASL_SCRAM_256_AUTH",
    "SCRAM-SHA-512": "SASL_SCRAM_512_AUTH",
}
ROOT: Final = "SERVER_ROOT_CA_CERTIFICATE"
CLIENT: Final = "CLIENT_CERTIFICATE_TLS_AUTH"


class Place:
    """A gate before a broker, and what opens it."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.port = servers.free_port()
        self.broker = servers.kafka(advertised=self.port)
        self.root = self.authority.cert_pem.bytes().decode()

    @asynccontextmanager
    async def gate(self, mechanism: str | None = None) -> AsyncIterator[Gate]:
        """`mechanism` None: it asks for a certificate."""
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1").configure_cert(tls)
        if mechanism is None:
            self.authority.configure_trust(tls)
            tls.verify_mode = ssl.CERT_REQUIRED
        gate = Gate(port=self.port, broker=self.broker.port, tls=tls, mechanism=mechanism)
        server = await gate.open()
        yield gate
        server.close()

    def certificate(self) -> dict[str, str]:
        made = self.authority.issue_cert("reader@here")
        chain = "".join(blob.bytes().decode() for blob in made.cert_chain_pems)
        return {"certificate": chain, "privateKey": made.private_key_pem.bytes().decode()}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.broker.stop()


class SecureBed(KafkaBed):
    """A topic behind the gate; `secrets` are those of the mapping, by the type of access."""

    def __init__(self, place: Place, secrets: dict[str, dict[str, str]]) -> None:
        super().__init__((f"127.0.0.1:{place.port}",))
        self._secrets = secrets

    @property
    def access(self) -> tuple[SourceAccess, ...]:
        return tuple(SourceAccess(type=name, uri=name) for name in self._secrets)

    def stream(self, mapping: EventSourceMapping, kept: Checkpoints) -> Stream:
        def secret(members: dict[str, Any]) -> dict[str, str]:
            return {"SecretString": json.dumps(self._secrets[members["SecretId"]])}

        aws = ScriptedAws({"GetSecretValue": secret})
        return KafkaStream(mapping, aws=aws, clock=SystemClock(), kept=kept)


def trusting(place: Place, certificate: dict[str, str] | None = None) -> dict[str, Any]:
    """What the test's own producer is told."""
    context = ssl.create_default_context(cadata=place.root)
    if certificate is not None:
        _load_client(context, certificate)
    return {"security_protocol": "SSL", "ssl_context": context}


@pytest.mark.parametrize("mechanism", ACCESS)
async def test_a_user_and_a_password_open_a_cluster_that_asks_for_them(
    place: Place, mechanism: str
) -> None:
    secrets = {ACCESS[mechanism]: USER, ROOT: {"certificate": place.root}}
    bed = SecureBed(place, secrets)
    async with place.gate(mechanism) as gate:
        await bed.open(
            **trusting(place)
            | {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": mechanism,
                "sasl_plain_username": gate.user,
                "sasl_plain_password": gate.password,
            }
        )
        before = gate.let_in
        await bed.put("a", "b")
        bench = Bench(bed, access=bed.access)
        async with bench.running():
            await bench.heard(["a", "b"])
        assert gate.let_in > before
        await bed.close()


async def test_a_client_certificate_opens_a_cluster_that_asks_for_one(place: Place) -> None:
    mine = place.certificate()
    bed = SecureBed(place, {CLIENT: mine, ROOT: {"certificate": place.root}})
    async with place.gate() as gate:
        await bed.open(**trusting(place, place.certificate()))
        await bed.put("a")
        bench = Bench(bed, access=bed.access)
        async with bench.running():
            await bench.heard(["a"])
        assert (("email", "reader@here"),) in gate.peers
        await bed.close()


@pytest.mark.parametrize("mechanism", ACCESS)
async def test_a_wrong_password_is_said_and_tried_again(place: Place, mechanism: str) -> None:
    wrong = {**USER, "password": "another"}
    secrets = {ACCESS[mechanism]: wrong, ROOT: {"certificate": place.root}}
    await _refused(place, mechanism, secrets)


async def test_a_cluster_that_another_authority_vouches_for_is_not_trusted(place: Place) -> None:
    other = trustme.CA().cert_pem.bytes().decode()
    await _refused(place, "PLAIN", {"BASIC_AUTH": USER, ROOT: {"certificate": other}})


async def _refused(place: Place, mechanism: str, secrets: dict[str, dict[str, str]]) -> None:
    bed = SecureBed(place, secrets)
    async with place.gate(mechanism) as gate:
        bench = Bench(bed, access=bed.access)
        async with bench.running():
            await bench.until(lambda: len(bench.results) > 1)
        assert gate.let_in == 0
    assert bench.results[0].startswith(f"PROBLEM: Kafka at 127.0.0.1:{place.port}: ")
    assert "another" not in bench.results[0]
