"""A clean process that makes an origin's fork a sandbox: file systems, host name, listeners.

It is born into the fork's PID namespace, so that the `/proc` that it mounts is of that one, and
enters the others when it has everything ready. The function goes on when this process is gone.
"""

import json
import os
import signal
import socket

from . import root
from .child import bring_loopback_up, listen
from .linux import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    block_signals,
    die_with_parent,
    enter,
    fork_as,
    fork_into,
    put_down,
    unshare,
)
from .plan import INSIDE_GID, INSIDE_UID, Config, Start

_PID = 30_000
"""In the fork's namespace, where the function is to be process 2."""


class Fork:
    """What is to be furnished."""

    def __init__(self, start: Start, origin: int, pidfd: int) -> None:
        self.start = start
        self.source = f"/proc/{origin}/root"
        """The root of the process that was forked."""
        self.pidfd = pidfd

    def descriptors(self) -> "set[int]":
        start = self.start
        return {start.report, start.output, start.telemetry, self.pidfd}


def send_out(config: Config, fork: Fork, home: int) -> int:
    """A process that furnishes a fork: its number. `home`: this PID namespace."""
    work = _Furnisher(config, fork)
    if not config.as_root:
        pid, pidfd = fork_into(0)
        if pid == 0:
            work.run(inside=False)
        os.close(pidfd)
        return pid
    enter(fork.pidfd, CLONE_NEWPID)
    try:
        pid, pidfd = fork_as(_PID)
        if pid == 0:
            work.run(inside=True)
    finally:
        enter(home, CLONE_NEWPID)
    os.close(pidfd)
    return pid


class _Furnisher:
    def __init__(self, config: Config, fork: Fork) -> None:
        self._config = config
        self._fork = fork
        self._start = fork.start
        self._source = fork.source
        self._step = "begin"

    def run(self, *, inside: bool) -> None:
        """Never returns. `inside`: this process is in the fork's PID namespace already."""
        report = socket.socket(fileno=self._start.report)
        try:
            self._let_go()
            if not inside:
                self._step = "enter"
                source = os.open(self._source, os.O_PATH | os.O_CLOEXEC)
                self._source = f"/proc/self/fd/{source}"
                enter(self._fork.pidfd, CLONE_NEWUSER)
                enter(self._fork.pidfd, CLONE_NEWPID)
                pid, _ = fork_as(_PID)
                if pid != 0:
                    report.close()
                    _, status = os.waitpid(pid, 0)
                    os._exit(int(status != 0))
            self._furnish(report)
        except BaseException as error:  # noqa: BLE001  A clone of the spawner must end here.
            report.send(json.dumps({"error": f"{self._step}: {error}"}).encode())
            os._exit(1)
        os._exit(0)

    def _let_go(self) -> None:
        """Of all that is others': who waits for the end of a socket is not to wait for us."""
        block_signals()
        die_with_parent(signal.SIGKILL)
        kept = sorted({0, 1, 2, *self._fork.descriptors()})
        for before, after in zip(kept, [*kept[1:], 1 << 20], strict=True):
            if after > before + 1:
                os.closerange(before + 1, after)

    def _furnish(self, report: socket.socket) -> None:
        start, config = self._start, self._config
        self._step = "file system"
        owner = (start.uid, start.gid) if config.as_root else (INSIDE_UID, INSIDE_GID)
        for fd in (start.output, start.telemetry):
            os.fchown(fd, *owner)
        unshare(CLONE_NEWNS)
        trees = root.build_again(config, start, owner, self._source)
        self._step = "namespaces"
        enter(self._fork.pidfd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS)
        for target, tree in trees:
            put_down(tree, target)
        socket.sethostname(start.hostname)
        self._step = "network"
        bring_loopback_up()
        listeners = listen(start)
        socket.send_fds(report, [b'{"listening": true}'], [s.fileno() for s in listeners])
        if start.waits and not report.recv(16):
            raise OSError("the server is gone")
