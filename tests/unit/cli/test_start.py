"""`lampyr start`: from flags, variables and files to one object."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lampyr.settings import Settings
from tests.unit.cli.conftest import Run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What the server was started with; the server itself is not."""
    seen: list[Settings] = []

    def run(settings: Settings) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setitem(sys.modules, "lampyr.app.root", SimpleNamespace(run=run))
    return seen


def test_a_flag_beats_a_variable_and_a_variable_a_file(run: Run, started: list[Settings]) -> None:
    Path("lampyr.toml").write_text('port = 1\nregion = "eu-west-1"\nlog_level = "info"\n')
    env = {"LAMPYR_PORT": "2", "LAMPYR_REGION": "eu-west-2"}
    result = run("start", "--port", "3", "--data-dir", "state", env=env)
    assert result.exit_code == 0, result.stderr
    settings = started[0]
    assert (settings.port, settings.region, settings.log_level) == (3, "eu-west-2", "info")
    assert settings.data_dir == Path("state").absolute()
    assert not result.stderr


def test_the_exit_code_is_that_of_the_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(run=lambda _settings: 7)
    monkeypatch.setitem(sys.modules, "lampyr.app.root", fake)
    assert run("start").exit_code == 7


def test_listening_for_others_is_warned_of(run: Run, started: list[Settings]) -> None:
    result = run("start", "--host", "0.0.0.0")
    assert "WARNING: listening on 0.0.0.0" in result.stderr
    assert "everyone who can reach this address can run code here" in result.stderr
    assert not run("start", "--host", "::1").stderr
    assert started


def test_no_isolation_is_warned_of(run: Run, started: list[Settings]) -> None:
    assert "isolates nothing" in run("start", "--sandbox", "process").stderr
    assert started[0].sandbox == "process"


def test_the_file_that_is_named_must_be_there(run: Run, started: list[Settings]) -> None:
    for arguments, env in ((["--config", "none.toml"], {}), ([], {"LAMPYR_CONFIG": "none.toml"})):
        result = run("start", *arguments, env=env)
        assert (result.exit_code, "none.toml: No such file" in result.stderr) == (2, True)
    assert not started


def test_only_one_file_is_read(run: Run, started: list[Settings]) -> None:
    Path("lampyr.toml").write_text("port = 1\n")
    Path("other.toml").write_text('region = "eu-west-1"\n')
    run("start", "--config", "other.toml")
    assert (started[0].port, started[0].region) == (4566, "eu-west-1")
