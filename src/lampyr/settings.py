"""What an operator chooses: one frozen object, read once, at the edge.

A setting comes from a flag, else from `LAMPYR_<NAME>` in the environment, else from the TOML file,
else from the default here. Only `app.py` and the command line read it.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

PREFIX: Final = "LAMPYR_"
CHOICES: Final[Mapping[str, frozenset[str]]] = {
    "log_level": frozenset({"debug", "info", "warning", "error"}),
    "sandbox": frozenset({"auto", "namespaces", "bubblewrap", "process"}),
    "egress": frozenset({"internet", "endpoint", "none"}),
}


class SettingsError(Exception):
    """A setting that Lampyr does not know or cannot use; the message names it and its source."""


def _default_data_dir() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "lampyr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    host: str = "127.0.0.1"
    port: int = 4566
    """0 lets the kernel choose."""
    data_dir: Path = field(default_factory=_default_data_dir)
    log_level: str = "warning"
    region: str = "us-east-1"
    """For calls whose signature names none."""
    sandbox: str = "auto"
    egress: str = "internet"
    idle_seconds: float = 300.0
    """An execution environment that waited this long for work is reclaimed."""
    environments_max: int = 1_000
    """Execution environments alive at once on this host."""
    concurrent_executions: int = 1_000
    """The account's concurrency quota."""
    log_bytes_per_group: int = 64 * 1024 * 1024
    """What the log store keeps of each log group; older lines go first."""


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None
) -> Settings:
    """Settings from flags (`None` means not given), the environment and a TOML file."""
    known = {item.name: item.type for item in fields(Settings)}
    chosen: dict[str, Any] = {}
    for source, values in (
        (str(file), _file(file)),
        ("the environment", _environment(environ)),
        ("the command line", {k: v for k, v in flags.items() if v is not None}),
    ):
        for name, value in values.items():
            if name not in known:
                raise SettingsError(f"{source}: no setting is called '{name}'")
            chosen[name] = _convert(name, known[name], value, source)
    return Settings(**chosen)


def _file(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_") and value
    }


def _convert(name: str, kind: Any, value: Any, source: str) -> Any:
    try:
        converted = Path(value).expanduser().absolute() if kind is Path else kind(value)
    except (TypeError, ValueError):
        message = f"{source}: {name} must be of type {kind.__name__}, not {value!r}"
        raise SettingsError(message) from None
    allowed = CHOICES.get(name)
    if allowed is not None and converted not in allowed:
        message = f"{source}: {name} must be one of {', '.join(sorted(allowed))}, not {value!r}"
        raise SettingsError(message)
    return converted
