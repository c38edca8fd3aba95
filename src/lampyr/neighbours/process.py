"""The embedded neighbours' process: started when first needed, watched, restarted, stopped.

Lampyr opens the listening socket and keeps it, so callers wait in its queue while the process
starts or is replaced. The process has nothing else of Lampyr's but the path where functions are
invoked; its standard input ends when Lampyr ends, however that happens, and then it saves and ends.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lampyr.clock import Clock
from lampyr.tasks import Tasks

log = logging.getLogger(__name__)

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
"""For saving what it holds; then it is killed."""
RESTART_SECONDS: Final = 1.0
RESTART_SECONDS_MAX: Final = 60.0
STEADY_SECONDS: Final = 120.0
"""Who ran so long and then dies is restarted at once."""
BACKLOG: Final = 1_024
SAID_LINES: Final = 20
_SOURCES: Final = Path(__file__).parents[2]
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from lampyr.neighbours.child.launcher import main; main()"
)


class NeighboursError(Exception):
    """The embedded neighbours cannot run; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSettings:
    python: Path
    """The interpreter of the neighbours' own environment."""
    directory: Path
    """Theirs: state, objects, temporary files, sockets."""
    services: Collection[str]
    """Names of those that are served, as the process calls them."""
    port: int
    """Lampyr's own: URLs that services hand out lead there."""
    region: str


class NeighbourProcess:
    """One process; `start` may be called by everyone who needs it."""

    def __init__(self, settings: ChildSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._tasks = Tasks()
        self._run_dir = -1
        self._listener: socket.socket | None = None
        self._process: Process | None = None
        self._ready: asyncio.Future[None] | None = None
        self._said: deque[str] = deque(maxlen=SAID_LINES)
        self._stopping = self._running = False
        self._generation = 0

    def open(self) -> None:
        """Make the directories and the sockets' place; the process is not started by this."""
        directory = self._settings.directory
        for part in ("run", "state", "s3", "tmp"):
            (directory / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        # Sockets are reached through this: their real paths may be longer than the kernel takes.
        self._run_dir = os.open(directory / "run", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    @property
    def socket_path(self) -> str:
        """Where the services listen, once `start` has returned."""
        return f"/proc/self/fd/{self._run_dir}/services"

    @property
    def push_path(self) -> str:
        """Where the services invoke functions."""
        return f"/proc/self/fd/{self._run_dir}/invoke"

    @property
    def is_running(self) -> bool:
        return self._running

    @property
    def generation(self) -> int:
        """How often it has become ready: each time with what it last saved."""
        return self._generation

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def push_listener(self) -> socket.socket:
        """The socket on which Lampyr is to answer invocations by the services."""
        listener = _bound(self.push_path)
        listener.setblocking(False)
        return listener

    async def start(self) -> None:
        """Return when the process is ready; raise `NeighboursError` when it does not get there."""
        if self._stopping:
            raise NeighboursError("Lampyr is stopping")
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._tasks.start(self._run(self._ready), "neighbours")
        await asyncio.shield(self._ready)

    async def close(self) -> None:
        """Stop it; what it holds is saved first."""
        self._stopping = True
        self._running = False
        process = self._process
        if process is not None and process.returncode is None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                log.warning("The neighbours did not stop in time: what changed in them is lost.")
                await _kill(process)
        await self._tasks.close()
        if self._listener is not None:
            self._listener.close()
        if self._run_dir >= 0:
            _unlink(self.socket_path)
            _unlink(self.push_path)
            os.close(self._run_dir)
            self._run_dir = -1

    async def _run(self, first: "asyncio.Future[None]") -> None:
        """Keep one alive until `close`; give up when the first does not get ready."""
        delay = RESTART_SECONDS
        while not self._stopping:
            since = self._clock.monotonic()
            try:
                process = await self._spawn()
                await self._until_ready(process)
            except (NeighboursError, OSError) as error:
                if not first.done():
                    log.error("The neighbours (SQS, S3, DynamoDB …) do not start: %s", error)  # noqa: TRY400 - the reason says it all
                    self._ready = None  # The next caller tries again.
                    first.set_exception(NeighboursError(str(error)))
                    return
                log.warning("The neighbours do not start again: %s", error)
            else:
                self._running = True
                self._generation += 1
                if not first.done():
                    first.set_result(None)
                code = await process.wait()
                self._running = False
                if self._stopping:
                    return
                self._tell_of_death(code)
            if self._clock.monotonic() - since > STEADY_SECONDS:
                delay = RESTART_SECONDS
            await self._clock.sleep(delay)
            delay = min(delay * 2, RESTART_SECONDS_MAX)

    async def _spawn(self) -> Process:
        settings = self._settings
        if not settings.python.exists():
            raise NeighboursError(
                f"the embedded neighbours are not installed ({settings.python} is missing): "
                "'make install' installs them, and a service can be elsewhere (--endpoint)"
            )
        listener = self._listen()
        words = [str(settings.python), "-I", "-c", _PROGRAM, str(_SOURCES)]
        words += [str(listener.fileno()), self.push_path, ",".join(sorted(settings.services))]
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=settings.directory,
            env=self._environment(),
            pass_fds=(listener.fileno(), self._run_dir),
            start_new_session=True,
        )
        self._process = process
        assert process.stderr is not None  # noqa: S101 - narrows the type
        self._said.clear()
        self._tasks.start(self._listen_to(process.stderr), "neighbours' words")
        return process

    async def _until_ready(self, process: Process) -> None:
        assert process.stdout is not None  # noqa: S101 - narrows the type
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            await _kill(process)
            raise NeighboursError(f"not ready within {READY_SECONDS:g} s") from None
        try:
            message = json.loads(line or b"{}")
        except ValueError:
            message = {"failed": f"it said {line[:200]!r}"}
        if "ready" not in message:
            await _kill(process)
            raise NeighboursError(str(message.get("failed") or self._last_words()))

    async def _listen_to(self, stream: asyncio.StreamReader) -> None:
        """Read all along, or a full pipe would stop it; what matters is on the last lines."""
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                continue  # Longer than a line should be.
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._said.append(text)
            log.debug("neighbours: %s", text)

    def _tell_of_death(self, code: int) -> None:
        log.error(
            "The neighbours (SQS, S3, DynamoDB …) have died (%s). They are restarted with what "
            "they last saved; what changed since then is lost. Functions go on. They said: %s",
            f"signal {-code}" if code < 0 else f"exit code {code}",
            self._last_words(),
        )

    def _last_words(self) -> str:
        return " | ".join(self._said) or "it said nothing"

    def _listen(self) -> socket.socket:
        if self._listener is None:
            self._listener = _bound(self.socket_path)
            self._listener.listen(BACKLOG)
        return self._listener

    def _environment(self) -> dict[str, str]:
        """All that the process sees of this one: nothing of the user's own variables."""
        settings = self._settings
        directory = settings.directory
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(directory / "tmp"),
            "TMPDIR": str(directory / "tmp"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GATEWAY_PORT": str(settings.port),
            "MINISTACK_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            "SERVICES": ",".join(sorted(settings.services)),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(directory / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(directory / "s3"),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
        }


def _bound(path: str) -> socket.socket:
    _unlink(path)  # Left by one that was killed.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    return listener


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
