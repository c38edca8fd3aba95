"""Keeps web pages away from a service that runs code and listens on loopback.

A page that a user happens to look at can send requests to the user's own loopback. Two rules stop
it, both before anything else of a request is read:

- the `Host` must be an address, a name without dots, a name that only ever means this machine, or
  one that the operator gave. A page that has its own name resolve to 127.0.0.1 (DNS rebinding)
  sends that name;
- a request that says a browser made it on behalf of another site (`Origin`, `Sec-Fetch-Site`)
  may not change anything.

https://fetch.spec.whatwg.org/#origin-header
"""

import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from lampyr.errors import AccessDeniedException

KNOWN_MAX: Final = 1_024
"""Hosts that are remembered; then all are forgotten."""

_HOST: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_ADDRESS: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}|\[.*\]")
_LOCAL_SUFFIXES: Final = (".localhost", ".internal", ".local", ".localhost.localstack.cloud")
"""Names that public DNS gives to nobody, and the one that LocalStack's clients use."""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE: Final = frozenset({"same-origin", "none"})
_NAME_CHARACTERS_MAX: Final = 255


class Origins:
    """Decides which requests come from where they may come from."""

    def __init__(self, default_base_url: str, hosts: Collection[str] = ()) -> None:
        self._default = default_base_url
        own = urlsplit(default_base_url).hostname or ""
        self._hosts = frozenset(host.lower() for host in (own, *hosts))
        self._known: dict[str, str] = {}

    def base_url(self, headers: Mapping[str, str]) -> str:
        """Where the caller reached Lampyr; raises `AccessDeniedException` for a foreign name."""
        host = headers.get("host")
        if not host:
            return self._default
        known = self._known.get(host)
        if known is None:
            if not is_own_host(host, self._hosts):
                raise AccessDeniedException(
                    f"Lampyr is not known as '{_shown(host)}'. If it should be, start it with "
                    "that name as its host."
                )
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[host] = f"http://{host}"
        return known

    def check(self, method: str, headers: Mapping[str, str], base_url: str) -> None:
        """Raises `AccessDeniedException` when a page of another site wants to change something."""
        if method in _SAFE_METHODS:
            return
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site")
        foreign = origin is not None and origin.lower() != base_url.lower()
        if foreign or (site is not None and site not in _OWN_SITE):
            raise AccessDeniedException(
                "Lampyr takes no changes from web pages of other sites "
                f"(Origin: {_shown(origin or 'not given')})."
            )


def is_own_host(host: str, hosts: Collection[str]) -> bool:
    """Whether a `Host` header can only have been meant for this machine."""
    found = _HOST.fullmatch(host) if len(host) <= _NAME_CHARACTERS_MAX else None
    if found is None:
        return False
    name = found["name"].lower()
    return (
        "." not in name
        or name in hosts
        or name.endswith(_LOCAL_SUFFIXES)
        or _ADDRESS.fullmatch(name) is not None
    )


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:_NAME_CHARACTERS_MAX])
