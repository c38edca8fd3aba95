"""Layers on disk: compiled for their place, and merged where they cannot be overlaid."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from lampyr.store.blobs import FileBlobs
from lampyr.testing.builders import a_zip
from lampyr.worker.code import CodeCache
from lampyr.worker.sandbox.layers import merged

PYTHON: Final = Path(sys.executable)
TAG: Final = sys.implementation.cache_tag


class Runtime:
    name = "python3.11"

    def on_host(self, task: Path) -> tuple[tuple[str, ...], dict[str, str]]:
        return (str(PYTHON), str(task)), {}


async def test_a_layer_is_compiled_for_its_place(tmp_path: Path) -> None:
    """What does not compile hides the bytecode that a layer below may have of its name."""
    blobs = FileBlobs(tmp_path / "blobs")
    blobs.open()
    cache = CodeCache(tmp_path / "cache", blobs)
    await cache.open()
    sha256 = await blobs.put(a_zip({"python/app.py": "x = 1", "python/bad.py": "def ("}))
    layer = await cache.directory(sha256, Runtime(), inside="/opt")
    assert await cache.directory(sha256, Runtime()) != layer
    compiled = (layer / f"python/__pycache__/app.{TAG}.pyc").read_bytes()
    assert b"/opt/python/app.py" in compiled
    program = "try: import bad\nexcept SyntaxError: print('its own error')"
    answer = subprocess.run(
        [PYTHON, "-c", program], cwd=layer / "python", capture_output=True, text=True, check=True
    )
    assert answer.stdout == "its own error\n"
    assert (layer / f"python/__pycache__/bad.{TAG}.pyc").read_bytes() == b""
    await cache.close()


def test_merged_layers_are_made_once_and_the_later_wins(tmp_path: Path) -> None:
    for name, files in (("a", {"x": "1", "y": "1"}), ("b", {"y": "2", "z": "2"})):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(content)
    (tmp_path / "b/x-link").symlink_to("x")
    target = tmp_path / "merged"
    target.mkdir()
    layers = (str(tmp_path / "a"), str(tmp_path / "b"))
    both = merged(layers, target)
    assert {path.name: path.read_text() for path in both.iterdir()} == {
        "x": "1", "y": "2", "z": "2", "x-link": "1",
    }  # fmt: skip
    assert (both / "x-link").is_symlink()
    assert merged(layers, target) == both
    assert merged(layers[:1], target) == tmp_path / "a"


def test_merged_layers_are_what_an_overlay_shows(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    one, two, target = (tmp_path / name for name in ("one", "two", "merged"))
    target.mkdir()
    (one / "was-directory").mkdir(parents=True)
    (one / "was-directory/old").touch()
    (one / "was-file").touch()
    (one / "link").symlink_to("../outside")
    (two / "was-file").mkdir(parents=True)
    (two / "was-directory").touch()
    (two / "link").mkdir()
    (two / "link/file").touch()
    both = merged((str(one), str(two)), target)
    assert (both / "was-directory").is_file()
    assert (both / "was-file").is_dir()
    assert [path.name for path in (both / "link").iterdir()] == ["file"]
    assert list(outside.iterdir()) == []
    assert (one / "was-directory/old").exists()
