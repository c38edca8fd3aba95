"""Waiting for what may come, or for a time."""

import asyncio

from lampyr.clock import Clock


async def first(event: asyncio.Event, clock: Clock, seconds: float) -> None:
    """Return when the event is set, or after the seconds."""
    async with asyncio.TaskGroup() as group:
        waits = {group.create_task(event.wait()), group.create_task(clock.sleep(seconds))}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
