"""Sandboxes whose process has initialised a function and is forked: SnapStart's.

Nothing that an origin's process says or does can be believed, as it has run the function's code,
and nothing that needs a privilege can be left to its forks, as they have its memory. So a clean
process of the spawner's goes into each fork's namespaces and furnishes them.

    spawner ──descriptors──▶ origin ──clone──▶ process 1 of a sandbox, later `init`
       │  ▲                     │                    │ fork
       │  └──────pidfd──────────┘                    │
       ├──clone──▶ furnisher                         ▼
       └──variables, when it has done its work──▶ the function

An origin is the only process of its user namespace that has a privilege: to make namespaces. Its
PID namespace is that of all its forks, which begin new ones below; a `keeper` is process 1 there,
and stays until the origin and its last fork are gone.
"""

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
from collections import deque

from . import init, seccomp, wire
from .cgroups import Cgroups
from .child import Child, Inherited, ended, execute, map_ids
from .linux import (
    CAP_SYS_ADMIN,
    CLONE_NEWPID,
    CLONE_PARENT,
    block_signals,
    die_with_parent,
    drop_capabilities,
    fork_as,
    fork_into,
    install_filter,
    keep_only,
    namespaces,
    set_dumpable,
    set_no_new_privileges,
    unshare,
)
from .plan import Config, Start
from .running import Running
from .templates import Kept

CONTROL_VARIABLE = "_LAMPYR_SNAPSHOT_FD"
"""Names the descriptor by which the runtime hears that it is to fork."""
_ORIGIN_PID = 30_000
"""Not that of any fork: cryptographic libraries tell a fork by the number of its process."""
_REASON_CHARACTERS = 200


class Origin(Kept):
    """A process that is forked, of which nothing is believed."""

    def __init__(self, start: Start, pid: int, keeper: int, control: socket.socket) -> None:
        super().__init__(start.id, pid, control)
        self.keeper = keeper
        self.ids = start.uid, start.gid
        self.over = False
        self.forks: set[str] = set()
        self.starts: deque[tuple[Start, socket.socket]] = deque()
        """What is to be furnished, of those that were asked for; and the way to its process."""

    def hear(self) -> "tuple[dict[str, object], list[int]] | None":
        """The next thing it said; None when there is nothing, or nothing that makes sense."""
        try:
            data, descriptors = wire.receive(self.control)
        except OSError:
            return None
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(data)
            if isinstance(said, dict):
                return said, descriptors
        for fd in descriptors:
            os.close(fd)
        return None


class OriginChild(Child):
    """The process of an origin, until it executes the runtime."""

    def __init__(
        self,
        config: Config,
        cgroups: "Cgroups | None",
        start: Start,
        inherited: Inherited,
        control: socket.socket,
    ) -> None:
        super().__init__(config, cgroups, start, inherited)
        self._control = control

    def _map_first(self) -> None:
        """Whoever made this process has done it."""

    def _rlimits(self) -> "list[tuple[str, int]]":
        """Of all its forks, which have its user, RLIMIT_NPROC would count the processes together.

        Where each has a control group that counts its own, there is no need to.
        """
        limits = self._start.rlimits
        if self._cgroups is None or "pids" not in self._cgroups.hierarchies:
            return limits
        return [(name, value) for name, value in limits if name != "NPROC"]

    def _give_up_capabilities(self) -> None:
        keep_only(CAP_SYS_ADMIN)

    def _become(self) -> None:
        self._step = "filter"
        set_dumpable(False)  # What is in memory here is the spawner's.
        install_filter(seccomp.build(template=True))
        self._step = "execute"
        control = fcntl.fcntl(self._control, fcntl.F_DUPFD, 10)
        self._start.variables[CONTROL_VARIABLE] = str(control)
        execute(self._start)


def make(
    config: Config, cgroups: "Cgroups | None", start: Start, inherited: Inherited
) -> "tuple[Origin, int]":
    """A new origin, a child of this process, and its pidfd; raise `OSError`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    hear, tell = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    every = namespaces(as_root=config.as_root, network=start.network is not None)
    with theirs, tell, hear:
        pid, pidfd = fork_into(every & ~CLONE_NEWPID)
        if pid == 0:
            try:
                _make_both(config, start, inherited, tell, OriginChild(
                    config, cgroups, start, inherited, theirs
                ))  # fmt: skip
            finally:
                os._exit(1)
        os.close(pidfd)
        tell.close()
        data, descriptors = wire.receive(hear)
    os.waitpid(pid, 0)
    if not descriptors:
        ours.close()
        raise OSError(errno.EAGAIN, data.decode() or "its maker died")
    said = json.loads(data)
    ours.setblocking(False)
    return Origin(start, said["pid"], said["keeper"], ours), descriptors[0]


def _make_both(
    config: Config, start: Start, inherited: Inherited, tell: socket.socket, child: OriginChild
) -> None:
    """From a clone of the spawner: the keeper and the origin, as children of the spawner."""
    block_signals()
    try:
        if not config.as_root:
            map_ids(start.uid, start.gid)
        unshare(CLONE_NEWPID)
        keeper, _ = fork_into(CLONE_PARENT)
        if keeper == 0:
            _become_keeper(config, start, inherited)
        pid, pidfd = fork_as(_ORIGIN_PID, CLONE_PARENT)
        if pid == 0:
            tell.close()
            child.run()
        said = json.dumps({"pid": pid, "keeper": keeper}).encode()
        socket.send_fds(tell, [said], [pidfd])
    except OSError as error:
        tell.send(str(error).encode())
    os._exit(0)


def _become_keeper(config: Config, start: Start, inherited: Inherited) -> None:
    try:
        if config.as_root:
            os.setgroups([])
            os.setresgid(start.gid, start.gid, start.gid)
            os.setresuid(start.uid, start.uid, start.uid)  # Which leaves no capability.
        else:
            drop_capabilities()
        set_no_new_privileges()
        set_dumpable(False)
        die_with_parent(signal.SIGKILL)
        if not ended(inherited.spawner):
            install_filter(inherited.rules)
            init.become(init.descriptor(keeper=True))
    finally:
        os._exit(1)


def reason_in(said: "dict[str, object]") -> str:
    """Why it cannot be forked, as far as that is fit to be shown."""
    text = str(said.get("unfit"))[:_REASON_CHARACTERS]
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def child_of_ours(pidfd: int) -> int:
    """The number of the process that a descriptor stands for; `OSError` if it is no child here."""
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    fd = os.open(f"/proc/self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(fd, 4096).decode().splitlines()
    finally:
        os.close(fd)
    number = int(next(line for line in lines if line.startswith("Pid:"))[4:])
    if number <= 0:
        raise ProcessLookupError(errno.ESRCH, "it has ended")
    return number


class Restore:
    """What comes of one message that asks for a fork of an origin."""

    def __init__(self, start: Start, running: Running, status: int) -> None:
        self.start = start
        self.running = running
        self.status = status
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.asked = False

    def ask(self, origin: Origin, cgroups: "Cgroups | None") -> None:
        """Have it fork; raise `OSError` when it cannot be asked."""
        start, doors = self.start, []
        try:
            if cgroups is not None:
                cgroups.create(start.id, start.memory_bytes, start.processes)
                if self.running.oom is not None:
                    cgroups.watch(start.id, self.running.oom)
                doors = cgroups.doors(start.id)
            passed = [self.theirs.fileno(), start.output, start.telemetry, self.status, *doors]
            origin.ask(self.running, start.report, passed, b"{}")
            origin.starts.append((start, self.ours))
            self.asked = True
        finally:
            for fd in doors:
                os.close(fd)

    def close(self) -> None:
        """After it was asked, or was not: what nobody else has closed."""
        os.close(self.status)
        self.theirs.close()
        if not self.asked:
            self.ours.close()
            self.start.close()
