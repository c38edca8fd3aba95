"""What `lampyr deploy` packs."""

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from lampyr.cli.output import Failure
from lampyr.cli.package import read_package


def entries(data: bytes) -> dict[str, zipfile.ZipInfo]:
    return {entry.filename: entry for entry in zipfile.ZipFile(io.BytesIO(data)).infolist()}


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    names = ["b.py", "a/c.py", "a.py"]
    one, other = tmp_path / "one", tmp_path / "other"
    write(one, *names)
    write(other, *reversed(names))
    os.utime(other / "b.py", (1, 1))
    (other / "b.py").chmod(0o600)
    assert read_package(one) == read_package(other)
    assert list(entries(read_package(one))) == ["a/c.py", "a.py", "b.py"]


def test_caches_and_version_control_stay_at_home(tmp_path: Path) -> None:
    write(tmp_path, "app.py", ".git/config", "lib/__pycache__/x.pyc", "lib/m.py", "old.pyc", ".env")
    assert set(entries(read_package(tmp_path))) == {"app.py", "lib/m.py", ".env"}


def test_a_pattern_leaves_out_more(tmp_path: Path) -> None:
    write(tmp_path, "app.py", "tests/test_app.py", "notes.md")
    assert set(entries(read_package(tmp_path, ("tests", "*.md")))) == {"app.py"}


def test_what_is_executable_stays_executable(tmp_path: Path) -> None:
    write(tmp_path, "bootstrap", "data")
    (tmp_path / "bootstrap").chmod(0o700)
    modes = {
        name: entry.external_attr >> 16 for name, entry in entries(read_package(tmp_path)).items()
    }
    assert modes == {"bootstrap": stat.S_IFREG | 0o755, "data": stat.S_IFREG | 0o644}


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    write(tmp_path, "lib/real.so.1")
    (tmp_path / "lib" / "real.so").symlink_to("real.so.1")
    (tmp_path / "alias").symlink_to("lib")
    found = entries(read_package(tmp_path))
    assert set(found) == {"lib/real.so.1", "lib/real.so", "alias"}
    assert stat.S_ISLNK(found["alias"].external_attr >> 16)
    assert zipfile.ZipFile(io.BytesIO(read_package(tmp_path))).read("alias") == b"lib"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "lib/../../outside"])
def test_a_symbolic_link_out_of_the_package_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(Failure, match="outside of the package"):
        read_package(tmp_path)


def test_an_empty_directory_is_kept_and_an_empty_package_is_not(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no files"):
        read_package(tmp_path)
    write(tmp_path, "app.py")
    (tmp_path / "empty").mkdir()
    assert set(entries(read_package(tmp_path))) == {"app.py", "empty/"}


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failure, match="neither a file"):
        read_package(tmp_path)


def test_a_zip_goes_as_it_is_and_anything_else_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "package.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", "")
    assert read_package(package) == package.read_bytes()
    package.write_text("no zip")
    with pytest.raises(Failure, match="neither a directory nor a zip"):
        read_package(package)
