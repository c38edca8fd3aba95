"""The descriptors of a process that is forked: how each becomes a fork's own.

A fork shares the position in a file, and the peer of a socket, with the process it was. So files
are opened again, where they are in a directory that was copied there; sockets are put in their
place that are as closed as a connection is after a while.
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

# ruff: noqa: PTH208

import fcntl
import os
import socket
import stat

_WRITABLE = ("/tmp/", "/dev/shm/")  # noqa: S108
_DELETED = " (deleted)"
_CHUNK_BYTES = 1 << 20


class UnfitError(Exception):
    """A process cannot be forked; the message says what stands against it."""


class Descriptors:
    """What there is, seen once; `renew` makes it a fork's own."""

    def __init__(self, own: "frozenset[int]") -> None:
        """`own`: those that are the runtime's. Raise `UnfitError`."""
        pipes = {_identity(fd): fd for fd in (1, 3)}
        self._copies: list[tuple[int, int]] = []
        """(descriptor, 1 or 3): another name for the output or for the telemetry."""
        self._files: list[_File] = []
        self._sockets: list[_Socket] = []
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            if fd == 0 or fd in own:
                continue
            try:
                kind, target = os.fstat(fd).st_mode, os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115
            except OSError:
                continue  # That of the listing.
            if _identity(fd) in pipes:
                self._copies.append((fd, pipes[_identity(fd)]))
            elif stat.S_ISSOCK(kind):
                self._sockets.append(_Socket(fd))
            elif stat.S_ISREG(kind) or stat.S_ISDIR(kind):
                self._files.append(_File(fd, target))
            elif not stat.S_ISCHR(kind):
                what = "an event loop" if "event" in target else target.partition(":")[0]
                raise UnfitError(f"a descriptor that Init has left open ({what})")

    def renew(self, standard: "list[int]") -> None:
        """`standard`: where this environment's output and telemetry go; both are taken over."""
        output, telemetry = standard
        for fd, which in self._copies:
            os.dup2(output if which == 1 else telemetry, fd, os.get_inheritable(fd))
        for file in self._files:
            file.renew()
        for each in self._sockets:
            each.renew()
        for fd in standard:
            os.close(fd)


class _File:
    def __init__(self, fd: int, path: str) -> None:
        if path.startswith("/memfd:"):
            raise UnfitError("memory that Init shares by a descriptor")
        self._fd = fd
        self._path = path
        self._flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)

    def renew(self) -> None:
        position = os.lseek(self._fd, 0, os.SEEK_CUR) if self._is_file else 0
        try:
            new = self._opened()
        except OSError:  # It is in /proc, say, of what is no more.
            return
        if self._is_file:
            os.lseek(new, position, os.SEEK_SET)
        os.dup2(new, self._fd, os.get_inheritable(self._fd))
        os.close(new)

    def _opened(self) -> int:
        here = f"/proc/self/fd/{self._fd}"
        if not self._path.startswith(_WRITABLE):
            return os.open(here, self._flags | os.O_CLOEXEC)
        if not self._path.endswith(_DELETED):
            return os.open(self._path, self._flags | os.O_CLOEXEC)
        # It has no name any more, or never had one: a copy of it.
        new = os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)  # noqa: S108
        old = os.open(here, os.O_RDONLY | os.O_CLOEXEC)
        while data := os.read(old, _CHUNK_BYTES):
            os.write(new, data)
        os.close(old)
        fcntl.fcntl(new, fcntl.F_SETFL, self._flags & (os.O_APPEND | os.O_NONBLOCK))
        return new


class _Socket:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        with socket.socket(fileno=os.dup(fd)) as found:
            self._family, self._kind = found.family, found.type
            if found.family not in (socket.AF_INET, socket.AF_INET6):
                raise UnfitError("a socket to another process that Init has left open")
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise UnfitError("a socket that listens")
            try:
                found.getpeername()
                self._was_connected = True
            except OSError:
                self._was_connected = False

    def renew(self) -> None:
        """A new one; for one that was connected, one whose peer has hung up."""
        if self._was_connected and self._kind == socket.SOCK_STREAM:
            new, peer = socket.socketpair()
            peer.close()
        else:
            new = socket.socket(self._family, self._kind)
        new.setblocking(os.get_blocking(self._fd))
        os.dup2(new.fileno(), self._fd, os.get_inheritable(self._fd))
        new.close()


def _identity(fd: int) -> "tuple[int, int]":
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
