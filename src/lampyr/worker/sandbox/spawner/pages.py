"""Pages of memory for instructions of our own."""

import ctypes
import mmap
import os

_libc = ctypes.PyDLL(None)
_libc.mmap.restype = ctypes.c_void_p
_MAP_FIXED = 0x10


def reserve(size: int) -> int:
    """The address of so much memory, private and empty."""
    kind = mmap.PROT_READ | mmap.PROT_WRITE
    return _mapped(None, size, kind, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)


def executable_page(code: bytes, at: "int | None" = None) -> int:
    """The address of a page that holds these instructions, and that nobody can write to.

    `at`: where it is to be, instead of what is there.
    """
    fd = os.memfd_create("part", os.MFD_CLOEXEC)
    try:
        os.write(fd, code.ljust(mmap.PAGESIZE, b"\0"))
        kind = mmap.PROT_READ | mmap.PROT_EXEC
        flags = mmap.MAP_PRIVATE | (0 if at is None else _MAP_FIXED)
        return _mapped(at, mmap.PAGESIZE, kind, flags, fd)
    finally:
        os.close(fd)


def _mapped(at: "int | None", size: int, kind: int, flags: int, fd: int) -> int:
    length, offset = ctypes.c_size_t(size), ctypes.c_long(0)
    page = _libc.mmap(ctypes.c_void_p(at), length, kind, flags, fd, offset)
    if page is None or page == ctypes.c_void_p(-1).value:
        raise OSError("no memory for instructions")
    return int(page)


def release_page(page: int) -> None:
    """Nobody comes back to it."""
    _libc.munmap(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE))
