"""A PostgreSQL server of the tests' own, on a unix socket alone."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

USER: Final = "postgres"


def programs() -> Path | None:
    """Where `initdb` and `pg_ctl` are."""
    found = shutil.which("pg_ctl")
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found is not None:
        candidates.insert(0, Path(found).resolve().parent)
    return next((path for path in candidates if (path / "initdb").exists()), None)


class PostgresqlServer:
    """Started by the constructor, without the waits for a disk that only a power cut would need."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        # Not below pytest's own directory, which only root may enter: the server is not root.
        self._root = Path(tempfile.mkdtemp(prefix="lampyr-test-postgresql-"))
        self._databases = 0
        if os.geteuid() == 0:
            record = pwd.getpwnam(USER)
            os.chown(self._root, record.pw_uid, record.pw_gid)
        self._data = self._root / "data"
        self._run("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses= -k {self._root} -c max_connections=20"
        log = str(self._root / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "fast", "stop")

    def new_database(self) -> str:
        """The URL of an empty one."""
        self._databases += 1
        name = f"lampyr{self._databases}"
        self._run("createdb", "-h", str(self._root), "-U", USER, name)
        return f"postgresql://{USER}@/{name}?host={self._root}"

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._root)

    def _run(self, program: str, *arguments: str) -> None:
        who = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
        subprocess.run(
            [self._binaries / program, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **who,  # type: ignore[call-overload]
        )
