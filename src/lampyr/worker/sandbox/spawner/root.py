"""The file system of a sandbox, put together by the sandbox's own first process.

It does so while it is root, really or in its user namespace, so that afterwards nobody in the
sandbox can undo it.
"""

# Without pathlib, which is a third of a bare interpreter.
# ruff: noqa: PTH101, PTH102, PTH108, PTH211

import contextlib
import os

from . import copying
from .linux import (
    CLONE_NEWNS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    enter,
    mount,
    picked_up,
    pivot_root,
    put_down,
    unmount,
)
from .plan import Config, Start

DEV_OPTIONS = "size=64k,mode=755"
DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)
# Of the host as a whole, and of no use to a function.
PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs")
PROC_EMPTY_FILES = ("kcore", "keys", "timer_list", "kallsyms", "sched_debug", "latency_stats")
PROC_EMPTY_DIRECTORIES = ("acpi", "scsi", "driver", "asound")
# In a user namespace a mount keeps the restrictions it came with.
KEPT_FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC
TMP = "/tmp"  # noqa: S108  The sandbox's own.
SHM = "/dev/shm"  # noqa: S108  The sandbox's own.
DISK_OPTIONS = "discard,nobarrier,noinit_itable"
"""It is thrown away with the sandbox: fsync need not reach the disk."""
if [int(part.partition("-")[0]) for part in os.uname().release.split(".")[:2]] >= [5, 11]:
    # Hardly any of it will ever be used: nothing is read ahead.
    DISK_OPTIONS += ",no_prefetch_block_bitmaps"
_SHM_FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC


def bind_read_only(source: str, target: str) -> None:
    """Show `source`, with what is mounted below it, at `target`."""
    mount(source, target, None, MS_BIND | MS_REC)
    kept = os.statvfs(target).f_flag & KEPT_FLAGS
    flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | kept
    mount(None, target, None, flags)


def build(config: Config, start: Start, owner: tuple[int, int]) -> None:
    """Mount everything and make it the root; `owner` is who `/tmp` belongs to."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount_shared(config, start.mounts)
    mount_own(config, start, owner)
    pivot_root(config.root)


def build_on_shared(config: Config, start: Start, owner: tuple[int, int], host: str) -> None:
    """The same in a copy of a mount namespace where `mount_shared` was.

    As root that is the working directory, and `host` what it must not keep.
    """
    if not config.as_root:
        # What came from another user's mount namespace is locked; a mount of our own is not.
        mount(config.root, config.root, None, MS_BIND | MS_REC)
    for target, source in start.mounts:
        bind_read_only(source, config.root + target)
    mount_own(config, start, owner)
    if config.as_root:
        os.chroot(".")
        unmount(host)
    else:
        pivot_root(config.root)


def mount_shared(config: Config, mounts: "list[tuple[str, str]]") -> None:
    """What sandboxes may have in common, as nobody can write to it."""
    root = config.root
    bind_read_only(root, root)
    for target, source in config.shared:
        bind_read_only(source, root + target)
    for target in config.masked:
        bind_read_only(config.empty, root + target)
    for target, source in mounts:
        bind_read_only(source, root + target)
    _mount_dev(root)


def mount_own(config: Config, start: Start, owner: tuple[int, int]) -> None:
    """What each sandbox has for itself."""
    root = config.root
    _mount_layers(start.layers, f"{root}/opt")
    _mount_tmp(start, f"{root}/tmp", owner)  # noqa: S108  The sandbox's own.
    _mount_proc(f"{root}/proc", config.empty)
    _mount_shm(root, start)


def build_again(
    config: Config, start: Start, owner: tuple[int, int], source: str
) -> "list[tuple[str, int]]":
    """What `mount_own` makes, but for layers, in no mount namespace yet: targets, descriptors.

    The calling process gives a mount namespace for it, which serves nothing else. `source` is the
    root of whoever was forked; what is in its writable directories is copied.
    """
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    staged = {
        TMP: config.root + TMP,
        SHM: f"{config.root}/mnt",
        "/proc": f"{config.root}/proc",
    }
    _mount_tmp(start, staged[TMP], owner)
    mount("tmpfs", staged[SHM], "tmpfs", _SHM_FLAGS, f"size={start.shm_bytes},mode=1777")
    for target in (TMP, SHM):
        copying.copy(f"{source}{target}", staged[target], owner)
    _mount_proc(staged["/proc"], config.empty)
    return [(target, picked_up(place, read_only=False)) for target, place in staged.items()]


def furnish(pid: int, mounts: "list[tuple[str, str]]", home: int) -> None:
    """Mount directories of the host, read-only, where process `pid` is; `home` is where we are."""
    trees = []
    there = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        trees = [(target, picked_up(source)) for target, source in mounts]
        enter(there, CLONE_NEWNS)
        try:
            for target, tree in trees:
                put_down(tree, target)
        finally:
            enter(home, CLONE_NEWNS)
    finally:
        for fd in (there, *(tree for _, tree in trees)):
            os.close(fd)


def _mount_layers(layers: list[str], target: str) -> None:
    if not layers:
        return
    if len(layers) == 1:
        bind_read_only(layers[0], target)
        return
    # By descriptor, as a path may have a comma or a colon in it. The first is on top.
    opened = [os.open(layer, os.O_PATH | os.O_CLOEXEC) for layer in reversed(layers)]
    lower = ":".join(f"/proc/self/fd/{fd}" for fd in opened)
    mount("overlay", target, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, f"lowerdir={lower}")
    for fd in opened:
        os.close(fd)


def _mount_tmp(start: Start, target: str, owner: tuple[int, int]) -> None:
    flags = MS_NOSUID | MS_NODEV
    if start.tmp_device is None:
        uid, gid = owner
        options = f"size={start.tmp_bytes},mode=700,uid={uid},gid={gid}"
        mount("tmpfs", target, "tmpfs", flags, options)
        return
    mount(start.tmp_device, target, "ext4", flags, DISK_OPTIONS)
    os.chown(target, *owner)
    os.chmod(target, 0o700)


def _mount_proc(target: str, empty: str) -> None:
    mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for name in PROC_READ_ONLY:
        with contextlib.suppress(FileNotFoundError):
            bind_read_only(f"{target}/{name}", f"{target}/{name}")
    for name in PROC_EMPTY_FILES:
        with contextlib.suppress(FileNotFoundError):
            mount("/dev/null", f"{target}/{name}", None, MS_BIND)
    for name in PROC_EMPTY_DIRECTORIES:
        with contextlib.suppress(FileNotFoundError):
            bind_read_only(empty, f"{target}/{name}")


def _mount_dev(root: str) -> None:
    target = f"{root}/dev"
    mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NOEXEC, DEV_OPTIONS)
    for name in DEVICES:
        os.close(os.open(f"{target}/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        mount(f"/dev/{name}", f"{target}/{name}", None, MS_BIND)
    for name, destination in LINKS:
        os.symlink(destination, f"{target}/{name}")
    os.mkdir(f"{target}/shm")
    mount(None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC)


def _mount_shm(root: str, start: Start) -> None:
    target = f"{root}/dev/shm"  # noqa: S108  The sandbox's own.
    mount("tmpfs", target, "tmpfs", _SHM_FLAGS, f"size={start.shm_bytes},mode=1777")
    for path, content in start.files:
        # The mount keeps the file when its name is gone.
        source = f"{target}/file"
        fd = os.open(source, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        os.write(fd, content.encode())
        os.close(fd)
        bind_read_only(source, root + path)
        os.unlink(source)
