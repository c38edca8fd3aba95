"""Has the forks of a process share more of its memory: what they only read, they do not copy.

Whoever uses an object of Python counts that in the object, and so writes to a page that a fork
shares with its template: the kernel copies it. But objects that exist for as long as the
interpreter, such as `None`, are not counted since Python 3.12: their count has a value that tells
so (PEP 683, which names this use). A template's objects exist for as long as the forks, which end
without taking anything apart, so all of them are given that value.

And whatever a fork makes, it makes in the gaps between what is there, each of them in another page.
So the gaps are filled before, and a fork begins on pages of its own.

A third of the pages that a start copied were copied for these two reasons. On Python before 3.12
only gaps are filled.
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

# ruff: noqa: PLC0415 - what is imported, and when, is what this module is about

import gc
import types

_LASTING_MIN = 1 << 31
"""No count of references gets there: CPython takes an object with this bit for one that lasts."""
_OBJECTS_AT_ONCE = 5_000
_WORD_BYTES = 16
_SMALL_BYTES_MIN, _SMALL_BYTES_MAX = 48, 512
"""Of objects for which Python does not ask the C library: it has pools for each size."""
_ROW_BYTES = 9_000
"""Objects that follow one another for so long are in a pool that was empty, or nearly."""
_OBJECTS_MAX = 50_000


def make_lasting() -> None:
    """Give every object that is alive now, but those made for this, a count that stays."""
    import ctypes

    at = ctypes.c_uint32.from_address
    lasting = at(id(None)).value
    if lasting < _LASTING_MIN:
        return
    everything = gc.get_objects()
    for first in range(0, len(everything), _OBJECTS_AT_ONCE):
        found = everything[first : first + _OBJECTS_AT_ONCE]
        while found:
            new = []
            for each in found:
                count = at(id(each))
                if count.value < _LASTING_MIN:
                    count.value = lasting
                    new.append(each)
            found = gc.get_referents(*new)
            for each in new:
                if type(each) is types.CodeType:
                    found += _parts(each)


def _parts(code: types.CodeType) -> "list[object]":
    """What the garbage collector does not tell of."""
    return [
        code.co_consts,
        code.co_names,
        code.co_filename,
        code.co_name,
        getattr(code, "co_qualname", None),
        code.co_linetable,
        getattr(code, "co_exceptiontable", None),
    ]


def filled_gaps() -> "list[object]":
    """What fills them: to be kept."""
    kept: list[object] = []
    empty = bytes.__basicsize__
    for size in range(_SMALL_BYTES_MIN, _SMALL_BYTES_MAX + 1, _WORD_BYTES):
        made: list[object] = []
        last, row = 0, 0
        while row < _ROW_BYTES and len(made) < _OBJECTS_MAX:
            made.append(bytes(size - empty))
            place = id(made[-1])
            row = row + size if place == last + size else 0
            last = place
        kept.append(made)
    return kept
