"""Has the forks of a process share more of its memory: what they only read, they do not copy.

Whoever uses an object of Python counts that in the object, and so writes to a page that a fork
shares with its template: the kernel copies it. But objects that exist for as long as the
interpreter, such as `None`, are not counted since Python 3.12: their count has a value that tells
so (PEP 683, which names this use). A template's objects exist for as long as the forks, which end
without taking anything apart, so all of them are given that value.

And whatever a fork makes, it makes in the gaps between what is there, each of them in another page.
So the gaps are filled before, and a fork begins on pages of its own.

More than a third of the pages that a start copied were copied for these two reasons. On Python
before 3.12 only gaps are filled.
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

# ruff: noqa: PLC0415 - what is imported, and when, is what this module is about

import gc
import types
from functools import partial
from itertools import count

TYPE_CHECKING = False  # The module `typing` would have to be loaded.

if TYPE_CHECKING:
    from collections.abc import Callable

_LASTING_MIN = 1 << 31
"""No count of references gets there: CPython takes an object with this bit for one that lasts."""
_OBJECTS_AT_ONCE = 5_000
_WORD_BYTES = 16
_SMALL_BYTES_MIN, _SMALL_BYTES_MAX = 16, 512
"""Of objects for which Python does not ask the C library: it has pools for each size."""
_POOL_BYTES, _POOL_HEAD_BYTES = 1 << 14, 48
_FILLED_BYTES_MAX = 1 << 19
"""Of one size, where pools are not what they are known to be."""
_BLOCKS_MAX, _CHUNKS_MAX = 100, 100_000
_HEAP_BYTES_MAX = 100_000
"""More comes from no gap, but not yet from a mapping of its own."""
_HEAP_SIZES = (*(1 << power for power in range(16, 10, -1)), *range(1_032, 0, -_WORD_BYTES))


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
    """What fills them: to be kept. It comes last, as whatever is made before may leave new ones."""
    kept: list[object] = [
        _filled(size) for size in range(_SMALL_BYTES_MIN, _SMALL_BYTES_MAX + 1, _WORD_BYTES)
    ]
    _fill_heap()
    return kept


def _filled(size: int) -> "list[object]":
    """Up to the beginning of a pool that was empty: what tells of it is in the same page then."""
    make = _makers().get(size) or partial(bytes, size - bytes.__basicsize__)
    made: list[object] = []
    last = 0
    while len(made) * size < _FILLED_BYTES_MAX:
        made.append(make())
        place = id(made[-1])
        if place == last + size and last % _POOL_BYTES == _POOL_HEAD_BYTES:
            break
        last = place
    return made


def _makers() -> "dict[int, Callable[[], object]]":
    """Of objects smaller than any `bytes`."""
    numbers = count()
    return {16: object, 32: lambda: float(next(numbers))}


def _fill_heap() -> None:
    """The same for the C library, if it is GNU's, which is asked for whatever is larger."""
    import ctypes

    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return
    libc.malloc.restype = ctypes.c_size_t
    edge = last = 0
    for _ in range(_BLOCKS_MAX):
        place = libc.malloc(_HEAP_BYTES_MAX)
        if place - last == _HEAP_BYTES_MAX + _WORD_BYTES:
            edge = place
            break
        last = place
    left = _CHUNKS_MAX
    for size in _HEAP_SIZES:
        while left and libc.malloc(size) < edge:
            left -= 1
