"""Code packages on disk: unpacked as they were packed, once, compiled, and kept within bounds."""

import asyncio
import contextlib
import io
import os
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lampyr
from lampyr.limits import DEFAULT_LIMITS
from lampyr.store.blobs import FileBlobs
from lampyr.testing.builders import a_zip
from lampyr.worker.archive import BadArchiveError, unpack
from lampyr.worker.code import CodeCache, CodeMissingError
from lampyr.worker.compile import compile_tree

LINK = stat.S_IFLNK | 0o777
PYTHON = Path(sys.executable)
TAG = sys.implementation.cache_tag


def entry(name: str, mode: int = 0, system: int = 3) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = system
    info.external_attr = mode << 16
    return info


def zipped(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for info, data in entries:
            archive.writestr(info, data)
    return buffer.getvalue()


def test_what_comes_out(tmp_path: Path) -> None:
    data = zipped(
        (entry("bootstrap", stat.S_IFREG | 0o755), b"#!/bin/sh\n"),
        (entry("secret", stat.S_IFREG | 0o600), b"s"),
        (entry("set-user-id", stat.S_IFREG | 0o6755), b""),
        (entry("no-type", 0o755), b""),
        (entry("windows.py", system=0), b"w"),
        (entry("empty/", stat.S_IFDIR | 0o700), b""),
        (entry("shared/", stat.S_IFDIR | 0o2775), b""),
        ("./deep/er/file", b"d"),
        (entry("lib/v1/code", stat.S_IFREG | 0o644), b"1"),
        (entry("lib/current", LINK), b"v1"),
        (entry("lib/v1/up", LINK), b"../../windows.py"),
    )
    unpack(io.BytesIO(data), tmp_path, DEFAULT_LIMITS)
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.lstat().st_mode)
        for path in tmp_path.rglob("*")
        if not path.is_symlink()
    }
    assert modes == {
        "bootstrap": 0o755,
        "secret": 0o644,
        "set-user-id": 0o755,
        "no-type": 0o755,
        "windows.py": 0o644,
        "empty": 0o755,
        "shared": 0o775,
        "deep": 0o755,
        "deep/er": 0o755,
        "deep/er/file": 0o644,
        "lib": 0o755,
        "lib/v1": 0o755,
        "lib/v1/code": 0o644,
    }
    assert (tmp_path / "lib/current/code").read_bytes() == b"1"
    assert (tmp_path / "lib/v1/up").read_bytes() == b"w"
    assert (tmp_path / "lib/current").is_symlink()


names = st.text("ab./\\ é", min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, st.tuples(st.booleans(), names), min_size=1, max_size=5))
def test_nothing_ever_leaves_the_tree(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, tuple[bool, str]]
) -> None:
    place = tmp_path_factory.mktemp("place")
    target = place / "in"
    target.mkdir()
    entries = [
        (entry(name, LINK if link else stat.S_IFREG | 0o644), text.encode())
        for name, (link, text) in tree.items()
    ]
    with contextlib.suppress(BadArchiveError):
        unpack(io.BytesIO(zipped(*entries)), target, DEFAULT_LIMITS)
    assert [path.name for path in place.iterdir()] == ["in"]
    for path in target.rglob("*"):
        try:
            assert path.resolve(strict=False).is_relative_to(target)
        except RuntimeError:
            assert path.is_symlink()  # A loop.


@dataclass(frozen=True)
class Runtime:
    name: str = "python3.11"

    def on_host(self, task: Path) -> tuple[tuple[str, ...], dict[str, str]]:
        return (str(PYTHON), str(task)), {}


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    blobs = FileBlobs(tmp_path / "blobs")
    blobs.open()
    return blobs


@pytest.fixture
async def cache(tmp_path: Path, blobs: FileBlobs) -> AsyncIterator[CodeCache]:
    cache = CodeCache(tmp_path / "cache", blobs)
    await cache.open()
    yield cache
    await cache.close()


async def test_a_package_is_unpacked_and_compiled(cache: CodeCache, blobs: FileBlobs) -> None:
    files = {"app.py": "import lib\nx = 1\n", "lib/__init__.py": "", "bad.py": "def (", "data": "d"}
    sha256 = await blobs.put(a_zip(files))
    directory = await cache.directory(sha256, Runtime())
    made = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}
    compiled = {f"__pycache__/app.{TAG}.pyc", f"lib/__pycache__/__init__.{TAG}.pyc"}
    assert made == {*files, *compiled}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert stat.S_IMODE((directory / "__pycache__").stat().st_mode) == 0o755


async def test_the_interpreter_takes_what_was_compiled(cache: CodeCache, blobs: FileBlobs) -> None:
    text = "import inspect\ndef where():\n    return where.__code__.co_filename\n"
    sha256 = await blobs.put(a_zip({"app.py": text}))
    directory = await cache.directory(sha256, Runtime())
    (directory / "app.py").write_text("raise RuntimeError('compiled anew')")
    program = "import app; print(app.__cached__, app.where())"
    answer = subprocess.run(
        [PYTHON, "-c", program], cwd=directory, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == [
        str(directory / "__pycache__" / f"app.{TAG}.pyc"),
        str(directory / "app.py"),
    ]


async def test_nothing_is_imported_by_compiling(
    cache: CodeCache, blobs: FileBlobs, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    text = f"open({str(mark)!r}, 'w').close()"
    sha256 = await blobs.put(a_zip({"app.py": text, "sitecustomize.py": text, "struct.py": text}))
    await cache.directory(sha256, Runtime())
    assert not mark.exists()


@pytest.mark.parametrize("name", ["nodejs22.x", "provided.al2023"])
async def test_other_runtimes_run_code_as_it_is(
    cache: CodeCache, blobs: FileBlobs, name: str
) -> None:
    sha256 = await blobs.put(a_zip())
    directory = await cache.directory(sha256, Runtime(name=name))
    assert [path.name for path in directory.iterdir()] == ["app.py"]
    assert await cache.directory(sha256, None) == directory


async def test_a_package_that_plants_things_where_compiled_code_goes(
    cache: CodeCache, blobs: FileBlobs, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    data = zipped(
        ("a/app.py", b"x = 1"),
        (entry("a/__pycache__", LINK), b"../elsewhere"),
        ("elsewhere/f", b""),
        ("b/app.py", b"x = 1"),
        ("b/__pycache__", b"a file"),
        ("c/app.py", b"x = 1"),
        (entry(f"c/__pycache__/app.{TAG}.pyc", LINK), b"../app.py"),
        (entry("d/app.py", LINK), b"../c/app.py"),
    )
    directory = await cache.directory(await blobs.put(data), Runtime())
    assert [path.name for path in (directory / "elsewhere").iterdir()] == ["f"]
    assert (directory / "b/__pycache__").read_bytes() == b"a file"
    assert (directory / "c/app.py").read_bytes() == b"x = 1"
    assert not (directory / f"c/__pycache__/app.{TAG}.pyc").is_symlink()
    assert not (directory / "d/__pycache__").exists()


async def test_callers_share_one_unpacking(cache: CodeCache, blobs: FileBlobs) -> None:
    sha256 = await blobs.put(a_zip())
    first = asyncio.ensure_future(cache.directory(sha256, None))
    await asyncio.sleep(0)
    others = [asyncio.ensure_future(cache.directory(sha256, None)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    assert len(set(await asyncio.gather(*others))) == 1
    assert len(cache._making) == 0


async def test_a_package_that_is_not_there(cache: CodeCache) -> None:
    with pytest.raises(CodeMissingError, match="not in the store"):
        await cache.directory("0" * 64, None)


async def test_a_package_that_goes_away_or_cannot_be_read(tmp_path: Path) -> None:
    class Source:
        async def path(self, sha256: str) -> Path | None:
            return tmp_path / sha256

    cache = CodeCache(tmp_path / "cache", Source())
    await cache.open()
    with pytest.raises(CodeMissingError, match="was removed"):
        await cache.directory("0" * 64, None)
    (tmp_path / ("1" * 64)).mkdir()
    with pytest.raises(CodeMissingError, match=r"cannot be unpacked in .*Is a directory"):
        await cache.directory("1" * 64, None)
    await cache.close()


async def test_a_package_that_cannot_be_unpacked_leaves_nothing(
    cache: CodeCache, blobs: FileBlobs, tmp_path: Path
) -> None:
    sha256 = await blobs.put(zipped(("good", b""), ("../bad", b"")))
    for _ in range(2):
        with pytest.raises(CodeMissingError, match="leaves the tree"):
            await cache.directory(sha256, None)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["boot"]


async def test_what_is_complete_survives_a_restart_and_the_rest_goes(
    cache: CodeCache, blobs: FileBlobs, tmp_path: Path
) -> None:
    root = tmp_path / "cache"
    directory = await cache.directory(await blobs.put(a_zip()), Runtime())
    marker = directory / "marker"
    marker.touch()
    (root / "partial-abc").mkdir()
    (root / "partial-abc/f").touch()
    (root / f"{'0' * 64}").mkdir()  # Without its size: not made by `_complete`.
    (root / f"{'1' * 64}.bytes").touch()
    again = CodeCache(root, blobs)
    await again.open()
    assert await again.directory(directory.name[:64], Runtime()) == directory
    assert marker.exists()
    assert {path.name for path in root.iterdir()} == {
        "boot",
        directory.name,
        f"{directory.name}.bytes",
    }
    await again.close()


async def test_a_cache_of_another_boot_is_thrown_away(
    cache: CodeCache, blobs: FileBlobs, tmp_path: Path
) -> None:
    directory = await cache.directory(await blobs.put(a_zip()), None)
    (directory / "app.py").write_text("")  # As a power cut may leave it.
    (tmp_path / "cache/boot").write_text("another")
    again = CodeCache(tmp_path / "cache", blobs)
    await again.open()
    assert "handler" in (await again.directory(directory.name, None) / "app.py").read_text()
    await again.close()


async def test_the_cache_is_bounded(blobs: FileBlobs, tmp_path: Path) -> None:
    time = 0.0
    used: list[str] = []

    async def in_use() -> Collection[str]:
        return used

    cache = CodeCache(tmp_path / "cache", blobs, bytes_max=2_500, in_use=in_use, now=lambda: time)
    await cache.open()
    a, b, c, d = [await blobs.put(a_zip({name: "x" * 1_000})) for name in "abcd"]
    directories = {}
    for sha256 in (a, b, c):
        directories[sha256] = await cache.directory(sha256, None)
    assert all(path.exists() for path in directories.values())  # Young ones stay.
    time = 10_000.0
    used[:] = [a]
    await cache.directory(d, None)
    left = {sha256 for sha256, path in directories.items() if path.exists()}
    assert left == {a}
    assert (await cache.directory(b, None)).exists()
    await cache.close()


def test_a_compiler_that_hangs_is_ended(tmp_path: Path) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    (tmp_path / "app.py").touch()
    assert compile_tree(slow, tmp_path, seconds_max=0.0) == 0
    stop = threading.Event()
    stop.set()
    assert compile_tree(slow, tmp_path, stop=stop) == 0


@pytest.mark.parametrize("says", ["", "garbage", "\\0\\0\\0\\377", "\\3\\0\\0\\0../"])
def test_a_compiler_that_says_nonsense_is_not_believed(tmp_path: Path, says: str) -> None:
    odd = tmp_path / "python"
    odd.write_text(f"#!/bin/sh\nprintf '{says}'\n")
    odd.chmod(0o755)
    (tmp_path / "app.py").touch()
    assert compile_tree(odd, tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"python", "app.py"}


def test_an_interpreter_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    assert compile_tree(tmp_path / "no-python", tmp_path) == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")
def test_the_compiler_is_not_root(tmp_path: Path) -> None:
    spy = tmp_path / "python"
    spy.write_text(
        f"#!/bin/sh\nid -u > {tmp_path}/uid\n"
        f"grep -E 'CapEff|NoNewPrivs' /proc/self/status > {tmp_path}/status\n"
    )
    spy.chmod(0o755)
    for name in ("uid", "status"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o666)
    (tmp_path / "app.py").touch()
    compile_tree(spy, tmp_path)
    assert (tmp_path / "uid").read_text() == "65534\n"
    effective, no_new = (tmp_path / "status").read_text().splitlines()
    assert int(effective.split()[1], 16) in (0, 1 << 2)  # At most CAP_DAC_READ_SEARCH.
    assert no_new.split()[1] == "1"


async def test_half_an_unpacking_is_not_taken_for_whole(blobs: FileBlobs, tmp_path: Path) -> None:
    """A process that is killed at any moment leaves a cache that the next one can use."""
    sha256 = await blobs.put(a_zip({f"m{n}.py": "x = 1\n" * 50 for n in range(300)}))
    program = (
        "import asyncio, sys, pathlib\n"
        "from lampyr.store.blobs import FileBlobs\n"
        "from lampyr.worker.code import CodeCache\n"
        "async def main(root, sha256):\n"
        "    cache = CodeCache(root / 'cache', FileBlobs(root / 'blobs'))\n"
        "    await cache.open()\n"
        "    print('begin', flush=True)\n"
        "    await cache.directory(sha256, None)\n"
        "    print('end', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main(pathlib.Path(sys.argv[1]), sys.argv[2]))\n"
    )
    path = str(Path(lampyr.__file__).parents[1])
    root = tmp_path / "cache"
    for files in (1, 100, 250):
        process = subprocess.Popen(
            [PYTHON, "-c", program, str(tmp_path), sha256],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begin\n"
            _until(lambda files=files: _files(root) >= files)  # type: ignore[misc]
            process.kill()
        cache = CodeCache(root, blobs)
        await cache.open()
        assert not list(root.glob("partial-*"))
        directory = await cache.directory(sha256, None)
        assert len(list(directory.iterdir())) == 300
        await cache.close()
        (root / "boot").unlink()


def _files(root: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(root))


def _until(true: Callable[[], bool]) -> None:
    while not true():
        pass
