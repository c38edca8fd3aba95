"""Packages that measured functions bring, from PyPI."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.rivals import ENVIRONMENT

INSTALL_SECONDS: Final = 300


def installed(name: str, runtime: str) -> dict[str, bytes]:
    """Path → content of all that a package needs on a runtime such as `python3.12`, tests apart.

    Raises `RuntimeError` when it cannot be had.
    """
    target = ENVIRONMENT / f"{name}-{runtime}"
    stamp = target / ".installed"
    if not stamp.exists():
        _install(name, runtime, target)
        stamp.touch()
    return {
        str(path.relative_to(target)): path.read_bytes()
        for path in sorted(target.rglob("*"))
        if path.is_file() and not {"tests", "__pycache__"} & set(path.parts) and path != stamp
    }


def _install(name: str, runtime: str, target: Path) -> None:
    version = runtime.removeprefix("python")
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--upgrade",
        "--python-version", version, "--target", str(target), name,
    ]  # fmt: skip
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
    )
    if ran.returncode != 0:
        raise RuntimeError(f"{name} cannot be installed: {ran.stderr.strip()}")
