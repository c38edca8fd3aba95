"""How a Kafka cluster is reached: brokers, TLS and SASL, from a mapping's access settings.

https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html
"""

import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lampyr.aws.base import Aws, AwsCallError
from lampyr.model.mapping import EventSource, EventSourceMapping, SourceKind
from lampyr.sources.base import SourceError
from lampyr.sources.brokers import read_secret

MECHANISMS: Final = {
    "BASIC_AUTH": "PLAIN",
    "SASL_SCRAM_256_AUTH": "SCRAM-SHA-256",
    "SASL_SCRAM_512_AUTH": "SCRAM-SHA-512",
}
CLIENT_CERTIFICATE: Final = "CLIENT_CERTIFICATE_TLS_AUTH"
ROOT_CERTIFICATE: Final = "SERVER_ROOT_CA_CERTIFICATE"
_MSK_BROKERS: Final = (
    # By what the mapping's access asks for; without, what the cluster offers, TLS first.
    ("SASL_SCRAM_512_AUTH", "BootstrapBrokerStringSaslScram"),
    (CLIENT_CERTIFICATE, "BootstrapBrokerStringTls"),
    (None, "BootstrapBrokerStringTls"),
    (None, "BootstrapBrokerString"),
)


async def brokers(mapping: EventSourceMapping, aws: Aws) -> list[str]:
    """`host:port` of each; raises `SourceError` when MSK does not say."""
    source: EventSource = mapping.source
    if source.kind is SourceKind.KAFKA:
        return list(source.endpoints)
    arn = source.arn or ""
    _, _, _, region, account_id, _ = arn.split(":", 5)
    try:
        found = await aws.call("kafka", account_id, region, "GetBootstrapBrokers", ClusterArn=arn)
    except AwsCallError as error:
        raise SourceError(f"the brokers of {arn} are not known: {error}") from error
    types = {access.type for access in mapping.settings.access or ()}
    for wanted, name in _MSK_BROKERS:
        if (wanted is None or wanted in types) and found.get(name):
            return str(found[name]).split(",")
    raise SourceError(f"the cluster {arn} has no brokers for this mapping's access")


async def security(mapping: EventSourceMapping, brokers: list[str], aws: Aws) -> dict[str, Any]:
    """Arguments for a client of aiokafka."""
    secrets = {
        access.type: await read_secret(mapping, access.uri or "", aws)
        for access in mapping.settings.access or ()
        if access.type in {*MECHANISMS, CLIENT_CERTIFICATE, ROOT_CERTIFICATE}
    }
    mechanism = next((kind for kind in MECHANISMS if kind in secrets), None)
    tls_ports = mapping.source.kind is SourceKind.MSK and all(
        broker.endswith(("9094", "9096")) for broker in brokers
    )
    if not secrets and not tls_ports:
        return {}
    found: dict[str, Any] = {"security_protocol": "SSL", "ssl_context": _tls(secrets)}
    if mechanism is not None:
        secret = secrets[mechanism]
        found |= {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": MECHANISMS[mechanism],
            "sasl_plain_username": secret.get("username"),
            "sasl_plain_password": secret.get("password"),
        }
    return found


def _tls(secrets: Mapping[str, Mapping[str, str]]) -> ssl.SSLContext:
    """Trusts the mapping's own root certificate, or those of the host."""
    root = secrets.get(ROOT_CERTIFICATE, {}).get("certificate")
    client = secrets.get(CLIENT_CERTIFICATE)
    try:
        context = ssl.create_default_context(cadata=root)
        if client is not None:
            _load_client(context, client)
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"a certificate cannot be used: {error}") from error
    return context


def _load_client(context: ssl.SSLContext, secret: Mapping[str, str]) -> None:
    # Python reads a certificate's chain from files alone.
    with tempfile.TemporaryDirectory(prefix="lampyr-kafka-") as directory:
        chain, key = Path(directory) / "chain.pem", Path(directory) / "key.pem"
        for path, name in ((chain, "certificate"), (key, "privateKey")):
            path.touch(mode=0o600)
            path.write_text(secret[name])
        context.load_cert_chain(chain, key, secret.get("privateKeyPassword"))
