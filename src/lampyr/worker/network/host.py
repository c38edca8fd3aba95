"""What this host can give its sandboxes by way of network: what is cheap to see at each start.

Whether rules can be loaded shows when a `PooledNetwork` opens; trying it twice would cost more.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from lampyr.worker.network.rules import Host

TUN: Final = Path("/dev/net/tun")
TOOLS: Final = ("slirp4netns", "pasta")
_CAP_NET_ADMIN: Final = 12
_CAP_SYS_ADMIN: Final = 21


def look() -> Host:
    return Host(
        administrator=is_administrator(),
        pooled_missing="",
        user_mode_missing=user_mode_missing(),
    )


def is_administrator() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            wanted = 1 << _CAP_NET_ADMIN | 1 << _CAP_SYS_ADMIN
            return held & wanted == wanted
    return False


def user_mode_tool() -> Path | None:
    """slirp4netns or pasta, whichever is there first."""
    found = next(filter(None, map(shutil.which, TOOLS)), None)
    return Path(found) if found else None


def user_mode_missing() -> str:
    """What keeps a user-mode stack from working; empty when nothing does."""
    if user_mode_tool() is None:
        return f"neither {' nor '.join(TOOLS)} is installed"
    if not TUN.exists():
        return f"there is no {TUN}"
    if not os.access(TUN, os.R_OK | os.W_OK):
        return f"{TUN} may not be opened by this user"
    return ""
