"""Inside a template: from a process that has loaded a runtime to a function in its sandbox.

A template is a runtime's interpreter that has imported all that no function changes, in a mount
namespace where the paths are those of a sandbox. It never runs a function's code and never reads
what a start is about: its copy does, after the fork, so that nothing of one function is in the
memory of the next.

    spawner ──descriptors──▶ template ──clone, as a child of the spawner──▶ process 1 of a sandbox
       ▲                        │                                               │ fork
       └──number and pidfd──────┘                                               ▼
                                                             the function: `serve` returns there
"""

import contextlib
import json
import os
import signal
import socket
import struct

from . import by_calls, init, root, seccomp, variables, wire
from .batch import Batch
from .cgroups import Cgroups, described
from .child import Child, Inherited, map_ids, settle
from .linux import (
    CLONE_PARENT,
    block_signals,
    close_from,
    die_with_parent,
    fork_into,
    namespaces,
    set_dumpable,
    unmount,
)
from .plan import Config, Start

CONTROL_FD = 3
"""A template's end of the socket to the spawner. Its working directory is the host's root."""
SOURCES = "/mnt"
"""Where a template finds this package, and the host: no fork keeps what is mounted there."""
_FIRST_FREE_FD = 4
BASE = struct.Struct("<Q")
"""A message that is no JSON: make a fork whose calls are to be there."""
_OWN = CLONE_PARENT | namespaces(as_root=True, network=True)
"""What such a fork has: only root makes them."""
REHEARSALS = 40
"""After which Python has made its bytecode as quick as it will be, and notes nothing in a class any
more when another instance is made of it."""


class Forked(Child):
    """A child of a template, in a copy of its mount namespace."""

    def _map_first(self) -> None:
        map_ids(0, 0)  # As the template's user namespace numbers it.

    def _build_root(self, owner: tuple[int, int]) -> None:
        root.build_on_shared(self._config, self._start, owner, SOURCES)

    def _turn(self) -> None:
        settle(self._start)
        close_from(_FIRST_FREE_FD)
        block_signals(block=False)
        _put_on(self._start.variables)
        # As after an execve: else the function could not open what is its own below /proc.
        set_dumpable(True)


def _change_places(config: Config) -> None:
    """Have the host's root for a root, and the sandbox's for a working directory."""
    inside = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chroot(".")
    os.fchdir(inside)
    os.close(inside)
    config.root = "."


def _put_on(told: "dict[str, str]") -> None:
    locale = os.environ.get(by_calls.LOCALE)
    os.environ.clear()
    os.environ.update(told)
    if locale is not None:
        os.environ[by_calls.LOCALE] = locale


class Forge:
    """What a template has to fork with; made, and rehearsed, before what is there is to stay."""

    def __init__(self, about: "dict[str, object]") -> None:
        """`about` is told to the server when this template is ready."""
        self.about = about
        self.control = socket.socket(fileno=CONTROL_FD)
        self.control.set_inheritable(False)
        self.config = config = Config(json.loads(wire.receive(self.control)[0]))
        unmount(f"{SOURCES}/spawner")
        spawner = os.pidfd_open(os.getppid())
        die_with_parent(signal.SIGKILL)
        self.inherited = Inherited(spawner, init.descriptor(), seccomp.build())
        self.inherited.server = CONTROL_FD
        self.prepared = by_calls.prepare(self.inherited) if config.as_root else None
        if self.prepared is not None:
            about["calls"] = by_calls.described(self.prepared)
            _rehearse(self.prepared)
        self.cgroups = described(config.cgroups)

    def serve(self) -> None:
        """Fork whenever the spawner says so; return in the function's process, ready to run it."""
        control, config = self.control, self.config
        if config.as_root:
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        control.send(json.dumps(self.about).encode())
        while True:
            data, descriptors = wire.receive(control)
            if not data:
                os._exit(0)
            try:
                pid, pidfd = self._begin(data, descriptors)
            except OSError as error:
                control.send(json.dumps({"error": f"clone: {error}"}).encode())
            else:
                if pid == 0:
                    control.detach()
                    return
                passed = socket.SOL_SOCKET, socket.SCM_RIGHTS, wire.INT.pack(pidfd)
                control.sendmsg([b'{"pid": %d}' % pid], [passed])
                os.close(pidfd)
            for fd in descriptors:
                os.close(fd)

    def _begin(self, data: bytes, descriptors: "list[int]") -> tuple[int, int]:
        """Number and pidfd of a fork; 0 in the function's process, which is set up."""
        if len(data) == BASE.size:
            (base,) = BASE.unpack(data)
            return by_calls.begin(self.prepared, base, _OWN, descriptors)
        message = json.loads(data)
        own = namespaces(as_root=self.config.as_root, network=bool(message["network"]))
        pid, pidfd = fork_into(own | CLONE_PARENT)
        if pid == 0:
            _become_function(self.config, self.cgroups, self.inherited, message, descriptors)
        return pid, pidfd


def _rehearse(prepared: "Batch") -> None:
    """After it Python has made this code as quick as it will be, and forks need not."""
    environment = variables.packed(dict(os.environ), prepared.variables.base)
    for _ in range(REHEARSALS):
        prepared.rehearse()
        prepared.variables.rehearse(environment)


def _become_function(
    config: Config,
    cgroups: "Cgroups | None",
    inherited: Inherited,
    message: "dict[str, object]",
    descriptors: "list[int]",
) -> None:
    try:
        # A clone's root and working directory are taken over into its mount namespace; no
        # descriptor is.
        if config.as_root:
            _change_places(config)
        else:
            os.chroot(".")
        given = list(descriptors)
        report, output, telemetry, inherited.status = given[:4]
        rest = given[4:]
        inherited.oom = rest.pop() if message["oom"] else None
        with socket.socket(fileno=os.dup(report)) as server:
            plan, _ = wire.receive(server)
        start = Start(json.loads(plan), [report, output, telemetry, *rest])
        child = Forked(config, cgroups, start, inherited)
    except BaseException as error:  # noqa: BLE001  A fork of a template must end here.
        with contextlib.suppress(OSError), socket.socket(fileno=descriptors[0]) as server:
            server.send(json.dumps({"error": f"fork: {error}"}).encode())
        os._exit(1)
    child.run()
