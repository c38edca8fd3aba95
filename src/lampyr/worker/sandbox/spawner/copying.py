"""Copies what a function has written, of whose making every name and every link in it is."""

# Without pathlib, which is a third of a bare interpreter.

import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK_BYTES = 1 << 24


def copy(source: str, target: str, owner: "tuple[int, int]") -> None:
    """The files, directories and links of a directory, into another that is there.

    Nothing is looked up through a link. Sockets and pipes are left out: nobody is at the other end.
    """
    there = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not os.listdir(there):  # noqa: PTH208  Nearly always.
            return
        here = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _copy_entries(there, here, owner)
        finally:
            os.close(here)
    finally:
        os.close(there)


def _copy_entries(there: int, here: int, owner: "tuple[int, int]") -> None:
    with os.scandir(there) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        found = os.stat(name, dir_fd=there, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=there), name, dir_fd=here)
            os.chown(name, *owner, dir_fd=here, follow_symlinks=False)
        elif stat.S_ISDIR(found.st_mode):
            _copy_directory(name, there, here, owner)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(name, there, here, owner)


def _copy_directory(name: str, there: int, here: int, owner: "tuple[int, int]") -> None:
    os.mkdir(name, 0o700, dir_fd=here)
    source = os.open(name, _DIRECTORY, dir_fd=there)
    target = os.open(name, _DIRECTORY, dir_fd=here)
    try:
        _copy_entries(source, target, owner)
        _finish(source, target, owner)
    finally:
        os.close(source)
        os.close(target)


def _copy_file(name: str, there: int, here: int, owner: "tuple[int, int]") -> None:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    source = os.open(name, os.O_RDONLY | os.O_NONBLOCK | flags, dir_fd=there)
    target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=here)
    try:
        offset = 0
        while count := os.sendfile(target, source, offset, _CHUNK_BYTES):
            offset += count
        _finish(source, target, owner)
    finally:
        os.close(source)
        os.close(target)


def _finish(source: int, target: int, owner: "tuple[int, int]") -> None:
    found = os.fstat(source)
    os.fchown(target, *owner)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
