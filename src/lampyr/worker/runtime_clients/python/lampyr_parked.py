"""A process that waits to be told for which function it was started, and is ready by then.

Memory that a fork shares with its template is copied page by page as it is first used, which takes
longer than the work itself. So while it waits it does once what every function's start does, with a
Runtime API of its own. Nothing stays of that but warm memory. A template does it, too: what Python
notes of code that runs for the first time is noted by then, and forks need not copy it.

Works on Python 3.10 to 3.14.
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

# ruff: noqa: PLC0415 - what is imported, and when, is what this module is about

import json
import os
import sys

TYPE_CHECKING = False  # The module `typing` would have to be loaded.

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "_LAMPYR_PARKED"
"""Only where a process is to wait."""
_SDK = "sdk"
"""Of the variable, where the function is likely to make a client of the AWS SDK."""
_MODULE = "lampyr_rehearsal"
_DIRECTORY = os.path.dirname(__file__)  # noqa: PTH120 - `pathlib` would have to be loaded
_LOG = "_LAMBDA_TELEMETRY_LOG_FD"
_VARIABLES = {
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "LAMBDA_TASK_ROOT": _DIRECTORY,
    "_HANDLER": f"{_MODULE}.handler",
}
_EVENT = b'{"rehearsal": [1, 2.5, "three", null]}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: rehearsal\r\n"
    b"Lambda-Runtime-Trace-Id: Root=1-00000000-000000000000000000000000\r\n"
    b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\n"
    b"Lambda-Runtime-Deadline-Ms: 4102444800000\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_EVENT), _EVENT)
)


def wait(rehearsal: "Callable[[], None]") -> None:
    """Return when the environment is that of the function."""
    kind = os.environ.pop(VARIABLE)
    rehearsal()
    if kind == _SDK and "boto3" in sys.modules:
        _rehearse_sdk()
    told = b""
    while data := os.read(0, 65536):
        told += data
    if not told:  # Lampyr is gone, or wants it no longer.
        os._exit(0)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    _set(json.loads(told))
    os.chdir("/var/task")


def _set(variables: dict[str, str]) -> None:
    # Where the host lacks the locale that LANG names, Python has chosen another and says so here.
    locale = os.environ.get("LC_CTYPE")
    os.environ.clear()
    os.environ.update(variables)
    if locale is not None:
        os.environ["LC_CTYPE"] = locale


class _OverError(BaseException):
    """Nobody is there any more."""


def rehearse(start: "Callable[[], None]") -> None:
    """Have a function started, which takes an event and answers it; then all is as it was.

    `start` serves the function that the environment tells of.
    """
    import _socket

    import runtime_client  # type: ignore[import-not-found]

    platform, function = _socket.socketpair()
    ways = [function]

    def way() -> object:
        if not ways:
            raise _OverError
        return ways.pop()

    left = _Left()
    log = {_LOG: str(os.dup(1))}  # Closed at the end, as the descriptor that is named there.
    _set({**left.variables, **_VARIABLES, **log})
    runtime_client._client = runtime_client._Client()
    runtime_client._local = way
    finder = sys.path_importer_cache.get(_DIRECTORY)
    if finder is not None:
        finder.invalidate_caches()  # type: ignore[attr-defined]
    platform.send(_ANSWER)
    platform.shutdown(_socket.SHUT_WR)
    try:
        start()
    except _OverError:
        pass
    finally:
        platform.close()
        function.close()
        left.put_back()


class _Left:
    """What the start of a function changes, as it was."""

    def __init__(self) -> None:
        import logging

        import runtime_client
        from awslambdaric import bootstrap  # type: ignore[import-untyped]

        self.variables = dict(os.environ)
        self._path = sys.path[:]
        self._streams = sys.stdout, sys.stderr
        self._converter = logging.Formatter.converter
        self._modules = (runtime_client, bootstrap)
        self._names = [dict(vars(module)) for module in self._modules]

    def put_back(self) -> None:
        import logging

        _set(self.variables)
        sys.path[:] = self._path
        sys.stdout, sys.stderr = self._streams
        logging.Formatter.converter = self._converter
        logging.getLogger().handlers.clear()
        for module, names in zip(self._modules, self._names, strict=True):
            for name, value in names.items():
                if getattr(module, name) is not value:
                    setattr(module, name, value)
        sys.modules.pop(_MODULE, None)


def _rehearse_sdk() -> None:
    import boto3

    nobody = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    boto3.Session(**nobody).client("s3")
