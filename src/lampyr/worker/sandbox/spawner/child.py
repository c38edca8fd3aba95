"""From a fresh clone of the spawner to a function in its sandbox: one way, two orders.

As root, the file system is put together by real root, since only that one may mount an image,
and the user namespace comes last. As an ordinary user, the user namespace comes first, since
everything else is allowed only inside it. Either way the process ends without any capability in
a user namespace of its own, in which user `INSIDE_UID` is the only one.
"""

# Without pathlib, which is a third of a bare interpreter.
# ruff: noqa: PTH123

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct

from . import init, root
from .cgroups import Cgroups
from .linux import (
    CLONE_NEWCGROUP,
    CLONE_NEWNET,
    CLONE_NEWUSER,
    block_signals,
    die_with_parent,
    drop_capabilities,
    enter,
    install_filter,
    set_dumpable,
    set_no_new_privileges,
    unshare,
)
from .parting import FUNCTION_PID, possible
from .plan import INSIDE_GID, INSIDE_UID, Config, Start

_TELEMETRY_FD = 3
_SIOCSIFFLAGS = 0x8914
_UP_AND_RUNNING = 0x1 | 0x40
_BACKLOG = 128
OOM_SCORE = 500


class Inherited:
    """What the spawner has opened for a child."""

    def __init__(self, spawner: int, program: int, rules: bytes) -> None:
        self.spawner = spawner
        """Its pidfd."""
        self.program = program
        """The file of the `init` program."""
        self.rules = rules
        """The seccomp filter."""
        self.parting = possible()
        self.server: int | None = None
        """The spawner's socket: the server takes it for dead when nobody else holds it."""
        self.status = -1
        """Where `init` writes how the function ended."""
        self.oom: int | None = None
        """The eventfd that tells of a want of memory, when the kernel needs one."""


class Child:
    """The first process of a sandbox, until it turns into `init`."""

    def __init__(
        self, config: Config, cgroups: "Cgroups | None", start: Start, inherited: Inherited
    ) -> None:
        self._config = config
        self._cgroups = cgroups
        self._start = start
        self._inherited = inherited
        self._report = socket.socket(fileno=start.report)
        self._step = "start"
        self._as_root = config.as_root

    def _alive(self) -> bool:
        """Whether the process that looks after this one still does."""
        return not ended(self._inherited.spawner)

    def run(self) -> None:
        """Returns in the function's process alone, and only where `_turn` does."""
        block_signals()
        if self._inherited.server is not None:
            os.close(self._inherited.server)
        die_with_parent(signal.SIGKILL)
        try:
            self._set_up()
            self._become()
        except BaseException as error:  # noqa: BLE001  A clone of the spawner must end here.
            told: dict[str, object] = {"error": f"{self._step}: {error}"}
            if self._step == "execute" and isinstance(error, OSError):
                told["errno"] = error.errno
            with contextlib.suppress(OSError):
                self._report.send(json.dumps(told).encode())
            os._exit(1)

    def _set_up(self) -> None:
        start = self._start
        self._step = "control group"
        self._join_cgroup()
        if not self._as_root:
            self._step = "user namespace"
            self._map_first()
        self._step = "cgroup namespace"
        unshare(CLONE_NEWCGROUP)
        self._step = "network"
        self._connect()
        self._step = "file system"
        owner = (start.uid, start.gid) if self._as_root else (INSIDE_UID, INSIDE_GID)
        for fd in (start.output, start.telemetry):
            os.fchown(fd, *owner)  # So that /dev/stdout can be opened.
        self._build_root(owner)
        socket.sethostname(start.hostname)
        self._confine()

    def _map_first(self) -> None:
        map_ids(self._start.uid, self._start.gid)

    def _build_root(self, owner: tuple[int, int]) -> None:
        root.build(self._config, self._start, owner)

    def _confine(self) -> None:
        """Give up for good what the sandbox is not to have."""
        start = self._start
        self._step = "limits"
        for name, value in self._rlimits():
            limit_to(getattr(resource, f"RLIMIT_{name}"), value)
        self._step = "privileges"
        if self._as_root:
            os.setgroups([])
            os.setresgid(start.gid, start.gid, start.gid)
            os.setresuid(start.uid, start.uid, start.uid)
            # Else the files that `map_ids` writes would belong to somebody else.
            set_dumpable(True)
            unshare(CLONE_NEWUSER)
            map_ids(start.uid, start.gid)
        self._give_up_capabilities()
        set_no_new_privileges()
        # Undone by each change of credentials, so once more after the last one.
        die_with_parent(signal.SIGKILL)
        if not self._alive():
            raise OSError("the spawner is gone")

    def _rlimits(self) -> "list[tuple[str, int]]":
        return self._start.rlimits

    def _give_up_capabilities(self) -> None:
        drop_capabilities()

    def _join_cgroup(self) -> None:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(OOM_SCORE))
        if self._cgroups is None:
            return
        start = self._start
        self._cgroups.create(start.id, start.memory_bytes, start.processes)
        if self._inherited.oom is not None:
            self._cgroups.watch(start.id, self._inherited.oom)
        self._cgroups.join(start.id)

    def _connect(self) -> None:
        start = self._start
        if start.network is not None:
            enter(start.network, CLONE_NEWNET)
            return
        bring_loopback_up()
        self._listen()

    def _listen(self) -> None:
        start = self._start
        listeners = listen(start)
        socket.send_fds(self._report, [b'{"listening": true}'], [s.fileno() for s in listeners])
        for listener in listeners:
            listener.close()
        if start.waits:
            self._step = "wait for the network"
            if not self._report.recv(16):
                raise OSError("the server is gone")

    def _become(self) -> None:
        """Part into `init` and the function."""
        self._step = "first process"
        # What is in memory here is the spawner's: no function may see it.
        set_dumpable(False)
        install_filter(self._inherited.rules)
        inherited = self._inherited
        if inherited.parting is not None:
            inherited.parting.part(inherited.program, inherited.status)
            pid = 0
        else:
            pid = os.fork()
        if pid == 0:
            self._step = "execute"
            self._turn()
            return
        if pid != FUNCTION_PID:
            raise OSError(f"the function is process {pid}, not {FUNCTION_PID}")
        init.become(self._inherited.program, self._inherited.status)

    def _turn(self) -> None:
        """Turn into the function."""
        execute(self._start)


def settle(start: Start) -> None:
    """Be where a function is: in its directory, its standard descriptors and telemetry in place."""
    os.setsid()
    os.umask(0o022)
    os.chdir(start.cwd)
    stdin = os.open("/dev/null", os.O_RDONLY) if start.stdin is None else start.stdin
    keep = [stdin, start.output, start.output, start.telemetry]
    # First out of the way of each other, then into place.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in keep]
    for place, fd in enumerate(high):
        os.dup2(fd, place, inheritable=True)


def execute(start: Start) -> None:
    """Turn into the function, with no other descriptor than 0, 1, 2 and the telemetry's."""
    settle(start)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execve(start.argv[0], start.argv, start.variables)  # noqa: S606


def map_ids(uid: int, gid: int, inside: tuple[int, int] = (INSIDE_UID, INSIDE_GID)) -> None:
    """In a new user namespace: make this user and group, of the parent's, the only ones."""
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside[0]} {uid} 1"),
        ("gid_map", f"{inside[1]} {gid} 1"),
    ):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, line.encode())
        os.close(fd)


def bring_loopback_up() -> None:
    """In a network namespace of one's own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", _UP_AND_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def listen(start: Start) -> list[socket.socket]:
    """For the Runtime API in both ways, then on what other ports there are."""
    api, *others = [_listen_at(port) for port in start.ports]
    return [api, _listen_locally(start.local), *others]


def _listen_at(port: int) -> socket.socket:
    """On the loopback address."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(_BACKLOG)
    return listener


def _listen_locally(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(_BACKLOG)
    return listener


def limit_to(kind: int, value: int) -> None:
    """Both limits, as far as they may still be raised."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY and os.getuid() != 0:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def ended(pidfd: int) -> bool:
    """Whether that process is gone."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
