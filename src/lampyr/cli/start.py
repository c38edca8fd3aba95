"""`lampyr start`: settings from everywhere, then the server in this process."""

import ipaddress
import os
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click

from lampyr import settings as choices
from lampyr.settings import Settings


def _every_setting_as_flag(command: Any) -> Any:
    for item in reversed(fields(Settings)):
        if (one := choices.TABLES.get(item.name)) is not None:
            # One flag for each line.
            text, name = item.metadata["help"].partition(" As a flag")[0], item.name
            option = click.option(f"--{one}", name, multiple=True, help=f"NAME=URL: {text}")
            command = option(command)
            continue
        kind: Any = str if item.type is Path else item.type
        if (allowed := choices.CHOICES.get(item.name)) is not None:
            kind = click.Choice(sorted(allowed))
        default = "" if item.default is MISSING else f"  [default: {item.default}]"
        command = click.option(
            f"--{item.name.replace('_', '-')}",
            type=kind,
            default=None,
            help=item.metadata["help"] + default,
        )(command)
    return command


@click.command()
@_every_setting_as_flag
@click.option("--config", type=click.Path(path_type=Path), help="TOML file with settings.")
def start(config: Path | None, **flags: Any) -> None:
    """Run Lampyr in the foreground, until SIGTERM or Ctrl-C.

    Every flag is also a variable, LAMPYR_PORT for --port, and a line of the TOML file, port =
    4566. The file is --config, else LAMPYR_CONFIG, else ./lampyr.toml, else
    ~/.config/lampyr/config.toml.
    """
    file = choices.config_file(config, os.environ, Path.cwd())
    for table in choices.TABLES:
        flags[table] = flags[table] or None
    settings = choices.load(flags, os.environ, file)
    for warning in warnings(settings):
        click.secho(f"WARNING: {warning}", fg="red", bold=True, err=True)
    from lampyr.app.root import run  # noqa: PLC0415 - the server, which `--help` does not need

    sys.exit(run(settings))


def warnings(settings: Settings) -> list[str]:
    """What an operator should not have chosen without knowing it."""
    found = []
    if not is_loopback(settings.host):
        found.append(
            f"listening on {settings.host}, not only on this machine. Lampyr asks no caller who "
            "they are: everyone who can reach this address can run code here."
        )
    if settings.sandbox == "process":
        found.append(
            "the 'process' sandbox isolates nothing: functions run as you, with all you can reach."
        )
    return found


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
