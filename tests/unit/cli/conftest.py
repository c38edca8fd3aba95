"""The command line as a user runs it, against a stub."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lampyr.cli.main import cli
from tests.unit.cli.stub import Stub, serve

Run = Callable[..., Result]


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    server = serve(stub)
    yield stub
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(stub: Stub, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the stub, in an empty directory and home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(*arguments: str, **options: Any) -> Result:
        env = {"AWS_ENDPOINT_URL": stub.url, **options.pop("env", {})}
        result = CliRunner().invoke(cli, arguments, env=env, prog_name="lampyr", **options)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
