"""Changes functions without end, and says after each change that it was acknowledged.

Run as a program with a directory; killed by `test_store_kill.py`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from lampyr.arn import FunctionReference
from lampyr.control import functions, versions
from lampyr.control.requests import (
    ConfigurationChange,
    CreateFunction,
    PublishVersion,
    UpdateCode,
    UpdateConfiguration,
)
from lampyr.store.sqlite import open_store
from lampyr.testing.builders import ROLE, a_key, a_zip
from lampyr.testing.control import Control, running_control

WORKERS = 4
CONFIGURATION = ConfigurationChange(role=ROLE, runtime="python3.12", handler="app.handler")


def package(name: str, step: int) -> bytes:
    """Its own for each step: none is kept because another function needs it."""
    return a_zip({"app.py": f"{name} {step}\n" * 100})


async def live(control: Control, name: str) -> None:
    """One life of a function; `LIFE` in the test tells what it looks like after each step."""
    plane, key = control.plane, a_key(name)
    steps: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: functions.create(
            plane,
            CreateFunction(key=key, configuration=CONFIGURATION, package=package(name, 0)),
        ),
        lambda: functions.update_configuration(
            plane,
            UpdateConfiguration(key=key, configuration=ConfigurationChange(memory_mb=256)),
        ),
        lambda: versions.publish(plane, PublishVersion(key=key)),
        lambda: functions.update_code(plane, UpdateCode(key=key, package=package(name, 3))),
        lambda: functions.update_code(
            plane, UpdateCode(key=key, package=package(name, 4), publish=True)
        ),
        lambda: functions.delete(plane, FunctionReference.of(key, "1")),
        lambda: functions.delete(plane, FunctionReference.of(key, None)),
    )
    for number, step in enumerate(steps):
        await step()
        print(name, number, flush=True)
        await control.settle(key)


async def work(control: Control, worker: int) -> None:
    number = 0
    while True:
        await live(control, f"w{worker}-{number}")
        number += 1


async def main(directory: Path) -> None:
    async with running_control(await open_store(directory)) as control:
        await asyncio.gather(*(work(control, worker) for worker in range(WORKERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
