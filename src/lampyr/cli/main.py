"""The command `lampyr`: a list of commands, each loaded when it is used.

Exit codes: 0 done; 1 it failed or was refused; 2 the command line or a setting is wrong; 3 no
Lampyr answers at the endpoint.
"""

import importlib
from typing import Final

import click

import lampyr
from lampyr.settings import SettingsError

COMMANDS: Final = {
    "start": ("lampyr.cli.start:start", "Run Lampyr in the foreground."),
    "doctor": ("lampyr.cli.doctor:doctor", "Say what this host can do, and how to mend the rest."),
    "runtimes": ("lampyr.cli.runtimes:runtimes", "List the runtimes; install missing ones."),
    "deploy": ("lampyr.cli.deploy:deploy", "Create or update a function from a directory or zip."),
    "invoke": ("lampyr.cli.invoke:invoke", "Run a function and print its answer."),
    "logs": ("lampyr.cli.logs:logs", "Print what a function wrote."),
    "list": ("lampyr.cli.functions:list_", "List the functions."),
    "delete": ("lampyr.cli.functions:delete", "Delete a function."),
    "completion": ("lampyr.cli.completion:completion", "Print a shell's completion script."),
}


class LazyGroup(click.Group):
    """Knows its commands by name and imports one only to run it: `lampyr start` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - narrows the type
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise _with_hint(error, args[0]) from None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.UsageError(str(error)) from None


def _with_hint(error: click.UsageError, given: str) -> click.UsageError:
    import difflib  # noqa: PLC0415 - only for a mistake

    near = difflib.get_close_matches(given, COMMANDS, n=1)
    if not near or "Did you mean" in error.message:
        return error
    return click.UsageError(f"{error.message} Did you mean '{near[0]}'?", error.ctx)


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(lampyr.__version__, prog_name="lampyr", message="%(prog)s %(version)s")
def cli() -> None:
    """AWS Lambda as software you run yourself.

    The client commands find Lampyr by --endpoint-url, else AWS_ENDPOINT_URL_LAMBDA, else
    AWS_ENDPOINT_URL, else the address in the settings (http://127.0.0.1:4566).
    """


def main() -> None:
    cli(prog_name="lampyr")
