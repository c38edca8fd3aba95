"""Packets with descriptors that no executed program inherits."""

import array
import socket

PACKET_BYTES = 1 << 18
_DESCRIPTORS_MAX = 8
_INT = array.array("i").itemsize


def receive(end: socket.socket) -> tuple[bytes, list[int]]:
    """The next packet. `socket.recv_fds` would drop the flag that this is about."""
    data, controls, _, _ = end.recvmsg(
        PACKET_BYTES, socket.CMSG_LEN(_DESCRIPTORS_MAX * _INT), socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array.array("i")
    for level, kind, content in controls:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % _INT])
    return data, descriptors.tolist()
