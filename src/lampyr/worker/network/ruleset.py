"""The addresses and firewall rules of sandbox networks, as text for nft.

    sandbox ── eth0 ═══ s17 ── router namespace ── uplink ═══ lmp1a2b3c4d ── host ── internet
    169.254.128.17             169.254.78.1        169.254.64.9   169.254.64.8

Every address is link-local, so none can collide with one that a function wants to reach; the
sandboxes' own never leave the router namespace, which translates them. AWS does the same:
there, too, a function sees 169.254.78.1 as its name server.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address
from typing import Final

GATEWAY: Final = IPv4Address("169.254.78.1")
"""The router, as every sandbox sees it, and the name server there."""
NAMESERVER: Final = IPv4Address("169.254.78.3")
"""The name server of a user-mode stack."""
SLOTS_MAX: Final = 1 << 15
UPLINK_PREFIX: Final = "lmp"
"""What every device begins with that Lampyr puts into the host's own network."""

_FIRST_SLOT: Final = IPv4Address("169.254.128.0")
_FIRST_UPLINK: Final = IPv4Address("169.254.64.0")
_UPLINKS: Final = 1 << 10
NEVER: Final = (
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",  # Link-local: instance metadata and credentials of EC2, ECS, GCP, …
    "168.63.129.16",  # Azure's wire server
    "100.100.100.200",  # Alibaba Cloud's metadata
    "224.0.0.0/3",  # Multicast, reserved, broadcast
)
"""Where no sandbox may send anything, whatever the host's routes say."""


def slot_address(index: int) -> IPv4Address:
    return _FIRST_SLOT + index


def uplink_name(instance: str) -> str:
    return f"{UPLINK_PREFIX}{instance}"


def uplink_addresses(seed: int, taken: Collection[IPv4Address]) -> tuple[IPv4Address, IPv4Address]:
    """(the host's, the router's) address of the uplink: a /31 that nobody here uses."""
    for step in range(_UPLINKS):
        first = _FIRST_UPLINK + 2 * ((seed + step) % _UPLINKS)
        if first not in taken and first + 1 not in taken:
            return first, first + 1
    raise ValueError("every link-local address for an uplink is taken")


def host_table(instance: str) -> str:
    return f"lampyr_{instance}"


def host_ruleset(instance: str, router: IPv4Address) -> str:
    """The host's side: nothing from the uplink is for the host, the rest is let out.

    Checked before any translation (`raw`), so that a port that Docker publishes on the host's
    address counts as the host's. `fib` asks for the host's addresses of that moment.
    """
    uplink = uplink_name(instance)
    return f"""
table inet {host_table(instance)} {{
  flags owner;
  set guarded {{ type ifname; }}
  chain before_nat {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{uplink}" ip saddr != {router} drop
    iifname "{uplink}" fib daddr type {{ local, broadcast, anycast, multicast }} drop
  }}
  chain to_host {{
    type filter hook input priority filter - 10; policy accept;
    iifname "{uplink}" drop
  }}
  chain through {{
    type filter hook forward priority filter - 10; policy accept;
    iifname "{uplink}" oifname "{UPLINK_PREFIX}*" drop
    oifname "{uplink}" ct state != {{ established, related }} drop
    iifname @guarded oifname != "{uplink}" ct state new ct status != dnat drop
  }}
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {router} oifname != "{uplink}" masquerade
  }}
}}
"""


def guard(instance: str, devices: Iterable[str]) -> str:
    """Commands that keep forwarding which Lampyr switched on from serving anybody else."""
    names = ", ".join(f'"{name}"' for name in devices)
    return f"add element inet {host_table(instance)} guarded {{ {names} }}"


def router_ruleset(host_addresses: Iterable[IPv4Address]) -> str:
    """The router's side: out and back, nothing across, nothing to the router but names.

    Here a refusal is said (`reject`), so that a function fails at once and does not time out.
    """
    return f"""
table inet lampyr {{
  set never {{ type ipv4_addr; flags interval; elements = {{ {", ".join(NEVER)} }} }}
  set host {{ type ipv4_addr; }}
  chain to_router {{
    type filter hook input priority filter; policy drop;
    ct state {{ established, related }} accept
    iifname "s*" ip daddr {GATEWAY} meta l4proto {{ tcp, udp }} th dport 53 accept
    iifname "s*" meta l4proto tcp reject with tcp reset
    iifname "s*" reject with icmp type admin-prohibited
  }}
  chain through {{
    type filter hook forward priority filter; policy drop;
    tcp flags syn tcp option maxseg size set rt mtu
    ct state {{ established, related }} accept
    iifname != "s*" drop
    oifname != "uplink" jump refuse
    ip daddr @never jump refuse
    ip daddr @host jump refuse
    meta nfproto ipv4 accept
  }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp type admin-prohibited
  }}
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "uplink" masquerade
  }}
}}
{host_addresses_set(host_addresses)}
"""


def host_addresses_set(host_addresses: Iterable[IPv4Address]) -> str:
    """Commands that make the router refuse these; a second lock behind the host's own rules."""
    commands = "flush set inet lampyr host"
    elements = ", ".join(str(address) for address in sorted(set(host_addresses)))
    return commands + (f"\nadd element inet lampyr host {{ {elements} }}" if elements else "")
