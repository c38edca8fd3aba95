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
    def __init__(self) -> None:
        self.instructions: list[bytes] = []

    def add(self, code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> None:
        """A jump says how many instructions to skip when its comparison is true or false."""
        self.instructions.append(struct.pack("<HBBI", code, if_true, if_false, value))


def build(machine: str = MACHINE, *, template: bool = False) -> bytes:
    """The filter for this machine, eight bytes an instruction.

    `template`: for a process whose forks are to have namespaces of their own. It may make new ones
    with `clone`, which are empty, but no user namespace, and may enter none.
    """
    program = _Program()
    add = program.add
    # Another architecture's calls have other numbers: 32-bit programs do not run at all.
    add(_LOAD, _ARCHITECTURE_OFFSET)
    add(_JUMP_IF_EQUAL, _ARCHITECTURE[machine], if_true=1)
    add(_RETURN, _KILL_PROCESS)
    add(_LOAD, _NUMBER_OFFSET)
    if machine == "x86_64":
        add(_JUMP_IF_GREATER_OR_EQUAL, _X32_BIT, if_false=1)
        add(_RETURN, _KILL_PROCESS)
    if template:
        _allow_cgroup_namespace(program, machine)
    for numbers in DENIED.values():
        number = numbers[_COLUMN[machine]]
        if number is not None:
            add(_JUMP_IF_EQUAL, number, if_false=1)
            add(_RETURN, _ERRNO | errno.EPERM)
    # Its flags are in memory, where a filter cannot look; C libraries then use clone.
    add(_JUMP_IF_EQUAL, _CLONE3, if_false=1)
    add(_RETURN, _ERRNO | errno.ENOSYS)
    add(_JUMP_IF_EQUAL, _CLONE[machine], if_false=4)
    add(_LOAD, _argument(0))
    add(_JUMP_IF_ANY_BIT, CLONE_NEWUSER if template else _NEW_NAMESPACES, if_false=1)
    add(_RETURN, _ERRNO | errno.EPERM)
    add(_RETURN, _ALLOW)
    _add_socket_rules(program, machine)
    add(_RETURN, _ALLOW)
    return b"".join(program.instructions)


def _allow_cgroup_namespace(program: _Program, machine: str) -> None:
    """A fork makes one when it is in its control group, which `clone` would be too early for."""
    add = program.add
    number = DENIED["unshare"][_COLUMN[machine]]
    if number is None:
        raise ValueError(machine)
    add(_JUMP_IF_EQUAL, number, if_false=4)
    add(_LOAD, _argument(0))
    add(_JUMP_IF_EQUAL, CLONE_NEWCGROUP, if_false=1)
    add(_RETURN, _ALLOW)
    add(_RETURN, _ERRNO | errno.EPERM)


def _add_socket_rules(program: _Program, machine: str) -> None:
    """Only families whose sockets belong to the sandbox's own network.

    AF_VSOCK, for one, reaches the hypervisor from inside any network namespace.
    """
    add = program.add
    add(_JUMP_IF_EQUAL, _SOCKET[machine], if_false=len(_FAMILIES) * 2 + 7)
    add(_LOAD, _argument(0))
    for family in _FAMILIES:
        add(_JUMP_IF_EQUAL, family, if_false=1)
        add(_RETURN, _ALLOW)
    add(_JUMP_IF_EQUAL, _AF_NETLINK, if_true=1)
    add(_RETURN, _ERRNO | errno.EAFNOSUPPORT)
    add(_LOAD, _argument(2))
    add(_JUMP_IF_EQUAL, _NETLINK_ROUTE, if_false=1)  # getifaddrs needs it
    add(_RETURN, _ALLOW)
    add(_RETURN, _ERRNO | errno.EPROTONOSUPPORT)
