"""Every example runs, and so does what the README shows."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer

pytestmark = pytest.mark.lampyr_only

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"
SETTINGS: Final = {
    "hello-python": ("python3.11", "app.handler"),
    "hello-node": ("nodejs20.x", "index.handler"),
    "hello-java": ("java17", "Hello::handle"),
    "shell-bootstrap": ("provided.al2023", "hello"),
    "go-bootstrap": ("provided.al2023", "bootstrap"),
    "calls-back-python": ("python3.11", "app.handler"),
}

APPLICATION: Final = "orders"
"""Needs other services; `tests/conformance/neighbours/test_orders.py` starts and uses it."""


def need(server: LampyrServer, runtime: str) -> None:
    """Install the runtime where that is quick; skip where it is not on this host."""
    statuses = {r["name"]: r for r in json.loads(server.run("runtimes", "--json").stdout)}
    if statuses[runtime]["found"]:
        return
    if not runtime.startswith("nodejs"):
        pytest.skip(f"{runtime} is not on this host: {statuses[runtime]['advice']}")
    answer = server.run("runtimes", "install", runtime, timeout=110)
    if answer.returncode != 0:
        pytest.skip(f"{runtime} cannot be installed: {answer.stderr}")


def deploy(server: LampyrServer, example: str, name: str, source: Path | None = None) -> None:
    runtime, handler = SETTINGS[example]
    need(server, runtime)
    arguments = ["--name", name, "--runtime", runtime, "--handler", handler, "--timeout", "20"]
    answer = server.run("deploy", str(source or EXAMPLES / example), *arguments, "--memory", "512")
    assert answer.returncode == 0, answer.stderr


def invoke(server: LampyrServer, name: str, event: Any) -> Any:
    answer = server.run("invoke", name, "--payload", json.dumps(event))
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_every_example_is_tested_and_told_of() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == {*SETTINGS, APPLICATION}
    table = (EXAMPLES / "README.md").read_text()
    assert f"[{APPLICATION}]({APPLICATION})" in table
    for name, (runtime, handler) in SETTINGS.items():
        assert f"| [{name}]({name}) | {runtime} | {handler} |" in table


def test_hello_python(lampyr_server: LampyrServer) -> None:
    deploy(lampyr_server, "hello-python", "example-python")
    answer = invoke(lampyr_server, "example-python", {"name": "Ada"})
    assert answer["hello"] == "Ada"
    log = lampyr_server.run("logs", "example-python").stdout
    assert log.count("hello, Ada") == 1
    assert f"REPORT RequestId: {answer['request_id']}" in log


def test_hello_node(lampyr_server: LampyrServer) -> None:
    deploy(lampyr_server, "hello-node", "example-node")
    assert invoke(lampyr_server, "example-node", {"name": "Ada"})["hello"] == "Ada"
    assert "hello, Ada" in lampyr_server.run("logs", "example-node").stdout


def test_hello_java(lampyr_server: LampyrServer, tmp_path: Path) -> None:
    compiler = shutil.which("javac")
    if compiler is None:
        pytest.skip("there is no javac on this host")
    source = EXAMPLES / "hello-java" / "Hello.java"
    subprocess.run([compiler, "--release", "17", "-d", str(tmp_path), str(source)], check=True)
    deploy(lampyr_server, "hello-java", "example-java", tmp_path)
    assert invoke(lampyr_server, "example-java", {"name": "Ada"}) == {"hello": "Ada"}
    assert "hello, Ada" in lampyr_server.run("logs", "example-java").stdout


def test_shell_bootstrap(lampyr_server: LampyrServer) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl, with which the script speaks HTTP, is not on this host")
    deploy(lampyr_server, "shell-bootstrap", "example-shell")
    for event in ({"a": 1}, {"b": [2, "ü"]}):
        answer = invoke(lampyr_server, "example-shell", event)
        assert answer == {"shell": True, "event": event}


def test_go_bootstrap(lampyr_server: LampyrServer, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("go is not on this host")
    binary = tmp_path / "package" / "bootstrap"
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
        "GOCACHE": os.environ.get("GOCACHE", str(tmp_path / "cache")),
    }
    subprocess.run(
        ["go", "build", "-o", str(binary), "."],
        cwd=EXAMPLES / "go-bootstrap",
        env=environment,
        check=True,
    )
    deploy(lampyr_server, "go-bootstrap", "example-go", binary.parent)
    assert invoke(lampyr_server, "example-go", {"name": "Ada"})["hello"] == "Ada"
    failed = lampyr_server.run("invoke", "example-go", "--payload", "[]")
    assert failed.returncode == 1
    assert failed.stderr.startswith("Function.BadEvent: ")


def test_a_function_calls_the_lampyr_it_runs_under(lampyr_server: LampyrServer) -> None:
    deploy(lampyr_server, "hello-python", "example-callee")
    deploy(lampyr_server, "calls-back-python", "example-caller")
    answer = invoke(lampyr_server, "example-caller", {"call": "example-callee"})
    assert answer["runtime"] == "python3.11"
    assert json.loads(answer["answer"])["hello"] == "world"


def readme_block(mark: str) -> str:
    text = (ROOT / "README.md").read_text()
    match = re.search(rf"<!-- test: {mark} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert match, mark
    return match[1]


def test_the_five_lines_of_boto3_in_the_readme(lampyr_server: LampyrServer, tmp_path: Path) -> None:
    need(lampyr_server, "python3.11")
    code = readme_block("boto3")
    assert len(code.strip().splitlines()) <= 5 + 1
    code = code.replace("http://127.0.0.1:4566", lampyr_server.endpoint_url)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.stdout, done.returncode) == ('{"hello": "world"}\n', 0), done.stderr


def test_the_lines_of_the_aws_cli_in_the_readme(
    lampyr_server: LampyrServer, tmp_path: Path
) -> None:
    need(lampyr_server, "python3.11")
    script = readme_block("aws").replace("http://127.0.0.1:4566", lampyr_server.endpoint_url)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu"],
        input=script,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "HOME": str(tmp_path), "AWS_PAGER": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('{"hello": "world"}')
