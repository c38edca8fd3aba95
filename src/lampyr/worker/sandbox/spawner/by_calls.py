"""From a fresh clone to a function in its sandbox, by calls that the server has written down.

Of a template, as which the clone goes on, or of the spawner, where the last call executes the
function.
"""

import contextlib
import json
import os

from . import batch
from .child import Inherited

LOCALE = "LC_CTYPE"
"""Where the host lacks the locale that LANG names, Python chooses another and says so here."""
_STATUS = 3
"""Place of the descriptor that `init` writes to, among those of a fork."""


def prepare(inherited: Inherited, spawner: int) -> "batch.Batch | None":
    """What makes the calls; `spawner` is its pidfd. None where clones do all themselves."""
    prepared = batch.possible(inherited)
    if prepared is not None:
        os.dup2(spawner, batch.SPAWNER_FD, inheritable=False)
    return prepared


def described(prepared: "batch.Batch") -> "dict[str, object]":
    """As `Place` has it."""
    return {
        "base": prepared.base,
        "filter": prepared.filter,
        "variables": prepared.variables.base,
        "locale": os.environ.get(LOCALE),
    }


def become(
    base: object,
    prepared: "batch.Batch | None",
    inherited: Inherited,
    descriptors: "list[int]",
) -> None:
    """Returns in the function's process, if that was not executed.

    For one that has calls at `base`: for one that has died, if that is another.
    """
    step = "fork"
    report = descriptors[0]
    if prepared is None or prepared.base != base:
        os.write(report, b'{"error": "fork: another template", "died": true}')
        os._exit(1)
    try:
        for place, fd in enumerate(descriptors):
            os.dup2(fd, batch.FIRST_FD + place, inheritable=False)
        prepared.receive(report)
        step = "set-up"
        prepared.set_up()
        step = "first process"
        prepared.part(inherited.program, batch.FIRST_FD + _STATUS)
        prepared.settle()
    except BaseException as error:  # noqa: BLE001  A clone must end here.
        said: dict[str, object] = {"error": f"{step}: {error}"}
        if isinstance(error, batch.CallError):
            said.update(place=error.place, errno=error.errno)
        with contextlib.suppress(OSError):
            os.write(report, json.dumps(said).encode())
        os._exit(1)
