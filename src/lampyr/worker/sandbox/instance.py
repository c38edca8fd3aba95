"""What one Lampyr owns on this host, so that the next one can remove what it left.

A run directory names its instance, and the instance's name is in everything that outlives a
process: its control groups. So cleaning up never touches another Lampyr's.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
from pathlib import Path
from typing import Final

from lampyr.worker.sandbox.hierarchies import step_back
from lampyr.worker.sandbox.spawner.cgroups import Cgroups, describe, described

_LOOP_CLEAR: Final = 0x4C01
_PARTS: Final = ("root", "empty", "scratch", "records", "layers")
_START_TIME_FIELD: Final = 19
_GET_FLAGS, _SET_FLAGS = 0x8008_6601, 0x4008_6602
_TOP_OF_A_HIERARCHY: Final = 0x20000
"""As `chattr +T` has it."""


class Instance:
    """The run directory, owned by one process at a time."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self.id = ""
        """Stays the same until the directory is left in order."""
        self.root = run_dir / "root"
        """The root file system of sandboxes."""
        self.empty = run_dir / "empty"
        self.scratch = run_dir / "scratch"
        """Images, and templates of images."""
        self.records = run_dir / "records"
        """One file for each live sandbox, where no control group tells of it."""
        self.layers = run_dir / "layers"

    @property
    def _state(self) -> Path:
        return self._run_dir / "instance.json"

    def open(self) -> None:
        """Take over the directory; whatever a dead predecessor left is removed."""
        self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            state = json.loads(self._state.read_text())
        except (FileNotFoundError, ValueError):
            state = {"id": secrets.token_hex(6), "cgroups": None}
        self.id = state["id"]
        self._clean(described(state["cgroups"]))
        _spread(self._run_dir)
        for part in (self.empty, self.scratch, self.records, self.layers):
            part.mkdir()
        self.note(None)

    def note(self, cgroups: Cgroups | None) -> None:
        """Write down where groups will be made, before the first is."""
        partial = self._state.with_suffix(".partial")
        partial.write_text(json.dumps({"id": self.id, "cgroups": describe(cgroups)}))
        partial.replace(self._state)

    def close(self, cgroups: Cgroups | None) -> None:
        """Leave nothing."""
        self._clean(cgroups)
        self._state.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Others may keep files beside ours.
            self._run_dir.rmdir()

    def clean_sandboxes(self, cgroups: Cgroups | None) -> None:
        """Kill and remove every sandbox that a dead spawner left; keep the directory."""
        self._kill_recorded()
        if cgroups is not None:
            cgroups.remove_all()

    def _clean(self, cgroups: Cgroups | None) -> None:
        self.clean_sandboxes(cgroups)
        if cgroups is not None:
            step_back(cgroups)
        _detach_loop_devices(self.scratch)
        for part in _PARTS:
            shutil.rmtree(self._run_dir / part, ignore_errors=True)

    def _kill_recorded(self) -> None:
        if not self.records.is_dir():
            return
        for record in self.records.iterdir():
            with contextlib.suppress(ValueError, OSError):
                pid, started = record.read_text().split()
                if start_time(int(pid)) == started:
                    kill = os.killpg if os.getpgid(int(pid)) == int(pid) else os.kill
                    kill(int(pid), signal.SIGKILL)
            record.unlink(missing_ok=True)


def _spread(directory: Path) -> None:
    """Ask the file system to lay what is made in it far from what is elsewhere, if it can.

    An ext4 without a journal passes over each inode near by that was freed in the last minute, one
    after the other, to find one for a new file: 160 µs behind a thousand of them, 6 µs elsewhere.
    """
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            flags = bytearray(8)
            fcntl.ioctl(place, _GET_FLAGS, flags)
            changed = int.from_bytes(flags, sys.byteorder) | _TOP_OF_A_HIERARCHY
            fcntl.ioctl(place, _SET_FLAGS, changed.to_bytes(8, sys.byteorder))
    finally:
        os.close(place)


def start_time(pid: int) -> str:
    """Tells a process from a later one with the same number; `OSError` when there is none."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[_START_TIME_FIELD]


def _detach_loop_devices(directory: Path) -> None:
    """Those whose image lies in this directory and that nobody uses: the kernel frees the rest."""
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if not backing.read_text().startswith(f"{directory}/"):
                continue
            device = os.open(f"/dev/{backing.parts[3]}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CLEAR)
            finally:
                os.close(device)
