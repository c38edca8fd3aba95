"""What Lampyr takes of the host: its address, and as many descriptors as there may be."""

import resource
import socket

from lampyr.api.server import BACKLOG


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; bound first, since sandboxes are told the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def raise_open_files() -> None:
    """Each environment holds several descriptors: take as many as the host allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
