"""The processes of a running Lampyr, told apart, and all that carries its name on this host."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lampyr.testing.leftovers import Held, left_of
from lampyr.testing.server import LampyrServer

SECONDS_MAX = 20.0
"""Within this time what must come has come, on whatever machine."""


def eventually(what: str, look: Callable[[], Any]) -> Any:
    """The first answer of `look` that is not falsy."""
    give_up = time.monotonic() + SECONDS_MAX
    while not (found := look()):
        assert time.monotonic() < give_up, f"never: {what}"
        threading.Event().wait(0.002)
    return found


@dataclass(frozen=True)
class Anatomy:
    """Of one running server, as it is now."""

    server: int
    spawner: int
    keeper: int
    inits: tuple[int, ...]
    """The first process of each sandbox."""
    functions: tuple[int, ...]
    """What they run."""
    templates: tuple[int, ...] = ()
    """What functions are forked from."""
    parked: tuple[int, ...] = ()
    """The first process of each sandbox that was made ahead, and waits to hear of its function;
    they are none of `inits`."""


def anatomy(server: LampyrServer) -> Anatomy:
    assert server.process is not None
    return anatomy_of(server.process.pid)


def anatomy_of(top: int) -> Anatomy:
    parts = {"spawner": 0, "keeper": 0}
    for child in children(top):
        text = command_line(child)
        for name in parts:
            if f"{name}." in text or f"{name}/" in text:
                parts[name] = child
    spawned = children(parts["spawner"])
    templates = tuple(pid for pid in spawned if "template" in command_line(pid) and not _in(pid))
    sandboxes = {pid: children(pid) for pid in spawned if pid not in templates}
    parked = tuple(pid for pid, inside in sandboxes.items() if any(map(is_parked, inside)))
    inits = tuple(pid for pid in sandboxes if pid not in parked)
    functions = tuple(pid for init in inits for pid in sandboxes[init])
    return Anatomy(top, parts["spawner"], parts["keeper"], inits, functions, templates, parked)


def is_parked(function: int) -> bool:
    """Whether it was made ahead, and waits to hear of its function."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{function}/fd/0").startswith("pipe:")  # noqa: PTH115
    return False


def workers(server: LampyrServer) -> list[int]:
    """The processes beside the front that run environments."""
    assert server.process is not None
    return [p for p in children(server.process.pid) if "lampyr.app.worker" in command_line(p)]


def _in(pid: int) -> bool:
    """Whether it is in a PID namespace of its own: a sandbox's that was just forked."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return len(numbers.split()) > 2


def children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):  # It ended just now.
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def kill(*pids: int) -> None:
    """All of them stand still before the first dies: none sees another's end."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)


@dataclass(frozen=True)
class Belongings:
    """What a server held when it was looked at, and the names it gives to what it makes."""

    held: Held
    sandboxes: str
    network: str
    directory: Path
    temporary: Path

    def left(self, *, taken_over: bool = False) -> list[str]:
        """What of it is still there; waits a little for the kernel.

        `taken_over`: another server runs on the same data by now, with groups and mounts of its
        own under the same names.
        """
        directory = self.temporary if taken_over else self.directory
        found = left_of(self.held_alone(taken_over=taken_over), directory, self.temporary)
        give_up = time.monotonic() + 2.0
        while (named := list(self._named(taken_over))) and time.monotonic() < give_up:
            threading.Event().wait(0.02)
        return found + named

    def held_alone(self, *, taken_over: bool) -> Held:
        """Without the directory of groups that every server of these data has."""
        if not taken_over:
            return self.held
        own = frozenset(path for path in self.held.cgroups if path.name != self._group)
        return replace(self.held, cgroups=own)

    def _named(self, taken_over: bool) -> Iterator[str]:
        if not taken_over:
            tops = Path("/sys/fs/cgroup").glob(f"*/{self._group}*")
            yield from (f"cgroup {path}" for path in tops)
        yield from left_of_network(self.network)

    @property
    def _group(self) -> str:
        return f"lampyr-{self.sandboxes}"


def belongings(server: LampyrServer) -> Belongings:
    state = server.data_dir / "run" / "instance.json"
    now = anatomy(server)
    return Belongings(
        held=server.held(),
        sandboxes=json.loads(state.read_text())["id"],
        network=network_of(now.keeper),
        directory=server.directory,
        temporary=server.temporary,
    )


def network_of(keeper: int) -> str:
    """The name that a keeper gives to what it makes; empty when there is none."""
    words = command_line(keeper).split()
    return next((word for word in words if len(word) == 8 and _is_hex(word)), "")


def left_of_network(name: str) -> list[str]:
    if not name:
        return []
    found = [f"nft table of {name}"] if f"lampyr_{name}" in tables() else []
    devices = [path.name for path in Path("/sys/class/net").iterdir()]
    return found + [f"device {device}" for device in devices if name in device]


def _is_hex(word: str) -> bool:
    return all(letter in "0123456789abcdef" for letter in word)


def tables() -> str:
    listed = subprocess.run(("nft", "list", "tables"), capture_output=True, text=True, check=True)
    return listed.stdout


def cgroups_of_sandboxes(server: LampyrServer) -> set[str]:
    """The groups that there are, one for each sandbox."""
    name = json.loads((server.data_dir / "run" / "instance.json").read_text())["id"]
    tops = Path("/sys/fs/cgroup").glob(f"*/lampyr-{name}")
    return {path.name for top in tops for path in top.iterdir() if path.is_dir()}


def alone(server: LampyrServer) -> bool:
    """No more groups than sandboxes."""
    now = anatomy(server)
    return len(cgroups_of_sandboxes(server)) == len(now.inits) + len(now.parked)


def frozen(server: LampyrServer) -> bool:
    """Whether a function is."""
    return any(map(_is_frozen, anatomy(server).functions))


def _is_frozen(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers == "freezer":
                state = Path(f"/sys/fs/cgroup/freezer{place}/freezer.state")
                return state.read_text().strip() == "FROZEN"
    return False
