"""Functions in Java: compiled by the host's own compiler, against what Lampyr gives them."""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

SOURCES: Final = Path(__file__).parent.parent / "src/lampyr/worker/runtime_clients/java"
RELEASE: Final = "11"


@functools.cache
def compiled(code: str, name: str = "Main", release: str = RELEASE) -> dict[str, bytes]:
    """Class files by their paths in a package; `name` is the public class of `code`."""
    compiler = shutil.which("javac")
    if compiler is None:
        pytest.skip("there is no javac on this host")
    with tempfile.TemporaryDirectory(prefix="lampyr-java-") as scratch:
        source = Path(scratch, f"{name.rpartition('.')[2]}.java")
        source.write_text(code)
        command = [compiler, "--release", release, "-implicit:none", "-proc:none", "-nowarn"]
        command += ["-sourcepath", str(SOURCES), "-d", f"{scratch}/classes", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        classes = Path(scratch, "classes")
        return {
            str(path.relative_to(classes)): path.read_bytes() for path in classes.rglob("*.class")
        }


def lay(task: Path, code: str, name: str = "Main", release: str = RELEASE) -> None:
    """Class files of `code` where a function's package is unpacked."""
    for path, content in compiled(code, name, release).items():
        (task / path).parent.mkdir(parents=True, exist_ok=True)
        (task / path).write_bytes(content)
