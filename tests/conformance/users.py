"""Another user of this host, without an account and without any privilege, who runs Lampyr.

A number is enough for the kernel, so nothing of the host is changed for it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

import lampyr
from lampyr.testing.server import LampyrServer

USER: Final = 12_345
RELEASE: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"
RUNTIME: Final = f"python{RELEASE}"
AS_USER: Final = (
    *("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--inh-caps=-all"),
)
WITH_TUN: Final = (
    *("unshare", "-m", "sh", "-c"),
    'mount -t tmpfs tmpfs /dev/net && mknod -m 0666 /dev/net/tun c 10 200 && exec "$@"',
    "sh",
)
"""Where the device is open to all, as most distributions have it."""
_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_MODULES: Final = os.pathsep.join(
    (str(Path(lampyr.__file__).parents[1]), sysconfig.get_path("purelib"))
)
_TRIAL: Final = (
    "import lampyr.cli.main, httptools, uvloop, sqlalchemy, subprocess, sys; "
    "subprocess.run([sys.executable, '-c', ''], check=True)"  # By itself, as Lampyr does.
)
_MAIN: Final = "from lampyr.cli.main import main; main()"


def need_user() -> str:
    """A Python that the user may run, with which Lampyr starts; skip the test if there is none."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root, with setpriv, can become another user")
    reasons = []
    for python in (sys.executable, f"/usr/bin/{RUNTIME}"):
        words = [*AS_USER, python, "-c", _TRIAL]
        environment = {"PATH": _PATH, "PYTHONPATH": _MODULES, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            words, env=environment, cwd="/", capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return python
        reasons.append(f"{python}: {done.stderr.strip()[-200:]}")
    pytest.skip(f"no Python that an ordinary user may run can run Lampyr: {'; '.join(reasons)}")


@contextmanager
def users_server(*arguments: str, before: Sequence[str] = ()) -> Iterator[LampyrServer]:
    """A Lampyr of that user, not yet started; stopped at the end, and has to leave nothing."""
    python = need_user()
    # Below a directory of pytest, that only root may enter, it would find nothing.
    home = Path(tempfile.mkdtemp(prefix="lampyr-user-"))
    server = LampyrServer(
        home / "server",
        arguments=arguments,
        program=(*before, *AS_USER, python, "-c", _MAIN),
        variables={
            "HOME": str(home),
            "PATH": _PATH,
            "PYTHONPATH": _MODULES,
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    server.temporary.mkdir(parents=True)
    for directory in (home, server.directory, server.temporary):
        os.chown(directory, USER, USER)
    try:
        yield server
        server.stop()
    finally:
        server.kill()
        shutil.rmtree(home, ignore_errors=True)
