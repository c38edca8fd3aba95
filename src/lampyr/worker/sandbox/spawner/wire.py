"""Packets with descriptors that no executed program inherits."""

import socket
import struct

PACKET_BYTES = 1 << 18
_DESCRIPTORS_MAX = 8
INT = struct.Struct("i")
_ROOM = socket.CMSG_LEN(_DESCRIPTORS_MAX * INT.size)
_buffer = bytearray(PACKET_BYTES)
"""Kept: to ask for so much memory for each packet is to ask the kernel for it, three times."""


def receive(end: socket.socket) -> tuple[bytes, list[int]]:
    """The next packet. `socket.recv_fds` would drop the flag that this is about."""
    size, controls, _, _ = end.recvmsg_into([_buffer], _ROOM, socket.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for level, kind, content in controls:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors += struct.unpack_from(f"{len(content) // INT.size}i", content)
    return bytes(memoryview(_buffer)[:size]), descriptors
