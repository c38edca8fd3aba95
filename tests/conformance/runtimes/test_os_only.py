"""OS-only runtimes: whatever a function brings speaks the Runtime API itself."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.conformance.runtimes.functions import Start
from tests.conformance.runtimes.scripted_runtime_api import ScriptedRuntimeApi

URL = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html"
NAMES = pytest.mark.parametrize("name", ["provided.al2", "provided.al2023"])


@NAMES
@pytest.mark.documented(URL)
def test_a_script_is_a_runtime(
    name: str, api: ScriptedRuntimeApi, start: Start, tmp_path: Path
) -> None:
    script = f"""\
        #!{sys.executable}
        import os, urllib.request
        base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
        while True:
            with urllib.request.urlopen(base + "next") as event:
                body, found = event.read(), event.headers["Lambda-Runtime-Aws-Request-Id"]
            told = os.environ.get("AWS_EXECUTION_ENV", "untold").encode()
            answer = b"[%s, \\"%s\\", \\"%s\\"]" % (body, os.environ["_HANDLER"].encode(), told)
            urllib.request.urlopen(base + found + "/response", answer).close()
        """
    _executable(tmp_path, dedent(script))
    start(name, {}, "my.handler")
    assert api.invoke({"a": 1}).json() == [{"a": 1}, "my.handler", "untold"]


@NAMES
@pytest.mark.documented(URL)
def test_awss_unmodified_python_client_is_a_runtime(
    name: str, api: ScriptedRuntimeApi, start: Start, tmp_path: Path
) -> None:
    script = f'#!/bin/sh\nexec {sys.executable} -m awslambdaric "$_HANDLER"\n'
    _executable(tmp_path, script)
    code = "def handler(event, context):\n    return [event, context.aws_request_id]\n"
    start(name, {"main.py": code}, "main.handler", {"PYTHONPATH": ":".join(sys.path)})
    assert api.invoke("x").json() == ["x", "id-1"]
    assert api.invoke("y", request_id="id-2").json() == ["y", "id-2"]


def _executable(tmp_path: Path, script: str) -> None:
    path = tmp_path / "task/bootstrap"
    path.parent.mkdir()
    path.write_text(script)
    path.chmod(0o755)
