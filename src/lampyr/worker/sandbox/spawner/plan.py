"""What the server asks the spawner for, as read from its messages."""

import os


class Config:
    """What is the same for every sandbox of one spawner."""

    def __init__(self, message: "dict[str, object]") -> None:
        self.root = str(message["root"])
        """The directory whose contents every sandbox sees as `/`, before anything is mounted."""
        self.empty = str(message["empty"])
        """An empty directory, to mount over what is not to be seen."""
        self.records = str(message["records"]) if message["records"] else None
        """Where to note live sandboxes when there is no control group to find them by."""
        self.shared = _pairs(message["shared"])
        """Directories of the host that every sandbox sees: (target, source)."""
        self.masked = _strings(message["masked"])
        """Directories among those that are shown empty."""
        cgroups = message["cgroups"]
        self.cgroups = cgroups if isinstance(cgroups, dict) else None
        """As `cgroups.describe` put it."""
        self.as_root = bool(message["as_root"])
        """Whether Lampyr is root, really: not only in a user namespace of its own."""


class Start:
    """One sandbox to be started."""

    def __init__(self, message: "dict[str, object]", descriptors: "list[int]") -> None:
        self.id = str(message["id"])
        self.argv = _strings(message["argv"])
        self.variables = dict(_pairs(message["variables"]))
        self.mounts = _pairs(message["mounts"])
        self.layers = _strings(message["layers"])
        self.files = _pairs(message["files"])
        self.cwd = str(message["cwd"])
        self.hostname = str(message["hostname"])
        self.uid = _integer(message["uid"])
        self.gid = _integer(message["gid"])
        """On the host; inside they are `INSIDE_UID` and `INSIDE_GID`."""
        self.tmp_bytes = _integer(message["tmp_bytes"])
        self.tmp_device = str(message["tmp_device"]) if message["tmp_device"] else None
        self.memory_bytes = _integer(message["memory_bytes"])
        """Of the control group."""
        self.shm_bytes = _integer(message["shm_bytes"])
        self.processes = _integer(message["processes"])
        self.rlimits = [(name, _integer(value)) for name, value in _pairs(message["rlimits"])]
        self.ports = [_integer(port) for port in _strings(message["ports"])]
        """Where to listen on the loopback of a network of its own: first for the Runtime API."""
        self.local = str(message["local"])
        """An abstract address of AF_UNIX, to listen on for the Runtime API as well."""
        self.waits = bool(message["waits"])
        """Whether to wait for a word that this network is connected."""
        self.origin = bool(message.get("origin"))
        """Whether its process is to be forked: see `origins`."""
        self.report, self.output, self.telemetry, *more = descriptors
        self.stdin = more.pop() if message.get("stdin") else None
        """What it reads; nothing without."""
        self.network = more[0] if more else None

    def close(self) -> None:
        """Close what came with the message."""
        for fd in (self.report, self.output, self.telemetry, self.network, self.stdin):
            if fd is not None:
                os.close(fd)


class Template:
    """A process to be kept, from which sandboxes are forked."""

    def __init__(self, message: "dict[str, object]") -> None:
        self.name = str(message["template"])
        self.argv = _strings(message["argv"])
        self.variables = dict(_pairs(message["variables"]))
        self.mounts = _pairs(message["mounts"])
        self.config = message["config"]
        """As the spawner has got it."""


class Furnish:
    """What is to be mounted in a sandbox that waits."""

    def __init__(self, message: "dict[str, object]") -> None:
        self.id = str(message["furnish"])
        self.mounts = _pairs(message["mounts"])


INSIDE_UID = 993
INSIDE_GID = 990


def _strings(value: object) -> "list[str]":
    if not isinstance(value, list):
        raise TypeError(f"not a list: {value!r}")
    return [str(item) for item in value]


def _pairs(value: object) -> "list[tuple[str, str]]":
    if not isinstance(value, list):
        raise TypeError(f"not a list: {value!r}")
    return [(str(first), str(second)) for first, second in value]


def _integer(value: object) -> int:
    return int(str(value))
