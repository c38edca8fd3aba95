"""The keeper's program: one thread, one loop."""

import os
import select
import signal
import socket
import sys
from pathlib import Path

from lampyr.worker.network import linux
from lampyr.worker.network.keeper import protocol
from lampyr.worker.network.keeper.names import NameRelay, now
from lampyr.worker.network.keeper.router import Router
from lampyr.worker.network.netlink import LOOPBACK, Netlink


class Keeper:
    """Makes a network whenever it is told to, and answers for names in between."""

    def __init__(
        self,
        control: socket.socket,
        endpoint_port: int,
        resolv_conf: Path,
        router: Router | None,
    ) -> None:
        self._control = control
        self._endpoint_port = endpoint_port
        self._resolv_conf = resolv_conf
        self._router = router
        self._home = linux.current_network()
        self._poll = select.poll()
        self._names: NameRelay | None = None

    def run(self) -> None:
        """Until Lampyr says so, or is gone."""
        self._poll.register(self._control, select.POLLIN)
        if self._router:
            self._poll.register(self._router.changes.socket, select.POLLIN)
            self._names = NameRelay(*self._router.name_sockets(), self._poll, self._resolv_conf)
        while True:
            wait = self._names.expire(now()) if self._names else None
            for descriptor, _ in self._poll.poll(None if wait is None else wait * 1000 + 1):
                if descriptor == self._control.fileno():
                    if not self._obey():
                        return
                elif self._router and descriptor == self._router.changes.socket.fileno():
                    self._router.follow_changes()
                elif self._names:
                    self._names.ready(descriptor, now())

    def _obey(self) -> bool:
        """Do what one message asks; false when it was the last."""
        data, given, _, _ = socket.recv_fds(
            self._control, protocol.MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
        )
        verb, _, argument = data.decode().partition(" ")
        if verb == protocol.CONNECT:
            reason = self._connect(int(argument), given[0])
            self._control.send(f"{protocol.CONNECTED} {argument} {reason}".encode())
            return True
        if verb != protocol.MAKE:
            return False
        index = int(argument)
        try:
            descriptors = self._make(index)
        except OSError as error:
            self._control.send(f"{protocol.FAILED} {index} {error}".encode())
            return True
        try:
            send(self._control, f"{protocol.SLOT} {index}", descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _connect(self, index: int, namespace: int) -> str:
        """Why that was not possible, or nothing."""
        try:
            with linux.inside(namespace, self._home), Netlink() as inside, inside.together():
                if self._router:
                    self._router.connect(index, namespace, inside)
        except OSError as error:
            return str(error)
        finally:
            os.close(namespace)
        return ""

    def _make(self, index: int) -> list[int]:
        """Descriptors of a new namespace and of the listeners in it."""
        made: list[int] = []
        linux.unshare(linux.CLONE_NEWNET)
        try:
            made.append(linux.current_network())
            with Netlink() as inside, inside.together():
                inside.set_up(LOOPBACK)
                if self._router:
                    self._router.connect(index, made[0], inside)
            made.append(listen(protocol.RUNTIME_API_PORT))
            made.append(listen_locally(protocol.LOCAL_RUNTIME_API))
            if self._endpoint_port:
                made.append(listen(self._endpoint_port))
        except OSError:
            for descriptor in made:
                os.close(descriptor)
            raise
        finally:
            linux.enter(self._home)
        return made


def listen(port: int) -> int:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener.detach()


def listen_locally(address: str) -> int:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener.detach()


def send(control: socket.socket, message: str, descriptors: list[int]) -> None:
    socket.send_fds(control, [message.encode()], descriptors)


def main(arguments: list[str]) -> None:
    """Run a keeper.

    Arguments: control descriptor, instance, endpoint port or 0, shared directory, file that
    names the host's name servers, `router` or `-`, descriptor of a router to go on with or -1.
    """
    descriptor, instance, port, shared_dir, resolv_conf, routed, namespace = arguments
    # Ctrl-C reaches the whole terminal; Lampyr decides when its keeper ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control = socket.socket(fileno=int(descriptor))
    router = (
        Router(instance, linux.current_network(), Path(shared_dir)) if routed == "router" else None
    )
    try:
        kept: list[int] = []
        if router:
            if int(namespace) >= 0:
                router.adopt(int(namespace))
            else:
                router.build()
            kept = [router.namespace, *router.host_rules_descriptors]
        keeper = Keeper(control, int(port), Path(resolv_conf), router)
        send(control, protocol.READY, kept)
        keeper.run()
    except (BrokenPipeError, ConnectionResetError):
        pass  # Lampyr is gone.
    except OSError as error:
        send(control, f"{protocol.BROKEN} {error}", [])
    finally:
        if router:
            router.remove()


if __name__ == "__main__":
    main(sys.argv[1:])
