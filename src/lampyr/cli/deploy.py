"""`lampyr deploy`: a directory or zip becomes a function that is Active."""

import base64
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from lampyr.cli.client import Target, client_command
from lampyr.cli.completion import runtime_names
from lampyr.cli.output import Failure, Progress, human_bytes, print_json, progress
from lampyr.cli.package import read_package

Members = dict[str, Any]
WAIT_SECONDS: Final = 300
_POLL_SECONDS: Final = (0.02, 0.05, 0.1, 0.2, 0.5)


class Variable(click.ParamType[tuple[str, str]]):
    """An environment variable, NAME=VALUE."""

    name = "NAME=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        name, equals, text = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is not of the form NAME=VALUE", param, ctx)
        return name, text


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True, help="The function's name or ARN.")
@click.option("--handler", help="Such as app.handler; needed to create.")
@click.option(
    "--runtime", shell_complete=runtime_names, help="Such as python3.13; needed to create."
)
@click.option("--role", help="Execution role; one of this account's when not given.")
@click.option("--memory", type=int, help="Megabytes.")
@click.option("--timeout", type=int, help="Seconds.")
@click.option(
    "--env", "variables", type=Variable(), multiple=True, help="Repeat it; replaces the whole set."
)
@click.option("--description")
@click.option("--architecture", help="x86_64 or arm64.")
@click.option("--exclude", multiple=True, help="Pattern of names to leave out of a directory.")
@client_command
def deploy(
    *,
    target: Target,
    as_json: bool,
    source: Path,
    name: str,
    exclude: tuple[str, ...],
    architecture: str | None,
    **options: Any,
) -> None:
    """Create the function, or update the one there is, from SOURCE, a directory or a zip.

    Of a directory everything goes in but version control, caches and .venv. An option that is
    not given keeps what the function has. The command ends when the function is Active.
    """
    package = read_package(source, exclude)
    with progress(quiet=as_json) as say:
        deployment = Deployment(
            client=target.client(read_seconds=WAIT_SECONDS),
            name=name,
            package=package,
            architectures=[architecture] if architecture else None,
            configuration=_configuration(**options),
            default_role=f"arn:aws:iam::{target.account_id}:role/lampyr",
            say=say,
        )
        done, configuration = deployment.run()
    _report(done, configuration, as_json=as_json)


def _configuration(
    *, variables: tuple[tuple[str, str], ...], memory: int | None, **rest: Any
) -> Members:
    members = {
        "Description": rest["description"],
        "Environment": {"Variables": dict(variables)} if variables else None,
        "Handler": rest["handler"],
        "MemorySize": memory,
        "Role": rest["role"],
        "Runtime": rest["runtime"],
        "Timeout": rest["timeout"],
    }
    return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One package and the configuration asked for, on their way to one function."""

    client: Any
    name: str
    package: bytes
    architectures: list[str] | None
    configuration: Members
    """Members of CreateFunction; what is not here stays as it is."""
    default_role: str
    say: Progress

    def run(self) -> tuple[str, Members]:
        """What was done (Created, Updated or Unchanged), and the configuration there is then."""
        try:
            self.client.get_function_configuration(FunctionName=self.name)
        except self.client.exceptions.ResourceNotFoundException:
            return "Created", self._create()
        return self._update()

    def _create(self) -> Members:
        for member in ("Runtime", "Handler"):
            if member not in self.configuration:
                flag = f"--{member.lower()}"
                raise click.UsageError(f"{flag} is needed to create the function {self.name}")
        self.say(f"creating {self.name} ({human_bytes(len(self.package))})")
        members = {"Role": self.default_role, **self.configuration}
        if self.architectures:
            members["Architectures"] = self.architectures
        code = {"ZipFile": self.package}
        self.client.create_function(FunctionName=self.name, Code=code, **members)
        return self._settled()

    def _update(self) -> tuple[str, Members]:
        done, now = "Unchanged", self._settled(failed_is_fine=True)
        sha256 = base64.b64encode(hashlib.sha256(self.package).digest()).decode()
        architectures = self.architectures or now.get("Architectures")
        same = (sha256, architectures) == (now.get("CodeSha256"), now.get("Architectures"))
        # What failed for want of a runtime, say, may succeed now: Lambda tries only when told to.
        if not same or failure(now):
            self.say(f"updating the code ({human_bytes(len(self.package))})")
            members = {"Architectures": self.architectures} if self.architectures else {}
            self.client.update_function_code(
                FunctionName=self.name, ZipFile=self.package, **members
            )
            done, now = "Updated", self._settled(failed_is_fine=True)
        changed = {k: v for k, v in self.configuration.items() if now.get(k) != v}
        if changed:
            self.say("updating the configuration")
            self.client.update_function_configuration(FunctionName=self.name, **changed)
            done, now = "Updated", self._settled(failed_is_fine=True)
        if reason := failure(now):
            raise Failure(reason)
        return done, now

    def _settled(self, *, failed_is_fine: bool = False) -> Members:
        """The configuration once nothing is in progress."""
        give_up = time.monotonic() + WAIT_SECONDS
        waits, pause = iter(_POLL_SECONDS), 0.0
        while True:
            now = dict(self.client.get_function_configuration(FunctionName=self.name))
            if now.get("State") != "Pending" and now.get("LastUpdateStatus") != "InProgress":
                break
            if time.monotonic() > give_up:
                raise Failure(f"{self.name} is not ready after {WAIT_SECONDS} seconds")
            self.say(f"waiting for {self.name} to be Active")
            pause = next(waits, pause)
            time.sleep(pause)
        if not failed_is_fine and (reason := failure(now)):
            raise Failure(reason)
        return now


def failure(configuration: Members) -> str | None:
    """Why the function cannot run, or its last update has no effect."""
    for state, why in (("State", "StateReason"), ("LastUpdateStatus", "LastUpdateStatusReason")):
        if configuration.get(state) == "Failed":
            reason = configuration.get(why) or "no reason given"
            code = configuration.get(f"{why}Code")
            name = configuration["FunctionName"]
            return f"{name} failed: {reason}{f' ({code})' if code else ''}"
    return None


def _report(done: str, configuration: Members, *, as_json: bool) -> None:
    configuration.pop("ResponseMetadata", None)
    if as_json:
        print_json({"Outcome": done, **configuration})
        return
    click.echo(f"{done} {configuration['FunctionArn']}")
    size = human_bytes(configuration["CodeSize"])
    click.echo(
        f"version {configuration['Version']}, {configuration.get('Runtime', '')}, "
        f"{size} of code, {configuration['MemorySize']} MB of memory, "
        f"timeout {configuration['Timeout']} s, {configuration.get('State', 'Active')}"
    )
