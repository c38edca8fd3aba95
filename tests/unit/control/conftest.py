"""A control plane that runs, for each test."""

from collections.abc import AsyncIterator

import pytest

from lampyr.testing.control import Control, running_control


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    async with running_control() as control:
        yield control
