"""The spawner's loop: start, reap, report; and clean up when the server is gone.

Messages are JSON, one in each packet of a socket that the server holds the other end of. The
first one is the configuration. Then the server sends `start` messages, each with the descriptors
that `Start` names, and gets back `{"started": id, "pid": …}` with a pidfd and, once for each,
`{"exited": id, "status": wait status, "out_of_memory": …}` when every process of that sandbox is
gone and its control group too. What goes wrong inside a sandbox before the function runs, the
sandbox's own process tells the server through the socket that came with `start`.
"""

# Without pathlib, which is a third of a bare interpreter.
# ruff: noqa: PTH108, PTH123

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import sys

from . import init, seccomp, templates, wire
from .cgroups import described
from .child import Inherited
from .lineages import Lineages
from .linux import SUPPORTED
from .origins import Origin
from .plan import Config, Furnish, Start, Template
from .root import furnish
from .running import Running
from .starts import Starts

_RETRY_SECONDS = 0.005
_STATUS_BYTES = 4


class Spawner:
    """Everything this process does, on one thread."""

    def __init__(self, server: socket.socket, config: Config) -> None:
        self._server = server
        self.config = config
        self.cgroups = described(config.cgroups)
        self.inherited = Inherited(os.pidfd_open(os.getpid()), init.descriptor(), seccomp.build())
        self.inherited.server = server.fileno()
        self._running: dict[int, Running] = {}
        self._watched: dict[int, Running] = {}
        self._emptied: list[tuple[Running, int]] = []
        """Ended, but the kernel still counts a process in their control group."""
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._early: dict[int, int] = {}
        """Wait statuses of forks whose template has not told of them yet."""
        self._lineages = Lineages(self)
        self._starts = Starts(self, self._lineages)
        self._templates: dict[str, templates.Kept] = {}
        self.controls: dict[int, templates.Kept] = {}
        self._wakeup, wakeup = socket.socketpair()
        wakeup.setblocking(False)
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        self._wakeup_writer = wakeup
        # The server decides when to stop. Handlers, unlike SIG_IGN, end with an execve.
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        # What it costs to wait does not depend on how many sandboxes there are.
        self.poll = select.epoll()
        self.poll.register(server, select.EPOLLIN)
        self.poll.register(self._wakeup, select.EPOLLIN)

    def run(self) -> None:
        """Until the server is gone, and with it every sandbox."""
        if self.cgroups is not None:
            self.cgroups.prepare()
        self.send({"ready": os.getpid(), "calls": self._starts.place})
        while True:
            for fd, _ in self.poll.poll(_RETRY_SECONDS if self._emptied else None):
                if fd == self._server.fileno():
                    if not self._receive():
                        self._end()
                        return
                elif fd in self._watched:
                    self._out_of_memory(self._watched[fd])
                elif fd in self.controls:
                    self._hear(self.controls[fd])
            with contextlib.suppress(BlockingIOError):
                self._wakeup.recv(4096)
                self._reap()
            self._retry()

    def _receive(self) -> bool:
        try:
            data, descriptors = wire.receive(self._server)
        except ConnectionError:
            return False
        if not data:
            return False
        message = json.loads(data)
        if "template" in message:
            self._make_template(Template(message))
        elif "end_template" in message:
            self._end_template(str(message["end_template"]))
        elif "fork" in message:
            self._fork(message, descriptors)
        elif "calls" in message:
            self._starts.begin_by_calls(message, descriptors)
        elif "restore" in message:
            self._lineages.restore(message, descriptors)
        elif "furnish" in message:
            self._furnish(Furnish(message))
        else:
            self._starts.begin(Start(message, descriptors))
        return True

    def known(self) -> "set[int]":
        """The children of this process that it knows of."""
        controls = (each.pid for each in self.controls.values())
        return {*self._running, *self._lineages.helpers, *controls}

    def new(self, name: str) -> tuple[Running, int]:
        """What is to be started, and the end that `init` writes to."""
        status, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        oom = None
        if self.cgroups is not None and self.cgroups.version == 1 and self.cgroups.has_memory:
            oom = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return Running(name, status, oom), theirs

    def born(self, running: Running, pid: int, pidfd: int) -> None:
        running.pid = pid
        self._running[pid] = running
        if running.oom is not None:
            self._watched[running.oom] = running
            self.poll.register(running.oom, select.EPOLLIN)
        with contextlib.suppress(FileNotFoundError):  # It has ended and is reaped.
            self._record(running)
        self.send({"started": running.name, "pid": pid}, pidfd)
        os.close(pidfd)

    def not_born(
        self, running: Running, report: socket.socket, error: str, *, died: bool = False
    ) -> None:
        """`died`: what should have started it, which is no reason not to try again."""
        with contextlib.suppress(OSError):
            report.send(json.dumps({"error": error, "died": died}).encode())
        running.close()
        self._emptied.append((running, signal.SIGKILL))

    def _make_template(self, plan: Template) -> None:
        self._end_template(plan.name)  # One of a name is enough.
        try:
            kept = templates.make(plan, self.config)
        except OSError as error:
            self.send({"template": plan.name, "ended": str(error)})
            return
        self._templates[plan.name] = self.controls[kept.control.fileno()] = kept
        self.poll.register(kept.control, select.EPOLLIN)

    def _end_template(self, name: str) -> None:
        """It is not needed any more; it is reaped like one that died."""
        kept = self._templates.get(name)
        if kept is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(kept.pid, signal.SIGKILL)

    def _fork(self, message: "dict[str, object]", descriptors: "list[int]") -> None:
        running, theirs = self.new(str(message["id"]))
        report, passed = descriptors[0], running.handed_on(descriptors, theirs)
        asked = templates.asked(message, oom=running.oom is not None)
        try:
            kept = self._templates.get(str(message["fork"]))
            if kept is None:
                raise ProcessLookupError(0, "the template is gone")
            kept.ask(running, report, passed, asked)
        except OSError as error:
            with socket.socket(fileno=os.dup(report)) as told:
                self.not_born(running, told, f"fork: {error}", died=True)
        finally:
            for fd in (*descriptors, theirs):
                os.close(fd)

    def _furnish(self, plan: Furnish) -> None:
        """Mount in a sandbox that has not begun to work yet what it is to work on."""
        error = None
        try:
            pid = next(pid for pid, each in self._running.items() if each.name == plan.id)
            furnish(pid, plan.mounts, self._home)
        except StopIteration:
            error = "it is gone"
        except OSError as failure:
            error = str(failure)
        self.send({"furnished": plan.id, "error": error})

    def _hear(self, kept: templates.Kept) -> None:
        """What a template has said; once it is silent for good it is killed, and reaped later."""
        heard = kept.hear()
        if heard is None:
            self.poll.unregister(kept.control)
            with contextlib.suppress(ProcessLookupError):
                os.kill(kept.pid, signal.SIGKILL)
            return
        self._heard(kept, *heard)

    def _heard(
        self, kept: templates.Kept, said: "dict[str, object]", descriptors: "list[int]"
    ) -> None:
        if isinstance(kept, Origin):
            self._lineages.heard(kept, said, descriptors)
            if not any(other.asked for other in self.controls.values()):
                self._early.clear()
            return
        if not kept.ready:
            kept.ready = True
            self.send({"template": kept.name, "ready": said, "pid": kept.pid})
            return
        running, report = kept.asked.popleft()
        with report:
            if "error" in said:
                self.not_born(running, report, str(said["error"]))
                return
        pid = int(str(said["pid"]))
        self.born(running, pid, descriptors[0])
        if pid in self._early:
            self._ended(self._running.pop(pid), self._early.pop(pid))

    def _template_ended(self, kept: templates.Kept, status: int) -> None:
        if self._templates.get(kept.name) is kept:
            del self._templates[kept.name]
        self.forget_control(kept)
        if kept.asked:
            templates.kill_unknown(self.known())
        self.bury_asked(kept)
        if not any(other.asked for other in self.controls.values()):
            self._early.clear()
        self.send({"template": kept.name, "ended": f"wait status {status}"})

    def forget_control(self, kept: templates.Kept) -> None:
        """It has ended: hear what it had said before."""
        del self.controls[kept.control.fileno()]
        with contextlib.suppress(FileNotFoundError):
            self.poll.unregister(kept.control)
        while (heard := kept.hear()) is not None:
            self._heard(kept, *heard)
        kept.control.close()

    def bury_asked(self, kept: templates.Kept) -> None:
        while kept.asked:
            running, report = kept.asked.popleft()
            with report:
                self.not_born(running, report, "fork: the template died", died=True)

    def _out_of_memory(self, running: Running) -> None:
        """A process of the sandbox is being killed; version 1 spares the others, we do not.

        The kernel says so before it counts it, so there is nothing yet to check it against.
        """
        if running.oom is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(running.oom)
        running.out_of_memory = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGKILL)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._lineages.reaped(pid, status):
                continue
            running = self._running.pop(pid, None)
            if running is not None:
                self._ended(running, status)
                self._lineages.part(running.name)
                continue
            kept = next((each for each in self.controls.values() if each.pid == pid), None)
            if kept is not None:
                self._template_ended(kept, status)
            else:
                self._early[pid] = status

    def _ended(self, running: Running, status: int) -> None:
        """Its first process was the last to be reaped: every process of the sandbox is gone."""
        if self.cgroups is not None:
            running.out_of_memory |= self.cgroups.out_of_memory(running.name)
        with contextlib.suppress(BlockingIOError):
            written = os.read(running.status, _STATUS_BYTES)
            if len(written) == _STATUS_BYTES and os.WIFEXITED(status):
                status = int.from_bytes(written, sys.byteorder)
        if running.oom is not None:
            self.poll.unregister(running.oom)
            del self._watched[running.oom]
        running.close()
        self._emptied.append((running, status))

    def _retry(self) -> None:
        left = []
        for running, status in self._emptied:
            if self.cgroups is not None and not self.cgroups.remove(running.name):
                left.append((running, status))
                continue
            self._forget(running)
            self.send(
                {
                    "exited": running.name,
                    "status": status,
                    "out_of_memory": running.out_of_memory,
                }
            )
        self._emptied = left

    def _record(self, running: Running) -> None:
        if self.config.records is None:
            return
        with open(f"/proc/{running.pid}/stat") as file:
            started = file.read().rpartition(")")[2].split()[19]
        with open(f"{self.config.records}/{running.name}", "w") as file:
            file.write(f"{running.pid} {started}")

    def _forget(self, running: Running) -> None:
        if self.config.records is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.config.records}/{running.name}")

    def send(self, message: "dict[str, object]", *descriptors: int) -> None:
        # When the server is gone, the next poll says so.
        with contextlib.suppress(OSError):
            socket.send_fds(self._server, [json.dumps(message).encode()], descriptors)

    def _end(self) -> None:
        """The server is gone: nothing may stay."""
        templates.end_children(self._thaw_all)
        for running in self._running.values():
            self._forget(running)
        if self.cgroups is not None:
            self.cgroups.remove_all()

    def _thaw_all(self) -> None:
        """Whoever is frozen dies when thawed."""
        if self.cgroups is not None:
            for running in self._running.values():
                with contextlib.suppress(OSError):
                    self.cgroups.thaw(running.name)


def main(descriptor: int) -> None:
    """Serve the server at the other end of this socket."""
    if not SUPPORTED:
        raise SystemExit(f"sandboxes by direct system calls know no {os.uname().machine}")
    server = socket.socket(fileno=descriptor)
    server.set_inheritable(False)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    config = Config(json.loads(server.recv(wire.PACKET_BYTES)))
    # What exists now stays: not looking at it keeps its pages shared with the children.
    gc.collect()
    gc.freeze()
    gc.disable()
    Spawner(server, config).run()
