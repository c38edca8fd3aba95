"""What of a start may be made ahead of it, as far as the function's code says."""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from lampyr.model.function import FunctionVersion
from lampyr.worker.runtimes import Runtime
from lampyr.worker.runtimes.forks import may_fork, park_of, template_of
from lampyr.worker.runtimes.python import mentions_sdk
from lampyr.worker.sandbox.base import ParkSpec, SandboxDriver, TemplateSpec

VERSIONS_MAX: Final = 1_000
"""Whose code has been looked at and is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    template: TemplateSpec | None = None
    """What the function may be forked from."""
    park: ParkSpec | None = None
    """What may wait for the function."""


NOTHING: Final = Ahead()


class MadeAhead:
    """`complete` are the runtimes whose every module is compiled, now or later."""

    def __init__(self, complete: Container[str]) -> None:
        self._complete = complete
        self._known: OrderedDict[tuple[str, bool], Ahead] = OrderedDict()

    def of(
        self, version: FunctionVersion, runtime: Runtime, argv: tuple[str, ...], code: list[Path]
    ) -> Ahead:
        """`code`: the function's directory, and those of its layers."""
        key = version.deployment_id, runtime.name in self._complete
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._look(version, runtime, argv, code)
            if len(self._known) > VERSIONS_MAX:
                self._known.popitem(last=False)
        return known

    def _look(
        self, version: FunctionVersion, runtime: Runtime, argv: tuple[str, ...], code: list[Path]
    ) -> Ahead:
        template = None
        if runtime.name in self._complete:
            template = template_for(version, runtime, code)
        # Layers cannot be laid in a sandbox that is there.
        if len(code) > 1 or (code[0] / "lib").exists():
            return Ahead(template=template)
        sdk = template is not None and template == template_of(runtime, sdk=True)
        park = park_of(runtime, argv, version.environment or {}, template, sdk=sdk)
        return Ahead(template=template, park=park)


def template_for(
    version: FunctionVersion, runtime: Runtime, code: list[Path]
) -> TemplateSpec | None:
    """What a function may be forked from once its runtime is complete."""
    task, *layers = code
    brought = [task, *python_in(layers, runtime.name)]
    names = [entry.name for place in brought for entry in os.scandir(place)]
    libraries = any((place / "lib").exists() for place in code)
    if not may_fork(runtime, version.environment or {}, names, libraries=libraries):
        return None
    return template_of(runtime, sdk=mentions_sdk(brought))


class Expected:
    """Templates that functions will want, made as soon as their runtime is complete."""

    def __init__(self, driver: SandboxDriver, complete: Container[str]) -> None:
        self._driver = driver
        self._complete = complete
        self._waiting: dict[str, dict[str, TemplateSpec]] = {}
        """By the runtime's name, and their own."""

    async def function(self, version: FunctionVersion, runtime: Runtime, code: list[Path]) -> None:
        """One that may be called soon."""
        template = await asyncio.to_thread(template_for, version, runtime, code)
        if template is not None:
            self._waiting.setdefault(runtime.name, {})[template.name] = template
            if runtime.name in self._complete:
                self.complete(runtime.name)

    def complete(self, runtime: str) -> None:
        for template in self._waiting.pop(runtime, {}).values():
            self._driver.expect(template)


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
