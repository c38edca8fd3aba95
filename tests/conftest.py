"""What all tests share: where they run, and a Lampyr to talk to."""

import os
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from lampyr.testing.server import LampyrServer
from tests.postgresql import PostgresqlServer, programs

ROOT: Final = Path(__file__).parents[1]

# How long an example takes says how busy the machine is, and nothing about Lampyr.
settings.register_profile(
    "busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs to run as root"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    """A test that failed shows what its servers said."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for name, server in item.funcargs.items():
            if isinstance(server, LampyrServer) and server.errors:
                report.sections.append((f"said by {name}", "".join(server.errors[-60:])))
    return report


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_developer() -> Iterator[None]:
    """Neither variables nor files of the person who runs the tests change what they see."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if re.match(r"AWS_|LAMPYR_(?!TEST_)", name):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def lampyr_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    """One Lampyr for all tests of this process; each uses function names of its own."""
    if not (ROOT / "src" / "lampyr" / "app").exists():
        pytest.skip("there is no server yet")
    server = LampyrServer(tmp_path_factory.mktemp("lampyr"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def lambda_client(lampyr_server: LampyrServer) -> Iterator[Any]:
    """boto3's client of `lampyr_server`."""
    client = lampyr_server.client()
    yield client
    client.close()


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., LampyrServer]]:
    """Make a Lampyr for this test alone: `new_server("--egress", "none").start()`.

    What still runs at the end is stopped, and has to leave nothing behind.
    """
    servers: list[LampyrServer] = []

    def make(*arguments: str, **variables: str) -> LampyrServer:
        directory = tmp_path / f"server{len(servers)}"
        servers.append(LampyrServer(directory, arguments=arguments, variables=variables))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server for all tests of this process; each has databases of its own."""
    binaries = programs()
    if binaries is None:
        pytest.skip("there is no PostgreSQL server: apt-get install postgresql")
    server = PostgresqlServer(binaries)
    yield server
    server.remove()
