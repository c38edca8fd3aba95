"""What of a start may be made ahead of it, as far as the function's code says."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from lampyr.model.function import FunctionVersion
from lampyr.worker.runtimes import Runtime
from lampyr.worker.runtimes.forks import may_fork, park_of, template_of
from lampyr.worker.runtimes.python import mentions_sdk
from lampyr.worker.sandbox.base import ParkSpec, SandboxDriver, TemplateSpec


class MadeAhead:
    """`complete` are the runtimes whose every module is compiled."""

    def __init__(self, wanted: bool, complete: Iterable[str]) -> None:
        self._wanted = wanted
        self._complete = complete

    def template(
        self, version: FunctionVersion, runtime: Runtime, task: Path, layers: Sequence[Path]
    ) -> TemplateSpec | None:
        """What the function may be forked from."""
        if not self._wanted or runtime.name not in self._complete:
            return None
        brought = [task, *python_in(layers, runtime.name)]
        names = [entry.name for place in brought for entry in os.scandir(place)]
        libraries = any((place / "lib").exists() for place in (task, *layers))
        if not may_fork(runtime, version.environment or {}, names, libraries=libraries):
            return None
        return template_of(runtime)

    def park(
        self,
        version: FunctionVersion,
        runtime: Runtime,
        argv: tuple[str, ...],
        code: list[Path],
        template: TemplateSpec | None,
    ) -> ParkSpec | None:
        """What may wait for the function; layers cannot be laid in a sandbox that is there.

        `code`: the function's directory, and those of its layers.
        """
        late = len(code) > 1 or (code[0] / "lib").exists()
        if not self._wanted or late:
            return None
        sdk = template is not None and mentions_sdk(code[0], version.handler or "")
        return park_of(runtime, argv, version.environment or {}, template, sdk=sdk)


class _Parts(Protocol):
    @property
    def driver(self) -> SandboxDriver: ...

    @property
    def templates(self) -> bool: ...


def may_be_origin(parts: _Parts, runtime: Runtime, version: FunctionVersion) -> bool:
    """Whether a process that has initialised this version may be forked: its runtime does it.

    What a wrapper starts in its place need not.
    """
    wrapped = "AWS_LAMBDA_EXEC_WRAPPER" in (version.environment or {})
    return parts.templates and parts.driver.origins and bool(runtime.template_argv) and not wrapped


def initialization_type(version: FunctionVersion, *, provisioned: bool) -> str:
    if version.has_snapshot:
        return "snap-start"
    return "provisioned-concurrency" if provisioned else "on-demand"


def python_in(layers: Iterable[Path], runtime: str) -> list[Path]:
    """Where modules are in layers, that a runtime such as `python3.12` imports."""
    places = ("python", f"python/lib/{runtime}/site-packages")
    found = (layer / place for layer in layers for place in places)
    return [path for path in found if path.is_dir()]
