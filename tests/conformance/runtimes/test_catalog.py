"""The catalogue of runtimes, on directories that a test lays out."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lampyr.worker.runtimes import (
    InvalidEntrypointError,
    Runtime,
    RuntimeCatalog,
    RuntimeInstallError,
    RuntimeMissingError,
)
from lampyr.worker.runtimes.interpreters import Interpreters, Places
from lampyr.worker.runtimes.names import Language, Wanted
from lampyr.worker.runtimes.node import IntegrityError, NodeRuntimes

ENTRYPOINT_URL = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html"
THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"
THIS_NAME = f"python{THIS}"
VERSION = ".".join(map(str, sys.version_info[:3]))
BASE = Path(sys.base_prefix) / "bin" / THIS_NAME


def _catalog(tmp_path: Path, environ: Mapping[str, str] | None = None) -> RuntimeCatalog:
    return RuntimeCatalog(tmp_path / "data" / "runtimes", environ or {}, home=tmp_path / "home")


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_runtime_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    with pytest.raises(RuntimeMissingError, match=r"no Python 3\.12 .* lampyr runtimes install p"):
        catalog.find("python3.12")
    with pytest.raises(RuntimeMissingError, match=r"no Node\.js 22 on this host"):
        catalog.find("nodejs22.x")


@pytest.mark.parametrize("name", ["python2.7", "java8.al2", "", "../etc"])
def test_a_runtime_that_lampyr_does_not_know_is_refused(name: str, tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    assert not catalog.known(name)
    with pytest.raises(RuntimeMissingError, match="Lampyr runs python"):
        catalog.find(name)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(f"home/.pyenv/versions/{VERSION}/bin/{THIS_NAME}", id="pyenv"),
        pytest.param(
            f"home/.local/share/uv/python/cpython-{VERSION}-linux/bin/{THIS_NAME}", id="uv"
        ),
        pytest.param(f"data/runtimes/{THIS_NAME}/bin/{THIS_NAME}", id="Lampyr's own"),
        pytest.param(f"path/{THIS_NAME}", id="PATH"),
    ],
)
def test_a_python_is_found_where_people_keep_them(place: str, tmp_path: Path) -> None:
    link = tmp_path / place
    link.parent.mkdir(parents=True)
    link.symlink_to(BASE)
    catalog = _catalog(tmp_path, {"PATH": str(tmp_path / "path")})
    found = catalog.find(THIS_NAME)
    assert found.version == VERSION
    assert found.mounts["/var/lang"] == sys.base_prefix
    assert found.argv[0] == f"/var/lang/bin/{THIS_NAME}"


def _kit(place: Path, version: str, *, compiler: bool = True) -> Path:
    """A JDK that says what `version` says."""
    source = place / "java.c"
    place.mkdir(parents=True)
    said = f"    java.home = {place}\\n    java.version = {version}\\n"
    source.write_text(f'#include <stdio.h>\nint main() {{ fputs("{said}", stderr); return 0; }}\n')
    (place / "bin").mkdir()
    subprocess.run(["gcc", "-o", str(place / "bin/java"), str(source)], check=True)
    (place / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    if compiler:
        _program(place / "bin/javac", "#!/bin/sh\nexit 1\n")
    return place


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc on this host")
def test_a_jdk_is_found_by_what_it_says_and_one_without_a_compiler_is_none(tmp_path: Path) -> None:
    right = _kit(tmp_path / "home/.sdkman/candidates/java/b", "99.0.1")
    _kit(tmp_path / "home/.sdkman/candidates/java/a", "98.0.1")
    _kit(tmp_path / "home/.jdks/bare", "97.0.1", compiler=False)
    places = Places(runtimes=tmp_path / "data", home=tmp_path / "home", environ={})
    found = {
        release: Interpreters(places).find(
            Wanted(name=f"java{release}", language=Language.JAVA, release=release)
        )
        for release in ("99", "98", "97", "9")
    }
    assert found["99"] is not None
    assert found["99"].executable == str(right / "bin/java")
    assert found["98"] is not None
    assert found["98"].version == "98.0.1"
    assert found["97"] is None
    assert found["9"] is None


def test_a_java_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMissingError, match=r"lampyr runtimes install java11"):
        RuntimeCatalog(tmp_path, {"PATH": ""}, home=tmp_path).find("java11")


def test_another_python_does_not_pass_for_the_wanted_one(tmp_path: Path) -> None:
    wrong = "python3.14" if THIS != "3.14" else "python3.13"
    link = tmp_path / "path" / wrong
    link.parent.mkdir(parents=True)
    link.symlink_to(BASE)
    catalog = _catalog(tmp_path, {"PATH": str(link.parent)})
    with pytest.raises(RuntimeMissingError):
        catalog.find(wrong)


def test_a_script_of_the_right_name_is_not_started(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    shim = _program(tmp_path / "path" / THIS_NAME, f"#!/bin/sh\ntouch {ran}\n")
    with pytest.raises(RuntimeMissingError):
        _catalog(tmp_path, {"PATH": str(shim.parent)}).find(THIS_NAME)
    assert not ran.exists()


def test_an_interpreter_is_asked_once_for_as_long_as_it_is_the_same_file(tmp_path: Path) -> None:
    link = tmp_path / "path" / THIS_NAME
    link.parent.mkdir()
    link.symlink_to(BASE)
    environ = {"PATH": str(link.parent)}
    _catalog(tmp_path, environ).find(THIS_NAME)
    memory = tmp_path / "data/runtimes/interpreters.json"
    known = json.loads(memory.read_text())
    (answer,) = known.values()
    answer["version"] = f"{THIS}.99"
    memory.write_text(json.dumps(known))
    assert _catalog(tmp_path, environ).find(THIS_NAME).version == f"{THIS}.99"
    memory.write_text("{broken")
    assert _catalog(tmp_path, environ).find(THIS_NAME).version == VERSION


def test_a_python_compiled_with_profiles_goes_before_one_without(tmp_path: Path) -> None:
    pyenv = tmp_path / f"home/.pyenv/versions/{THIS}.99/bin/{THIS_NAME}"
    pyenv.parent.mkdir(parents=True)
    pyenv.symlink_to(BASE)
    on_path = tmp_path / "path" / THIS_NAME
    on_path.parent.mkdir()
    shutil.copy(BASE, on_path)
    environ = {"PATH": str(on_path.parent)}
    _catalog(tmp_path).find(THIS_NAME)
    memory = tmp_path / "data/runtimes/interpreters.json"
    ((identity, answer),) = json.loads(memory.read_text()).items()
    slow = answer | {"version": f"{THIS}.99", "profiled": False}
    state = on_path.stat()
    other = f"{on_path}|{state.st_mtime_ns}|{state.st_size}"
    for profiled, expected in ((True, VERSION), (False, f"{THIS}.99")):
        fast = answer | {"profiled": profiled}
        memory.write_text(json.dumps({identity: slow, other: fast}))
        assert _catalog(tmp_path, environ).find(THIS_NAME).version == expected


def test_what_was_installed_meanwhile_is_found_and_then_kept(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    with pytest.raises(RuntimeMissingError):
        catalog.find(THIS_NAME)
    link = tmp_path / f"data/runtimes/{THIS_NAME}/bin/{THIS_NAME}"
    link.parent.mkdir(parents=True)
    link.symlink_to(BASE)
    assert catalog.find(THIS_NAME) is catalog.find(THIS_NAME)


def test_the_hosts_own_packages_are_hidden(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path, {"PATH": str(BASE.parent)})
    found = catalog.find(THIS_NAME)
    hidden = [target for target in found.mounts if target.startswith("/var/lang/")]
    assert hidden
    for target in hidden:
        assert target.endswith("-packages")
        assert list(Path(found.mounts[target]).iterdir()) == []
        inside = Path(sys.base_prefix) / target.removeprefix("/var/lang/")
        assert inside.is_dir(), "there is nothing to mount it on"


def test_var_runtime_has_awss_client_without_native_code_and_the_sdk(tmp_path: Path) -> None:
    found = _catalog(tmp_path, {"PATH": str(BASE.parent)}).find(THIS_NAME)
    tree = Path(found.mounts["/var/runtime"])
    for top in ("awslambdaric", "simplejson", "boto3", "botocore", "urllib3", "dateutil"):
        assert (tree / top / "__init__.py").exists()
    assert (tree / "botocore/data/endpoints.json").exists()
    assert not list(tree.rglob("*.so"))
    assert (tree / "awslambdaric/__pycache__").is_dir()
    for path in (tree, tree / "awslambdaric", tree / "awslambdaric/bootstrap.py"):
        assert path.stat().st_mode & stat.S_IROTH, f"{path} is for its owner alone"


def test_statuses_name_every_runtime_and_what_to_run(tmp_path: Path) -> None:
    statuses = {each.name: each for each in _catalog(tmp_path).statuses()}
    assert len(statuses) == 14
    assert statuses["provided.al2023"].found
    missing = statuses["nodejs24.x"]
    assert (missing.found, missing.advice) == (False, "lampyr runtimes install nodejs24.x")


def test_an_install_that_cannot_be_says_every_way_that_was_tried(tmp_path: Path) -> None:
    uv = _program(tmp_path / "path/uv", "#!/bin/sh\necho no way to the internet >&2\nexit 2\n")
    catalog = _catalog(tmp_path, {"PATH": str(uv.parent)})
    lines: list[str] = []
    with pytest.raises(RuntimeInstallError) as caught:
        catalog.install("python3.14", lines.append)
    assert "pyenv: not on PATH" in str(caught.value)
    assert "apt-get: not on PATH" in str(caught.value)
    with pytest.raises(RuntimeInstallError, match="npm is not on PATH"):
        catalog.install("nodejs22.x", lines.append)


def test_an_archive_that_is_not_awss_client_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "aws-lambda-ric-3.3.0.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(IntegrityError, match="SHA-512"):
        NodeRuntimes(tmp_path / "runtimes").add_client("20", archive)


def _os_only(tmp_path: Path) -> Runtime:
    return _catalog(tmp_path).find("provided.al2023")


def _bootstrap(directory: Path, content: bytes = b"#!/bin/sh\n", mode: int = 0o755) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / "bootstrap"
    path.write_bytes(content)
    path.chmod(mode)
    return directory


@pytest.mark.documented(ENTRYPOINT_URL)
def test_a_bootstrap_is_looked_for_in_the_code_and_then_in_the_layers(tmp_path: Path) -> None:
    runtime, task, layer = _os_only(tmp_path), tmp_path / "task", tmp_path / "layer"
    task.mkdir()
    with pytest.raises(InvalidEntrypointError) as caught:
        runtime.command(memory_mb=128, task=task)
    assert str(caught.value) == (
        "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
    )
    _bootstrap(layer)
    assert runtime.command(memory_mb=128, task=task, layers=[layer]) == ("/opt/bootstrap",)
    _bootstrap(task)
    assert runtime.command(memory_mb=128, task=task, layers=[layer]) == ("/var/task/bootstrap",)


@pytest.mark.documented(ENTRYPOINT_URL)
@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        pytest.param(b"#!/bin/sh\n", 0o644, "permission denied", id="not executable"),
        pytest.param(b"echo hi\n", 0o755, "exec format error", id="no interpreter named"),
        pytest.param(b"\x7fELF" + bytes(60), 0o755, "exec format error", id="another machine"),
        pytest.param(b"#!/bin/sh\r\n", 0o755, "no such file or directory", id="Windows line ends"),
    ],
)
def test_a_bootstrap_that_cannot_be_run_is_refused_in_awss_words(
    content: bytes, mode: int, reason: str, tmp_path: Path
) -> None:
    task = _bootstrap(tmp_path / "task", content, mode)
    with pytest.raises(InvalidEntrypointError) as caught:
        _os_only(tmp_path).command(memory_mb=128, task=task)
    assert str(caught.value) == f"fork/exec /var/task/bootstrap: {reason}"
    assert caught.value.error_type == "Runtime.InvalidEntrypoint"


@pytest.mark.documented(ENTRYPOINT_URL)
def test_a_program_for_this_machine_is_a_bootstrap(tmp_path: Path) -> None:
    task = _bootstrap(tmp_path / "task", Path(os.path.realpath("/bin/sh")).read_bytes()[:4096])
    assert _os_only(tmp_path).command(memory_mb=128, task=task) == ("/var/task/bootstrap",)


@pytest.mark.lampyr_only
@pytest.mark.parametrize("variable", ["PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "PATH"])
def test_a_place_of_another_user_is_passed_over(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()

    def refused(self: Path, *arguments: object, **options: object) -> os.stat_result:
        if str(self).startswith(str(closed)):
            raise PermissionError(13, "Permission denied", str(self))
        return os.stat(self)  # noqa: PTH116 - the other one is replaced here

    monkeypatch.setattr(Path, "stat", refused)  # Root, who runs the tests, may look anywhere.
    environ = {"PATH": str(BASE.parent)}
    environ[variable] = f"{closed}:{environ.get(variable, '')}".rstrip(":")
    assert _catalog(tmp_path, environ).find(THIS_NAME).version == VERSION
