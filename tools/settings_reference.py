"""Write docs/reference/settings.md from `lampyr.settings`; run by `make docs`."""

import sys
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Final

from lampyr.settings import BOUNDS, CHOICES, TABLES, Settings

TARGET: Final = Path(__file__).resolve().parent.parent / "docs" / "reference" / "settings.md"
HOME_DEFAULTS: Final = {
    "data_dir": "~/.local/state/lampyr",
    "runtimes_dir": "~/.local/share/lampyr/runtimes",
    "neighbours_dir": "neighbours, in the environment of Lampyr's own Python",
    "endpoints": "none",
    "brokers": "none",
}
HEAD: Final = """\
# Settings

This page is made from `src/lampyr/settings.py` by `make docs`.

Each setting can be given in three ways. The first one that is given counts:

1. a flag of `lampyr start`, such as `--port 5000`;
2. a variable, such as `LAMPYR_PORT=5000`; an empty one counts as not given;
3. a line of one TOML file, such as `port = 5000`.

The file is the one named by `--config`, else the one named by `LAMPYR_CONFIG`, else
`./lampyr.toml`, else `~/.config/lampyr/config.toml` (`$XDG_CONFIG_HOME` counts). Only one file is
read, and one that was named must exist. Settings are read once, at the start. A name that is not
known and a value that cannot be used are refused, with a hint.

The client commands (`deploy`, `invoke`, `logs`, `list`, `delete`) read the same variables and the
same file to find the server: `http://HOST:PORT`, and `region` where the AWS configuration names
none.

| setting | flag | variable | default | values |
|---|---|---|---|---|
"""


def reference() -> str:
    items = fields(Settings)
    rows = "".join(_row(item) for item in items)
    texts = "".join(f"\n## `{item.name}`\n\n{item.metadata['help']}\n" for item in items)
    return HEAD + rows + texts


def _row(item: Field[Any]) -> str:
    flag, variable = f"--{item.name.replace('_', '-')}", f"LAMPYR_{item.name.upper()}"
    if (one := TABLES.get(item.name)) is not None:
        flag, variable = f"--{one}", f"LAMPYR_{one.upper()}_<NAME>"
    default = HOME_DEFAULTS[item.name] if item.default is MISSING else item.default
    return f"| `{item.name}` | `{flag}` | `{variable}` | `{default}` | {_values(item)} |\n"


def _values(item: Field[Any]) -> str:
    if item.name in TABLES:
        return "names with URLs"
    if item.name in CHOICES:
        return ", ".join(f"`{choice}`" for choice in sorted(CHOICES[item.name]))
    if item.name in BOUNDS:
        least, most = BOUNDS[item.name]
        return f"{least:g} to {most:.15g}"
    return {"Path": "a path", "int": "a whole number", "float": "a number"}.get(
        getattr(item.type, "__name__", ""), "text"
    )


def main() -> int:
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(reference())
    return 0


if __name__ == "__main__":
    sys.exit(main())
