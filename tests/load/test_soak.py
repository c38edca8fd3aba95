"""Environments come and go while their ground is killed under them, and nothing is left of it.

`LAMPYR_TEST_SOAK_SECONDS` sets for how long. What is at rest before and after is printed.
"""

import json
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create, invoke, value
from tests.crash.anatomy import anatomy_of, children, eventually, kill, workers
from tests.crash.lives import Later
from tests.crash.test_server_parts import check_clear
from tests.load.neighbours import MIB

SECONDS: Final = float(os.environ.get("LAMPYR_TEST_SOAK_SECONDS", "3"))
PAUSE_SECONDS: Final = 0.5
"""From one kill to the next."""
ECHO: Final = "def handler(event, context): return event"
CLIENT: Final = f"import boto3\nCLIENT = boto3.client('s3')\n{ECHO}"
OF_ONE_PARKED: Final = {
    "processes": 2,
    "namespaces": 7,
    "control groups": 8,
    "mounts": 80,
    "disks": 1,
    "descriptors": 16,
}
"""What a sandbox that was made ahead holds at most."""
NAMESPACE: Final = re.compile(r"(net|mnt|pid|user|ipc|uts|cgroup):\[(\d+)\]")

pytestmark = [
    pytest.mark.root,
    pytest.mark.lampyr_only,
    pytest.mark.timeout(SECONDS + 120),
]


def below(pid: int) -> list[int]:
    """A process and all that descend from it."""
    return [pid, *(each for child in children(pid) for each in below(child))]


def at_rest(server: LampyrServer) -> Counter[str]:
    """What all processes of a server hold, once every environment is reclaimed."""

    def look() -> Any:
        runs = workers(server)
        return len(runs) == 2 and all(_rests(pid) for pid in runs)

    eventually("two workers rest", look)
    assert server.process is not None
    seen: list[Counter[str]] = []

    def steady() -> bool:
        seen.append(_held(server))
        last = seen[-20:]
        return len(last) == 20 and all(each == last[0] for each in last)

    eventually("it comes to rest", steady)
    found = seen[-1]
    found["parked"] = sum(len(anatomy_of(pid).parked) for pid in workers(server))
    found["memory in MB"] = sum(map(_memory, below(server.process.pid))) // MIB
    return found


def _rests(worker: int) -> bool:
    now = anatomy_of(worker)
    return bool(now.spawner and now.keeper and not now.inits)


def _held(server: LampyrServer) -> Counter[str]:
    assert server.process is not None
    found: Counter[str] = Counter()
    namespaces: set[tuple[str, ...]] = set()
    for pid in below(server.process.pid):
        found["processes"] += 1
        for part in ("ns", "fd"):
            for link in _links(Path(f"/proc/{pid}/{part}")):
                found["descriptors"] += part == "fd"
                namespaces |= {match.groups() for match in [NAMESPACE.fullmatch(link)] if match}
        found["mounts"] += len(_text(Path(f"/proc/{pid}/mountinfo")).splitlines())
    found["namespaces"] = len(namespaces)
    for state in server.data_dir.glob("**/instance.json"):
        name = json.loads(state.read_text())["id"]
        groups = Path("/sys/fs/cgroup").glob(f"*/lampyr-{name}/*/")
        found["control groups"] += len(list(groups))
    devices = Path("/sys/block").glob("loop*/loop/backing_file")
    found["disks"] = sum(str(server.directory) in _text(path) for path in devices)
    return found


def _links(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [os.readlink(entry) for entry in entries]  # noqa: PTH115 - quick
    except OSError:  # It ended just now.
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _memory(pid: int) -> int:
    lines = _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def test_whatever_is_killed_for_as_long_as_it_may_be_nothing_leaks(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    arguments = ("--workers", "2", "--idle-seconds", "1")
    server = LampyrServer(tmp_path_factory.mktemp("soak"), arguments)
    server.start()
    client = server.client()
    names = [create(client, code, MemorySize=1769) for code in (ECHO, CLIENT, ECHO)]
    use(client, names, 4)
    before = at_rest(server)
    killed, answers = soak(server, client, names)
    use(client, names, 4)
    after = at_rest(server)
    print(f"killed {dict(killed)}, calls {dict(answers)}\nbefore {before}\nafter  {after}")
    client.close()
    server.stop()
    more = max(0, after["parked"] - before["parked"])
    for kind, each in OF_ONE_PARKED.items():
        # What is made ahead may be a little more or less.
        assert after[kind] <= before[kind] * 1.1 + 8 + more * each, (kind, before, after)
    assert after["memory in MB"] <= before["memory in MB"] * 1.2 + 40 + more * 10, (before, after)


def use(client: Any, names: list[str], times: int) -> None:
    """As many calls of each at once: each worker has work."""
    for name in names:
        for call in [Later(lambda name=name: value(client, name, 1)) for _ in range(times)]:  # type: ignore[misc]
            assert call.result(60) == 1


def soak(server: LampyrServer, client: Any, names: list[str]) -> tuple[Counter[str], Counter[str]]:
    """What was killed, and what callers were told meanwhile."""
    dice, end = random.Random(4), time.monotonic() + SECONDS
    killed: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    calls = [Later(caller(client, name, end, answers)) for name in names * 2]
    parts: dict[str, Callable[[int], tuple[int, ...]]] = {
        "template": lambda worker: anatomy_of(worker).templates[:1],
        "function": lambda worker: anatomy_of(worker).functions[:1],
        "first process": lambda worker: anatomy_of(worker).inits[:1],
        "spawner": lambda worker: (anatomy_of(worker).spawner,),
        "keeper": lambda worker: (anatomy_of(worker).keeper,),
        "worker": lambda worker: (worker,),
    }
    while time.monotonic() < end:
        threading.Event().wait(PAUSE_SECONDS)
        alive = workers(server)
        (part,) = dice.choices(list(parts), weights=(4, 8, 8, 1, 1, 1))
        found = parts[part](dice.choice(alive)) if alive else ()
        kill(*found)
        killed[part] += len([pid for pid in found if pid])
    for call in calls:
        call.result(60)
    return killed, answers


def caller(client: Any, name: str, end: float, answers: Counter[str]) -> Callable[[], None]:
    def call() -> None:
        dice = random.Random(name)
        while time.monotonic() < end:
            try:
                answer: Any = invoke(client, name, 1)
            except Exception as error:  # noqa: BLE001 - it is looked at
                answer = error
            answers[check_clear(answer, 1)] += 1
            # Sometimes so long that the environment is reclaimed.
            threading.Event().wait(dice.choice((0.1, 0.2, 0.4, 3.0)))

    return call
