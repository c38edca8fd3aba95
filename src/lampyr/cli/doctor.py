"""`lampyr doctor`: what this host can do for functions, tried for real, and how to mend it."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import click

import lampyr
from lampyr import settings as choices
from lampyr.cli.output import FAILED, print_json, print_table, printable
from lampyr.cli.runtimes import catalog_of, rows_of
from lampyr.settings import Settings

NEEDED: Final = ("namespace", "seccomp", "proc")
"""The namespaces driver needs each fact with such a name; it does with less of the others."""
FALLBACK: Final = "bubblewrap"


class Fact(Protocol):
    """What a probe found, as sandboxes and networks tell it."""

    @property
    def name(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def detail(self) -> str: ...
    @property
    def mend(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    isolated: bool
    sentence: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file with settings.")
def doctor(as_json: bool, config: Path | None) -> None:
    """Say what this host can do for functions, and how to mend what it cannot.

    Everything is tried for real and removed again. The exit code is 0 only when functions can run
    isolated.
    """
    file = choices.config_file(config, os.environ, Path.cwd())
    settings = choices.load({}, os.environ, file)
    sandbox, network, speed = asyncio.run(_probe())
    neighbours = _neighbours(settings)
    verdict = judge(sandbox, settings.sandbox)
    statuses = catalog_of(str(settings.runtimes_dir)).statuses()
    if as_json:
        print_json(
            {
                "version": lampyr.__version__,
                "isolated": verdict.isolated,
                "verdict": verdict.sentence,
                "settings": {**asdict(settings), "file": file},
                "sandbox": [_as_dict(fact) for fact in sandbox],
                "network": [_as_dict(fact) for fact in network],
                "speed": [_as_dict(speed)],
                "neighbours": _as_dict(neighbours),
                "runtimes": [asdict(status) for status in statuses],
            }
        )
    else:
        click.echo(f"Lampyr {lampyr.__version__}, {_settings_line(settings, file)}")
        _print_facts("Sandboxes", sandbox)
        _print_facts("Network", network)
        _print_facts("Speed", [speed])
        _print_facts("Other services", [neighbours])
        click.secho("\nRuntimes", bold=True)
        print_table(("RUNTIME", "HERE", "VERSION", "WHERE"), rows_of(statuses))
        click.secho(f"\n{verdict.sentence}", fg="green" if verdict.isolated else "red")
    sys.exit(0 if verdict.isolated else FAILED)


@dataclass(frozen=True, kw_only=True)
class Installed:
    """Whether the embedded services can be started."""

    name: str
    ok: bool
    detail: str
    mend: str


def _neighbours(settings: Settings) -> Installed:
    found = next(settings.neighbours_dir.glob("lib/python*/site-packages/ministack-*"), None)
    version = "" if found is None else found.name.removesuffix(".dist-info").replace("-", " ")
    return Installed(
        name="embedded neighbours",
        ok=found is not None,
        detail=version or f"not in {settings.neighbours_dir}",
        mend="" if found else "'make install' installs them; or --endpoint names other servers",
    )


async def _probe() -> tuple[Sequence[Fact], Sequence[Fact], Fact]:
    from lampyr.worker import processors  # noqa: PLC0415 - not needed to start
    from lampyr.worker.network import probe as network  # noqa: PLC0415 - not needed to start
    from lampyr.worker.sandbox import probe as sandbox  # noqa: PLC0415 - not needed to start

    # One after the other: each makes namespaces and devices, and counts what it left.
    return await sandbox.probe(), await network.probe(), await processors.probe()


def judge(facts: Sequence[Fact], sandbox: str) -> Verdict:
    """Whether functions can run isolated with this `sandbox` setting, and by what."""
    if sandbox == "process":
        sentence = "Functions do not run isolated: the 'process' sandbox was asked for."
        return Verdict(isolated=False, sentence=sentence)
    missing = [f.name for f in facts if not f.ok and f.name.endswith(NEEDED)]
    tried = any(f.name.endswith(NEEDED) for f in facts)
    fallback = any(f.ok and f.name.startswith(FALLBACK) for f in facts)
    if sandbox in {"auto", "namespaces"} and tried and not missing:
        return Verdict(isolated=True, sentence="Functions run isolated, by namespaces.")
    if sandbox in {"auto", "bubblewrap"} and fallback:
        return Verdict(isolated=True, sentence="Functions run isolated, by bubblewrap.")
    what = FALLBACK if sandbox == FALLBACK else ", ".join(missing) or "namespaces"
    sentence = (
        f"Functions cannot run isolated here: {what} cannot be had. See above how to mend it."
    )
    return Verdict(isolated=False, sentence=sentence)


def _as_dict(fact: Fact) -> dict[str, Any]:
    return {"name": fact.name, "ok": fact.ok, "detail": fact.detail, "mend": fact.mend}


def _settings_line(settings: Settings, file: Path | None) -> str:
    source = f"settings from {file}" if file else "no settings file"
    return f"{source}, data in {settings.data_dir}"


def _print_facts(title: str, facts: Sequence[Fact]) -> None:
    click.secho(f"\n{title}", bold=True)
    width = max((len(fact.name) for fact in facts), default=0)
    for fact in facts:
        mark = click.style("ok", fg="green") if fact.ok else click.style("no", fg="red")
        click.echo(f"{mark}  {fact.name:<{width}}  {printable(fact.detail)}".rstrip())
        if fact.mend:
            click.echo(f"    {'':<{width}}  → {printable(fact.mend)}")
