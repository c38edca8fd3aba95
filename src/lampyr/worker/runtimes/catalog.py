"""What this host can run: every runtime by its Lambda name, found when it is first asked for."""

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Final, assert_never

from lampyr.worker.runtimes.files import locked, make_directory
from lampyr.worker.runtimes.interpreters import Interpreter, Interpreters, Places
from lampyr.worker.runtimes.java import JavaRuntimes
from lampyr.worker.runtimes.model import (
    BOOTSTRAPS,
    Runtime,
    RuntimeMissingError,
    RuntimeStatus,
)
from lampyr.worker.runtimes.names import WANTED, Language, Wanted, install_command
from lampyr.worker.runtimes.node import NodeRuntimes
from lampyr.worker.runtimes.python import PythonRuntimes

_LANGUAGES: Final = {
    Language.PYTHON: "Python",
    Language.NODE: "Node.js",
    Language.JAVA: "Java Development Kit",
}
_LIBRARIES: Final = (
    "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
)
_PATH: Final = "/usr/local/bin:/usr/bin/:/bin:/opt/bin"


class RuntimeCatalog:
    """Nothing is looked for until it is asked for; what was found is kept for good.

    Safe to use from several threads. `find` may block the first time a runtime is asked for
    (an interpreter is started, once; the runtime client is compiled, once), so an event loop asks
    for it in a thread, or ahead.
    """

    def __init__(
        self, directory: Path, environ: Mapping[str, str], home: Path | None = None
    ) -> None:
        """`directory` is where runtimes are installed and put together; several may share it."""
        self._places = Places(
            runtimes=directory,
            home=home or Path(environ.get("HOME") or "/nonexistent"),
            environ=environ,
        )
        self._interpreters = Interpreters(self._places)
        self._python = PythonRuntimes(self._places.runtimes)
        self._node = NodeRuntimes(self._places.runtimes)
        self._java = JavaRuntimes(self._places.runtimes)
        self._found: dict[str, Runtime] = {}
        self._lock = Lock()

    def known(self, name: str) -> bool:
        """Whether Lambda has a runtime of this name that Lampyr runs, installed or not."""
        return name in WANTED

    def find(self, name: str) -> Runtime:
        """Raises `RuntimeMissingError`, which says what to run."""
        found = self._found.get(name)
        if found is None:
            with self._lock:
                found = self._found.get(name) or self._look_for(_wanted(name))
                self._found[name] = found
        return found

    def prepare(self, name: str) -> None:
        """Compile what `find` leaves for later (the AWS SDK of Python): blocks for seconds, once.

        Raises `RuntimeMissingError`. Until it is done functions work, but load the SDK slowly.
        """
        wanted = _wanted(name)
        self.find(name)
        if wanted.language is Language.PYTHON:
            self._python.compile_sdk(self._interpreter(wanted))

    def close(self) -> None:
        """End what `prepare` still does in other threads; from any thread."""
        self._python.close()

    def statuses(self) -> list[RuntimeStatus]:
        """Every runtime that Lampyr knows, for `lampyr runtimes` and `lampyr doctor`. Blocks."""
        return [self._status(wanted) for wanted in WANTED.values()]

    def install(self, name: str, on_progress: Callable[[str], None]) -> Runtime:
        """Get what `find` misses, from the package registries. Blocks, for minutes if need be.

        `on_progress` is told what is going on, a line each. Raises `RuntimeMissingError` for an
        unknown name and `RuntimeInstallError` when there is no way to it.
        """
        # A server installs nothing, and starts faster without what this takes.
        from lampyr.worker.runtimes import install  # noqa: PLC0415

        wanted = _wanted(name)
        places = self._places
        # Of two that install at once, the second finds what the first has made.
        with locked(make_directory(places.runtimes) / "install.lock"):
            if wanted.language is Language.PYTHON and self._interpreters.find(wanted) is None:
                install.python(wanted, places, on_progress)
            elif wanted.language is Language.JAVA and self._interpreters.find(wanted) is None:
                install.java(wanted, places, on_progress)
            elif wanted.language is Language.NODE:
                if self._interpreters.find(wanted) is None:
                    install.node(wanted, places, on_progress)
                if not self._node.has_client(wanted.release):
                    install.node_client(wanted, self._node, places, on_progress)
        runtime = self.find(name)
        on_progress(f"{name} is there: {runtime.version}")
        self.prepare(name)
        return runtime

    def _look_for(self, wanted: Wanted) -> Runtime:
        match wanted.language:
            case Language.NONE:
                return _os_only(wanted.name)
            case Language.PYTHON:
                found = self._python.runtime(wanted.name, self._interpreter(wanted))
            case Language.NODE:
                found = self._node.runtime(wanted.name, self._interpreter(wanted))
            case Language.JAVA:
                found = self._java.runtime(wanted.name, self._interpreter(wanted))
            case _:
                assert_never(wanted.language)
        return _with_paths(found)

    def _interpreter(self, wanted: Wanted) -> Interpreter:
        found = self._interpreters.find(wanted)
        if found is None:
            raise RuntimeMissingError(
                f"{wanted.name}: no {_LANGUAGES[wanted.language]} {wanted.release} on this host. "
                f"Run: {install_command(wanted.name)}"
            )
        return found

    def _status(self, wanted: Wanted) -> RuntimeStatus:
        try:
            if wanted.language is Language.JAVA:  # Its client is compiled when it is needed.
                kit = self._interpreter(wanted)
                name, path = wanted.name, kit.executable
                return RuntimeStatus(name=name, found=True, version=kit.version, path=path)
            runtime = self.find(wanted.name)
        except RuntimeMissingError:
            return RuntimeStatus(name=wanted.name, found=False, advice=install_command(wanted.name))
        if wanted.language is Language.NONE:
            return RuntimeStatus(name=wanted.name, found=True, path=runtime.argv[0])
        path = self._interpreter(wanted).executable
        return RuntimeStatus(name=wanted.name, found=True, version=runtime.version, path=path)


def _wanted(name: str) -> Wanted:
    wanted = WANTED.get(name)
    if wanted is None:
        known = ", ".join(WANTED)
        raise RuntimeMissingError(f"{name or 'No runtime'}: Lampyr runs {known}.")
    return wanted


def _os_only(name: str) -> Runtime:
    return Runtime(
        name=name,
        version=name,
        managed=False,
        argv=(BOOTSTRAPS[0],),
        variables=MappingProxyType({"LD_LIBRARY_PATH": _LIBRARIES, "PATH": _PATH}),
    )


def _with_paths(runtime: Runtime) -> Runtime:
    variables = {
        "LD_LIBRARY_PATH": f"/var/lang/lib:{_LIBRARIES}",
        "PATH": f"/var/lang/bin:{_PATH}",
        **runtime.variables,
    }
    return Runtime(
        name=runtime.name,
        version=runtime.version,
        argv=runtime.argv,
        template_argv=runtime.template_argv,
        park_script=runtime.park_script,
        mounts=runtime.mounts,
        variables=MappingProxyType(variables),
    )
