"""A virtual environment with pip on a host whose Python came without `ensurepip`.

Debian keeps `ensurepip` in python3-venv, which only root can install. An ordinary user still gets
pip here: from the wheel that Debian keeps for such uses, from the host's own pip, or from the
Debian package with that wheel, which anybody may download and unpack.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

WHEELS = "usr/share/python-wheels"
PACKAGE = "python3-pip-whl"


class NoPipError(Exception):
    """pip cannot be had without root."""


def create(interpreter: str, target: Path) -> None:
    subprocess.run([interpreter, "-m", "venv", "--without-pip", str(target)], check=True)
    python = target / "bin" / "python"
    if _from_wheel(python, Path("/")) or _from_host(interpreter, python):
        return
    if _from_package(python):
        return
    raise NoPipError(
        "Python's venv module is incomplete here and pip is missing, so nothing can be installed.\n"
        "As root: apt-get install python3-venv"
    )


def _from_wheel(python: Path, root: Path) -> bool:
    wheels = sorted((root / WHEELS).glob("pip-*.whl"))
    if not wheels:
        return False
    # A wheel is a zip with packages, so pip can be run from the file it is to be installed from.
    environment = {**os.environ, "PYTHONPATH": str(wheels[-1]), "PIP_USER": "0"}
    command = [python, "-m", "pip", "--quiet", "install", "--no-index", str(wheels[-1])]
    return subprocess.run(command, env=environment, check=False).returncode == 0


def _from_host(interpreter: str, python: Path) -> bool:
    command = [interpreter, "-m", "pip", "--python", str(python), "--quiet", "install", "pip"]
    environment = {**os.environ, "PIP_USER": "0"}
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    return done.returncode == 0


def _from_package(python: Path) -> bool:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (directory / part).mkdir(parents=True)
        # Directories of our own, since those of the host are root's and may be empty.
        options = ["-qq", "-o", f"Dir::State::lists={directory}/lists"]
        options += ["-o", f"Dir::Cache={directory}/cache", "-o", "APT::Sandbox::User="]
        for command in (["update"], ["download", PACKAGE]):
            done = subprocess.run(
                ["apt-get", *options, *command], cwd=directory, check=False, capture_output=True
            )
        archives = sorted(directory.glob(f"{PACKAGE}_*.deb"))
        if done.returncode != 0 or not archives:
            return False
        unpacked = directory / "unpacked"
        subprocess.run(["dpkg-deb", "-x", str(archives[0]), str(unpacked)], check=True)
        return _from_wheel(python, unpacked)
