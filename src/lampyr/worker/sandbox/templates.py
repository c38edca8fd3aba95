"""Which templates a driver keeps: made when first wanted, made again when they die.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.tasks import Tasks
from lampyr.worker.sandbox.base import SandboxError, TemplateSpec
from lampyr.worker.sandbox.setup import Place

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS: Final = 0.5
DELAY_SECONDS_MAX: Final = 30.0
IDLE_SECONDS: Final = 900.0
"""One from which nothing was forked in this time ends: it holds some 60 MB."""


class _State(StrEnum):
    MAKING = auto()
    READY = auto()
    RESTING = auto()
    """It died, and will be made again in a while."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Template:
    spec: TemplateSpec
    state: _State = _State.MAKING
    failures: int = 0
    """Deaths since a sandbox was last forked from it."""
    pid: int = 0
    preloaded_bytes: int = 0
    place: Place | None = None
    used: float = 0.0


class Templates:
    """`make` asks for one; what comes of it is told to `heard`. `end` ends one, by its name."""

    def __init__(
        self,
        clock: Clock,
        tasks: Tasks,
        make: Callable[[TemplateSpec], Awaitable[None]],
        end: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._tasks = tasks
        self._make = make
        self._end = end
        self._known: dict[str, _Template] = {}

    def pids(self) -> dict[str, int]:
        """Of those that are ready."""
        return {
            name: template.pid
            for name, template in self._known.items()
            if template.state is _State.READY
        }

    def ready(self, spec: TemplateSpec) -> bool:
        """Whether a sandbox can be forked from it now; if not, it is on its way."""
        template = self._known.get(spec.name)
        if template is None:
            if not self._known:
                self._tasks.start(self._reclaim(), "reclaim templates")
            template = self._known[spec.name] = _Template(spec=spec)
            self._tasks.start(self._again(template, 0.0), "template")
            template.used = self._clock.monotonic()
            return False
        template.used = self._clock.monotonic()
        return template.state is _State.READY

    def forked(self, name: str) -> int:
        """A sandbox runs that was forked from it: whatever it died of before is over.

        Returns the bytes that it has loaded ahead, beyond what each function needs.
        """
        template = self._known[name]
        template.failures = 0
        return template.preloaded_bytes

    def place(self, spec: TemplateSpec) -> Place | None:
        """Where its forks have calls that were written down for them, if they can make such."""
        return self._known[spec.name].place

    def heard(self, message: Mapping[str, Any]) -> None:
        """From the spawner: one is ready, or has ended."""
        template = self._known.get(message["template"])
        if template is None or template.state is _State.RESTING:
            return
        if "ready" in message:
            about = message["ready"]
            template.state, template.pid = _State.READY, message["pid"]
            template.preloaded_bytes = about["bytes"] - about["bare_bytes"]
            template.place = Place(**about["calls"]) if "calls" in about else None
            return
        log.warning("a template ended", extra={"template": template.spec.name, "how": message})
        self._died(template)

    def lost(self) -> None:
        """The spawner died, and all of them with it."""
        for template in self._known.values():
            if template.state is not _State.RESTING:
                self._died(template)

    async def _reclaim(self) -> None:
        """End those that nobody uses, as long as there are any."""
        while self._known:
            await self._clock.sleep(IDLE_SECONDS / 4)
            since = self._clock.monotonic() - IDLE_SECONDS
            for name, template in list(self._known.items()):
                if template.used < since and template.state is _State.READY:
                    del self._known[name]
                    self._end(name)

    def _died(self, template: _Template) -> None:
        template.state = _State.RESTING
        delay = 0.0
        if template.failures:
            delay = min(FIRST_DELAY_SECONDS * 2 ** (template.failures - 1), DELAY_SECONDS_MAX)
        template.failures += 1
        self._tasks.start(self._again(template, delay), "template")

    async def _again(self, template: _Template, delay: float) -> None:
        await self._clock.sleep(delay)
        template.state = _State.MAKING
        try:
            await self._make(template.spec)
        except SandboxError:  # There is no spawner, and the log says so.
            self._died(template)
