"""The kernel's calls that Python's standard library lacks, by ctypes."""

import ctypes
import errno
import os
import struct

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

CLONE_PIDFD = 0x1000
CLONE_VM = 0x100
CLONE_CHILD_SETTID = 0x1000000
CLONE_PARENT = 0x8000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_READ_ONLY_NOSUID = 1 | 2
_MOVE_FROM_EMPTY_PATH = 4
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""The same on every machine."""
_CLONE3 = 435
_CLOSE_RANGE_ON_EXECUTE = 4
_SIGCHLD = 17
_SIG_SETMASK = 2
_SIGNAL_SET_BYTES = 128
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4
SET_MODE_FILTER = 1
ALLOW_SPECULATION = 4
"""Without this flag kernels before 5.16 slow every branch of the function down."""
CAP_SYS_ADMIN = 21
_CAP_SETPCAP = 8
CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAP = 63

MACHINE = os.uname().machine
_NUMBERS = {
    "x86_64": {"clone": 56, "close_range": 436, "pivot_root": 155, "capset": 126, "seccomp": 317},
    "aarch64": {"clone": 220, "close_range": 436, "pivot_root": 41, "capset": 91, "seccomp": 277},
}
SUPPORTED = MACHINE in _NUMBERS

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
# Holds the interpreter lock during the call, as a fork must.
_python = ctypes.PyDLL(None, use_errno=True)
_python.syscall.restype = ctypes.c_long


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _number(name: str) -> int:
    try:
        return _NUMBERS[MACHINE][name]
    except KeyError:
        raise OSError(errno.ENOSYS, f"no system call numbers for {MACHINE}") from None


def mount(
    source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str = ""
) -> None:
    """As the manual, section 2, says."""
    result = _libc.mount(
        os.fsencode(source) if source is not None else None,
        os.fsencode(target),
        kind.encode() if kind is not None else None,
        flags,
        os.fsencode(data) if data else None,
    )
    _check(result, f"mount {kind or 'of'} {source or ''} at {target}")


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """As the manual, section 2, says."""
    _check(_libc.umount2(os.fsencode(target), flags), f"unmount {target}")


def picked_up(source: str, *, read_only: bool = True) -> int:
    """A mount of a directory that is in no mount namespace yet: its descriptor."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
    tree = _libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags)
    _check(tree, f"open_tree of {source}")
    if not read_only:
        return int(tree)
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_READ_ONLY_NOSUID, 0, 0, 0)
    result = _libc.syscall(
        _MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | _AT_RECURSIVE, attributes, len(attributes)
    )
    if result < 0:
        os.close(tree)
        _check(result, f"mount_setattr of {source}")
    return int(tree)


def put_down(tree: int, target: str) -> None:
    """Mount what `picked_up` gave."""
    words = tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_FROM_EMPTY_PATH
    _check(_libc.syscall(_MOVE_MOUNT, *words), f"move_mount to {target}")


def pivot_root(new_root: str, old_root: str | None = None) -> None:
    """Make `new_root`, a mount point, the root of this mount namespace.

    The old one is at `old_root` below it from then on, or gone.
    """
    if old_root is not None:
        words = os.fsencode(new_root), os.fsencode(old_root)
        _check(_libc.syscall(_number("pivot_root"), *words), "pivot_root")
        return
    os.chdir(new_root)
    _check(_libc.syscall(_number("pivot_root"), b".", b"."), "pivot_root")
    unmount(".")
    os.chdir("/")


def namespaces(*, as_root: bool, network: bool) -> int:
    """Of a sandbox, from its beginning; `network`: there is one already for it to enter."""
    found = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS
    if not network:
        found |= CLONE_NEWNET
    if not as_root:
        found |= CLONE_NEWUSER
    return found


def fork_into(namespaces: int) -> tuple[int, int]:
    """Fork, the child in new namespaces: (0, -1) in the child, (pid, pidfd) in the parent.

    With `CLONE_PARENT` the child is a sibling, which the parent of this process has to reap. A
    process of one thread needs nothing else. What modules have done after a fork is done when a
    function begins: see `parting`.
    """
    pidfd = ctypes.c_int(-1)
    number = _number("clone")
    pid = _python.syscall(
        ctypes.c_long(number),
        ctypes.c_ulong(namespaces | CLONE_PIDFD | _SIGCHLD),
        ctypes.c_void_p(None),
        ctypes.byref(pidfd),
        ctypes.c_void_p(None),
        ctypes.c_void_p(None),
    )
    if pid == 0:
        return 0, -1
    _check(pid, "clone")
    return pid, pidfd.value


def fork_as(number: int, flags: int = 0) -> tuple[int, int]:
    """As `fork_into`, with a chosen number in the PID namespace where children of this one begin.

    Needs the privilege over that namespace, and Linux 5.5.
    """
    pidfd = ctypes.c_int(-1)
    numbers = (ctypes.c_int * 1)(number)
    exit_signal = 0 if flags & CLONE_PARENT else _SIGCHLD  # A sibling has its sibling's.
    arguments = struct.pack(
        "11Q",
        flags | CLONE_PIDFD,
        ctypes.addressof(pidfd),
        0,
        0,
        exit_signal,
        0,
        0,
        0,
        ctypes.addressof(numbers),
        1,
        0,
    )
    pid = _python.syscall(
        ctypes.c_long(_CLONE3), ctypes.c_char_p(arguments), ctypes.c_size_t(len(arguments))
    )
    if pid == 0:
        return 0, -1
    _check(pid, "clone3")
    return pid, pidfd.value


def close_from(first: int) -> None:
    """Close every descriptor from this one on."""
    last = 0xFFFFFFFF
    result = _libc.syscall(
        _number("close_range"), ctypes.c_uint(first), ctypes.c_uint(last), ctypes.c_uint(0)
    )
    if result < 0:  # Before Linux 5.9.
        os.closerange(first, 65536)


def close_on_execute(first: int) -> None:
    """Have every descriptor from this one on closed when a program is executed: Linux 5.11."""
    words = ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(_CLOSE_RANGE_ON_EXECUTE)
    _check(_libc.syscall(_number("close_range"), *words), "close_range")


def unshare(namespaces: int) -> None:
    """As the manual, section 2, says."""
    _check(_libc.unshare(namespaces), "unshare")


def enter(namespace: int, kind: int) -> None:
    """The system call setns."""
    _check(_libc.setns(namespace, kind), "setns")


def _prctl(option: int, first: int = 0, second: int = 0) -> int:
    return int(_libc.prctl(option, first, second, 0, 0))


def die_with_parent(signal_number: int) -> None:
    """Be sent `signal_number` when the parent dies; undone by every change of credentials."""
    _check(_prctl(PR_SET_PDEATHSIG, signal_number), "PR_SET_PDEATHSIG")


def block_signals(*, block: bool = True) -> None:
    """Block all; or none. By way of `signal`, each would be an object."""
    every = ctypes.create_string_buffer(_SIGNAL_SET_BYTES)
    if block:
        _libc.sigfillset(every)
    number = _libc.pthread_sigmask(_SIG_SETMASK, every, None)
    if number:
        raise OSError(number, f"pthread_sigmask: {os.strerror(number)}")


def set_dumpable(dumpable: bool) -> None:
    """Whether other processes of the same user may look into this one."""
    _check(_prctl(PR_SET_DUMPABLE, int(dumpable)), "PR_SET_DUMPABLE")


def drop_capabilities() -> None:
    """Give up every capability, and the means to get one by executing a file."""
    _bound_to_nothing()
    _check(_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL), "PR_CAP_AMBIENT_CLEAR_ALL")
    _set_capabilities(0, 0)


def keep_only(capability: int) -> None:
    """Give up every other capability; this one stays, also in the program that is executed next.

    Nothing but having it now leads to it: it is not among those that could be had again.
    """
    held = 1 << capability
    _set_capabilities(held | 1 << _CAP_SETPCAP, held)
    _check(_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability), "PR_CAP_AMBIENT_RAISE")
    _bound_to_nothing()
    _set_capabilities(held, held)


def hand_on_nothing(capability: int) -> None:
    """Keep this capability, but no program that is executed from now on gets it."""
    _check(_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL), "PR_CAP_AMBIENT_CLEAR_ALL")
    _set_capabilities(1 << capability, 0)


def _bound_to_nothing() -> None:
    for capability in range(_LAST_CAP + 1):
        held = _prctl(PR_CAPBSET_READ, capability)
        if held < 0:
            break  # The kernel knows no more.
        if held:
            _check(_prctl(PR_CAPBSET_DROP, capability), "PR_CAPBSET_DROP")


def _set_capabilities(held: int, inheritable: int) -> None:
    """Of those below 32; of the others none is held."""
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    data = struct.pack("6I", held, held, inheritable, 0, 0, 0)
    _check(_libc.syscall(_number("capset"), header, data), "capset")


def set_no_new_privileges() -> None:
    """From now on no executed file gives privileges."""
    _check(_prctl(PR_SET_NO_NEW_PRIVS, 1), "PR_SET_NO_NEW_PRIVS")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def install_filter(program: bytes) -> None:
    """Install a seccomp filter: struct sock_filter instructions, eight bytes each."""
    buffer = ctypes.create_string_buffer(program, len(program))
    description = _Program(len(program) // 8, ctypes.addressof(buffer))
    result = _libc.syscall(
        _number("seccomp"), SET_MODE_FILTER, ALLOW_SPECULATION, ctypes.byref(description)
    )
    _check(result, "seccomp")
