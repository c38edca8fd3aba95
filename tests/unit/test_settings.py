"""Settings: where they come from and which are refused."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from lampyr.settings import BOUNDS, CHOICES, Settings, SettingsError, config_file, load


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_default_listens_on_loopback() -> None:
    assert load({}, {}).host == "127.0.0.1"


def test_each_source_beats_the_one_before(tmp_path: Path) -> None:
    file = write(tmp_path / "x.toml", 'port = 1\nregion = "a"\nhost = "::1"\n')
    settings = load({"port": 3, "region": None}, {"LAMPYR_PORT": "2", "LAMPYR_REGION": "b"}, file)
    assert (settings.port, settings.region, settings.host) == (3, "b", "::1")


def test_an_empty_variable_is_not_given_and_others_are_not_ours() -> None:
    environ = {"LAMPYR_PORT": "", "LAMPYR_TEST_X": "1", "LAMPYR_CONFIG": "f", "PORT": "9"}
    assert load({}, environ).port == 4566


@pytest.mark.parametrize(
    ("flags", "environ", "sentence"),
    [
        ({}, {"LAMPYR_PROT": "1"}, "'LAMPYR_PROT'; did you mean 'LAMPYR_PORT'?"),
        ({}, {"LAMPYR_DATADIR": "x"}, "did you mean 'LAMPYR_DATA_DIR'?"),
        ({"prt": 1}, {}, "the command line: no setting is called '--prt'; did you mean '--port'?"),
        ({}, {"LAMPYR_PORT": "many"}, "LAMPYR_PORT must be a whole number, not 'many'"),
        ({"port": 70_000}, {}, "--port must be from 0 to 65535, not 70000"),
        ({"sandbox": "docker"}, {}, "--sandbox must be one of auto, bubblewrap"),
        ({"idle_seconds": "nan"}, {}, "--idle-seconds must be from 0.1 to 86400"),
        ({"host": ""}, {}, "--host must not be empty"),
    ],
)
def test_what_cannot_be_used_is_refused(
    flags: dict[str, Any], environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(flags, environ)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("prot = 1", "no setting is called 'prot'; did you mean 'port'?"),
        ("data-dir = 'x'", "did you mean 'data_dir'?"),
        ("port = true", "port must be a whole number, not True"),
        ("port = 4566.5", "port must be a whole number"),
        ("[server]\nport = 1", "no setting is called 'server'"),
        ("port =", "Invalid value"),
    ],
)
def test_a_file_is_refused_by_its_name(tmp_path: Path, line: str, sentence: str) -> None:
    file = write(tmp_path / "x.toml", line)
    with pytest.raises(SettingsError) as refused:
        load({}, {}, file)
    assert str(refused.value).startswith(f"{file}: ")
    assert sentence in str(refused.value)


def test_the_file_is_the_first_that_is_there(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "lampyr").mkdir(parents=True)
    environ = {"XDG_CONFIG_HOME": str(home)}
    assert config_file(None, environ, tmp_path) is None
    own = write(home / "lampyr" / "config.toml", "")
    assert config_file(None, environ, tmp_path) == own
    local = write(tmp_path / "lampyr.toml", "")
    assert config_file(None, environ, tmp_path) == local
    named = {**environ, "LAMPYR_CONFIG": "named.toml"}
    assert config_file(None, named, tmp_path) == tmp_path / "named.toml"
    assert config_file(Path("flag.toml"), named, tmp_path) == tmp_path / "flag.toml"


def test_every_setting_has_a_help_text_and_a_default_that_is_allowed() -> None:
    settings = Settings()
    for item in fields(Settings):
        assert item.metadata["help"].endswith(".")
        value = getattr(settings, item.name)
        assert item.name not in CHOICES or value in CHOICES[item.name]
        if item.type in {int, float}:
            least, most = BOUNDS[item.name]
            assert least <= value <= most


def test_brokers_are_named_with_the_protocol_they_speak(tmp_path: Path) -> None:
    file = write(tmp_path / "x.toml", '[brokers]\nStock_Broker = "stomp+ssl://b:61614/"\n')
    environ = {"LAMPYR_BROKER_ORDERS": "amqp://127.0.0.1:5672"}
    settings = load({"brokers": ("docs=mongodb://[::1]:27017",)}, environ, file)
    assert settings.brokers == {
        "stock-broker": "stomp+ssl://b:61614",
        "orders": "amqp://127.0.0.1:5672",
        "docs": "mongodb://[::1]:27017",
    }
    for wrong in ("orders=http://b:1", "orders=amqp://b", "orders=amqp://user:word@b:1", "orders"):
        with pytest.raises(SettingsError, match="the broker of 'orders' must be a URL"):
            load({"brokers": (wrong,)}, {}, None)


def test_endpoints_of_services_come_from_all_sources_together(tmp_path: Path) -> None:
    file = write(tmp_path / "x.toml", '[endpoints]\nsqs = "http://q:1"\ns3 = "aws"\n')
    environ = {
        "LAMPYR_ENDPOINT_SQS": "http://127.0.0.1:9324/",
        "LAMPYR_ENDPOINT_SECRETS_MANAGER": "",
    }
    settings = load({"endpoints": ("kinesis=https://k",)}, environ, file)
    assert settings.endpoints == {
        "sqs": "http://127.0.0.1:9324",
        "s3": "aws",
        "kinesis": "https://k",
    }
    for wrong in ({"endpoints": ("sqs",)}, {"endpoints": ("sqs=ftp://x",)}):
        with pytest.raises(SettingsError, match="the endpoint of 'sqs' must be a URL"):
            load(wrong, {})
