"""A file system of a given size in a sparse file, for `/tmp` as root.

A tmpfs would be charged to the function's memory; blocks on disk are not.
"""

# Without pathlib, which is a third of a bare interpreter.
# ruff: noqa: PTH108

import contextlib
import errno
import fcntl
import os
import stat
import struct

_CTL_GET_FREE = 0x4C82
_CONFIGURE = 0x4C0A
_FLAG_AUTOCLEAR = 4
_FLAGS_OFFSET = 8 + 52
_CONFIG_BYTES = 304
_ATTEMPTS = 50
_COPY_BYTES = 1 << 30


def nameless_copy(template: str, directory: str) -> int:
    """A sparse copy of `template` that no directory names: it is gone when nobody uses it."""
    source = os.open(template, os.O_RDONLY | os.O_CLOEXEC)
    try:
        copy = nameless_file(directory)
        size = os.fstat(source).st_size
        os.ftruncate(copy, size)
        offset = 0
        while (start := _seek(source, offset, os.SEEK_DATA)) is not None:
            offset = end = os.lseek(source, start, os.SEEK_HOLE)
            while start < end:
                start += _copy(source, copy, start, min(end - start, _COPY_BYTES))
        return copy
    finally:
        os.close(source)


def _seek(fd: int, offset: int, whence: int) -> "int | None":
    try:
        return os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def _copy(source: int, target: int, offset: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count, offset, offset)
    except OSError:  # File systems that cannot: by way of this process.
        return os.pwrite(target, os.pread(source, min(count, 1 << 20), offset), offset)


def nameless_file(directory: str) -> int:
    """An empty file in no directory of that file system."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(directory, flags | os.O_TMPFILE, 0o600)
    except OSError:  # File systems without O_TMPFILE.
        path = f"{directory}/.tmp-image-{os.urandom(8).hex()}"
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)
        return fd


def attach(image: int) -> tuple[int, str]:
    """A loop device over `image`: its descriptor and path. It goes with its last user."""
    config = bytearray(_CONFIG_BYTES)
    struct.pack_into("<II", config, 0, image, 4096)
    struct.pack_into("<I", config, _FLAGS_OFFSET, _FLAG_AUTOCLEAR)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):
            number = fcntl.ioctl(control, _CTL_GET_FREE)
            path = f"/dev/loop{number}"
            with contextlib.suppress(FileExistsError):
                os.mknod(path, stat.S_IFBLK | 0o660, os.makedev(7, number))
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _CONFIGURE, bytes(config))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:  # Another process was quicker.
                    raise
                continue
            return device, path
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no free loop device")
