"""The first process in a sandbox that bubblewrap has made: what bubblewrap cannot do.

It listens where the function will look for the Runtime API, hands the sockets out, and becomes
what every sandbox has: `init`, and the function without any privilege. It runs with the host's
Python, mounted into the sandbox, and gets its work by the report socket.
"""

import json
import os
import select
import socket
import sys

from . import init, seccomp, wire
from .child import Child, Inherited
from .plan import INSIDE_GID, INSIDE_UID, Config, Start


class Launched(Child):
    """A child whose namespaces and file system are there."""

    def _alive(self) -> bool:
        poll = select.poll()
        poll.register(self._report, 0)
        return not poll.poll(0)

    def _set_up(self) -> None:
        start = self._start
        self._step = "network"
        self._listen()
        self._step = "file system"
        if self._as_root:
            os.chown("/tmp", start.uid, start.gid)  # noqa: S108  The sandbox's own.
        owner = (start.uid, start.gid) if self._as_root else (INSIDE_UID, INSIDE_GID)
        for fd in (start.output, start.telemetry):
            os.fchown(fd, *owner)
        self._confine()


def main(report: int, output: int, telemetry: int, status: int) -> None:
    """Never returns."""
    with socket.socket(fileno=os.dup(report)) as server:
        data, _ = wire.receive(server)
    message = json.loads(data)
    for fd in (report, output, telemetry, status):
        os.set_inheritable(fd, False)
    inherited = Inherited(-1, init.descriptor(), seccomp.build())
    inherited.status = status
    start = Start(message["start"], [report, output, telemetry])
    Launched(Config(message["config"]), None, start, inherited).run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
