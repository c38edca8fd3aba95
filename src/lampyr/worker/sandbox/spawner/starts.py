"""The spawner's side of starts that are no forks of a template: it clones itself for them."""

import os
import socket

from . import batch, by_calls
from .child import Child
from .linux import fork_into, namespaces
from .plan import Start

TYPE_CHECKING = False  # The module `typing` is nothing that a spawner should have to load.
if TYPE_CHECKING:
    from .lineages import Host, Lineages


class Starts:
    """By a message that says all, or by one with whose sandbox only the clone is acquainted."""

    def __init__(self, host: "Host", lineages: "Lineages") -> None:
        self._host = host
        self._lineages = lineages
        inherited = host.inherited
        self._prepared = self.place = None
        if host.config.as_root:
            self._prepared = by_calls.prepare(inherited)
        if self._prepared is not None:
            for place in range(batch.FDS):  # So that nothing a clone is to have is there.
                os.dup2(inherited.spawner, batch.FIRST_FD + place, inheritable=False)
            # What Python chose as a locale is not that of what is executed.
            self.place = by_calls.described(self._prepared) | {"locale": None}

    def begin(self, start: Start) -> None:
        host = self._host
        own = namespaces(as_root=host.config.as_root, network=start.network is not None)
        running, host.inherited.status = host.new(start.id)
        host.inherited.oom = running.oom
        try:
            if start.origin:
                self._lineages.begin(start, running)
                return
            pid, pidfd = fork_into(own)
            if pid == 0:
                Child(host.config, host.cgroups, start, host.inherited).run()
            host.born(running, pid, pidfd)
        except OSError as error:
            with socket.socket(fileno=os.dup(start.report)) as report:
                host.not_born(running, report, f"clone: {error}")
        finally:
            os.close(host.inherited.status)
            start.close()

    def begin_by_calls(self, message: "dict[str, object]", descriptors: "list[int]") -> None:
        """The calls are in the report."""
        host = self._host
        running, theirs = host.new(str(message["id"]))
        report, passed = descriptors[0], running.handed_on(descriptors, theirs)
        try:
            own, server = namespaces(as_root=True, network=True), host.inherited.server
            pid, pidfd = by_calls.begin(self._prepared, message["calls"], own, passed, server)
            host.born(running, pid, pidfd)
        except OSError as error:
            with socket.socket(fileno=os.dup(report)) as told:
                host.not_born(running, told, f"clone: {error}")
        finally:
            for fd in (*descriptors, theirs):
                os.close(fd)
