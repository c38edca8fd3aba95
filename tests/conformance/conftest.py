"""Runtimes for the functions of conformance tests."""

import fcntl
import json
from collections.abc import Callable

import pytest

from lampyr.testing.server import LampyrServer


@pytest.fixture(scope="session")
def need(
    lampyr_server: LampyrServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], None]:
    """Skip the test where the host lacks a runtime, and a Node.js cannot be installed."""

    here: set[str] = set()

    def ensure(runtime: str) -> None:
        if runtime in here:
            return
        listed = json.loads(lampyr_server.run("runtimes", "--json").stdout)
        status = next(each for each in listed if each["name"] == runtime)
        if status["found"]:
            here.add(runtime)
            return
        if not runtime.startswith("nodejs"):
            pytest.skip(f"{runtime} is not on this host: {status['advice']}")
        with (tmp_path_factory.getbasetemp().parent / "runtimes.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            answer = lampyr_server.run("runtimes", "install", runtime, timeout=110)
        if answer.returncode != 0:
            pytest.skip(f"{runtime} cannot be installed: {answer.stderr}")

    return ensure
