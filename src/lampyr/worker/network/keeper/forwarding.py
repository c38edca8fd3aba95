"""Forwarding of IPv4, switched on for as long as a Lampyr on this host needs it.

Replies from the internet come in by a device of the host, which must forward for them to reach
a sandbox. Only that device's own switch is set, never `ip_forward` for all; and what was off is
remembered in a file that every Lampyr of this network shares, so that the last one out, or
the next one after a `kill -9`, puts it back.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lampyr.worker.network.ruleset import UPLINK_PREFIX


class Forwarding:
    """The switches of the network namespace that `namespace` stands for."""

    def __init__(self, shared_dir: Path, namespace: int) -> None:
        self._dir = shared_dir
        self._record = shared_dir / f"forwarding-{os.fstat(namespace).st_ino}"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One Lampyr at a time changes what all of them share."""
        self._dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self._dir / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def enable(self, devices: list[str]) -> list[str]:
        """Let `devices` forward; answer those that did not before any Lampyr came."""
        recorded = self._recorded()
        off = [name for name in devices if name not in recorded and _read(name) == "0"]
        if off:
            recorded += off
            self._record.write_text("\n".join(recorded))
        for name in off:
            _write(name, "1")
        return [name for name in recorded if name in devices]

    def restore(self) -> None:
        """Put back what was off, unless another Lampyr still needs it."""
        names = [name for _, name in socket.if_nameindex()]
        if any(name.startswith(UPLINK_PREFIX) for name in names):
            return
        for name in self._recorded():
            if name in names:
                _write(name, "0")
        self._record.unlink(missing_ok=True)

    def _recorded(self) -> list[str]:
        try:
            return self._record.read_text().splitlines()
        except FileNotFoundError:
            return []


def _switch(device: str) -> Path:
    return Path("/proc/sys/net/ipv4/conf") / device / "forwarding"


def _read(device: str) -> str:
    return _switch(device).read_text().strip()


def _write(device: str, value: str) -> None:
    _switch(device).write_text(value)
