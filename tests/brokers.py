"""Message brokers of the tests' own: RabbitMQ and ActiveMQ from Debian's packages, on loopback."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

START_SECONDS: Final = 240.0
STOP_SECONDS: Final = 20.0
RABBITMQ: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
ACTIVEMQ: Final = Path("/usr/share/activemq/lib")
USER: Final = "reader"
PASSWORD: Final = "a secret/word@here"
VIRTUAL_HOST: Final = "tests/here"


def missing() -> str | None:
    """Why brokers cannot be started; None when they can."""
    if not RABBITMQ.exists() or shutil.which("epmd") is None:
        return "rabbitmq-server is not installed"
    if not (ACTIVEMQ / "activemq-broker.jar").exists() or shutil.which("java") is None:
        return "activemq is not installed"
    return None


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class _Server:
    """Processes of an ordinary user in a directory of their own."""

    def __init__(self, user: str) -> None:
        # Not below pytest's own directory, which only root may enter: the server is not root.
        self.root = Path(tempfile.mkdtemp(prefix=f"lampyr-test-{user}-"))
        self.port = free_port()
        self._who: dict[str, Any] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        if os.geteuid() == 0:
            record = pwd.getpwnam(user)
            os.chown(self.root, record.pw_uid, record.pw_gid)
            self._who = {"user": record.pw_uid, "group": record.pw_gid, "extra_groups": []}

    def wait(self) -> None:
        """Until it listens."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            ended = [p.args for p in self._processes if p.poll() is not None]
            assert not ended, f"{ended}: {self._told()}"
            assert time.monotonic() < deadline, f"it does not start: {self._told()}"
            time.sleep(0.05)

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.root)

    def run(self, *command: str, **variables: str) -> None:
        with (self.root / "log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.root,
                    env={"PATH": os.environ["PATH"], "HOME": str(self.root), **variables},
                    **self._who,
                )
            )

    def _told(self) -> str:
        return (self.root / "log").read_text(errors="replace")[-2_000:]


class RabbitMq(_Server):
    """One virtual host and one user, of odd names."""

    def __init__(self) -> None:
        super().__init__("rabbitmq")
        names = str(free_port())
        # It would start one as a daemon, and leave it behind.
        epmd = {"ERL_EPMD_PORT": names, "ERL_EPMD_ADDRESS": "127.0.0.1"}
        self.run("epmd", "-port", names, "-relaxed_command_check", **epmd)
        (self.root / "rabbitmq.conf").write_text(
            f"default_vhost = {VIRTUAL_HOST}\ndefault_user = {USER}\ndefault_pass = {PASSWORD}\n"
            "loopback_users = none\n"
        )
        self.run(
            str(RABBITMQ),
            RABBITMQ_NODENAME=f"lampyr-{names}@localhost",
            RABBITMQ_NODE_IP_ADDRESS="127.0.0.1",
            RABBITMQ_NODE_PORT=str(self.port),
            RABBITMQ_DIST_PORT=str(free_port()),
            RABBITMQ_MNESIA_BASE=str(self.root / "data"),
            RABBITMQ_LOG_BASE=str(self.root / "logs"),
            RABBITMQ_LOGS="-",
            RABBITMQ_ENABLED_PLUGINS_FILE=str(self.root / "plugins"),
            RABBITMQ_CONFIG_FILE=str(self.root / "rabbitmq.conf"),
            RABBITMQ_CONF_ENV_FILE=str(self.root / "none"),
            RABBITMQ_GENERATED_CONFIG_DIR=str(self.root / "made"),
            # A broker that waits leaves the processor to others.
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +S 1:1",
            **epmd,
        )


class ActiveMq(_Server):
    """In memory; it takes everybody in."""

    def __init__(self) -> None:
        super().__init__("activemq")
        self.run(
            "java",
            *("-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"),
            *(f"-Djava.io.tmpdir={self.root}", "-XX:-UsePerfData"),
            *(f"-Dactivemq.home={ACTIVEMQ.parent}", f"-Dactivemq.base={self.root}"),
            *("-cp", f"{ACTIVEMQ}/*:{ACTIVEMQ}/optional/*"),
            *("org.apache.activemq.console.Main", "start"),
            f"broker:(stomp://127.0.0.1:{self.port})/tests?persistent=false&useJmx=false",
        )
