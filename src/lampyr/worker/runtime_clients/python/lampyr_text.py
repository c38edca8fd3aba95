"""Has the forks of a process share the interpreter's instructions in large pages.

A fork finds no page of a file mapped: it is stopped some sixty times on its first way through the
interpreter, for sixteen pages each. Memory that is no file's is mapped as a fork is made, and two
megabytes of it cost no more than one page. So the interpreter is copied to such memory, which then
takes the place of what was there: addresses stay, and nothing that is copied is ever written to.

Works on Python 3.10 to 3.14.
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

# ruff: noqa: PLC0415 - what is imported, and when, is what this module is about

import struct

TYPE_CHECKING = False  # The module `typing` would have to be loaded.

if TYPE_CHECKING:
    import ctypes

_LARGE_BYTES, _PAGE_BYTES = 1 << 21, 1 << 12
_READ, _WRITE, _EXECUTE = 1, 2, 4
_PRIVATE_ANONYMOUS = 0x22
_MAYMOVE_FIXED = 3
_HUGEPAGE = 14
_FAILED = (1 << 64) - 1
_HEADER = struct.Struct("<2I6Q")
"""Of a segment (elf(5), Elf64_Phdr)."""
_LOADED, _WRITTEN_TO = 1, 2


def enlarge_pages() -> bool:
    """Whether it was done; if not, all is as it was."""
    import ctypes

    span = _interpreter()
    if span is None:
        return False
    first, size = span
    libc = ctypes.PyDLL(None)
    libc.mmap.restype = libc.mremap.restype = ctypes.c_size_t
    word, number = ctypes.c_size_t, ctypes.c_int
    kind = number(_READ | _WRITE), number(_PRIVATE_ANONYMOUS), number(-1), ctypes.c_long(0)
    room = libc.mmap(None, word(size + _LARGE_BYTES), *kind)
    if room == _FAILED:
        return False
    # As far from a boundary as what it is to replace.
    copy = room + (first - room) % _LARGE_BYTES
    libc.madvise(word(copy), word(size), number(_HUGEPAGE))
    ctypes.memmove(copy, first, size)
    moved = _FAILED
    if libc.mprotect(word(copy), word(size), number(_READ | _EXECUTE)) == 0:
        moved = libc.mremap(word(copy), word(size), word(size), number(_MAYMOVE_FIXED), word(first))
    # What was moved away from is not there any more, which is no error.
    libc.munmap(word(room), word(size + _LARGE_BYTES))
    return bool(moved == first)


def _interpreter() -> "tuple[int, int] | None":
    """Address and size of what is mapped of it and is never written to, in one piece."""
    import ctypes

    inside = ctypes.cast(ctypes.pythonapi.Py_Initialize, ctypes.c_void_p).value or 0
    found = []

    def look(about: "ctypes._Pointer[ctypes.c_uint64]", _: int, __: object) -> int:
        first, end = _in_one_piece(_spans(about))
        if first <= inside < end:
            found.append((first, end - first))
        return 0

    # dl_phdr_info(3): base, name, headers, how many.
    words = ctypes.POINTER(ctypes.c_uint64)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, words, ctypes.c_size_t, ctypes.c_void_p)
    ctypes.PyDLL(None).dl_iterate_phdr(kind(look), None)
    return next((span for span in found if span[1] >= _LARGE_BYTES), None)


def _spans(about: "ctypes._Pointer[ctypes.c_uint64]") -> "list[tuple[int, int]]":
    """Of the segments that are not written to, in whole pages."""
    import ctypes

    base, _, headers, count = about[0], about[1], about[2], about[3] & 0xFFFF
    table = ctypes.string_at(headers, count * _HEADER.size)
    spans = []
    for kind, flags, _, address, _, _, size, _ in _HEADER.iter_unpack(table):
        if kind == _LOADED and not flags & _WRITTEN_TO:
            start, end = base + address, base + address + size
            spans.append((start // _PAGE_BYTES * _PAGE_BYTES, -(-end // _PAGE_BYTES) * _PAGE_BYTES))
    return sorted(spans)


def _in_one_piece(spans: "list[tuple[int, int]]") -> "tuple[int, int]":
    first, end = spans[0] if spans else (0, 0)
    for start, stop in spans:
        if start == end:
            end = stop
    return first, end
