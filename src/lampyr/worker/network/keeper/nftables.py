"""libnftables, by ctypes: rules are loaded without a process, and owned by a socket we hold.

A table with `flags owner` belongs to the netlink socket that made it: nobody else can change
it, `nft flush ruleset` passes it by, and the kernel removes it when the last descriptor of that
socket is closed, however its process ended. https://wiki.nftables.org (Configuring tables)
"""

import contextlib
import ctypes
from pathlib import Path
from typing import Final

LIBRARY: Final = "libnftables.so.1"


class Nftables:
    """Runs nft's own language in the network namespace that it is made in."""

    def __init__(self) -> None:
        self._library = library = ctypes.CDLL(LIBRARY)
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        before = _descriptors()
        self._context = ctypes.c_void_p(library.nft_ctx_new(0))
        if self._context.value is None:
            raise OSError("libnftables could not be started")
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)
        self.run("list tables")  # By now every version has opened its socket.
        self.descriptors = sorted(_descriptors() - before)

    def run(self, commands: str) -> str:
        """What nft prints; raise `OSError` with nft's own words when it refuses."""
        self._library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        if self._library.nft_run_cmd_from_buffer(self._context, commands.encode()):
            said = self._library.nft_ctx_get_error_buffer(self._context) or b""
            raise OSError(f"nft: {said.decode(errors='replace').strip()}")
        return (self._library.nft_ctx_get_output_buffer(self._context) or b"").decode()

    def close(self) -> None:
        if self._context.value is not None:
            self._library.nft_ctx_free(self._context)
            self._context = ctypes.c_void_p(None)


def _descriptors() -> set[int]:
    """The descriptors that are sockets."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # The listing's own descriptor.
            if str(path.readlink()).startswith("socket:"):
                found.add(int(path.name))
    return found
