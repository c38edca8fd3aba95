"""From a clone to a function in its sandbox, by calls that the server has written down.

Of a template, as which the clone goes on, or of the spawner, where the last call executes the
function.
"""

import contextlib
import json
import os

from . import batch
from .child import Inherited
from .linux import fork_into

LOCALE = "LC_CTYPE"
"""Where the host lacks the locale that LANG names, Python chooses another and says so here."""


def prepare(inherited: Inherited) -> "batch.Batch | None":
    """What makes the calls. None where clones do all themselves."""
    prepared = batch.possible(inherited.rules)
    if prepared is not None:
        os.dup2(inherited.spawner, batch.SPAWNER_FD, inheritable=False)
        os.dup2(inherited.program, batch.PROGRAM_FD, inheritable=False)
    return prepared


def described(prepared: "batch.Batch") -> "dict[str, object]":
    """As `Place` has it."""
    thread = prepared.thread
    return {
        "base": prepared.base,
        "filter": prepared.filter,
        "variables": prepared.variables.base,
        "number": thread.number_at,
        "robust": thread.robust_at,
        "robust_bytes": thread.robust_bytes,
        "rseq": thread.rseq_at,
        "locale": os.environ.get(LOCALE),
    }


def begin(
    prepared: "batch.Batch | None",
    base: object,
    namespaces: int,
    descriptors: "list[int]",
    closed: "int | None" = None,
) -> tuple[int, int]:
    """Number and pidfd of process 1 of a new sandbox; 0 in the function's process.

    It has calls at `base`: those for one that has died, if that is another. `closed`: what no clone
    is to have. Raise `OSError` when there can be none.
    """
    report = descriptors[0]
    if prepared is None or prepared.base != base:
        pid, pidfd = fork_into(namespaces)
        if pid == 0:
            _end(report, {"error": "fork: another template", "died": True})
        return pid, pidfd
    try:
        pid, pidfd = prepared.clone(namespaces, descriptors, closed)
        if pid == 0:
            prepared.arrive()
            prepared.variables.put_on()
    except batch.CallError as error:
        if not error.in_clone:
            raise OSError(error.errno, str(error)) from error
        said: dict[str, object] = {"error": f"set-up: {error}", "errno": error.errno}
        _end(report, said if error.place is None else said | {"place": error.place})
    except BaseException as error:  # noqa: BLE001  A clone must end here.
        _end(report, {"error": f"first steps: {error}"})
    return pid, pidfd


def _end(report: int, said: "dict[str, object]") -> None:
    with contextlib.suppress(OSError):
        os.write(report, json.dumps(said).encode())
    os._exit(1)
