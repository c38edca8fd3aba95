"""What commands print: tables and JSON on standard output, progress and errors beside it."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click

FAILED = 1
NOT_RUNNING = 3


class Failure(click.ClickException):
    """The command did not do what it was asked; one readable sentence, no traceback."""

    exit_code = FAILED

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - click's
        click.echo(f"{click.style('Error:', fg='red')} {self.format_message()}", err=True)


class NotRunning(Failure):
    """Nobody answers at the endpoint."""

    exit_code = NOT_RUNNING


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns under headings; as wide as it takes when nobody looks at it on a terminal."""
    from rich.console import Console  # noqa: PLC0415 - heavy, and not needed to start
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        # Text, not markup: a name such as `[red]` is printed as it is.
        table.add_row(*(Text(printable(cell)) for cell in row))
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if terminal else 10_000)
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def printable(text: str) -> str:
    """Without the control characters by which text could command the reader's terminal."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)


class Progress(Protocol):
    def __call__(self, text: str, /) -> None:
        """Say what is being done now."""


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """On a terminal one line that moves; elsewhere a line for each step, on standard error."""
    if quiet:
        yield lambda _text: None
    elif not sys.stderr.isatty():
        yield _each_once()
    else:
        from rich.console import Console  # noqa: PLC0415 - heavy, and not needed to start
        from rich.markup import escape  # noqa: PLC0415

        with Console(stderr=True).status("") as status:
            yield lambda text: status.update(escape(text))


def _each_once() -> Progress:
    said = ""

    def say(text: str, /) -> None:
        nonlocal said
        if text != said:
            said = text
            click.echo(f"{text} ...", err=True)

    return say


def human_bytes(size: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1024:  # noqa: PLR2004 - a kibibyte
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"
