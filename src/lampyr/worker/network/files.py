"""The files by which a sandbox finds names, made from the host's."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

RESOLV_CONF: Final = "/etc/resolv.conf"
HOSTS: Final = "/etc/hosts"
_HOSTS_TEXT: Final = """\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
"""
_KEPT: Final = ("search", "domain", "options")


def network_files(host_resolv_conf: str, nameserver: IPv4Address | None) -> dict[str, str]:
    """Path inside → content. Without a name server every look-up fails at once.

    The host's search list and options are kept; its own names (`/etc/hosts`) stay its own.
    """
    if nameserver is None:
        text = "# Lampyr: this function may reach no name server.\n"
    else:
        kept = [line for line in host_resolv_conf.splitlines() if line.split()[:1] and _keeps(line)]
        text = "\n".join([f"nameserver {nameserver}", *kept]) + "\n"
    return {RESOLV_CONF: text, HOSTS: _HOSTS_TEXT}


def _keeps(line: str) -> bool:
    return line.split(maxsplit=1)[0] in _KEPT


def nameservers(resolv_conf: str) -> tuple[str, ...]:
    """The addresses that a resolver would ask, in order; with none named it asks this host."""
    words = (line.split() for line in resolv_conf.splitlines())
    found = tuple(word[1] for word in words if len(word) > 1 and word[0] == "nameserver")
    return found[:3] or ("127.0.0.1",)


def read_host_file(path: Path) -> str:
    """Its text; of a file that is not there, none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
