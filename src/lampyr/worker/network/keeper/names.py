"""The name server that sandboxes see: passes each question on to the host's own servers.

So a function's names are the host's names, whether the host asks a server on its loopback
(systemd-resolved, dnsmasq, Docker's 127.0.0.11), on one of its own addresses, over IPv6 or
elsewhere; and they stay so when the host moves to another network. Messages are not
interpreted, except for the id and, to say that no server answers, the question.
"""

import contextlib
import select
import socket
import time
from pathlib import Path
from typing import Final

from lampyr.worker.network.files import nameservers

QUESTIONS_MAX: Final = 512
CONNECTIONS_MAX: Final = 64
PATIENCE_SECONDS: Final = 2.0
"""For one server's answer; then the next is asked."""
IDLE_SECONDS: Final = 10.0
_HEADER_BYTES: Final = 12
_MESSAGE_MAX: Final = 65_535
_CHUNK: Final = 65_536


class _Question:
    __slots__ = ("asked", "client", "message", "servers", "until")

    def __init__(
        self, message: bytes, client: tuple[str, int], servers: list[str], until: float
    ) -> None:
        self.message, self.client, self.servers, self.until = message, client, servers, until


class NameRelay:
    """Its sockets are in the poll of the keeper's loop, which calls `ready` and `expire`."""

    def __init__(
        self, udp: socket.socket, tcp: socket.socket, poll: select.poll, resolv_conf: Path
    ) -> None:
        self._udp, self._tcp, self._poll, self._path = udp, tcp, poll, resolv_conf
        self._questions: dict[int, tuple[socket.socket, _Question]] = {}
        self._connections: dict[int, _Connection] = {}
        self._version: tuple[int, int] | None = None
        self._servers: tuple[str, ...] = ()
        poll.register(udp, select.POLLIN)
        poll.register(tcp, select.POLLIN)

    def ready(self, descriptor: int, now: float) -> None:
        if descriptor == self._udp.fileno():
            self._receive(now)
        elif descriptor == self._tcp.fileno():
            self._accept(now)
        elif descriptor in self._questions:
            self._answer(descriptor, now)
        elif descriptor in self._connections:
            self._pump(self._connections[descriptor], descriptor, now)

    def expire(self, now: float) -> float | None:
        """Give up what waited too long; answer how many seconds the next may wait."""
        while self._questions:  # In the order in which they were asked.
            descriptor, (_, question) = next(iter(self._questions.items()))
            if question.until > now:
                break
            self._ask_next(descriptor, now)
        for connection in {*self._connections.values()}:
            if connection.until <= now:
                self._drop(connection)
        waiting = [question.until for _, question in self._questions.values()][:1]
        waiting += [connection.until for connection in self._connections.values()]
        return max(0.0, min(waiting) - now) if waiting else None

    def _receive(self, now: float) -> None:
        try:
            message, client = self._udp.recvfrom(_MESSAGE_MAX)
        except OSError:  # Taken back between poll and read, or an error of an earlier answer.
            return
        if len(message) >= _HEADER_BYTES:
            if len(self._questions) >= QUESTIONS_MAX:
                self._forget(next(iter(self._questions)))
            self._ask(_Question(message, client, list(self._current_servers()), now), now)

    def _ask(self, question: _Question, now: float) -> None:
        """Ask the first server that a packet can be sent to; with none, say so."""
        while question.servers:
            server = question.servers.pop(0)
            upstream = _socket(server, socket.SOCK_DGRAM)
            try:
                upstream.connect(_address(server))
                upstream.send(question.message)
            except OSError:
                upstream.close()
                continue
            question.until = now + PATIENCE_SECONDS
            self._questions[upstream.fileno()] = (upstream, question)
            self._poll.register(upstream, select.POLLIN)
            return
        self._reply(failure(question.message), question.client)

    def _ask_next(self, descriptor: int, now: float) -> None:
        question = self._forget(descriptor)
        self._ask(question, now)

    def _answer(self, descriptor: int, now: float) -> None:
        upstream, question = self._questions[descriptor]
        try:
            message = upstream.recv(_MESSAGE_MAX)
        except BlockingIOError:
            return
        except OSError:  # Nobody listens there.
            self._ask_next(descriptor, now)
            return
        if message[:2] == question.message[:2]:
            self._forget(descriptor)
            self._reply(message, question.client)

    def _reply(self, message: bytes, client: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):  # The sandbox is gone.
            self._udp.sendto(message, client)

    def _forget(self, descriptor: int) -> _Question:
        upstream, question = self._questions.pop(descriptor)
        self._poll.unregister(upstream)
        upstream.close()
        return question

    def _current_servers(self) -> tuple[str, ...]:
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_ino)
            if version != self._version:
                self._servers = nameservers(self._path.read_text(errors="replace"))
                self._version = version
        except OSError:  # Being replaced, or there is none.
            self._servers = self._servers or nameservers("")
        return self._servers

    def _accept(self, now: float) -> None:
        try:
            client, _ = self._tcp.accept()
        except OSError:
            return
        servers = self._current_servers()
        if len(self._connections) >= 2 * CONNECTIONS_MAX:
            client.close()
            return
        client.setblocking(False)
        upstream = _socket(servers[0], socket.SOCK_STREAM)
        connection = _Connection(client, upstream, now + IDLE_SECONDS)
        upstream.connect_ex(_address(servers[0]))
        for end in (client, upstream):
            self._connections[end.fileno()] = connection
        # The question is read once there is somewhere to write it to.
        self._poll.register(upstream, select.POLLOUT)

    def _pump(self, connection: "_Connection", descriptor: int, now: float) -> None:
        """Move what one end sent to the other; a full buffer there ends the connection."""
        client, upstream = connection.client, connection.upstream
        try:
            if not connection.connected:
                upstream.send(b"")  # Raises what connecting came to.
                connection.connected = True
                self._poll.modify(upstream, select.POLLIN)
                self._poll.register(client, select.POLLIN)
                return
            source, sink = (
                (client, upstream) if descriptor == client.fileno() else (upstream, client)
            )
            data = source.recv(_CHUNK)
            if data and sink.send(data) == len(data):
                connection.until = now + IDLE_SECONDS
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._drop(connection)

    def _drop(self, connection: "_Connection") -> None:
        for end in (connection.client, connection.upstream):
            del self._connections[end.fileno()]
            with contextlib.suppress(KeyError):  # The client, before the server has answered.
                self._poll.unregister(end)
            end.close()


class _Connection:
    __slots__ = ("client", "connected", "until", "upstream")

    def __init__(self, client: socket.socket, upstream: socket.socket, until: float) -> None:
        self.client, self.upstream, self.until = client, upstream, until
        self.connected = False


def failure(question: bytes) -> bytes:
    """SERVFAIL for a question, so that a resolver need not wait to learn it."""
    end = _HEADER_BYTES
    while end < len(question) and question[end]:
        end += 1 + question[end]
    asked = question[_HEADER_BYTES : end + 5]
    flags = bytes((0x80 | (question[2] & 0x79), 0x80 | 2))
    return question[:2] + flags + b"\0\1\0\0\0\0\0\0" + asked


def now() -> float:
    return time.monotonic()


def _socket(server: str, kind: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    opened = socket.socket(family, kind)
    opened.setblocking(False)
    return opened


def _address(server: str) -> tuple[str, int] | tuple[str, int, int, int]:
    address, _, zone = server.partition("%")
    if not zone:
        return server, 53
    return address, 53, 0, socket.if_nametoindex(zone)
