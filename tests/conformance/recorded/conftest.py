"""Lambda, as the replayed scenarios call it."""

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lampyr.api.app import LambdaApi
from lampyr.api.call import Call
from lampyr.testing.control import Control, running_control
from tests.conformance.recorded.answers import answers
from tests.conformance.recorded.covered import FILES, REPLAYED, keys_of
from tests.conformance.recorded.replay import ACCOUNT, Lambda
from tests.conformance.recorded.scenario import REGION, Boto, Scenario


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[REPLAYED] = keys_of(items)
    config.stash[FILES] = frozenset(item.path for item in items)


@pytest.fixture
async def aws() -> AsyncIterator[Lambda]:
    async with running_control() as control:
        call = Call(
            request_id="id",
            account_id=ACCOUNT,
            region="us-east-1",
            base_url="http://lampyr.test",
            services=_services(control),
        )
        yield Lambda(control, call, {})


@pytest.fixture(scope="session")
def boto() -> Iterator[Boto]:
    boto = Boto()
    yield boto
    boto.close()


@pytest.fixture
async def scenario(request: pytest.FixtureRequest, boto: Boto) -> AsyncIterator[Scenario]:
    """The scenario that the test's marker `recorded` names; all of it has to be replayed."""
    marker = request.node.get_closest_marker("recorded")
    assert marker is not None
    async with running_control() as control:
        boto.handle = LambdaApi(_services(control), region=REGION).handle
        scenario = Scenario(answers()[marker.args[0]], control, boto)
        yield scenario
    scenario.ends()


def _services(control: Control) -> Any:
    return cast(
        "Any",
        SimpleNamespace(
            control=control.plane,
            store=control.store,
            clock=control.clock,
            limits=control.plane.limits,
            invoker=None,
            queue=None,
            download_secret=b"secret",
        ),
    )
