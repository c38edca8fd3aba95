"""SnapStart: the process that has initialised a function waits here, and is forked.

Each fork is an execution environment. What the kernel makes it share with this process, or with
another fork, is made its own before it goes on: descriptors, random numbers, variables. What
cannot be made its own (threads, event loops, processes, shared memory) means that this process
is not fit to be forked; `_unfit` says why.

    spawner ──descriptors──▶ restore_next ──clone──▶ process 1 of a sandbox, which becomes `init`
                                                        │ fork
                                                        ▼
                                    the function: `restore_next` returns there

Works on Python 3.10 to 3.14.
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

# ruff: noqa: PLC0415, SLF001 - this is a part of the runtime's client

import gc
import json
import os
import signal
import socket
import sys
import time

from lampyr_sandbox import init, linux, seccomp, wire  # type: ignore[import-not-found]
from lampyr_snapshot_descriptors import Descriptors, UnfitError  # type: ignore[import-not-found]

_FIRST_FREE_FD = 4
_FUNCTION_PID = 2
_TRIES = 20
_TRY_SECONDS = 0.01
_NAMESPACES = (
    linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWNET
)


class Snapshot:
    """Made before any line of the function has run."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: of the socket to the spawner."""
        self._control = socket.socket(fileno=descriptor)
        self._control.set_inheritable(False)
        self._rules = seccomp.build()
        self._init = init.descriptor()
        self._variables = dict(os.environ)
        linux.hand_on_nothing(linux.CAP_SYS_ADMIN)

    def restore_next(self) -> None:
        """Return in a fork that is an environment of its own."""
        own = frozenset({self._control.fileno(), self._init})
        try:
            _check_processes()
            if "subprocess" in sys.modules:
                sys.modules["subprocess"]._cleanup()
            gc.collect()  # And with it descriptors that nobody can use any more.
            descriptors = Descriptors(own)
        except UnfitError as error:
            self._say({"unfit": str(error)})
            self._control.recv(1)  # Nobody sends anything: it is the end.
            os._exit(0)
        directory = os.getcwd()  # noqa: PTH109
        gc.freeze()
        self._say({"ready": True})
        variables, *standard = self._serve()
        descriptors.renew(standard)
        self._update(variables)
        os.chdir(directory)  # In the file systems of this environment.
        _reseed()
        _wait()

    def _serve(self) -> "tuple[dict[str, str], int, int]":
        """Fork whenever the spawner says so; in the function's process return what it needs."""
        while True:
            data, descriptors = wire.receive(self._control)
            if not data:
                os._exit(0)
            try:
                pid, pidfd = linux.fork_into(_NAMESPACES | linux.CLONE_PARENT)
            except OSError as error:
                self._say({"error": str(error)})
            else:
                if pid == 0:
                    return self._become_function(*descriptors)
                socket.send_fds(self._control, [b"{}"], [pidfd])
                os.close(pidfd)
            for fd in descriptors:
                os.close(fd)

    def _become_function(
        self, sync: int, output: int, telemetry: int, status: int, *doors: int
    ) -> "tuple[dict[str, str], int, int]":
        """As process 1 of a sandbox, confine it and fork the function."""
        try:
            self._control.close()
            for door in doors:
                os.write(door, b"0")
                os.close(door)
            linux.unshare(linux.CLONE_NEWCGROUP)
            linux.drop_capabilities()
            linux.install_filter(self._rules)
            linux.die_with_parent(signal.SIGKILL)
            pid = os.fork()
            if pid != 0:
                linux.block_signals()
                linux.close_on_execute(_FIRST_FREE_FD)
                if pid == _FUNCTION_PID:
                    init.become(self._init, status)
                os._exit(1)
            os.close(status)
            os.close(self._init)
            os.setsid()
            with socket.socket(fileno=sync) as furnisher:
                told = wire.receive(furnisher)[0]
            return json.loads(told), output, telemetry
        except BaseException:  # noqa: BLE001  A fork must not go on as the process it was.
            os._exit(1)

    def _say(self, message: "dict[str, object]") -> None:
        self._control.send(json.dumps(message).encode())

    def _update(self, variables: "dict[str, str]") -> None:
        """What is new; what the function has changed itself stays as it is."""
        for name, value in variables.items():
            if self._variables.get(name) != value:
                os.environ[name] = value
        self._variables.clear()
        for name in [name for name in sys.modules if name.startswith("lampyr_s")]:
            del sys.modules[name]


def _check_processes() -> None:
    """Raise `UnfitError` for what a fork would not have."""
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
        # Libraries that can live with a fork end their threads before one, and start them again.
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    threads = len(os.listdir("/proc/self/task")) - 1  # noqa: PTH208
    if threads > 0:
        raise UnfitError(f"threads that Init has started ({threads})")
    _check_children()
    with open("/proc/self/maps") as file:  # noqa: PTH123
        modes = (line.split(None, 2)[1] for line in file)
        if any(mode[1] == "w" and mode[3] == "s" for mode in modes):
            raise UnfitError("memory that Init shares with other processes")
    if signal.getitimer(signal.ITIMER_REAL)[0] > 0:
        raise UnfitError("a timer that Init has set")


def _check_children() -> None:
    """One that has said its last word may still be on its way out."""
    for _ in range(_TRIES):
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123
            if not any(map(_lives, file.read().split())):
                return
        time.sleep(_TRY_SECONDS)
    raise UnfitError("processes that Init has started")


def _lives(pid: str) -> bool:
    """Not one that has ended, and that nobody has asked about."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait() -> None:
    """Until this environment is restored; over the connection by which it will ask for events."""
    import runtime_client  # type: ignore[import-not-found]

    client = runtime_client._client
    try:
        connection = client._connect()
        host = os.environ["AWS_LAMBDA_RUNTIME_API"]
        head = f"GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: {host}\r\n\r\n"
        connection.sendall(head.encode())
        status = client._read()[0]
    except Exception:  # noqa: BLE001  Whatever it is: nobody waits for this environment.
        status = 0
    if status != 200:  # noqa: PLR2004 - HTTP's OK
        os._exit(1)


def _reseed() -> None:
    """What must not be the same in two environments, of what libraries keep for everybody."""
    modules = sys.modules
    if "random" in modules:
        modules["random"].seed()
    if "numpy.random" in modules:
        modules["numpy.random"].seed()
    if "tempfile" in modules:
        vars(modules["tempfile"])["_name_sequence"] = None
    if "_ssl" in modules:
        # OpenSSL also tells a fork by the number of its process, which is another here.
        modules["_ssl"].RAND_add(os.urandom(32), 32.0)
        modules["_ssl"].RAND_bytes(1)
