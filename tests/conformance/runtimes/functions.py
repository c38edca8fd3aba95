"""The runtimes under test, and small functions for them."""

from collections.abc import Callable
from pathlib import Path

from tests.conformance.runtimes.scripted_runtime_api import RunningRuntime

PYTHONS = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14")
NODES = ("nodejs20.x", "nodejs22.x", "nodejs24.x")

Start = Callable[..., RunningRuntime]


def write_task(tmp_path: Path, files: dict[str, str]) -> Path:
    task = tmp_path / "task"
    for name, content in files.items():
        path = task / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return task


ECHO_PY = "def handler(event, context):\n    return event\n"
ECHO_JS = "exports.handler = async (event) => event;\n"


def echo(name: str) -> tuple[dict[str, str], str]:
    if name.startswith("python"):
        return {"main.py": ECHO_PY}, "main.handler"
    return {"main.js": ECHO_JS}, "main.handler"
