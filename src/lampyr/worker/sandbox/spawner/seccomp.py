"""The system calls a function may not make, as a filter for the kernel.

A list of what is denied, as Lambda's own runtimes and whatever they load expect an ordinary
Linux. Denied is what reaches outside of the sandbox (other processes, mounts, namespaces, kernel
modules, clocks, keys) and what exposes much of the kernel (BPF, io_uring, userfaultfd).
"""

import errno
import struct

from .linux import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MACHINE,
)

# Name: the numbers on x86-64 and on aarch64; None where that one has no such call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "_sysctl": (156, None),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_SOCKET = {"x86_64": 41, "aarch64": 198}
_CLONE3 = 435
_X32_BIT = 0x40000000

_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_AF_NETLINK = 16
_NETLINK_ROUTE = 0

_LOAD = 0x20
_JUMP_IF_EQUAL = 0x15
_JUMP_IF_GREATER_OR_EQUAL = 0x35
_JUMP_IF_ANY_BIT = 0x45
_RETURN = 0x06
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16

_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_ANSWERS = {
    "allowed": _ALLOW,
    "refused": _ERRNO | errno.EPERM,
    "unknown": _ERRNO | errno.ENOSYS,
    "no family": _ERRNO | errno.EAFNOSUPPORT,
    "no protocol": _ERRNO | errno.EPROTONOSUPPORT,
    "kill": _KILL_PROCESS,
}
_AT_ONCE = 3
"""Numbers that are compared one after the other."""

_NEW_NAMESPACES = (
    CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET
)


def _argument(index: int) -> int:
    """Where the low half of an argument is, on the little-endian machines we know."""
    return _ARGUMENTS_OFFSET + 8 * index


class _Program:
    """Instructions that jump to names: each is of a place further on, at most 255 from there."""

    def __init__(self) -> None:
        self._instructions: list[tuple[int, int, str, str]] = []
        self._places: dict[str, int] = {}

    def name(self, name: str) -> None:
        self._places[name] = len(self._instructions)

    def add(self, code: int, value: int, *, if_true: str = "", if_false: str = "") -> None:
        """Where a comparison jumps; without a name the next instruction follows."""
        self._instructions.append((code, value, if_true, if_false))

    def packed(self) -> bytes:
        return b"".join(
            struct.pack("<HBBI", code, self._skipped(at, true), self._skipped(at, false), value)
            for at, (code, value, true, false) in enumerate(self._instructions)
        )

    def _skipped(self, at: int, name: str) -> int:
        return self._places[name] - at - 1 if name else 0


def build(machine: str = MACHINE, *, template: bool = False) -> bytes:
    """The filter for this machine, eight bytes an instruction.

    A call's number is searched for by halves: to install a filter, the kernel follows it for every
    call there is.

    `template`: for a process whose forks are to have namespaces of their own. It may make new ones
    with `clone`, which are empty, but no user namespace, and may enter none.
    """
    program = _Program()
    add = program.add
    # Another architecture's calls have other numbers: 32-bit programs do not run at all.
    add(_LOAD, _ARCHITECTURE_OFFSET)
    add(_JUMP_IF_EQUAL, _ARCHITECTURE[machine], if_false="kill")
    add(_LOAD, _NUMBER_OFFSET)
    if machine == "x86_64":
        add(_JUMP_IF_GREATER_OR_EQUAL, _X32_BIT, if_true="kill")
    _search(program, sorted(_known(machine, template=template).items()))
    if template:
        # A fork makes one when it is in its control group, which `clone` would be too early for.
        program.name("unshare")
        add(_LOAD, _argument(0))
        add(_JUMP_IF_EQUAL, CLONE_NEWCGROUP, if_true="allowed", if_false="refused")
    program.name("clone")
    add(_LOAD, _argument(0))
    made = CLONE_NEWUSER if template else _NEW_NAMESPACES
    add(_JUMP_IF_ANY_BIT, made, if_true="refused", if_false="allowed")
    # Only families whose sockets belong to the sandbox's own network: AF_VSOCK, for one, reaches
    # the hypervisor from inside any.
    program.name("socket")
    add(_LOAD, _argument(0))
    for family in _FAMILIES:
        add(_JUMP_IF_EQUAL, family, if_true="allowed")
    add(_JUMP_IF_EQUAL, _AF_NETLINK, if_false="no family")
    add(_LOAD, _argument(2))
    # getifaddrs needs it
    add(_JUMP_IF_EQUAL, _NETLINK_ROUTE, if_true="allowed", if_false="no protocol")
    for name, answer in _ANSWERS.items():
        program.name(name)
        add(_RETURN, answer)
    return program.packed()


def _known(machine: str, *, template: bool) -> dict[int, str]:
    """Calls that are not simply allowed: where to go on for each."""
    column = _COLUMN[machine]
    found = {numbers[column]: "refused" for numbers in DENIED.values()}
    if template:
        found[DENIED["unshare"][column]] = "unshare"
    # Its flags are in memory, where a filter cannot look; C libraries then use clone.
    found |= {_CLONE3: "unknown", _CLONE[machine]: "clone", _SOCKET[machine]: "socket"}
    return {number: name for number, name in found.items() if number is not None}


def _search(program: _Program, known: "list[tuple[int, str]]") -> None:
    """Go on where the call's number, which is loaded, is to."""
    if len(known) <= _AT_ONCE:
        *others, last = known
        for number, name in others:
            program.add(_JUMP_IF_EQUAL, number, if_true=name)
        program.add(_JUMP_IF_EQUAL, last[0], if_true=last[1], if_false="allowed")
        return
    middle = len(known) // 2
    first = known[middle][0]
    program.add(_JUMP_IF_GREATER_OR_EQUAL, first, if_true=f"from {first}")
    _search(program, known[:middle])
    program.name(f"from {first}")
    _search(program, known[middle:])
