"""`kill -9` while functions are created, updated, published and deleted: nothing is half there."""

import base64
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import lampyr
from lampyr.control import functions
from lampyr.control.packages import blob_name
from lampyr.control.packages import versions as every_version
from lampyr.control.states import unfinished
from lampyr.model.function import Function
from lampyr.store.sqlite import open_store
from lampyr.testing.builders import ACCOUNT, REGION, a_key
from lampyr.testing.control import running_control
from tests.crash import store_writer

Shape = tuple[int, int, tuple[str, ...]] | None
"""Memory, the step whose package `$LATEST` has, and the published versions."""

LIFE: tuple[Shape, ...] = (
    None,
    (128, 0, ()),
    (256, 0, ()),
    (256, 0, ("1",)),
    (256, 3, ("1",)),
    (256, 4, ("1", "2")),
    (256, 4, ("2",)),
    None,
)
"""A function before `store_writer.live`, and after each step of it."""


def shape(function: Function | None) -> Shape:
    if function is None:
        return None
    hashes = {
        base64.b64encode(
            hashlib.sha256(store_writer.package(function.key.name, step)).digest()
        ).decode(): step
        for step in (0, 3, 4)
    }
    latest = function.latest
    return latest.memory_mb, hashes[latest.code_sha256], tuple(function.published)


def kill_after(directory: Path, lines: int) -> dict[str, int]:
    """Run the writer for so many acknowledgements; the last step of each function that it said."""
    root = Path(lampyr.__file__).parents[1]
    path = os.pathsep.join([str(root), str(Path(__file__).parents[2])])
    process = subprocess.Popen(
        [sys.executable, store_writer.__file__, str(directory)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    with process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        # What it said before it died counts too; a line without its end was not said.
        said += [line for line in process.stdout if line.endswith("\n")]
    steps = (line.split() for line in said)
    return {name: int(step) for name, step in steps}


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_acknowledged_is_there_whole(tmp_path: Path, seed: int) -> None:
    lines = random.Random(seed).randint(1, 120)
    acknowledged = kill_after(tmp_path, lines)
    assert len(acknowledged) >= 1
    store = await open_store(tmp_path)
    for name, step in acknowledged.items():
        function = await store.functions.get(a_key(name))
        # The step after the last one that was acknowledged may have been stored, or not.
        assert shape(function) in LIFE[step + 1 : step + 3]
    for function in await store.functions.everywhere():
        assert function.key.name in acknowledged or shape(function) == LIFE[1]
        for version in every_version(function):
            path = await store.blobs.path(blob_name(version.code_sha256))
            assert path is not None
            assert path.stat().st_size == version.code_bytes
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name

    async with running_control(store) as control:
        for function in await store.functions.everywhere():
            await control.settle(function.key)
        functions_left = await store.functions.everywhere()
        assert not any(any(unfinished(function)) for function in functions_left)
        assert set(await store.blobs.all()) == await control.plane.packages_in_use()
        assert not list((tmp_path / "blobs").glob("partial-*"))
        page = await functions.list_functions(control.plane, ACCOUNT, REGION)
        assert len(page.items) == len(functions_left)


async def test_a_store_killed_again_and_again(tmp_path: Path) -> None:
    """Each run takes over what the one before left; the names of the first are taken up again."""
    for seed in range(3):
        kill_after(tmp_path, 20 + seed)
        store = await open_store(tmp_path)
        for function in await store.functions.everywhere():
            assert shape(function) in LIFE
            await store.functions.delete(function.key)
        await store.close()
