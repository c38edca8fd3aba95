"""Lambda, as the replayed scenarios call it."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lampyr.api.call import Call
from lampyr.testing.control import running_control
from tests.conformance.recorded.replay import ACCOUNT, Lambda


@pytest.fixture
async def aws() -> AsyncIterator[Lambda]:
    async with running_control() as control:
        services = SimpleNamespace(
            control=control.plane, clock=control.clock, download_secret=b"secret"
        )
        call = Call(
            request_id="id",
            account_id=ACCOUNT,
            region="us-east-1",
            base_url="http://lampyr.test",
            services=cast("Any", services),
        )
        yield Lambda(control, call, {})
