"""`lampyr list` and `lampyr delete`."""

from typing import Any

import click

from lampyr.cli.client import Target, client_command
from lampyr.cli.completion import function_names
from lampyr.cli.output import human_bytes, print_json, print_table


@click.command("list")
@client_command
def list_(*, target: Target, as_json: bool) -> None:
    """List the functions of this account and Region."""
    pages = target.client().get_paginator("list_functions").paginate()
    found = [function for page in pages for function in page["Functions"]]
    if as_json:
        print_json(found)
    elif not found:
        click.echo(f"No functions in {target.region_name}.", err=True)
    else:
        headings = ("NAME", "RUNTIME", "HANDLER", "MEMORY", "TIMEOUT", "CODE", "MODIFIED")
        print_table(headings, [_row(function) for function in found])


def _row(function: dict[str, Any]) -> tuple[str, ...]:
    return (
        function["FunctionName"],
        function.get("Runtime", function.get("PackageType", "")),
        function.get("Handler", ""),
        f"{function['MemorySize']} MB",
        f"{function['Timeout']} s",
        human_bytes(function["CodeSize"]),
        function["LastModified"][:19].replace("T", " "),
    )


@click.command()
@click.argument("name", shell_complete=function_names)
@click.option("--qualifier", help="Delete only this version.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@client_command
def delete(*, target: Target, as_json: bool, name: str, qualifier: str | None, yes: bool) -> None:
    """Delete the function NAME (or ARN) with all its versions."""
    what = f"version {qualifier} of {name}" if qualifier else f"{name} with all its versions"
    if not yes:
        click.confirm(f"Delete {what}?", abort=True, err=True)
    members = {"Qualifier": qualifier} if qualifier else {}
    target.client().delete_function(FunctionName=name, **members)
    if as_json:
        print_json({"Deleted": name, **members})
    else:
        click.echo(f"Deleted {what}.")
