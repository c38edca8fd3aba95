"""The spawner's side of origins: it makes them, has them forked, and buries them after their forks.

See `origins` for what an origin is.
"""

import contextlib
import json
import os
import select
import signal
import socket

from . import furnisher, origins
from .cgroups import Cgroups
from .child import Inherited
from .origins import Origin
from .plan import Config, Start
from .running import Running
from .templates import Kept, kill_unknown

TYPE_CHECKING = False  # The module `typing` is nothing that a spawner should have to load.
if TYPE_CHECKING:
    from typing import Protocol

    class Host(Protocol):
        """The spawner, as far as this needs it."""

        config: Config
        cgroups: "Cgroups | None"
        inherited: Inherited
        controls: "dict[int, Kept]"
        poll: "select.epoll"

        def new(self, name: str) -> "tuple[Running, int]": ...

        def born(self, running: Running, pid: int, pidfd: int) -> None: ...

        def not_born(
            self, running: Running, report: socket.socket, error: str, *, died: bool = False
        ) -> None: ...

        def send(self, message: "dict[str, object]", *descriptors: int) -> None: ...

        def known(self) -> "set[int]": ...

        def forget_control(self, kept: Kept) -> None: ...

        def bury_asked(self, kept: Kept) -> None: ...


Told = tuple[dict[str, str], socket.socket]


class Lineages:
    """Origins, until the last fork of each is gone."""

    def __init__(self, host: "Host") -> None:
        self._host = host
        self._origins: dict[str, Origin] = {}
        self._home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self.helpers: dict[int, Told | None] = {}
        """Children of this process that are neither sandboxes nor templates.

        With what is to be told to whom when one has done its work: a function that goes on then.
        """

    def begin(self, start: Start, running: Running) -> None:
        """Make an origin; raise `OSError`."""
        host = self._host
        origin, pidfd = origins.make(host.config, host.cgroups, start, host.inherited)
        self._origins[start.id] = host.controls[origin.control.fileno()] = origin
        self.helpers[origin.keeper] = None
        host.poll.register(origin.control, select.EPOLLIN)
        host.born(running, origin.pid, pidfd)

    def restore(self, message: "dict[str, object]", descriptors: "list[int]") -> None:
        """Have an origin forked: what becomes of it, is told as of any start."""
        host = self._host
        start = Start(message, descriptors)
        restore = origins.Restore(start, *host.new(start.id))
        try:
            origin = self._origins.get(str(message["restore"]))
            if origin is None or origin.over or not origin.ready:
                raise ProcessLookupError(0, "the snapshot is gone")
            restore.ask(origin, host.cgroups)
        except OSError as error:
            with socket.socket(fileno=os.dup(start.report)) as told:
                host.not_born(restore.running, told, f"restore: {error}", died=True)
        finally:
            restore.close()

    def heard(self, origin: Origin, said: "dict[str, object]", descriptors: "list[int]") -> None:
        """What an origin said, whatever that is."""
        if not origin.ready:
            origin.ready = "unfit" not in said
            unfit = "" if origin.ready else origins.reason_in(said)
            self._host.send({"origin": origin.name, "unfit": unfit})
        elif origin.asked:
            running, report = origin.asked.popleft()
            start, sync = origin.starts.popleft()
            with report:
                try:
                    pidfd = descriptors.pop(0)
                    self._forked(origin, running, pidfd, start, sync)
                except (OSError, IndexError) as error:
                    sync.close()
                    self._host.not_born(running, report, f"restore: {error}", died=True)
            start.close()
        for fd in descriptors:
            os.close(fd)

    def reaped(self, pid: int, status: int) -> bool:
        """Whether that was a helper."""
        if pid not in self.helpers:
            return False
        told = self.helpers.pop(pid)
        if told is not None:
            variables, sync = told
            with sync:
                if status == 0:
                    with contextlib.suppress(OSError):  # It has ended.
                        sync.send(json.dumps(variables).encode())
        return True

    def part(self, name: str) -> None:
        """A sandbox has ended, which may have been an origin or a fork of one."""
        origin = self._origins.get(name)
        if origin is not None:
            self._over(origin)
        for each in list(self._origins.values()):
            each.forks.discard(name)
            if each.over and not each.forks:
                del self._origins[each.name]
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.keeper, signal.SIGKILL)

    def _over(self, origin: Origin) -> None:
        host = self._host
        origin.over = True
        if host.cgroups is not None:  # What it had started lives on without it.
            for pid in host.cgroups.processes(origin.name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        host.forget_control(origin)
        if origin.asked:
            kill_unknown(host.known())
        host.bury_asked(origin)
        while origin.starts:
            start, sync = origin.starts.popleft()
            start.close()
            sync.close()

    def _forked(
        self, origin: Origin, running: Running, pidfd: int, start: Start, sync: socket.socket
    ) -> None:
        host = self._host
        try:
            pid = origins.child_of_ours(pidfd)
            if pid in host.known():
                raise ProcessLookupError(0, "it is another's")
            fork = furnisher.Fork(start, origin.pid, pidfd)
            helper = furnisher.send_out(host.config, fork, self._home)
        except OSError:
            os.close(pidfd)
            raise
        self.helpers[helper] = start.variables, sync
        origin.forks.add(running.name)
        host.born(running, pid, pidfd)
