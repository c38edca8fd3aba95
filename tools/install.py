"""Set up `.venv` with Lampyr in it, and the system packages it uses; quick when all is there.

Run by `make install` and `make start`, with `--dev` by `make test` and `make check`. It needs
nothing but Python's own library and, on Debian, works where python3-venv is missing. As root it
installs missing system packages through apt; as an ordinary user it says what is missing, what
then works less, and goes on. pip runs with whatever configuration the machine has.

A `.venv` is made with the Python that is fastest here: one compiled with profiles runs Lampyr a
quarter faster than one that was not, as pyenv's are by default. `--this-python`, which is what
`make PYTHON=…` gives, takes the one that runs this.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))

import system_packages  # noqa: E402 - beside this file, whatever the working directory is
import virtualenv_without_pip  # noqa: E402

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NEIGHBOURS = VENV / "neighbours"
"""The environment of the embedded services: where Lampyr looks for it by default."""
TEST_SERVERS = VENV / "test-servers"
"""That of servers which tests read; there are none for some machines."""
STAMP = VENV / "lampyr-installed.json"
OLDEST = (3, 11)


class SetupError(Exception):
    """What cannot be done here, and how to mend it."""


def main() -> int:
    arguments = _arguments()
    _use_new_enough_python()
    directory = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)  # Two at once would write into each other's `.venv`.
    try:
        stamp = _read_stamp()
        if not arguments.no_system:
            refused = system_packages.ensure(
                "test" if arguments.dev else "start", stamp.get("refused_packages", [])
            )
            if refused != stamp.get("refused_packages", []):
                stamp["refused_packages"] = refused
                _write_stamp(stamp)
        _install(stamp, dev=arguments.dev, this_python=arguments.this_python)
        _install_beside(ROOT / "neighbours.lock", NEIGHBOURS)
        if arguments.dev:
            _install_test_servers()
        _compile()
    except SetupError as error:
        say(str(error))
        return 1
    except subprocess.CalledProcessError as error:
        say(f"this failed with exit code {error.returncode}: {' '.join(map(str, error.cmd))}")
        return 1
    finally:
        os.close(directory)
    return 0


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Set up .venv with Lampyr in it.")
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--no-system", action="store_true", help="leave system packages alone")
    parser.add_argument(
        "--this-python", action="store_true", help="also where another one here is faster"
    )
    return parser.parse_args()


def _use_new_enough_python() -> None:
    if sys.version_info >= OLDEST:
        return
    for minor in (14, 13, 12, 11):
        if found := shutil.which(f"python3.{minor}"):
            os.execv(found, [found, *sys.argv])
    have = ".".join(map(str, sys.version_info[:3]))
    say(f"Lampyr needs Python 3.11 or newer; {sys.executable} is {have}.")
    say("Install one (Debian 12 has it: apt-get install python3), or name it: make PYTHON=...")
    sys.exit(1)


def _use_faster_python() -> None:
    """Go on as the distribution's Python, where this one was compiled without profiles."""
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return
    if sys.base_prefix == "/usr":  # Debian's way to profiles does not show in CONFIG_ARGS.
        return
    for minor in (14, 13, 12, 11):
        found = f"/usr/bin/python3.{minor}"
        if os.access(found, os.X_OK):
            say(f"using {found}: {sys.executable} was compiled without profiles, and is slower")
            os.execv(found, [found, *sys.argv])


def _install(stamp: dict[str, Any], *, dev: bool, this_python: bool) -> None:
    """Bring `.venv` to what the lock says; nothing to do when the stamp says so already."""
    lock = ROOT / ("requirements-dev.lock" if dev else "requirements.lock")
    kind = "dev" if dev else "runtime"
    wanted = {"root": str(ROOT)}
    usable = _works(PYTHON)
    if usable and stamp.get("root", str(ROOT)) != str(ROOT):
        usable = False  # Scripts in a moved `.venv` name the interpreter's old path.
    if usable and stamp.get(kind) == _digest(lock) and (VENV / "bin" / "lampyr").exists():
        return
    if not usable:
        if not this_python:
            _use_faster_python()
        say(f"creating {VENV}")
        _create_venv(VENV)
    say(f"installing {lock.name} into {VENV}")
    _pip("install", "--require-hashes", "--requirement", str(lock))
    _pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT))
    stamp = {"refused_packages": stamp.get("refused_packages", []), **_other(stamp, usable)}
    stamp |= {**wanted, kind: _digest(lock)}
    if dev:
        stamp["runtime"] = _digest(ROOT / "requirements.lock")  # The dev lock contains it.
    _write_stamp(stamp)


def _install_beside(lock: Path, directory: Path, *options: str) -> None:
    """The same for servers of Lampyr's own: their libraries are other versions than ours."""
    stamp, python = directory / "lampyr-installed.json", directory / "bin" / "python"
    wanted = {"lock": hashlib.sha256(lock.read_bytes()).hexdigest(), "root": str(ROOT)}
    if _read_stamp(stamp) == wanted and _works(python):
        return
    say(f"installing {lock.name} into {directory}")
    _create_venv(directory)
    _pip("install", *options, "--require-hashes", "--requirement", str(lock), python=python)
    _write_stamp(wanted, stamp)


def _install_test_servers() -> None:
    try:
        # Nothing is built: what there is no wheel of would take a compiler, and long.
        _install_beside(ROOT / "test-servers.lock", TEST_SERVERS, "--only-binary", ":all:")
    except subprocess.CalledProcessError:
        say(
            "the tests over a Kafka broker and a document database are skipped: no servers for them"
        )


def _compile() -> None:
    """Also where the environment forbids Python to keep what it compiles.

    Then each start of Lampyr would compile all of it again, which takes a third of a second.
    """
    subprocess.run([PYTHON, "-m", "compileall", "-q", str(ROOT / "src")], check=False)


def _other(stamp: dict[str, Any], usable: bool) -> dict[str, Any]:
    return {k: v for k, v in stamp.items() if usable and k in {"dev", "runtime"}}


def _create_venv(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    interpreter = getattr(sys, "_base_executable", sys.executable)
    if system_packages.ensure_venv_module():
        subprocess.run([interpreter, "-m", "venv", str(target)], check=True)
        return
    try:
        virtualenv_without_pip.create(interpreter, target)
    except virtualenv_without_pip.NoPipError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise SetupError(str(error)) from error


def _works(python: Path) -> bool:
    if not python.exists():
        return False
    code = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def _pip(*arguments: str, python: Path = PYTHON) -> None:
    # A user's pip configuration counts, but for what would install outside `.venv`.
    environment = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME"):
        environment.pop(name, None)
    subprocess.run([python, "-m", "pip", "--quiet", *arguments], check=True, env=environment)


def _digest(lock: Path) -> str:
    data = lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    return hashlib.sha256(data).hexdigest()


def _read_stamp(stamp: Path = STAMP) -> dict[str, Any]:
    try:
        return dict(json.loads(stamp.read_text()))
    except (OSError, ValueError):
        return {}


def _write_stamp(stamp: dict[str, Any], path: Path = STAMP) -> None:
    if path.parent.is_dir():
        path.write_text(json.dumps(stamp, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
