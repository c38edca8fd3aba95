"""Archives of the classes of Java functions, on disk."""

import zipfile
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest

from lampyr.model.function import FunctionVersion
from lampyr.testing.environments import a_version
from lampyr.worker import class_archives
from lampyr.worker.class_archives import ClassArchives, Recorder
from lampyr.worker.runtimes.java import CLASS_PATH
from lampyr.worker.runtimes.model import Runtime

RUNTIME: Final = Runtime(
    name="java17",
    version="17.0.1",
    argv=("/var/lang/bin/java", "-cp", CLASS_PATH, "Main"),
    mounts=MappingProxyType({"/var/runtime": "/r"}),
)
PLACE: Final = "/var/runtime/archive"


def version(name: str = "f", **changes: Any) -> FunctionVersion:
    published = {"runtime": RUNTIME.name, "version": "1", "snap_start": True}
    return a_version(name, **{**published, **changes})


JAR: Final = ["a/B.class", "linked"]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    task = tmp_path / "task"
    (task / "lib").mkdir(parents=True)
    (task / "a").mkdir()
    (task / "a/B.class").write_bytes(b"class")
    (task / "linked").symlink_to("a/B.class")
    (task / "outside").symlink_to("/etc/passwd")
    for name in ("z.jar", "y.jar"):
        (task / "lib" / name).write_bytes(b"jar")
    return task


async def started(
    archives: ClassArchives, task: Path, of: FunctionVersion | None = None
) -> class_archives.Start:
    return await archives.start(of or version(), RUNTIME, RUNTIME.argv, task, [])


async def test_the_first_environment_makes_an_archive_and_later_ones_use_it(
    tmp_path: Path, task: Path
) -> None:
    archives = ClassArchives(tmp_path / "classes")
    first = await started(archives, task)
    assert first.argv[1] == "-XX:+RecordDynamicDumpInfo"
    libraries = "/var/task/lib/y.jar:/var/task/lib/z.jar"
    assert first.argv[3] == f"/var/runtime/lib/lampyr-runtime.jar:{PLACE}/task.jar:{libraries}"
    place = Path(first.mounts[PLACE])
    assert zipfile.ZipFile(place / "task.jar").namelist() == JAR
    meanwhile = await started(archives, task)
    assert (meanwhile.recorder, dict(meanwhile.variables)) == (None, {})
    assert first.recorder is not None
    first.recorder.begin("", lambda: None)
    assert first.recorder.write(b"ar")
    assert first.recorder.write(b"chive")
    first.recorder.finish(whole=True)
    assert (place / "classes.jsa").read_bytes() == b"archive"
    again = ClassArchives(tmp_path / "classes")
    for later in (await started(archives, task), await started(again, task)):
        assert later.argv[1] == f"-XX:SharedArchiveFile={PLACE}/classes.jsa"
        assert later.argv[2:] == first.argv[2:]
        assert later.recorder is None
        assert later.mounts == first.mounts


async def test_half_an_archive_is_none(tmp_path: Path, task: Path) -> None:
    first = await started(ClassArchives(tmp_path / "classes"), task)
    assert first.recorder is not None
    first.recorder.write(b"ar")
    first.recorder.finish(whole=False)
    place = Path(first.mounts[PLACE])
    assert [path.name for path in place.iterdir()] == ["task.jar"]


async def test_what_an_environment_left_that_died_over_its_archive_is_removed(
    tmp_path: Path, task: Path
) -> None:
    first = await started(ClassArchives(tmp_path / "classes"), task)
    assert first.recorder is not None
    first.recorder.write(b"ar")
    half = tmp_path / "classes" / "half.draft"
    half.mkdir()
    again = await started(ClassArchives(tmp_path / "classes"), task)
    assert again.recorder is not None
    assert [path.name for path in Path(first.mounts[PLACE]).iterdir()] == ["task.jar"]
    assert not half.exists()


@pytest.mark.parametrize(
    "other",
    [version(code_sha256="other"), version("other")],
    ids=["other code", "another function of the same code"],
)
async def test_other_code_and_other_functions_have_an_archive_of_their_own(
    tmp_path: Path, task: Path, other: FunctionVersion
) -> None:
    archives = ClassArchives(tmp_path / "classes")
    first, second = await started(archives, task), await started(archives, task, other)
    assert first.mounts != second.mounts
    assert second.recorder is not None


@pytest.mark.parametrize(
    ("more", "runtime"),
    [
        ({"version": "$LATEST"}, RUNTIME),
        ({"snap_start": False}, RUNTIME),
        ({"environment": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/w"}}, RUNTIME),
        ({}, replace(RUNTIME, version="11.0.2")),
        ({}, replace(RUNTIME, name="python3.12", version="3.12.1")),
    ],
)
async def test_what_has_no_archive_starts_as_ever(
    more: dict[str, Any], runtime: Runtime, tmp_path: Path, task: Path
) -> None:
    archives = ClassArchives(tmp_path / "classes")
    plain = await archives.start(version(**more), runtime, runtime.argv, task, [])
    assert plain == class_archives.Start(argv=runtime.argv)
    assert not (tmp_path / "classes").exists()


async def test_the_least_recently_used_goes(
    tmp_path: Path, task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_archives, "ARCHIVES_MAX", 2)
    archives = ClassArchives(tmp_path / "classes")
    for code in ("a", "b", "c"):
        await started(archives, task, version(code_sha256=code))
    assert len(list((tmp_path / "classes").iterdir())) == 2


def test_an_archive_that_is_too_large_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_archives, "ARCHIVE_BYTES_MAX", 10)
    recorder = Recorder(tmp_path)
    for _ in range(20):
        recorder.write(b"seven b")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 7
    recorder.finish(whole=True)
    assert not list(tmp_path.iterdir())


def test_an_archive_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "gone")
    assert recorder.write(b"x")
    recorder.finish(whole=True)
    assert not (tmp_path / "gone").exists()
