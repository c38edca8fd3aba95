"""What an operator chooses: one frozen object, read once, at the edge.

A setting comes from a flag, else from `LAMPYR_<NAME>` in the environment, else from the TOML file,
else from the default here. Only `app` and the command line read it. The help texts are the
flags' help and the reference in `docs/reference/settings.md`, which is made from this module.
"""

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

PREFIX: Final = "LAMPYR_"
CONFIG_VARIABLE: Final = "LAMPYR_CONFIG"
"""Names the TOML file; a setting about the settings, and so not one of them."""
ENDPOINTS: Final = "endpoints"
BROKERS: Final = "brokers"
TABLES: Final = {ENDPOINTS: "endpoint", BROKERS: "broker"}
"""Settings that are tables, and the flag for one line of each."""
_URL: Final = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")
_BROKER: Final = re.compile(
    r"(?:amqps?|stomp(?:\+ssl)?|mongodb(?:\+ssl)?)://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}/?"
)
AWS: Final = "aws"
_URLS: Final = {
    ENDPOINTS: f"a URL such as http://127.0.0.1:9324, or '{AWS}'",
    BROKERS: "a URL such as amqp://127.0.0.1:5672, stomp://127.0.0.1:61613 or "
    "mongodb://127.0.0.1:27017",
}
CHOICES: Final[Mapping[str, frozenset[str]]] = {
    "log_level": frozenset({"debug", "info", "warning", "error"}),
    "sandbox": frozenset({"auto", "namespaces", "bubblewrap", "process"}),
    "egress": frozenset({"internet", "endpoint", "none"}),
    "neighbours": frozenset({"on", "off", "lazy"}),
    "templates": frozenset({"on", "off"}),
    "stay_awake": frozenset({"on", "off"}),
}
BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "port": (0, 65_535),
    "idle_seconds": (0.1, 86_400),
    "environments_max": (1, 100_000),
    "concurrent_executions": (1, 1_000_000),
    "workers": (0, 256),
    "scaling_rate": (1, 1_000_000),
    "memory_reserve_mb": (0, 1 << 20),
    "async_speed": (0.001, 1_000_000),
    "log_bytes_per_group": (65_536, 1 << 40),
}
"""The least and the most a number may be, both included."""


class SettingsError(Exception):
    """A setting that Lampyr does not know or cannot use; the message names it and its source."""


def _default_data_dir() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "lampyr"


def _default_runtimes_dir() -> Path:
    shared = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(shared).expanduser() / "lampyr" / "runtimes"


def _default_neighbours_dir() -> Path:
    return Path(sys.prefix) / "neighbours"


def _setting(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    host: str = _setting(
        "127.0.0.1",
        "Address to listen on. Whoever can reach it can run code: leave it on loopback.",
    )
    port: int = _setting(4566, "Port to listen on; 0 lets the kernel choose a free one.")
    data_dir: Path = field(
        default_factory=_default_data_dir,
        metadata={"help": "Directory with everything that survives a restart."},
    )
    database: str = _setting(
        "sqlite",
        "Where functions and other resources are kept: 'sqlite' in the data directory, or the "
        "address of a PostgreSQL database, such as postgresql://user:password@host/lampyr.",
    )
    runtimes_dir: Path = field(
        default_factory=_default_runtimes_dir,
        metadata={
            "help": "Directory of installed runtimes. Several Lampyrs of one user share it; it can "
            "be removed, and is made again."
        },
    )
    log_level: str = _setting("warning", "How much Lampyr says about itself, on standard error.")
    region: str = _setting("us-east-1", "AWS Region of calls whose signature names none.")
    sandbox: str = _setting(
        "auto",
        "What isolates functions. 'auto' takes the best the host can do and never 'process', "
        "which isolates nothing.",
    )
    egress: str = _setting(
        "internet",
        "What functions can reach beside Lampyr: the internet, Lampyr's endpoint alone, or nothing "
        "at all.",
    )
    templates: str = _setting(
        "on",
        "Whether functions are forked from a process that has loaded their runtime and the AWS SDK "
        "already, where that changes nothing for them: cold starts are several times as fast. "
        "'off' executes the runtime anew for each environment.",
    )
    stay_awake: str = _setting(
        "on",
        "Whether, as root on a small virtual machine, processors are kept from going to sleep "
        "while calls come one upon the other: each call is quicker by several times 30 "
        "microseconds, and processors look for work meanwhile instead of giving themselves up.",
    )
    idle_seconds: float = _setting(
        300.0, "An execution environment that waited this long for work is reclaimed."
    )
    environments_max: int = _setting(
        1_000, "Most execution environments alive at once on this host."
    )
    concurrent_executions: int = _setting(1_000, "The account's concurrency quota.")
    workers: int = _setting(
        0,
        "Processes beside the front in which functions' environments are run, for hosts with many "
        "cores; 0 runs them in the front's own process.",
    )
    scaling_rate: int = _setting(
        1_000, "Most execution environments that one function starts in ten seconds."
    )
    memory_reserve_mb: int = _setting(
        128,
        "While the host has less memory than this available, the environments that are idle for "
        "longest are stopped, and no more are started beside the busy ones.",
    )
    neighbours: str = _setting(
        "lazy",
        "The embedded AWS services beside Lambda (SQS, S3, DynamoDB …): started with Lampyr, when "
        "one is first called, or never.",
    )
    neighbours_dir: Path = field(
        default_factory=_default_neighbours_dir,
        metadata={"help": "Python environment of the embedded services; made by `make install`."},
    )
    endpoints: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "help": "Services that are elsewhere than embedded: the URL of a compatible server, or "
            "'aws' for AWS itself, called with your own credentials. As a flag "
            "`--endpoint sqs=http://127.0.0.1:9324`, once for each; as a variable "
            "`LAMPYR_ENDPOINT_SQS`; in the file a table `[endpoints]`."
        },
    )
    brokers: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "help": "Brokers of Amazon MQ and clusters of DocumentDB that are reached directly, by "
            "the name in their ARN: amqp://HOST:PORT (RabbitMQ), stomp://HOST:PORT (ActiveMQ) or "
            "mongodb://HOST:PORT, with TLS amqps, stomp+ssl and mongodb+ssl. As a flag "
            "`--broker orders=amqp://127.0.0.1:5672`, once for each; as a variable "
            "`LAMPYR_BROKER_ORDERS`; in the file a table `[brokers]`."
        },
    )
    async_speed: float = _setting(
        1.0,
        "How many times faster than Lambda's the waits and greatest ages of asynchronous "
        "invocations pass: with 60 an event is tried again after one second, not one minute.",
    )
    log_bytes_per_group: int = _setting(
        64 * 1024 * 1024,
        "Most bytes the log store keeps of each log group; older lines go first.",
    )


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None
) -> Settings:
    """Settings from flags (`None` means not given), the environment and a TOML file."""
    kinds = {item.name: item.type for item in fields(Settings)}
    chosen: dict[str, Any] = {}
    tables: dict[str, dict[str, str]] = {name: {} for name in TABLES}
    for source, values, spelling in (
        (str(file), _file(file), _as_is),
        ("the environment", _environment(environ), _variable),
        ("the command line", {k: v for k, v in flags.items() if v is not None}, _flag),
    ):
        for name, value in values.items():
            if name in TABLES:
                tables[name] |= _table(name, value, source)
                continue
            if name not in kinds:
                raise SettingsError(f"{source}: {_unknown(name, kinds, spelling)}")
            chosen[name] = _convert(name, kinds[name], value, f"{source}: {spelling(name)}")
    return Settings(**chosen, **tables)  # type: ignore[arg-type]


def config_file(given: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The TOML file to read: the one named, else ./lampyr.toml, else the user's own, else none.

    A file that was named must exist; only one file is read.
    """
    named = given or (Path(value) if (value := environ.get(CONFIG_VARIABLE)) else None)
    if named is not None:
        return cwd / named.expanduser()
    home = environ.get("XDG_CONFIG_HOME") or "~/.config"
    candidates = (cwd / "lampyr.toml", Path(home).expanduser() / "lampyr" / "config.toml")
    return next((path for path in candidates if path.is_file()), None)


def _as_is(name: str) -> str:
    return name


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _unknown(name: str, known: Mapping[str, Any], spelling: Callable[[str], str]) -> str:
    near = difflib.get_close_matches(name.replace("-", "_").lower(), known, n=1, cutoff=0.5)
    hint = f"; did you mean '{spelling(near[0])}'?" if near else ""
    return f"no setting is called '{spelling(name)}'{hint}"


def _file(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error


def _environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    found: dict[str, Any] = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and name != CONFIG_VARIABLE
        and not name.startswith(f"{PREFIX}TEST_")
        and value
    }
    for table, one in TABLES.items():
        start = f"{one}_"
        lines = {name: found.pop(name) for name in tuple(found) if name.startswith(start)}
        if lines:
            found[table] = {name.removeprefix(start): value for name, value in lines.items()}
    return found


def _table(table: str, given: Any, source: str) -> dict[str, str]:
    """A table, or from the command line words such as `sqs=http://127.0.0.1:9324`."""
    if isinstance(given, (list, tuple)):
        given = dict(str(word).partition("=")[::2] for word in given)
    if not isinstance(given, Mapping):
        raise SettingsError(f"{source}: {table} must be a table of names, not {given!r}")
    found = {}
    for key, url in given.items():
        name = str(key).lower().replace("_", "-")
        if not (isinstance(url, str) and _fits(table, url)):
            raise SettingsError(
                f"{source}: the {TABLES[table]} of '{name}' must be {_URLS[table]}, not {url!r}"
            )
        found[name] = url.rstrip("/")
    return found


def _fits(table: str, url: str) -> bool:
    if table == BROKERS:
        return _BROKER.fullmatch(url) is not None
    return url == AWS or _URL.fullmatch(url) is not None


def _convert(name: str, kind: Any, value: Any, what: str) -> Any:
    if isinstance(value, (bool, list, dict)) or (kind is int and isinstance(value, float)):
        raise SettingsError(f"{what} must be a {_noun(kind)}, not {value!r}")
    try:
        converted: Any = Path(value).expanduser().absolute() if kind is Path else kind(value)
    except (TypeError, ValueError):
        raise SettingsError(f"{what} must be a {_noun(kind)}, not {value!r}") from None
    if converted == "":
        raise SettingsError(f"{what} must not be empty")
    if (allowed := CHOICES.get(name)) is not None and converted not in allowed:
        raise SettingsError(f"{what} must be one of {', '.join(sorted(allowed))}, not {value!r}")
    least, most = BOUNDS.get(name, (0, 0))
    if name in BOUNDS and not least <= converted <= most:
        raise SettingsError(f"{what} must be from {least:g} to {most:.15g}, not {value!r}")
    return converted


def _noun(kind: Any) -> str:
    return {int: "whole number", float: "number", Path: "path"}.get(kind, "text")
