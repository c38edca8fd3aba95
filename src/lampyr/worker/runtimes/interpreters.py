"""The interpreters of this host: where they may be, and what they say of themselves.

Names of directories and files tell which are worth asking; only those of the wanted release line
are started, once, and what they answered is kept on disk for as long as the file is the same.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from lampyr.worker.runtimes.names import Language, Wanted

_PROBE_SECONDS: Final = 20.0
_PYTHON_PROBE: Final = """
import sys, sysconfig
print(sys.implementation.name + getattr(sys, "abiflags", ""))
print("%d.%d.%d" % sys.version_info[:3])
print(sys.base_prefix)
print(sysconfig.get_config_var("CONFIG_ARGS") or "")
"""
_DISTRIBUTION: Final = "/usr"
"""The prefix of a Python that came with the system; distributions compile theirs with profiles."""
_JVMS: Final = Path("/usr/lib/jvm")
_JAVA_VERSION: Final = re.compile(r'^JAVA_VERSION="([0-9.]+)', re.MULTILINE)
_JAVA_SAYS: Final = re.compile(r"^ *(java\.(?:home|version)) = (.+?) *$", re.MULTILINE)
_RELEASE_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    executable: str
    version: str
    """`3.12.1`, as it said itself."""
    prefix: str
    """The directory that has its `bin` and `lib`."""
    profiled: bool
    """Compiled with profiles of its own use: a quarter faster than without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where interpreters are looked for."""

    runtimes: Path
    """Where `lampyr runtimes install` puts its own."""
    home: Path
    environ: Mapping[str, str]


class Interpreters:
    def __init__(self, places: Places) -> None:
        self._places = places
        self._memory = places.runtimes / "interpreters.json"

    def find(self, wanted: Wanted) -> Interpreter | None:
        """Of the wanted release line: Lampyr's own, else the first that is fast, else the first."""
        first: Interpreter | None = None
        for found, ours in self._found(wanted):
            if ours or found.profiled:
                return found
            first = first or found
        return first

    def _found(self, wanted: Wanted) -> Iterator[tuple[Interpreter, bool]]:
        """All there are of the release line, and whether Lampyr installed them."""
        seen: set[str] = set()
        for path in _candidates(wanted, self._places):
            real = os.path.realpath(path)
            if real in seen or not _is_program(Path(real)):
                continue
            seen.add(real)
            found = self._ask(wanted.language, path)
            if found is not None and _is_of(found.version, wanted.release):
                yield found, path.is_relative_to(self._places.runtimes)

    def _ask(self, language: Language, path: Path) -> Interpreter | None:
        state = path.stat()
        identity = f"{path}|{state.st_mtime_ns}|{state.st_size}"
        known = self._recall()
        if identity in known:
            return Interpreter(**known[identity])
        found = _probe(language, path)
        if found is not None:
            others = {k: v for k, v in known.items() if not k.startswith(f"{path}|")}
            self._remember({**others, identity: asdict(found)})
        return found

    def _recall(self) -> dict[str, dict[str, Any]]:
        try:
            known = json.loads(self._memory.read_bytes())
        except (OSError, ValueError):
            return {}
        fields = set(Interpreter.__dataclass_fields__)
        return {k: v for k, v in known.items() if isinstance(v, dict) and set(v) == fields}

    def _remember(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        draft = self._memory.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(known, indent=1))
        draft.replace(self._memory)


def _candidates(wanted: Wanted, places: Places) -> Iterator[Path]:
    environ, home = places.environ, places.home
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
    yield places.runtimes / wanted.name / "bin" / _binary(wanted)
    if wanted.language is Language.PYTHON:
        pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
        uv = Path(environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")
        yield from _versions(pyenv / "versions", "{}", wanted)
        for root in (places.runtimes / "uv", uv):
            yield from _versions(root, "cpython-{}-*", wanted)
    elif wanted.language is Language.JAVA:
        yield from _jdks(wanted, home, environ)
    else:
        nvm = Path(environ.get("NVM_DIR") or home / ".nvm")
        fnm = Path(environ.get("FNM_DIR") or data / "fnm")
        n = Path(environ.get("N_PREFIX") or "/usr/local") / "n"
        volta = Path(environ.get("VOLTA_HOME") or home / ".volta")
        yield from _versions(nvm / "versions/node", "v{}", wanted)
        yield from _versions(fnm / "node-versions", "v{}/installation", wanted)
        yield from _versions(n / "versions/node", "{}", wanted)
        yield from _versions(volta / "tools/image/node", "{}", wanted)
    for directory in environ.get("PATH", "").split(":"):
        if directory.startswith("/"):
            yield Path(directory) / _binary(wanted)


def _binary(wanted: Wanted) -> str:
    if wanted.language is Language.JAVA:
        return "java"
    return f"python{wanted.release}" if wanted.language is Language.PYTHON else "node"


def _jdks(wanted: Wanted, home: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Of the wanted release by what their file `release` says, so that no other is started."""
    sdkman = Path(environ.get("SDKMAN_CANDIDATES_DIR") or home / ".sdkman/candidates")
    places = [Path(environ["JAVA_HOME"])] if environ.get("JAVA_HOME", "").startswith("/") else []
    for root in (_JVMS, sdkman / "java", home / ".jdks"):
        places += sorted(_matching(root, "*"))
    for place in places:
        try:
            said = _JAVA_VERSION.search((place / "release").read_text())
        except (OSError, UnicodeDecodeError):
            continue
        if said is not None and _is_of(said[1], wanted.release):
            yield place / "bin" / "java"


def _versions(root: Path, shape: str, wanted: Wanted) -> Iterator[Path]:
    """Newest first; `shape` says how a directory is named after its version."""
    found = []
    for directory in _matching(root, shape.format(f"{wanted.release}.*")):
        named = directory.name if "/" not in shape else directory.parent.name
        version = _RELEASE_VERSION.match(named.removeprefix("cpython-").partition("-")[0])
        if version is not None:
            found.append((tuple(map(int, version.groups())), directory))
    for _, directory in sorted(found, reverse=True):
        yield directory / "bin" / _binary(wanted)


def _matching(root: Path, pattern: str) -> list[Path]:
    """None where this user may not look: a variable may name another user's place."""
    try:
        return list(root.glob(pattern))
    except OSError:
        return []


def _is_program(path: Path) -> bool:
    """An executable file of machine code: pyenv and asdf put shell scripts of that name on PATH."""
    if not os.access(path, os.X_OK) or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _is_of(version: str, release: str) -> bool:
    return version == release or version.startswith(f"{release}.")


def _probe(language: Language, path: Path) -> Interpreter | None:
    """What the interpreter says of itself; None when it does not start or is another kind."""
    python = language is Language.PYTHON
    if language is Language.JAVA:
        argv = [str(path), "-XshowSettings:properties", "-version"]
    else:
        argv = [str(path), "-I", "-S", "-c", _PYTHON_PROBE] if python else [str(path), "-v"]
    try:
        done = subprocess.run(
            argv, env={}, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if language is Language.JAVA and not done.returncode:
        return _jdk(dict(_JAVA_SAYS.findall(done.stderr)))
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return None
    if not python:
        prefix = Path(os.path.realpath(path)).parent.parent
        return Interpreter(
            executable=str(prefix / "bin/node"),
            version=lines[0].removeprefix("v"),
            prefix=str(prefix),
            profiled=True,
        )
    kind, version, prefix_name, options = lines[:4]
    executable = Path(prefix_name) / "bin" / f"python{version.rpartition('.')[0]}"
    # PyPy is another language to native extensions, and so is a free-threaded build.
    if kind != "cpython" or not executable.exists():
        return None
    profiled = "--enable-optimizations" in options or prefix_name == _DISTRIBUTION
    return Interpreter(
        executable=str(executable), version=version, prefix=prefix_name, profiled=profiled
    )


def _jdk(said: Mapping[str, str]) -> Interpreter | None:
    """None of one without a compiler, which the runtime client needs."""
    home, version = said.get("java.home", ""), said.get("java.version", "").partition("-")[0]
    if not version or not os.access(Path(home) / "bin/javac", os.X_OK):
        return None
    return Interpreter(
        executable=str(Path(home) / "bin/java"), version=version, prefix=home, profiled=True
    )
