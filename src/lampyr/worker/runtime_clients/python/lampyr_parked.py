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

VARIABLE = "_LAMPYR_PARKED"
"""Only where a process is to wait."""
_SDK = "sdk"
"""Of the variable, where the function is likely to make a client of the AWS SDK."""
_ADDRESS = "127.0.0.1:0"
"""Nobody's: a pair of sockets is there already."""
_EVENT = b'{"rehearsal": [1, 2.5, "three", null]}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: rehearsal\r\n"
    b"Lambda-Runtime-Trace-Id: Root=1-00000000-000000000000000000000000\r\n"
    b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\n"
    b"Lambda-Runtime-Deadline-Ms: 4102444800000\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_EVENT), _EVENT)
)


def wait() -> None:
    """Return when the environment is that of the function."""
    kind = os.environ.pop(VARIABLE)
    rehearse()
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


def rehearse() -> None:
    """Load a handler, take an event, answer it."""
    import _socket

    import runtime_client  # type: ignore[import-not-found]
    from awslambdaric import bootstrap, lambda_runtime_client  # type: ignore[import-untyped]

    client, remote = runtime_client._client, runtime_client._remote
    platform, function = _socket.socketpair()
    before = dict(os.environ)
    _set({**before, "AWS_LAMBDA_RUNTIME_API": _ADDRESS})
    runtime_client._client = runtime_client._Client()
    runtime_client._remote = lambda _host, _port: function
    try:
        handler = bootstrap._get_handler("lampyr_rehearsal.handler")
        platform.send(_ANSWER)
        waits = lambda_runtime_client.LambdaRuntimeClient(_ADDRESS)
        event = waits.wait_next_invocation()
        bootstrap.update_xray_env_variable(event.x_amzn_trace_id)
        bootstrap.handle_event_request(
            waits, handler, event.invoke_id, event.event_body, event.content_type, None, None,
            event.invoked_function_arn, event.deadline_time_in_ms, None, None,
        )  # fmt: skip
        runtime_client._client._disconnect()
    finally:
        platform.close()
        function.close()
        runtime_client._client, runtime_client._remote = client, remote
        del sys.modules["lampyr_rehearsal"]
        _set(before)


def _rehearse_sdk() -> None:
    import boto3

    nobody = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    boto3.Session(**nobody).client("s3")
