"""Lampyr with its state in PostgreSQL."""

from collections.abc import Callable

import pytest

from lampyr.testing.builders import ROLE, a_zip
from lampyr.testing.server import LampyrServer
from tests.postgresql import PostgresqlServer


@pytest.mark.lampyr_only
def test_what_was_created_survives_kill_9_and_runs(
    new_server: Callable[..., LampyrServer], postgresql: PostgresqlServer
) -> None:
    server = new_server("--database", postgresql.new_database())
    server.start()
    client = server.client()
    created = client.create_function(
        FunctionName="kept",
        Runtime="python3.11",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": a_zip()},
    )
    server.kill()
    server.start()
    client = server.client()
    client.get_waiter("function_active_v2").wait(FunctionName="kept", WaiterConfig={"Delay": 1})
    found = client.get_function_configuration(FunctionName="kept")
    assert found["CodeSha256"] == created["CodeSha256"]
    answer = client.invoke(FunctionName="kept", Payload=b'{"a": 1}')
    assert answer["Payload"].read() == b'{"a": 1}'
