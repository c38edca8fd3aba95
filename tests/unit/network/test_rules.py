"""Which network a host gives for a setting."""

import pytest

from lampyr.worker.network.base import Egress
from lampyr.worker.network.rules import Choice, Driver, Host, choose

pytestmark = pytest.mark.lampyr_only


def host(*, administrator: bool = False, pooled: str = "", user_mode: str = "") -> Host:
    return Host(administrator=administrator, pooled_missing=pooled, user_mode_missing=user_mode)


def test_root_gets_the_internet_by_networks_made_ahead() -> None:
    chosen = choose(Egress.INTERNET, host(administrator=True, user_mode="no tool"))
    assert chosen == Choice(driver=Driver.POOLED, egress=Egress.INTERNET)


@pytest.mark.parametrize("administrator", [True, False])
def test_a_user_mode_stack_serves_where_devices_cannot_be_made(administrator: bool) -> None:
    chosen = choose(Egress.INTERNET, host(administrator=administrator, pooled="no nftables"))
    assert chosen == Choice(driver=Driver.USER_MODE, egress=Egress.INTERNET)


def test_without_either_functions_reach_the_endpoint_and_it_is_said_why() -> None:
    chosen = choose(Egress.INTERNET, host(user_mode="/dev/net/tun may not be opened"))
    assert (chosen.driver, chosen.egress) == (Driver.ISOLATED, Egress.ENDPOINT)
    assert chosen.warning is not None
    assert "/dev/net/tun may not be opened" in chosen.warning
    assert "lampyr doctor" in chosen.warning


def test_root_without_either_keeps_its_namespaces_made_ahead() -> None:
    chosen = choose(
        Egress.INTERNET, host(administrator=True, pooled="no nftables", user_mode="no tool")
    )
    assert (chosen.driver, chosen.egress) == (Driver.POOLED, Egress.ENDPOINT)
    assert chosen.warning is not None
    assert "no nftables; no tool" in chosen.warning


@pytest.mark.parametrize("egress", [Egress.ENDPOINT, Egress.NONE])
@pytest.mark.parametrize("administrator", [True, False])
def test_a_narrower_setting_is_given_as_it_is_and_without_a_warning(
    egress: Egress, administrator: bool
) -> None:
    chosen = choose(egress, host(administrator=administrator))
    driver = Driver.POOLED if administrator else Driver.ISOLATED
    assert chosen == Choice(driver=driver, egress=egress)
