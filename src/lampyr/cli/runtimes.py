"""`lampyr runtimes`: which runtimes this host has, and getting those it lacks."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lampyr import settings as choices
from lampyr.cli.completion import runtime_names
from lampyr.cli.output import Failure, print_json, print_table, progress

if TYPE_CHECKING:
    from lampyr.worker.runtimes import RuntimeCatalog, RuntimeStatus


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--runtimes-dir", help="That of the server, when it is not as in the settings.")
@click.pass_context
def runtimes(ctx: click.Context, as_json: bool, runtimes_dir: str | None) -> None:
    """List the runtimes that functions can have, and where on this host they are.

    A runtime is here at its exact version or not at all. Nothing is installed unless asked for.
    """
    ctx.obj = catalog = catalog_of(runtimes_dir)
    if ctx.invoked_subcommand is not None:
        return
    statuses = catalog.statuses()
    if as_json:
        print_json([asdict(status) for status in statuses])
        return
    print_table(("RUNTIME", "HERE", "VERSION", "WHERE"), rows_of(statuses))


def rows_of(statuses: "Sequence[RuntimeStatus]") -> list[tuple[str, ...]]:
    return [
        (s.name, "yes" if s.found else "no", s.version, s.path if s.found else f"run: {s.advice}")
        for s in statuses
    ]


@runtimes.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=runtime_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def install(catalog: "RuntimeCatalog", names: tuple[str, ...], as_json: bool) -> None:
    """Install runtimes, from the package registries that this machine is configured for.

    Python by uv, pyenv or apt, Node.js by npm, whichever is here. A running Lampyr finds them
    without being started again.
    """
    from lampyr.worker.runtimes import (  # noqa: PLC0415 - not needed to start
        RuntimeInstallError,
        RuntimeMissingError,
    )

    installed = []
    with progress(quiet=as_json) as say:
        for name in names:
            try:
                runtime = catalog.install(name, say)
            except (RuntimeInstallError, RuntimeMissingError, OSError) as error:
                raise Failure(str(error)) from None
            installed.append({"name": name, "version": runtime.version})
    if as_json:
        print_json(installed)
    else:
        for item in installed:
            click.echo(f"{item['name']} is here: {item['version']}")


def catalog_of(runtimes_dir: str | None) -> "RuntimeCatalog":
    """The catalog that a Lampyr with these settings has."""
    from lampyr.worker.runtimes import RuntimeCatalog  # noqa: PLC0415 - not needed to start

    file = choices.config_file(None, os.environ, Path.cwd())
    settings = choices.load({"runtimes_dir": runtimes_dir}, os.environ, file)
    return RuntimeCatalog(settings.runtimes_dir, os.environ)
