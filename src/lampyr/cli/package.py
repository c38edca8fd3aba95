"""A deployment package from a directory: the same bytes for the same files, on any machine.

Entries are sorted, their times are fixed, and their modes are 755 for what is executable and
644 for the rest, whatever the umask was. Symbolic links are kept as links.
"""

import fnmatch
import io
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from lampyr.cli.output import Failure

EXCLUDED: Final = (
    ".git",
    ".hg",
    ".svn",
    ".DS_Store",
    ".idea",
    ".vscode",
    ".venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "*.pyc",
)
"""Names of files and directories that are left out wherever they are."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can hold."""


def read_package(path: Path, exclude: Sequence[str] = ()) -> bytes:
    """The zip to deploy: a zip as it is, a directory packed."""
    if path.is_dir():
        return pack(path, (*EXCLUDED, *exclude))
    if exclude:
        raise Failure(f"--exclude is for directories; {path} is a file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise Failure(f"{path} is neither a directory nor a zip file")
    return data


def pack(root: Path, exclude: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(_entries(root, exclude)):
            try:
                _add(archive, root, path)
            except OSError as error:
                raise Failure(f"{path}: {error.strerror}") from None
        if not archive.namelist():
            raise Failure(f"{root} has no files to deploy")
    return buffer.getvalue()


def _entries(root: Path, exclude: Sequence[str]) -> Iterator[Path]:
    """Files and links below `root`, and directories that have nothing in them."""
    for directory, names, files in os.walk(root):
        here = Path(directory)
        links = [name for name in names if (here / name).is_symlink()]
        names[:] = [n for n in names if n not in links and not _excluded(n, exclude)]
        kept = [name for name in (*files, *links) if not _excluded(name, exclude)]
        yield from (here / name for name in kept)
        if here != root and not kept and not names:
            yield here


def _excluded(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _add(archive: zipfile.ZipFile, root: Path, path: Path) -> None:
    name = path.relative_to(root).as_posix()
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = _link_target(root, path)
        _write(archive, name, stat.S_IFLNK | 0o777, os.fsencode(target))
    elif stat.S_ISDIR(mode):
        _write(archive, f"{name}/", stat.S_IFDIR | 0o755, b"")
    elif stat.S_ISREG(mode):
        _write(archive, name, stat.S_IFREG | (0o755 if mode & 0o111 else 0o644), path.read_bytes())
    else:
        raise Failure(f"{path} is neither a file nor a directory nor a symbolic link")


def _write(archive: zipfile.ZipFile, name: str, mode: int, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3  # Unix, which is what makes the mode count.
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)


def _link_target(root: Path, path: Path) -> str:
    """What the link says, when that lies inside the package."""
    target = path.readlink()
    parent = path.relative_to(root).parent
    inside = os.path.normpath(PurePosixPath(parent) / target)
    if target.is_absolute() or inside.startswith(".."):
        raise Failure(f"{path} is a symbolic link to {target}, outside of the package")
    return str(target)
