"""Which network a host can give its sandboxes, and what to say when it is less than was asked for.

asked for   as root, rules loadable   else, a user-mode stack usable   else
internet    pooled                    user-mode                        as endpoint, and a warning
endpoint    pooled (root)             isolated                         isolated
none        pooled (root)             isolated                         isolated
"""

from dataclasses import dataclass
from enum import StrEnum

from lampyr.worker.network.base import Egress


class Driver(StrEnum):
    POOLED = "pooled"
    USER_MODE = "user-mode"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What matters of a host. Each `…_missing` says what stands in the way, or is empty."""

    administrator: bool
    """CAP_NET_ADMIN and CAP_SYS_ADMIN, over the host's own network."""
    pooled_missing: str
    user_mode_missing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    driver: Driver
    egress: Egress
    """What functions get: `ENDPOINT` where the internet was asked for and cannot be given."""
    warning: str | None = None


def choose(asked: Egress, host: Host) -> Choice:
    if asked is not Egress.INTERNET:
        driver = Driver.POOLED if host.administrator else Driver.ISOLATED
        return Choice(driver=driver, egress=asked)
    if host.administrator and not host.pooled_missing:
        return Choice(driver=Driver.POOLED, egress=asked)
    if not host.user_mode_missing:
        return Choice(driver=Driver.USER_MODE, egress=asked)
    missing = [host.pooled_missing] if host.administrator else []
    missing.append(host.user_mode_missing)
    return Choice(
        driver=Driver.POOLED if host.administrator else Driver.ISOLATED,
        egress=Egress.ENDPOINT,
        warning=(
            "Functions cannot reach the internet, only Lampyr's endpoint: "
            f"{'; '.join(missing)}. 'lampyr doctor' says how to mend it."
        ),
    )
