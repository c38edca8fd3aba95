"""Which functions may be forked from a template of their runtime."""

from dataclasses import replace
from pathlib import Path

import pytest

from lampyr.worker.runtimes.forks import may_fork, template_of
from lampyr.worker.runtimes.model import Runtime
from lampyr.worker.runtimes.python import mentions_sdk

PYTHON = Runtime(
    name="python3.12",
    version="3.12.1",
    argv=("/var/lang/bin/python3.12",),
    template_argv=("/var/lang/bin/python3.12", "template.py"),
    variables={"PYTHONPATH": "/var/runtime"},
)


@pytest.mark.parametrize(
    ("configured", "modules"),
    [({}, ["app.py"]), ({"TABLE": "x", "AWS_DATA_PATH": "/opt"}, ["app.py", "numpy", "lib.so"])],
)
def test_an_ordinary_function_may(configured: dict[str, str], modules: list[str]) -> None:
    assert may_fork(PYTHON, configured, modules, libraries=False)


@pytest.mark.parametrize(
    "name",
    ["PYTHONPATH", "PYTHONHASHSEED", "LD_PRELOAD", "LC_ALL", "LANG", "AWS_LAMBDA_EXEC_WRAPPER"],
)
def test_none_whose_interpreter_starts_in_another_way(name: str) -> None:
    assert not may_fork(PYTHON, {name: "x"}, ["app.py"], libraries=False)


@pytest.mark.parametrize("module", ["boto3", "urllib3", "queue.py", "six.cpython-312.so", "json"])
def test_none_that_brings_what_is_imported_already(module: str) -> None:
    assert not may_fork(PYTHON, {}, ["app.py", module], libraries=False)


def test_none_with_libraries_in_a_layer_and_none_of_a_runtime_without_template() -> None:
    assert not may_fork(PYTHON, {}, ["app.py"], libraries=True)
    assert not may_fork(replace(PYTHON, template_argv=()), {}, ["app.py"], libraries=False)


def test_a_template_is_told_what_its_functions_are_told_by_default() -> None:
    spec = template_of(PYTHON, sdk=False)
    assert spec.variables["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"
    assert spec.variables["PYTHONPATH"] == "/var/runtime"


def test_there_is_one_with_the_sdk_and_one_without() -> None:
    with_sdk, without = template_of(PYTHON, sdk=True), template_of(PYTHON, sdk=False)
    assert with_sdk.name != without.name
    assert (with_sdk.argv[-1], without.argv[-1]) == ("sdk", "plain")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"app.py": "import boto3"}, True),
        ({"app.py": "import json", "lib/__init__.py": "", "lib/data.py": "import botocore"}, True),
        ({"app.py": "import json", "notes.txt": "boto3"}, False),
        ({"app.py": "#" * 300_000}, True),
        ({f"m{number}.py": "" for number in range(100)}, True),
        ({f"m{number}.py": "" for number in range(20)}, False),
    ],
    ids=["handler", "deep", "no", "large", "many", "few"],
)
def test_code_that_may_use_the_sdk_is_told_from_code_that_does_not(
    files: dict[str, str], expected: bool, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert mentions_sdk([tmp_path]) is expected
