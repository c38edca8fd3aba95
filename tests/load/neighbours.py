"""Callers of a well-behaved function beside whatever else happens, and what the server uses."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import function, value
from tests.crash.anatomy import anatomy, anatomy_of, children, eventually

KEEP_UP_SECONDS_MAX: Final = 10.0
"""Slower than anything that is served, faster than anything that hangs."""
MIB: Final = 1024 * 1024
PARKED_DESCRIPTORS: Final = 8
"""Of a sandbox that waits: its process, network, three listening sockets, three pipes."""


class Usage:
    """Of the server's main process: the most memory it had, and its descriptors."""

    def __init__(self, server: LampyrServer) -> None:
        assert server.process is not None
        self.pid = server.process.pid

    def memory(self) -> int:
        return self._kib("VmRSS") * 1024

    def memory_peak(self) -> int:
        return self._kib("VmHWM") * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - quick

    def descriptors_at_rest(self) -> int:
        """Once as many are open for a while: networks are made and given back behind the scenes.

        Without those of sandboxes that wait for a function: there are more or fewer of them.
        """
        seen: list[int] = []

        def steady() -> bool:
            waiting = len(anatomy_of(self.pid).parked)
            seen.append(self.descriptors() - PARKED_DESCRIPTORS * waiting)
            return len(seen) > 200 and len(set(seen[-150:])) == 1

        eventually("it comes to rest", steady)
        return seen[-1]

    def connections(self) -> int:
        """At the public port, and in whatever state."""
        held = set(self._links("socket:"))
        tcp = Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]
        return sum(f"socket:[{line.split()[9]}]" in held for line in tcp)

    def _links(self, start: str) -> Iterator[str]:
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # Closed meanwhile.
                link = str(entry.readlink())
                if link.startswith(start):
                    yield link

    def _kib(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(name))
        return int(line.split()[1])


@contextmanager
def neighbour(server: LampyrServer) -> Iterator[None]:
    """Another function is called all the time, and every call has to be answered soon."""
    client = server.client()
    over = threading.Event()
    wrong: list[Any] = []
    answered = 0

    def call(name: str) -> None:
        nonlocal answered
        while not over.wait(0.01) and not wrong:
            begun = time.monotonic()
            try:
                got = value(client, name, answered)
            except Exception as error:  # noqa: BLE001 - for the main thread
                wrong.append(error)
                return
            seconds = time.monotonic() - begun
            if got != answered or seconds > KEEP_UP_SECONDS_MAX:
                wrong.append((got, seconds))
            answered += 1

    with function(client, "def handler(event, context): return event", MemorySize=1769) as name:
        value(client, name, 0)
        thread = threading.Thread(target=call, args=(name,))
        thread.start()
        try:
            yield
            eventually("one more call was answered", lambda: answered or wrong)
        finally:
            over.set()
            thread.join()
    client.close()
    assert not wrong, f"the neighbour's caller was not served: {wrong}"
    assert answered > 0


@contextmanager
def bounded_memory(server: LampyrServer, more: int) -> Iterator[None]:
    """The server's memory never grows by more than so many bytes."""
    usage = Usage(server)
    usage.forget_peak()
    before = usage.memory()
    yield
    assert usage.memory_peak() - before < more, f"{(usage.memory_peak() - before) // MIB} MiB more"


def sandboxed(server: LampyrServer) -> int:
    """Processes in sandboxes that have a function, with the first one of each."""
    found = anatomy(server)
    others = sum(1 + _below(pid) for pid in found.parked)
    return _below(found.spawner) - len(found.templates) - others


def _below(pid: int) -> int:
    below = children(pid)
    return len(below) + sum(map(_below, below))
