"""What `lampyr doctor` says of the network: tried for real where that can be done."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lampyr.worker.network.base import Egress, NetworkError
from lampyr.worker.network.files import RESOLV_CONF, nameservers, read_host_file
from lampyr.worker.network.host import TUN, look, user_mode_missing, user_mode_tool
from lampyr.worker.network.keeper.nftables import Nftables
from lampyr.worker.network.pooled import SHARED_DIR, PooledNetwork
from lampyr.worker.network.rules import Driver, Host, choose
from lampyr.worker.network.ruleset import UPLINK_PREFIX

_LEGACY_TABLES: Final = Path("/proc/net/ip_tables_names")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """`mend` says what to do about it, and is empty when nothing need be done."""

    name: str
    ok: bool
    detail: str
    mend: str = ""


async def probe(*, shared_dir: Path = SHARED_DIR) -> list[Fact]:
    """Tries a network of each kind that this user could have; leaves nothing behind. ≈ 0.2 s."""
    host = look()
    facts = []
    if host.administrator:
        pooled = await _try_pooled(shared_dir)
        facts += [pooled, await asyncio.to_thread(_forwarding)]
        host = Host(
            administrator=True,
            pooled_missing="" if pooled.ok else pooled.detail,
            user_mode_missing=host.user_mode_missing,
        )
    # A user-mode stack is no use to who has the better one.
    if not host.administrator or host.pooled_missing:
        facts.append(await asyncio.to_thread(_user_mode))
    return [_egress(host), *facts, _names()]


def _egress(host: Host) -> Fact:
    choice = choose(Egress.INTERNET, host)
    if choice.warning:
        return Fact(
            name="functions reach the internet",
            ok=False,
            detail="only Lampyr's endpoint",
            mend="see below",
        )
    how = {Driver.POOLED: "by veth, made ahead", Driver.USER_MODE: "by a user-mode stack"}
    return Fact(name="functions reach the internet", ok=True, detail=how[choice.driver])


async def _try_pooled(shared_dir: Path) -> Fact:
    name = "network devices and nftables rules"
    network = PooledNetwork(
        egress=Egress.INTERNET, endpoint_port=None, pool_size=1, shared_dir=shared_dir
    )
    try:
        await network.open()
        slot = await network.take()
        slot.discard()
    except NetworkError as error:
        mend = (
            "install nftables (Debian, Ubuntu: apt install nftables)"
            if "libnftables" in str(error)
            else "needs Linux ≥ 5.12 with veth, nf_tables, nft_fib, nft_masq and nft_reject"
        )
        return Fact(name=name, ok=False, detail=str(error), mend=mend)
    finally:
        await network.close()
    return Fact(name=name, ok=True, detail="made and removed")


def _forwarding() -> Fact:
    name = "forwarding through this host"
    blocked = forward_drops(_chains())
    if not blocked:
        return Fact(name=name, ok=True, detail="no other firewall forbids it")
    return Fact(
        name=name,
        ok=False,
        detail=f"{', '.join(blocked)} drops what it does not know",
        mend=(
            "allow Lampyr's devices; with Docker: "
            f"iptables -I DOCKER-USER -i {UPLINK_PREFIX}+ -j ACCEPT; "
            f"iptables -I DOCKER-USER -o {UPLINK_PREFIX}+ -j ACCEPT"
        ),
    )


def forward_drops(chains: str) -> list[str]:
    """`family table chain` of every chain on the way through this host that drops by default."""
    found, table, chain = [], "", ""
    for line in chains.splitlines():
        words = line.split()
        match words:
            case ["table", family, name, *_]:
                table = f"{family} {name}"
            case ["chain", name, *_]:
                chain = name
            case _:
                if "forward" in words and "drop;" in words:
                    found.append(f"{table} {chain}")
    return found


def _chains() -> str:
    """Every chain of nftables and of the older iptables, in nft's form."""
    try:
        rules = Nftables()
        chains = rules.run("list chains")
        rules.close()
    except OSError:
        chains = ""
    legacy = shutil.which("iptables-legacy") or shutil.which("iptables")
    if legacy and "filter" in read_host_file(_LEGACY_TABLES).split():
        said = _run((legacy, "-S", "FORWARD"))
        if "-P FORWARD DROP" in said:
            chains += "\ntable ip iptables\nchain FORWARD\nhook forward policy drop;"
    return chains


def _user_mode() -> Fact:
    tool, missing = user_mode_tool(), user_mode_missing()
    name = "a user-mode network stack"
    if not missing and tool:
        version = next(iter(_run((str(tool), "--version")).splitlines()), tool.name)
        return Fact(name=name, ok=True, detail=version)
    mend = (
        f"chmod 0666 {TUN} (as most distributions have it)"
        if tool
        else "install slirp4netns or passt (Debian, Ubuntu: apt install slirp4netns)"
    )
    return Fact(name=name, ok=False, detail=missing, mend=mend)


def _names() -> Fact:
    servers = ", ".join(nameservers(read_host_file(Path(RESOLV_CONF))))
    return Fact(name="name servers", ok=True, detail=servers)


def _run(words: Iterable[str]) -> str:
    try:
        return subprocess.run(tuple(words), capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
