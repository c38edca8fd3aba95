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
_PIECE_BYTES = 1 << 16


class Image:
    """What is in a sparse file: `pieces`, each with its place, and nothing elsewhere."""

    def __init__(self, path: str) -> None:
        self.pieces: list[tuple[int, bytes]] = []
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.size = os.fstat(source).st_size
            offset = 0
            while (start := _seek(source, offset, os.SEEK_DATA)) is not None:
                end = os.lseek(source, start, os.SEEK_HOLE)
                piece = os.pread(source, min(end - start, _PIECE_BYTES), start)
                offset = start + len(piece)
                if piece.strip(b"\0"):  # File systems that know of no holes.
                    self.pieces.append((start, piece))
        finally:
            os.close(source)

    def on_device(self, directory: str) -> tuple[int, str]:
        """A loop device with all of that, over a file in no directory: its descriptor and path.

        It is written to the device, not to the file below: the kernel has nothing to write to disk
        before there is a device, nor to read when it is mounted. What it keeps of the device in
        memory until then is what anybody sees who looks at it.
        """
        file = nameless_file(directory)
        try:
            os.ftruncate(file, self.size)
            device, path = attach(file)
        finally:
            os.close(file)
        try:
            for offset, piece in self.pieces:
                os.pwrite(device, piece, offset)
        except OSError:
            os.close(device)
            raise
        return device, path


def _seek(fd: int, offset: int, whence: int) -> "int | None":
    try:
        return os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


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
