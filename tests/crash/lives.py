"""Callers that create, change, publish and invoke functions, and remember what was acknowledged."""

import base64
import hashlib
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import BotoCoreError

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import PYTHON, ROLE, value, zipped
from tests.crash.anatomy import eventually

SOURCE: Final = "MARK = {mark!r}\ndef handler(event, context):\n    print(MARK)\n    return MARK\n"


def package(mark: str) -> bytes:
    return zipped({"app.py": SOURCE.format(mark=mark)})


def sha256_of(mark: str) -> str:
    return base64.b64encode(hashlib.sha256(package(mark)).digest()).decode()


@dataclass
class Known:
    """A function, as its only caller knows it."""

    name: str
    marks: list[str] = field(default_factory=list)
    """What `$LATEST` may be: the last that was acknowledged, then what was asked for since."""
    created: bool = False
    published: dict[str, str] = field(default_factory=dict)
    """Acknowledged versions and what they answer."""

    @contextmanager
    def changing(self, mark: str) -> Iterator[None]:
        self.marks.append(mark)
        yield
        self.marks = [mark]  # Acknowledged.


class Lives:
    """A few callers at once; `acknowledged` counts what the server said yes to."""

    def __init__(self, server: LampyrServer, callers: int) -> None:
        self._client = server.client()
        self.known: list[Known] = []
        self.acknowledged = 0
        self.wrong: list[BaseException] = []
        self.dead = threading.Event()
        self._threads = [
            threading.Thread(target=self._live, args=(number,)) for number in range(callers)
        ]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """After the server's death: nobody hangs, and nobody was told anything wrong before."""
        self.dead.set()
        for thread in self._threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in self._threads), "a caller hangs"
        assert not self.wrong, self.wrong
        self._client.close()

    def _live(self, caller: int) -> None:
        number = 0
        try:
            while not self.dead.is_set():
                self._one(Known(f"life-{caller}-{number}"))
                number += 1
        except (BotoCoreError, ConnectionError) as error:  # The server was killed, or:
            if not self.dead.wait(5):
                self.wrong.append(error)
        except BaseException as error:  # noqa: BLE001 - for the main thread to raise
            self.wrong.append(error)

    def _said_yes(self) -> None:
        self.acknowledged += 1

    def _one(self, known: Known) -> None:
        client, name = self._client, known.name
        self.known.append(known)
        with known.changing(f"{name}-a"):
            create(client, known)
        known.created = True
        self._said_yes()
        settled(client, name)
        assert value(client, name) == known.marks[-1]
        self._said_yes()
        with known.changing(f"{name}-b"):
            client.update_function_code(FunctionName=name, ZipFile=package(f"{name}-b"))
        self._said_yes()
        settled(client, name)
        self._publish(known)
        client.update_function_configuration(FunctionName=name, MemorySize=256)
        self._said_yes()
        settled(client, name)
        self._publish(known)
        assert value(client, f"{name}:1") == known.published["1"]
        self._said_yes()

    def _publish(self, known: Known) -> None:
        version = self._client.publish_version(FunctionName=known.name)["Version"]
        known.published[version] = known.marks[-1]
        self._said_yes()


def create(client: Any, known: Known) -> None:
    client.create_function(
        FunctionName=known.name,
        Runtime=PYTHON,
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": package(known.marks[-1])},
    )


def settled(client: Any, name: str) -> Any:
    """The configuration, once nothing is in progress."""

    def look() -> Any:
        now = client.get_function_configuration(FunctionName=name)
        busy = now["State"] == "Pending" or now["LastUpdateStatus"] == "InProgress"
        return None if busy else now

    return eventually(f"{name} settles", look)


def check_whole(client: Any, known: Known) -> None:
    """Nothing acknowledged is lost, nothing is half there, and it works."""
    name = known.name
    try:
        client.get_function_configuration(FunctionName=name)
    except client.exceptions.ResourceNotFoundException:
        assert not known.created, f"{name} is lost"
        return
    state = settled(client, name)
    assert (state["State"], state["LastUpdateStatus"]) == ("Active", "Successful"), state
    marks = {sha256_of(mark): mark for mark in known.marks}
    assert state["CodeSha256"] in marks, f"{name} is not what was acknowledged"
    check_package(client, name, marks[state["CodeSha256"]])
    assert value(client, name) == marks[state["CodeSha256"]]
    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    found = {each["Version"] for each in versions} - {"$LATEST"}
    assert set(known.published) <= found, f"a version of {name} is lost"
    assert len(found - set(known.published)) <= 1, "the one that was asked for as it was killed"
    for version, mark in known.published.items():
        assert settled(client, f"{name}:{version}")["State"] == "Active"
        check_package(client, f"{name}:{version}", mark)
        assert value(client, f"{name}:{version}") == mark


def check_package(client: Any, name: str, mark: str) -> None:
    function = client.get_function(FunctionName=name)
    assert function["Configuration"]["CodeSha256"] == sha256_of(mark)
    with urllib.request.urlopen(function["Code"]["Location"], timeout=10) as answer:
        assert answer.read() == package(mark)


def in_background(call: Callable[[], Any]) -> "Later":
    return Later(call)


class Later:
    """A call in a thread: its result or its error, within a time in which nothing may hang."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._result: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - for whoever waits
            self._result = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self, seconds: float = 20) -> Any:
        """What the call returned or raised."""
        self._thread.join(seconds)
        assert self.done, "the caller hangs"
        return self._result
