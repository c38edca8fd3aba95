"""Pages of memory for instructions of our own."""

import ctypes
import mmap
import os

_libc = ctypes.PyDLL(None)
_libc.mmap.restype = ctypes.c_void_p


def executable_page(code: bytes) -> int:
    """The address of a page that holds these instructions, and that nobody can write to."""
    fd = os.memfd_create("part", os.MFD_CLOEXEC)
    try:
        os.write(fd, code.ljust(mmap.PAGESIZE, b"\0"))
        size, offset = ctypes.c_size_t(mmap.PAGESIZE), ctypes.c_long(0)
        kind = mmap.PROT_READ | mmap.PROT_EXEC
        page = _libc.mmap(None, size, kind, mmap.MAP_PRIVATE, fd, offset)
    finally:
        os.close(fd)
    if page is None or page == ctypes.c_void_p(-1).value:
        raise OSError("no page to execute")
    return int(page)


def release_page(page: int) -> None:
    """Nobody comes back to it."""
    _libc.munmap(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE))
