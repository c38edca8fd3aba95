"""What the kernel lets this user do, tried out one by one in processes that end at once."""

import json
import os
import sys
from collections.abc import Callable

from . import loop, seccomp
from .child import map_ids
from .linux import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    fork_into,
    install_filter,
    mount,
    set_no_new_privileges,
)

_KINDS = {
    "mount namespace": CLONE_NEWNS,
    "pid namespace": CLONE_NEWPID,
    "ipc namespace": CLONE_NEWIPC,
    "uts namespace": CLONE_NEWUTS,
    "network namespace": CLONE_NEWNET,
    "cgroup namespace": CLONE_NEWCGROUP,
}


def _attempt(namespaces: int, work: Callable[[], object]) -> str:
    """Empty when `work` could be done in these namespaces; else why not."""
    read, write = os.pipe()
    uid, gid = os.getuid(), os.getgid()
    try:
        pid, pidfd = fork_into(namespaces)
    except OSError as error:
        os.close(read)
        os.close(write)
        return str(error)
    if pid == 0:
        try:
            if namespaces & CLONE_NEWUSER:
                map_ids(uid, gid)
            if namespaces & CLONE_NEWNS:
                mount(None, "/", None, MS_REC | MS_PRIVATE)
            work()
        except BaseException as error:  # noqa: BLE001  A clone of this process must end here.
            os.write(write, (str(error) or repr(error)).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.close(pidfd)
    with os.fdopen(read) as answer:
        found = answer.read()
    os.waitpid(pid, 0)
    return found


def _overlay(directory: str) -> None:
    mount("tmpfs", directory, "tmpfs")
    for name in ("lower", "upper", "both"):
        os.mkdir(f"{directory}/{name}")  # noqa: PTH102
    layers = f"lowerdir={directory}/upper:{directory}/lower"
    mount("overlay", f"{directory}/both", "overlay", MS_RDONLY, layers)


def _filter() -> None:
    set_no_new_privileges()
    install_filter(seccomp.build())


def _loop(directory: str) -> None:
    image = loop.nameless_file(directory)
    os.ftruncate(image, 1 << 20)
    device, _ = loop.attach(image)
    os.close(device)


def main(directory: str) -> None:
    """Write, as JSON, what cannot be done and why; `directory` is an empty one."""
    # As root the sandbox's parts are made without a user namespace, which comes last.
    own = 0 if os.getuid() == 0 else CLONE_NEWUSER
    found = {"user namespace": _attempt(CLONE_NEWUSER, lambda: None)}
    for name, kind in _KINDS.items():
        found[name] = _attempt(own | kind, lambda: None)
    found["seccomp"] = _attempt(0, _filter)
    found["overlay"] = _attempt(own | CLONE_NEWNS, lambda: _overlay(directory))
    found["proc"] = _attempt(
        own | CLONE_NEWNS | CLONE_NEWPID, lambda: mount("proc", "/proc", "proc")
    )
    found["loop devices"] = _attempt(0, lambda: _loop(directory))
    sys.stdout.write(json.dumps(found))
