"""The network that a host gives by itself, and what `lampyr doctor` says of it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lampyr.worker.network.automatic import AutomaticNetwork
from lampyr.worker.network.base import Egress, NetworkError
from lampyr.worker.network.pooled import PooledNetwork
from lampyr.worker.network.probe import probe
from lampyr.worker.network.rules import Driver, Host
from tests.contract.networks import World, world

pytestmark = pytest.mark.lampyr_only
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the host of this test is made as root")


@pytest.fixture
def here() -> Iterator[World]:
    with world() as made:
        yield made


async def test_less_than_was_asked_for_is_never_silent() -> None:
    said: list[str] = []
    host = Host(administrator=False, pooled_missing="", user_mode_missing="no tool")
    network = AutomaticNetwork(
        egress=Egress.INTERNET, endpoint_port=1, on_warning=said.append, host=host
    )
    await network.open()
    assert network.choice.driver is Driver.ISOLATED
    assert said == [network.choice.warning]
    assert (await network.take()).namespace is None
    await network.close()


@needs_root
@pytest.mark.root
async def test_root_without_nftables_falls_back_and_says_so(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = PooledNetwork.open

    async def fail(network: PooledNetwork) -> None:
        if network._egress is Egress.INTERNET:
            raise NetworkError("libnftables.so.1: cannot open shared object file")
        await start(network)

    monkeypatch.setattr(PooledNetwork, "open", fail)
    said: list[str] = []
    host = Host(administrator=True, pooled_missing="", user_mode_missing="no tool")
    network = AutomaticNetwork(
        egress=Egress.INTERNET, endpoint_port=1, on_warning=said.append, host=host
    )
    await network.open()
    try:
        assert (network.name, network.choice.egress) == ("pooled", Egress.ENDPOINT)
        assert "libnftables.so.1" in said[0]
        (await network.take()).discard()
    finally:
        await network.close()


@needs_root
@pytest.mark.root
async def test_doctor_tries_it_and_leaves_nothing_behind(here: World, tmp_path: Path) -> None:
    facts = {fact.name: fact for fact in await probe(shared_dir=tmp_path)}
    assert facts["functions reach the internet"].ok
    assert facts["network devices and nftables rules"].ok
    assert facts["forwarding through this host"].ok
    assert not [name for _, name in socket.if_nameindex() if name.startswith("lmp")]


@needs_root
@pytest.mark.root
@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")
async def test_doctor_tells_of_a_firewall_that_lets_nothing_through(
    here: World, tmp_path: Path
) -> None:
    rules = "add table ip filter; add chain ip filter FORWARD "
    rules += "{ type filter hook forward priority 0; policy drop; }"
    subprocess.run(("nft", rules), check=True)
    facts = {fact.name: fact for fact in await probe(shared_dir=tmp_path)}
    fact = facts["forwarding through this host"]
    assert not fact.ok
    assert "ip filter FORWARD" in fact.detail
    assert "DOCKER-USER" in fact.mend


async def test_doctor_answers_an_ordinary_user_too(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = Host(administrator=False, pooled_missing="", user_mode_missing="no tool")
    monkeypatch.setattr("lampyr.worker.network.probe.look", lambda: nobody)
    facts = {fact.name: fact for fact in await probe()}
    assert not facts["functions reach the internet"].ok
    assert "a user-mode network stack" in facts
    assert "network devices and nftables rules" not in facts
