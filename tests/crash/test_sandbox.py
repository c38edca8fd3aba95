"""Kill -9 of the spawner and of the server: no process, group, mount, loop device or file stays."""

# ruff: noqa: PTH208

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lampyr.worker.sandbox.base import SandboxError
from tests.contract.sandbox_benches import marked
from tests.contract.sandboxes import REPOSITORY, LocalBench

SERVER = """
import asyncio, sys
from pathlib import Path
from tests.contract.sandboxes import LocalBench

async def main():
    bench = LocalBench(sys.argv[1], Path(sys.argv[2]))
    await bench.open()
    for _ in range(3):
        name = await bench.start(sys.argv[3])
        await bench.until(name, "ready")
    await bench.freeze(name)
    print("ready", bench.home, *(await bench.facts())["pids"].values(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def function(marker: str) -> str:
    """Lives on under a name of its own, also in a session of its own."""
    sleep = os.path.realpath("/bin/sleep")
    return (
        "import os\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "os.write(1, b'ready\\n')\n"
        f"os.execv('{sleep}', ['{marker}', '1000'])\n"
    )


def held_by(run_dir: Path) -> list[str]:
    """Loop devices and files of this run directory."""
    devices = Path("/sys/block").glob("loop*/loop/backing_file")
    return [str(device) for device in devices if device.read_text().startswith(str(run_dir))] + [
        str(path) for path in run_dir.rglob("*")
    ]


def instance(run_dir: Path) -> str:
    """What the names of its control groups have in them; others run on this host too."""
    return str(json.loads((run_dir / "instance.json").read_text())["id"])


def groups(name: str) -> list[Path]:
    return [
        *Path("/sys/fs/cgroup").glob(f"*/lampyr-{name}*"),
        *Path("/sys/fs/cgroup").glob(f"lampyr-{name}*"),
    ]


@pytest.fixture
def marker(tmp_path: Path) -> str:
    return f"lampyr-{os.getpid()}-{tmp_path.name}"


async def test_when_the_spawner_is_killed_its_sandboxes_die_and_the_next_start_works(
    tmp_path: Path, marker: str
) -> None:
    bench = LocalBench("namespaces", tmp_path / "run")
    await bench.open()
    names = [await bench.start(function(marker)) for _ in range(3)]
    for name in names:
        await bench.until(name, "ready")
    await bench.freeze(names[0])
    spawner = (await bench.facts())["spawner"]
    os.kill(spawner, signal.SIGKILL)
    for name in names:
        assert (await bench.ended(name))["signal"] == signal.SIGKILL
    assert marked(marker) == []
    ran = await bench.run("print('again')")
    assert ran["output"] == "again\n"
    assert (await bench.facts())["spawner"] != spawner
    await bench.close()
    assert held_by(tmp_path / "run") == []


async def test_a_start_in_flight_when_the_spawner_dies_is_refused_or_works(
    tmp_path: Path,
) -> None:
    bench = LocalBench("namespaces", tmp_path / "run")
    await bench.open()
    for turns in (1, 2, 5, 10, 20):
        start = asyncio.ensure_future(bench.run("print('ran')"))
        for _ in range(turns):
            await asyncio.sleep(0)
        os.kill((await bench.facts())["spawner"], signal.SIGKILL)
        with contextlib.suppress(SandboxError):
            ran = await start
            assert ran["output"] == "ran\n" or ran["signal"] == signal.SIGKILL
        assert (await bench.run("print('again')"))["output"] == "again\n"
    await bench.close()
    assert held_by(tmp_path / "run") == []


@pytest.mark.parametrize("kind", ["namespaces", "bubblewrap"])
async def test_when_the_server_is_killed_nothing_stays(
    kind: str, tmp_path: Path, marker: str
) -> None:
    if kind == "bubblewrap" and not any(
        (Path(directory) / "bwrap").exists() for directory in os.get_exec_path()
    ):
        pytest.skip("bwrap is not installed")
    run_dir = tmp_path / "run"
    with a_server(kind, run_dir, marker) as server:
        name = instance(run_dir)
        await until(lambda: len(marked(marker)) >= 4)  # The frozen one may not have got there.
        server.kill()
        server.wait()
    if kind == "namespaces":
        await until(lambda: not marked(marker))
    # Of bubblewrap's, a frozen one waits for the next server, as nobody is there to thaw it.
    bench = LocalBench(kind, run_dir)
    await bench.open()
    assert marked(marker) == []
    assert (await bench.run("print('again')"))["output"] == "again\n"
    await bench.close()
    assert groups(name) == []
    assert held_by(run_dir) == []


async def test_when_server_and_spawner_are_killed_the_next_one_removes_what_stayed(
    tmp_path: Path, marker: str
) -> None:
    run_dir = tmp_path / "run"
    neighbour = LocalBench("namespaces", tmp_path / "neighbour")
    await neighbour.open()
    name = await neighbour.start(
        "print('ready', flush=True); import sys; sys.stdin.read(); import time; time.sleep(1000)"
    )
    await neighbour.until(name, "ready")
    with a_server("namespaces", run_dir, marker) as server:
        owner = instance(run_dir)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        server.send_signal(signal.SIGSTOP)
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        server.kill()
        server.wait()
    bench = LocalBench("namespaces", run_dir)
    await bench.open()
    assert marked(marker) == []
    assert (await bench.run("print('again')"))["output"] == "again\n"
    await bench.close()
    assert held_by(run_dir) == []
    # Another Lampyr on the same host has not noticed anything.
    assert await neighbour.memory(name) > 0
    await neighbour.close()
    assert groups(owner) == []


@contextlib.contextmanager
def a_server(kind: str, run_dir: Path, marker: str) -> "Iterator[subprocess.Popen[str]]":
    """A server with three sandboxes, in a process that can be killed."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, kind, str(run_dir), function(marker)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={"PATH": os.defpath, "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}"},
    )
    with server:
        try:
            assert server.stdout is not None
            home = server.stdout.readline().removeprefix("ready ").split(" ")[0]
            assert home
            yield server
        finally:
            server.kill()
    shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="counts what only root can see")
@pytest.mark.parametrize("kind", ["namespaces", "process"])
async def test_fifty_starts_and_stops_leave_nothing(kind: str, tmp_path: Path) -> None:
    bench = LocalBench(kind, tmp_path / "run")
    await bench.open()
    await bench.run("")
    await until(lambda: len(held_by(tmp_path / "run/scratch")) in {0, 4})  # Made ahead.
    before = await bench.facts()
    spawner_before = _descriptors(before["spawner"])
    for turn in range(5):
        names = await asyncio.gather(
            *[
                bench.start("print('ready', flush=True); import time; time.sleep(1000)")
                for _ in range(10)
            ]
        )
        if turn % 2:
            await asyncio.gather(*[bench.until(name, "ready") for name in names])
        await asyncio.gather(*[bench.stop(name) for name in names])
    after = await bench.facts()
    while after["descriptors"] != before["descriptors"]:  # While /tmp are made ahead.
        await asyncio.sleep(0.005)
        after = await bench.facts()
    assert _descriptors(before["spawner"]) == spawner_before
    assert after["files"] == before["files"]
    for top in after["cgroups"]:
        assert [entry for entry in Path(top).iterdir() if entry.is_dir()] == []
    assert after["network"][0] == after["network"][2]
    home = bench.home
    await bench.close()
    assert held_by(tmp_path / "run") == []
    assert not home.exists()


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd")) if pid else 0
