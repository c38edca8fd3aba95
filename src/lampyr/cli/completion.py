"""Shell completion: the scripts, and what completes names of functions and runtimes."""

import os
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

_SECONDS: Final = 1.0
"""Somebody waits with a finger on the Tab key."""
_HELP: Final = """Print the completion script of SHELL.

\b
bash: eval "$(lampyr completion bash)" in ~/.bashrc
zsh:  eval "$(lampyr completion zsh)" in ~/.zshrc
fish: lampyr completion fish > ~/.config/fish/completions/lampyr.fish
"""


@click.command(help=_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has the three
    root = ctx.find_root()
    click.echo(kind(root.command, {}, "lampyr", "_LAMPYR_COMPLETE").source())


def function_names(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names the server knows; none when it cannot be asked, since a completion must not fail."""
    from lampyr.cli.client import target_of  # noqa: PLC0415 - imports this module's users

    params: dict[str, Any] = ctx.params
    try:
        target = target_of(params.get("endpoint_url"), params.get("region"), os.environ, Path.cwd())
        client = target.client(read_seconds=_SECONDS, connect_seconds=_SECONDS)
        pages = client.get_paginator("list_functions").paginate()
        names = [function["FunctionName"] for page in pages for function in page["Functions"]]
    except Exception:  # noqa: BLE001 - whatever it is, the shell shows no suggestion
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def runtime_names(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from lampyr.worker.runtimes.names import WANTED  # noqa: PLC0415 - only to complete

    return [CompletionItem(name) for name in WANTED if name.startswith(incomplete)]
