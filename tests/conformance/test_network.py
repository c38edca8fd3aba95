"""What functions reach from their sandboxes: the internet and Lampyr, and nothing of the host.

The host of these tests is a network namespace with an internet of its own beside it. The thread of
the test lives in it, and so does the Lampyr that it starts.
"""

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create, function, invoke, value
from tests.conformance.users import RUNTIME, WITH_TUN, users_server
from tests.contract.networks import (
    GREETING,
    HOST,
    HOST_TOO,
    METADATA,
    PUBLIC,
    World,
    machine_name_servers,
    serve_internet,
    world,
)

pytestmark = [pytest.mark.lampyr_only, pytest.mark.root]
SERVICE_PORT: Final = 8080
CODE: Final = """
import os, socket, ssl, time, urllib.request, zoneinfo, datetime
def connect(address, port):
    try:
        with socket.create_connection((address, port), timeout=3) as opened:
            return opened.recv(100).decode() if port == 80 else "connected"
    except OSError as error:
        return type(error).__name__
def resolve(name):
    try:
        return socket.gethostbyname(name)
    except OSError as error:
        return type(error).__name__
def endpoint(url):
    try:
        with urllib.request.urlopen(url + "/_lampyr/health", timeout=3) as answer:
            return answer.status
    except OSError as error:
        return type(error).__name__
def listen(_):
    global door
    door = socket.create_server(("0.0.0.0", 9999))
    return sorted(found[4][0] for found in socket.getaddrinfo(socket.gethostname(), 9999))
def addresses(_):
    lines = open("/proc/net/fib_trie").read().split("|--")
    return sorted({part.split()[0] for part in lines[1:] if "host LOCAL" in part})
def files(_):
    return {name: open(name).read() for name in ("/etc/hosts", "/etc/resolv.conf")}
def trust(_):
    return len(ssl.create_default_context().get_ca_certs())
def zones(_):
    moment = datetime.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    return [moment.utcoffset().total_seconds() / 3600, time.tzname[0], time.localtime().tm_gmtoff]
def runtime_api(_):
    return os.environ["AWS_LAMBDA_RUNTIME_API"]
def url(_):
    return os.environ.get("AWS_ENDPOINT_URL")
def handler(event, context):
    verb, *arguments = event
    return globals()[verb](*arguments)
"""


@contextmanager
def internet() -> Iterator[World]:
    """The world, with its internet served by another thread."""
    with world() as made:
        loop = asyncio.new_event_loop()
        servers = loop.run_until_complete(serve_internet(made))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield made
        finally:
            for server in servers:
                loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    with internet() as made:
        for address in ("127.0.0.1", HOST, HOST_TOO):
            made.bind(made.host, socket.SOCK_STREAM, address, SERVICE_PORT)
        yield made


@pytest.fixture(scope="module")
def server(here: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    made = LampyrServer(tmp_path_factory.mktemp("network"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(server: LampyrServer) -> Iterator[Any]:
    made = server.client()
    yield made
    made.close()


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with function(client, CODE, Timeout=20, MemorySize=512) as made:
        yield made


def port_of(server: LampyrServer) -> int:
    return int(server.endpoint_url.rsplit(":", 1)[1])


def test_the_internet_is_there_by_address(client: Any, name: str) -> None:
    assert value(client, name, ["connect", PUBLIC, 80]) == GREETING.decode()


@pytest.mark.skipif(not machine_name_servers(), reason="the machine's name server is its own")
def test_and_by_name(client: Any, name: str) -> None:
    assert value(client, name, ["resolve", "shop.example"]) == PUBLIC
    assert value(client, name, ["connect", "shop.example", 80]) == GREETING.decode()


def test_lampyr_is_reached_by_the_variable_and_on_loopback(
    server: LampyrServer, client: Any, name: str
) -> None:
    port = port_of(server)
    assert value(client, name, ["url", None]) == f"http://127.0.0.1:{port}"
    for url in (f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
        assert value(client, name, ["endpoint", url]) == 200


def test_nothing_of_the_host_is_reached(server: LampyrServer, client: Any, name: str) -> None:
    port = port_of(server)
    for address in ("127.0.0.1", HOST, HOST_TOO):
        assert value(client, name, ["connect", address, SERVICE_PORT]) != "connected", address
    for address in (HOST, HOST_TOO):
        assert value(client, name, ["connect", address, port]) != "connected", address
    for address in (METADATA, "169.254.170.2", "224.0.0.1", "255.255.255.255", "0.0.0.0"):
        assert value(client, name, ["connect", address, 80]) != GREETING.decode(), address


def test_nothing_of_another_environment_is_reached(client: Any, name: str) -> None:
    with function(client, CODE, Timeout=20) as other:
        value(client, other, ["listen", None])
        theirs = [a for a in value(client, other, ["addresses", None]) if a != "127.0.0.1"]
        api = value(client, other, ["runtime_api", None])
        assert value(client, other, ["connect", "127.0.0.1", 9999]) == "connected", "its own"
        assert value(client, name, ["connect", "127.0.0.1", 9999]) != "connected"
        for address in theirs:
            for port in (9999, int(api.rpartition(":")[2])):
                assert value(client, name, ["connect", address, port]) != "connected", address


def test_names_trust_and_time_zones_are_there(client: Any, name: str) -> None:
    files = value(client, name, ["files", None])
    assert "127.0.0.1 localhost" in files["/etc/hosts"]
    assert "nameserver " in files["/etc/resolv.conf"]
    assert value(client, name, ["resolve", "localhost"]) == "127.0.0.1"
    assert value(client, name, ["trust", None]) > 10
    assert value(client, name, ["zones", None]) == [2.0, "UTC", 0]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this host")
def test_curl_of_a_function_reaches_the_internet_and_lampyr(client: Any) -> None:
    code = """
import os, subprocess
def handler(event, context):
    done = subprocess.run(["curl", "-sS", "-o", "/tmp/out", "-w", "%{http_code}",
                           os.environ["AWS_ENDPOINT_URL"] + "/_lampyr/health"],
                          capture_output=True, text=True)
    return [done.stdout, done.stderr]
"""
    with function(client, code, Timeout=20) as name:
        assert value(client, name) == ["200", ""]


@pytest.mark.parametrize("egress", ["endpoint", "none"])
def test_the_way_out_is_narrowed_by_a_setting(
    here: World, egress: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = LampyrServer(tmp_path_factory.mktemp(egress), arguments=("--egress", egress))
    server.start()
    client = server.client()
    try:
        name = create(client, CODE, Timeout=20)
        assert value(client, name, ["connect", PUBLIC, 80]) != GREETING.decode()
        assert value(client, name, ["resolve", "shop.example"]) != PUBLIC
        for address in ("127.0.0.1", HOST):
            assert value(client, name, ["connect", address, SERVICE_PORT]) != "connected"
        at = f"http://127.0.0.1:{port_of(server)}"
        reached = value(client, name, ["endpoint", at]) == 200
        assert reached == (egress == "endpoint")
        told = value(client, name, ["url", None])
        assert told == (at if egress == "endpoint" else None)
    finally:
        client.close()
        server.stop()


@pytest.mark.skipif(
    not (shutil.which("slirp4netns") or shutil.which("pasta")),
    reason="neither slirp4netns nor pasta is on this host",
)
def test_an_ordinary_users_functions_have_the_same_network(here: World) -> None:
    with users_server(before=WITH_TUN) as server:
        server.start()
        client = server.client()
        name = create(client, CODE, Timeout=20, MemorySize=512, Runtime=RUNTIME)
        assert value(client, name, ["connect", PUBLIC, 80]) == GREETING.decode()
        if machine_name_servers():
            assert value(client, name, ["resolve", "shop.example"]) == PUBLIC
        for address in ("127.0.0.1", HOST, HOST_TOO):
            assert value(client, name, ["connect", address, SERVICE_PORT]) != "connected", address
        for address in (HOST, HOST_TOO):
            assert value(client, name, ["connect", address, port_of(server)]) != "connected"
        assert value(client, name, ["connect", METADATA, 80]) != GREETING.decode()
        assert value(client, name, ["endpoint", server.endpoint_url]) == 200
        answer = invoke(client, name, ["zones", None])
        assert answer.payload[0] == 2.0
        client.close()
