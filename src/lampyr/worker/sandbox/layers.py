"""Layers put on top of each other in one directory, for drivers that cannot overlay them."""

import hashlib
import os
import shutil
import stat
import uuid
from pathlib import Path


def merged(layers: tuple[str, ...], directory: Path) -> Path:
    """A directory with what all of them have, a later one winning; made once for the same ones."""
    if len(layers) == 1:
        return Path(layers[0])
    name = hashlib.sha256("\0".join(layers).encode()).hexdigest()
    target = directory / name
    if target.exists():
        return target
    partial = directory / f"{name}.{uuid.uuid4().hex}.partial"
    try:
        partial.mkdir()
        for layer in layers:
            _lay_over(Path(layer), partial)
        try:
            partial.rename(target)
        except OSError:
            if not target.exists():  # Else another thread was faster.
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _lay_over(layer: Path, target: Path) -> None:
    """As an overlay would: only directories become one with directories.

    Nothing is looked up through a link of `target`, which may lead anywhere on this host: a link
    that stays inside its own layer need not stay inside all of them together.
    """
    for entry in os.scandir(layer):
        path = target / entry.name
        mode = path.lstat().st_mode if os.path.lexists(path) else 0
        if entry.is_dir(follow_symlinks=False):
            if not stat.S_ISDIR(mode):
                path.unlink(missing_ok=True)
                path.mkdir()
            path.chmod(0o755)
            _lay_over(Path(entry.path), path)
            continue
        if stat.S_ISDIR(mode):
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        _link_or_copy(entry.path, path)


def _link_or_copy(source: str, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # Another file system.
        shutil.copy2(source, target, follow_symlinks=False)
