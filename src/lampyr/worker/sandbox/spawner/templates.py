"""The spawner's side of templates: it makes them, has them fork, and buries what they leave.

A template forks children of the spawner's, so its sandboxes outlive it. Between the fork and the
template's word of it nobody else knows the new process: when a template dies there, the spawner
finds it among its own children.
"""

import contextlib
import json
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable

from . import fork, root, wire
from .child import map_ids
from .linux import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    die_with_parent,
    fork_into,
    mount,
    pivot_root,
)
from .plan import Config, Template
from .running import Running

_LOADING_NICENESS = 10
_REAP_SECONDS = 0.001


class Kept:
    """A template's process."""

    def __init__(self, name: str, pid: int, control: socket.socket) -> None:
        self.name = name
        self.pid = pid
        self.control = control
        self.ready = False
        self.asked: deque[tuple[Running, socket.socket]] = deque()
        """Forks that it has not answered for, in order, with where to complain about them."""

    def ask(self, running: Running, report: int, descriptors: "list[int]", message: bytes) -> None:
        """Have it fork; raise `OSError` when it cannot be asked."""
        told = socket.socket(fileno=os.dup(report))
        try:
            socket.send_fds(self.control, [message], descriptors)
        except OSError:
            told.close()
            raise
        self.asked.append((running, told))

    def hear(self) -> "tuple[dict[str, object], list[int]] | None":
        """The next thing it said; None when there is nothing."""
        try:
            data, descriptors = wire.receive(self.control)
        except OSError:
            return None
        return (json.loads(data), descriptors) if data else None


def asked(message: "dict[str, object]", *, oom: bool) -> bytes:
    """What a template is told of a fork that the server asks for."""
    if isinstance(base := message["calls"], int) and base:
        return fork.BASE.pack(base)
    return json.dumps({"network": message["network"], "oom": oom}).encode()


def make(plan: Template, config: Config) -> Kept:
    """A new template; it says so itself when it is ready."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    namespaces = CLONE_NEWNS if config.as_root else CLONE_NEWNS | CLONE_NEWUSER
    with theirs:
        uid, gid = os.getuid(), os.getgid()
        pid, pidfd = fork_into(namespaces)
        if pid == 0:
            try:
                if not config.as_root:
                    map_ids(uid, gid, inside=(0, 0))
                _become(plan, config, theirs)
            finally:
                os._exit(1)
        os.close(pidfd)
    ours.send(json.dumps(plan.config).encode())
    return Kept(plan.name, pid, ours)


def _become(plan: Template, config: Config, control: socket.socket) -> None:
    """From a clone of the spawner to a template: never returns."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    root.mount_shared(config, plan.mounts)
    null = os.open("/dev/null", os.O_RDWR)
    _enter(config)
    # First out of the way of each other, then into place; errors go where the spawner's go.
    places = {0: null, 1: null, fork.CONTROL_FD: control.fileno()}
    high = {place: _dup_high(fd) for place, fd in places.items()}
    for place, fd in high.items():
        os.dup2(fd, place, inheritable=True)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL)
    if config.as_root:  # Who is not root could not take it back.
        os.setpriority(os.PRIO_PROCESS, 0, _LOADING_NICENESS)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execve(plan.argv[0], plan.argv, plan.variables)  # noqa: S606


def _enter(config: Config) -> None:
    """Have what is shared for a root, and the host's for a working directory, below it.

    The root must be that of the mount namespace: else no fork may make a user namespace. A fork
    then has its root already. Had it to change that, the kernel would look at every task there is.
    """
    own = config.root
    if not config.as_root:
        own = config.empty
        mount(config.root, own, None, MS_BIND | MS_REC)
    sources = f"{own}{fork.SOURCES}"
    mount("tmpfs", sources, "tmpfs", 0, "size=64k,mode=755")
    for name in ("spawner", "host"):
        os.mkdir(f"{sources}/{name}")  # noqa: PTH102
    mount(os.path.dirname(__file__), f"{sources}/spawner", None, MS_BIND)  # noqa: PTH120
    pivot_root(own, f"{sources}/host")
    os.chdir(f"{fork.SOURCES}/host")


def _dup_high(fd: int) -> int:
    import fcntl  # noqa: PLC0415

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def kill_unknown(known: "set[int]") -> None:
    """End children of this process that nobody has told of, and wait for them."""
    for pid in _children():
        if pid not in known:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def end_children(thaw: "Callable[[], None]") -> None:
    """End all children of this process, also those that others of them still make.

    They are reaped as they end: the first process of a PID namespace ends after all that are in it
    or below are reaped, and those may be children of this process, too.
    """
    while found := _children():
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        thaw()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(_REAP_SECONDS)


def _children() -> "list[int]":
    try:
        fd = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return [*map(int, os.read(fd, 1 << 20).split())]
    finally:
        os.close(fd)
