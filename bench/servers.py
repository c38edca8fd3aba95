"""Starts and stops the programs that are measured, each in a process group of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
NOT_OF_THE_HOST: Final = frozenset({"NODE_EXTRA_CA_CERTS"})
"""Variables that no program is measured with: with this one, which a host behind a proxy may have,
Node.js parses some 140 certificates each time it starts. No sandbox has it, but a rival's would."""


def environment() -> dict[str, str]:
    """What any program is started with."""
    return {name: value for name, value in os.environ.items() if name not in NOT_OF_THE_HOST}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Server:
    """One program, its log, and all processes that descend from it."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        port: int,
        health: str,
        log: Path,
        variables: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        any_answer: bool = False,
    ) -> None:
        """`health` is asked until it answers 200; anything at all, where there is no such page."""
        self.name = name
        self.port = port
        self._log = log
        self._health = health
        self._ready = b"HTTP/1.1 " if any_answer else b"HTTP/1.1 200"
        started = time.perf_counter()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**environment(), **(variables or {})},
                cwd=cwd,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        self.seconds_to_answer = time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self) -> None:
        """Until it answers, asked every millisecond."""
        request = f"GET {self._health} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection,
            ):
                connection.sendall(request.encode())
                if connection.recv(12).startswith(self._ready):
                    return
            time.sleep(0.001)
        raise RuntimeError(f"{self.name} does not answer: {self._log.read_text()[-2000:]}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def pin(self, processors: Collection[int]) -> None:
        """Let all threads of all its processes run on `processors` alone."""
        for pid in descendants(self._process.pid):
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    with contextlib.suppress(OSError):
                        os.sched_setaffinity(int(task.name), processors)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Does nothing meanwhile, not even wait: others have the processors for themselves."""
        family = descendants(self._process.pid)
        _signal(family, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(family, signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """What the program and all that descends from it have computed so far."""
        return sum(map(_computed, descendants(self._process.pid)))

    def memory_bytes(self) -> int:
        """Proportional set size of the program and all that descends from it."""
        return sum(_pss(pid) for pid in descendants(self._process.pid))

    def stop(self) -> None:
        family = descendants(self._process.pid)
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # What a program left behind of its own.
        for pid in family[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _signal(pids: Collection[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _computed(pid: int) -> float:
    nanoseconds = 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
