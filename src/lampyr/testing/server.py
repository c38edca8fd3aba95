"""A Lampyr of its own for a test: the real command in a process, and what it leaves behind.

The process gets a data directory and a directory for temporary files inside the one it is given,
and a free port. `stop` expects it to end within the promised time and to leave nothing.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final
from urllib.request import urlopen

from lampyr.testing.leftovers import Held, held_by, left_of

READY: Final = "Lampyr is ready at "
START_SECONDS_MAX: Final = 30
STOP_SECONDS_MAX: Final = 5
KEY: Final = "test"
REGION: Final = "us-east-1"


def command() -> list[str]:
    """The command `lampyr` of the Python that runs the tests."""
    installed = Path(sys.executable).with_name("lampyr")
    if installed.exists():
        return [str(installed)]
    return [sys.executable, "-c", "from lampyr.cli.main import main; main()"]


class ServerError(Exception):
    """Lampyr did not start, or did not stop as it promises."""


@dataclass
class LampyrServer:
    """`lampyr start` in a process group of its own; `start` and `stop` may alternate."""

    directory: Path
    """Of this server alone; the data survives `stop` and `kill`."""
    arguments: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str] = field(default_factory=command)
    """What stands before `start`; another user's Lampyr has other words there."""
    endpoint_url: str = ""
    process: subprocess.Popen[str] | None = None
    errors: list[str] = field(default_factory=list)
    """Lines of standard error so far."""
    _readers: list[threading.Thread] = field(default_factory=list)
    _ready: threading.Event = field(default_factory=threading.Event)

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def temporary(self) -> Path:
        return self.directory / "tmp"

    def start(self, *, port: int = 0) -> str:
        """The endpoint's URL, once it answers."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        arguments = [*self.program, "start", "--port", str(port), "--data-dir", str(self.data_dir)]
        self._ready.clear()
        self.endpoint_url = ""
        self.process = subprocess.Popen(
            [*arguments, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.directory,
            env=self._environment(),
            start_new_session=True,
        )
        assert self.process.stdout is not None  # noqa: S101 - narrows the type
        assert self.process.stderr is not None  # noqa: S101 - narrows the type
        self._read(self.process.stdout, self._on_output)
        self._read(self.process.stderr, self.errors.append)
        # Set by the ready line, or by the end of the output.
        self._ready.wait(START_SECONDS_MAX)
        if not self.endpoint_url or self.process.poll() is not None:
            self.kill()
            raise ServerError(f"not ready: {self.told()}")
        return self.endpoint_url

    def stop(self) -> None:
        """SIGTERM; raise `ServerError` when it takes too long, fails, or leaves something."""
        if self.process is None:
            return
        held = self.held()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            told = self.told()
            self.kill()
            raise ServerError(f"still runs {STOP_SECONDS_MAX} s after SIGTERM: {told}") from None
        self._ended()
        if code != 0:
            raise ServerError(f"ended with exit code {code}: {self.told()}")
        if left := left_of(held, self.directory, self.temporary):
            raise ServerError(f"left behind: {', '.join(left)}")

    def kill(self) -> Held:
        """SIGKILL the server's main process alone, as a crash does; what it held before."""
        if self.process is None:
            return Held()
        held = self.held()
        self.process.kill()
        self.process.wait()
        self._ended()
        return held

    def held(self) -> Held:
        """Processes and cgroups of the running server and of all it started."""
        return held_by(self.process.pid) if self.process is not None else Held()

    def told(self) -> str:
        return "".join(self.errors[-50:]).strip() or "it printed nothing"

    def client(self, service: str = "lambda", **options: Any) -> Any:
        """A boto3 client of this server; made anew for each endpoint, since that is slow."""
        from botocore.config import Config  # noqa: PLC0415 - slow to import

        config = Config(retries={"total_max_attempts": 1}, read_timeout=60, proxies={})
        members = {"region_name": REGION, "config": config, **options}
        return self._session.client(service, endpoint_url=self.endpoint_url, **members)

    def run(
        self, *arguments: str, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """A command of `lampyr` against this server, such as `run("list", "--json")`."""
        return subprocess.run(
            [*command(), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env=self.client_environment(),
            timeout=timeout,
        )

    def client_environment(self) -> dict[str, str]:
        """Variables by which any AWS client finds this server."""
        return {
            **self._environment(),
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "LAMPYR_DATA_DIR": str(self.data_dir),
        }

    def health(self) -> Mapping[str, Any]:
        with urlopen(f"{self.endpoint_url}/_lampyr/health", timeout=10) as answer:  # noqa: S310
            return dict(json.load(answer))

    @cached_property
    def _session(self) -> Any:
        import boto3  # noqa: PLC0415 - slow to import

        return boto3.Session(aws_access_key_id=KEY, aws_secret_access_key=KEY)

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "LAMPYR_", "PYTEST_", "COV_"))
        }
        return {**kept, "TMPDIR": str(self.temporary), **self.variables}

    def _read(self, stream: IO[str], use: Callable[[str], None]) -> None:
        def run() -> None:
            with stream:
                for line in stream:
                    use(line)
            self._ready.set()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._readers.append(thread)

    def _on_output(self, line: str) -> None:
        if line.startswith(READY):
            self.endpoint_url = line.removeprefix(READY).strip()
            self._ready.set()

    def _ended(self) -> None:
        self.process = None
        # A child that lived on would keep the pipes open: that is found by `left_of`, not here.
        for reader in self._readers:
            reader.join(timeout=1)
        self._readers.clear()
