"""Layers put on top of each other in one directory, for drivers that cannot overlay them."""

import hashlib
import os
import shutil
from pathlib import Path


def merged(layers: tuple[str, ...], directory: Path) -> Path:
    """A directory with what all of them have, a later one winning; made once for the same ones."""
    if len(layers) == 1:
        return Path(layers[0])
    name = hashlib.sha256("\0".join(layers).encode()).hexdigest()
    target = directory / name
    if target.exists():
        return target
    partial = directory / f"{name}.{os.getpid()}.partial"
    for layer in layers:
        shutil.copytree(
            layer, partial, symlinks=True, dirs_exist_ok=True, copy_function=_link_or_copy
        )
    partial.rename(target)
    return target


def _link_or_copy(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # Another file system.
        shutil.copy2(source, target, follow_symlinks=False)
