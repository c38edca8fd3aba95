"""A watchman over child processes that would go on without Lampyr: it ends them when Lampyr dies.

PR_SET_PDEATHSIG does not serve: the kernel forgets it when a program enters another user
namespace, as pasta does. The watchman is a shell in its own session, waiting on a pipe that
only Lampyr holds open.
"""

import contextlib
import subprocess
from typing import Final

_PROGRAM: Final = """
pids=
while read -r sign pid; do
  case $sign in
    +) pids="$pids $pid" ;;
    -) kept=
       for each in $pids; do [ "$each" = "$pid" ] || kept="$kept $each"; done
       pids=$kept ;;
  esac
done
for each in $pids; do kill -s KILL -- "-$each"; done
"""


class Minder:
    """Is told of process groups by the id of their leader."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )

    def add(self, pid: int) -> None:
        self._tell("+", pid)

    def remove(self, pid: int) -> None:
        """Before the process is waited for, after which its id may be another's."""
        self._tell("-", pid)

    def close(self) -> None:
        """It ends what it still knows of, and then itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, sign: str, pid: int) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(f"{sign} {pid}\n".encode())
                self._process.stdin.flush()
