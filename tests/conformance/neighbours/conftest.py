"""One Lampyr with its neighbours for all tests here; they use names of their own."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.neighbours.sources import Account


class Neighbourhood:
    """Clients of one server's services."""

    def __init__(self, server: LampyrServer) -> None:
        self.server = server
        self.client = cache(self._client)

    def _client(self, service: str) -> Any:
        return self.server.client(service)


@pytest.fixture(scope="package")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbourhood]:
    server = LampyrServer(tmp_path_factory.mktemp("neighbours"), arguments=("--async-speed", "60"))
    server.start()
    yield Neighbourhood(server)
    server.stop()


@pytest.fixture
def account(here: Neighbourhood) -> Iterator[Account]:
    """For scenarios that were recorded; their mappings end with the test."""
    account = Account(here)
    yield account
    for uuid in account.mappings:
        account.of("lambda").delete_event_source_mapping(UUID=uuid)
