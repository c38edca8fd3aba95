"""What sets up a sandbox, as root: system calls written down, for a fork of a template or a start.

The same, in the same order, as `spawner/child.py` and `spawner/root.py` do, and what those say of
the reasons holds here. Where this cannot do it (an ordinary user, a network that is still to be
connected, several layers, another machine) they do.
"""

import os
import resource
import signal
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from lampyr.worker.sandbox.calls import Calls
from lampyr.worker.sandbox.spawner import init, linux, root
from lampyr.worker.sandbox.spawner.batch import (
    AGAIN,
    FIRST_FD,
    MAY,
    PROGRAM_FD,
    SPAWNER_FD,
    ZERO,
)
from lampyr.worker.sandbox.spawner.cgroups import Cgroups
from lampyr.worker.sandbox.spawner.child import OOM_SCORE
from lampyr.worker.sandbox.spawner.fork import CONTROL_FD, SOURCES
from lampyr.worker.sandbox.spawner.parting import RSEQ_BYTES, RSEQ_SIGNATURE
from lampyr.worker.sandbox.spawner.plan import INSIDE_GID, INSIDE_UID
from lampyr.worker.sandbox.spawner.variables import pointers_at

_, OUTPUT_FD, TELEMETRY_FD, STATUS_FD, NETWORK_FD = range(FIRST_FD, FIRST_FD + 5)
"""The other one, of the report, is where the calls come from."""
_STDIN_FD: Final = FIRST_FD + 5
_SCRATCH_FD: Final = FIRST_FD + 20
_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_PLACE: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CLOEXEC
_CREATE: Final = _WRITE | os.O_CREAT
_BIND: Final = linux.MS_BIND | linux.MS_REC
_NO_SPECIALS: Final = linux.MS_NOSUID | linux.MS_NODEV
_READ_ONLY: Final = linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | _NO_SPECIALS
_PROC: Final = _NO_SPECIALS | linux.MS_NOEXEC
_TOP: Final = "."
"""The root of a fork's sandbox while it is built: the host's is `/` meanwhile."""
_DEV: Final = linux.MS_NOSUID | linux.MS_NOEXEC
_IGNORED: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""By Python, and so by what it executes, if that were not undone."""
_SIGACTION_BYTES: Final = 32
_FUTEX_WAIT: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where forks of a template, or of the spawner, have their calls, filter and environment.

    And what the C library has of their thread, as `parting.Thread` says it.
    """

    base: int
    filter: int
    variables: int
    number: int
    robust: int
    robust_bytes: int
    rseq: int
    locale: str | None
    """What Python has chosen instead of what the environment says."""
    anew: bool = False
    """The spawner's: they have the host's files, and execute the function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What is the same for every sandbox."""

    cgroups: Cgroups | None
    last_capability: int
    hidden: Sequence[tuple[str, str, int]]
    """Of `/proc`: name, what is mounted there ("" for itself), flags for read-only or 0."""
    root: str = ""
    """What is below everything that is mounted in a sandbox."""
    shared: Sequence[tuple[str, str]] = ()
    """Of the host, in every sandbox: target, source."""


def look_around(config: Mapping[str, Any], cgroups: Cgroups | None) -> Host:
    """Of this host; `config` is what the spawner is told of it."""
    there, empty = Path("/proc"), config["empty"]
    hidden = [
        *[(name, "", _READ_ONLY | _PROC) for name in root.PROC_READ_ONLY],
        *[(name, "/dev/null", 0) for name in root.PROC_EMPTY_FILES],
        *[(name, empty, _READ_ONLY | _kept(empty)) for name in root.PROC_EMPTY_DIRECTORIES],
    ]
    return Host(
        cgroups=cgroups,
        last_capability=int((there / "sys/kernel/cap_last_cap").read_text()),
        hidden=[each for each in hidden if (there / each[0]).exists()],
        root=config["root"],
        shared=[*config["shared"], *[(target, empty) for target in config["masked"]]],
    )


def fits(message: Mapping[str, Any]) -> bool:
    """Whether it can be done by calls that are known before."""
    return not message["waits"] and len(message["layers"]) <= 1


def written_down(host: Host, message: Mapping[str, Any], place: Place) -> Calls:
    """`message` is what whoever makes its calls itself would be told."""
    calls = Calls(place.base)
    calls.step("start")
    calls.call("rt_sigprocmask", signal.SIG_SETMASK, calls.data(b"\xff" * 8), 0, 8)
    if not place.anew:
        _change_places(calls)
    calls.call("prctl", linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if host.cgroups is not None:
        _join(calls, host.cgroups, message)
    calls.step("cgroup namespace")
    calls.call("unshare", linux.CLONE_NEWCGROUP)
    calls.step("network")
    calls.call("setns", NETWORK_FD, linux.CLONE_NEWNET)
    calls.step("file system")
    for fd in (OUTPUT_FD, TELEMETRY_FD):
        calls.call("fchown", fd, message["uid"], message["gid"])
    if place.anew:
        _build_root(calls, host, message)
    else:
        _build_on_shared(calls, host, message)
    name = message["hostname"]
    calls.call("sethostname", calls.text(name), len(name.encode()))
    _confine(calls, host, message)
    calls.step("first process")
    calls.call("prctl", linux.PR_SET_DUMPABLE, 0)
    calls.call("seccomp", linux.SET_MODE_FILTER, linux.ALLOW_SPECULATION, place.filter)
    _part(calls, place)
    calls.step("execute")
    _settle(calls, message)
    if place.anew:
        _execute(calls, message, place)
    else:
        _stay(calls)
    return calls


def _change_places(calls: Calls) -> None:
    calls.call("close", CONTROL_FD)
    calls.call("open", calls.text("/"), _PLACE)
    calls.hand_on(2, 3)
    calls.call("chroot", calls.text(_TOP))
    calls.call("fchdir", -1)
    calls.call("close", -1)


def _join(calls: Calls, cgroups: Cgroups, message: Mapping[str, Any]) -> None:
    calls.step("control group")
    calls.write("/proc/self/oom_score_adj", str(OOM_SCORE), _WRITE)
    groups = [f"{top}/{message['id']}" for top in cgroups.tops()]
    for group in groups:
        calls.call("mkdir", calls.text(group), 0o755, judged=MAY)
    limits = cgroups.limits(message["id"], message["memory_bytes"], message["processes"])
    for path, value, may_be_missing in limits:
        calls.write(path, str(value), _WRITE, judged=MAY if may_be_missing else 0)
    if cgroups.version == 1 and cgroups.has_memory:
        _watch(calls, f"{cgroups.path(message['id'], 'memory')}", oom=_oom_fd(message))
    file = "tasks" if cgroups.version == 1 else "cgroup.procs"
    for group in groups:
        calls.write(f"{group}/{file}", "0", _WRITE)


def _watch(calls: Calls, group: str, *, oom: int) -> None:
    calls.call("open", calls.text(f"{group}/memory.oom_control"), _READ)
    calls.hand_on(1, 2)
    calls.call("dup2", -1, _SCRATCH_FD)
    calls.call("close", -1)
    calls.write(f"{group}/cgroup.event_control", f"{oom} {_SCRATCH_FD}", _WRITE)
    calls.call("close", _SCRATCH_FD)


def _oom_fd(message: Mapping[str, Any]) -> int:
    return _STDIN_FD + 1 if message["stdin"] else _STDIN_FD


def _build_root(calls: Calls, host: Host, message: Mapping[str, Any]) -> None:
    top = host.root
    _mount(calls, None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    for target, source in (("", top), *host.shared, *message["mounts"]):
        _bind_read_only(calls, source, f"{top}{target}", _kept(source))
    _mount_dev(calls, f"{top}/dev")
    _mount_own(calls, top, host, message)
    calls.call("chdir", calls.text(top))
    calls.call("pivot_root", calls.text("."), calls.text("."))
    calls.call("umount2", calls.text("."), linux.MNT_DETACH)
    calls.call("chdir", calls.text("/"))


def _build_on_shared(calls: Calls, host: Host, message: Mapping[str, Any]) -> None:
    for target, source in message["mounts"]:
        _bind_read_only(calls, source, f"{_TOP}{target}", _kept(source))
    _mount_own(calls, _TOP, host, message)
    calls.call("chroot", calls.text(_TOP))
    calls.call("umount2", calls.text(SOURCES), linux.MNT_DETACH)


def _mount_dev(calls: Calls, target: str) -> None:
    _mount(calls, "tmpfs", target, "tmpfs", _DEV, root.DEV_OPTIONS)
    for name in root.DEVICES:
        calls.call("open", calls.text(f"{target}/{name}"), _CREATE, 0o666)
        calls.hand_on(1)
        calls.call("close", -1)
        _mount(calls, f"/dev/{name}", f"{target}/{name}", None, linux.MS_BIND)
    for name, destination in root.LINKS:
        calls.call("symlink", calls.text(destination), calls.text(f"{target}/{name}"))
    calls.call("mkdir", calls.text(f"{target}/shm"), 0o777)
    read_only = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _DEV
    _mount(calls, None, target, None, read_only)


def _mount_own(calls: Calls, top: str, host: Host, message: Mapping[str, Any]) -> None:
    uid, gid = message["uid"], message["gid"]
    for layer in message["layers"]:
        _bind_read_only(calls, layer, f"{top}/opt", _kept(layer))
    tmp = f"{top}{root.TMP}"
    if message["tmp_device"] is None:
        options = f"size={message['tmp_bytes']},mode=700,uid={uid},gid={gid}"
        _mount(calls, "tmpfs", tmp, "tmpfs", _NO_SPECIALS, options)
    else:
        _mount(calls, message["tmp_device"], tmp, "ext4", _NO_SPECIALS, root.DISK_OPTIONS)
        calls.call("chown", calls.text(tmp), uid, gid)
        calls.call("chmod", calls.text(tmp), 0o700)
    _mount(calls, "proc", f"{top}/proc", "proc", _PROC)
    for name, source, read_only in host.hidden:
        target = f"{top}/proc/{name}"
        _mount(calls, source or target, target, None, _BIND if read_only else linux.MS_BIND)
        if read_only:
            _mount(calls, None, target, None, read_only)
    _mount_shm(calls, top, message)


def _mount_shm(calls: Calls, top: str, message: Mapping[str, Any]) -> None:
    target = f"{top}{root.SHM}"
    _mount(calls, "tmpfs", target, "tmpfs", _PROC, f"size={message['shm_bytes']},mode=1777")
    for path, content in message["files"]:
        source = f"{target}/file"
        calls.write(source, content, _CREATE, 0o644)
        _bind_read_only(calls, source, f"{top}{path}", linux.MS_NOEXEC)
        calls.call("unlink", calls.text(source))


def _confine(calls: Calls, host: Host, message: Mapping[str, Any]) -> None:
    calls.step("limits")
    for name, value in message["rlimits"]:
        both = calls.data(struct.pack("=2Q", int(value), int(value)))
        calls.call("prlimit64", 0, getattr(resource, f"RLIMIT_{name}"), both, 0)
    calls.step("privileges")
    uid, gid = message["uid"], message["gid"]
    calls.call("setgroups", 0, 0)
    calls.call("setresgid", gid, gid, gid)
    calls.call("setresuid", uid, uid, uid)
    calls.call("prctl", linux.PR_SET_DUMPABLE, 1)
    calls.call("unshare", linux.CLONE_NEWUSER)
    calls.write("/proc/self/setgroups", "deny", _WRITE)
    calls.write("/proc/self/uid_map", f"{INSIDE_UID} {uid} 1", _WRITE)
    calls.write("/proc/self/gid_map", f"{INSIDE_GID} {gid} 1", _WRITE)
    for capability in range(host.last_capability + 1):
        calls.call("prctl", linux.PR_CAPBSET_DROP, capability)
    calls.call("prctl", linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    header = calls.data(struct.pack("=Ii", linux.CAPABILITY_VERSION_3, 0))
    calls.call("capset", header, calls.data(bytes(24)))
    calls.call("prctl", linux.PR_SET_NO_NEW_PRIVS, 1)
    calls.call("prctl", linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    # Readable when the spawner is gone.
    calls.call("poll", calls.data(struct.pack("=ihh", SPAWNER_FD, 1, 0)), 1, 0, judged=ZERO)


def _part(calls: Calls, place: Place) -> None:
    """Process 1 executes `init`; what it had as memory is process 2's alone then.

    The kernel writes 0 where process 1 said that its number is, and wakes who waits there, when
    that one has left its memory (see the manual, section 2: set_tid_address).
    """
    alive = calls.word(1)
    calls.call("set_tid_address", alive)
    flags = linux.CLONE_VM | linux.CLONE_CHILD_SETTID | signal.SIGCHLD
    calls.part(flags, 0, 0, place.number, left_out=5)
    calls.call("dup3", STATUS_FD, init.STATUS_FD, 0)
    for fd in range(init.STATUS_FD):
        calls.call("close", fd)
    program = calls.text(""), calls.texts(["init"]), calls.texts([])
    calls.call("execveat", PROGRAM_FD, *program, linux.AT_EMPTY_PATH)
    calls.call("futex", alive, _FUTEX_WAIT, 1, judged=AGAIN)
    if place.robust:
        calls.call("set_robust_list", place.robust, place.robust_bytes)
    if place.rseq:
        calls.call("rseq", place.rseq, RSEQ_BYTES, 0, RSEQ_SIGNATURE, judged=MAY)


def _settle(calls: Calls, message: Mapping[str, Any]) -> None:
    calls.call("setsid")
    calls.call("umask", 0o022)
    calls.call("chdir", calls.text(message["cwd"]))
    if message["stdin"]:
        calls.call("dup2", _STDIN_FD, 0)
    else:
        calls.call("open", calls.text("/dev/null"), _READ)
        calls.hand_on(1)
        calls.call("dup2", -1, 0)
    for place, fd in ((1, OUTPUT_FD), (2, OUTPUT_FD), (3, TELEMETRY_FD)):
        calls.call("dup2", fd, place)


def _stay(calls: Calls) -> None:
    calls.call("close_range", 4, 0xFFFF_FFFF, 0)
    calls.call("rt_sigprocmask", signal.SIG_SETMASK, calls.data(bytes(8)), 0, 8)
    calls.call("prctl", linux.PR_SET_DUMPABLE, 1)


def _execute(calls: Calls, message: Mapping[str, Any], place: Place) -> None:
    """What else is open is closed by that, and the report tells of a failure until then."""
    default = calls.data(bytes(_SIGACTION_BYTES))
    for number in _IGNORED:
        calls.call("rt_sigaction", number, default, 0, 8)
    calls.call("rt_sigprocmask", signal.SIG_SETMASK, calls.data(bytes(8)), 0, 8)
    path, *_ = argv = message["argv"]
    calls.call("execve", calls.text(path), calls.texts(argv), pointers_at(place.variables))


def _mount(  # noqa: PLR0917 - in the order of the system call
    calls: Calls, source: str | None, target: str, kind: str | None, flags: int, data: str = ""
) -> None:
    texts = [0 if text is None else calls.text(text) for text in (source, target, kind)]
    calls.call("mount", *texts, flags, calls.text(data) if data else 0)


def _bind_read_only(calls: Calls, source: str, target: str, kept: int) -> None:
    _mount(calls, source, target, None, _BIND)
    _mount(calls, None, target, None, _READ_ONLY | kept)


@lru_cache(maxsize=1_000)
def _kept(source: str) -> int:
    """What a mount of a directory keeps of the restrictions of the mount that it is in."""
    return os.statvfs(source).f_flag & root.KEPT_FLAGS
