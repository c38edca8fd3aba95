"""The API agrees with the service model, and what is missing only becomes less."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore import xform_name

from lampyr import errors
from lampyr.api.operations import MODULES, functions_of, handlers
from lampyr.api.spec import service_model

ROOT = Path(__file__).parents[2]
MODEL = service_model()
HANDLERS = handlers(MODEL.operations)
NAMES = {xform_name(operation): operation for operation in MODEL.operations}

# Take a line out when its operation is served. Nothing is ever added, unless AWS adds it.
MISSING = {
    "CheckpointDurableExecution",
    "CreateCapacityProvider",
    "DeleteCapacityProvider",
    "DeleteDurableExecution",
    "GetCapacityProvider",
    "GetDurableExecution",
    "GetDurableExecutionHistory",
    "GetDurableExecutionState",
    "ListCapacityProviders",
    "ListDurableExecutionsByFunction",
    "ListFunctionVersionsByCapacityProvider",
    "PauseDurableExecution",
    "ResumeDurableExecution",
    "SendDurableExecutionCallbackFailure",
    "SendDurableExecutionCallbackHeartbeat",
    "SendDurableExecutionCallbackSuccess",
    "StopDurableExecution",
    "UpdateCapacityProvider",
}

# Answered by the service's front, or made for what is not served; the model has no such shape.
WITHOUT_SHAPE = {
    "AccessDeniedException",
    "IncompleteSignatureException",
    "RequestEntityTooLargeException",
    "SerializationException",
    "UnknownOperationException",
    "ValidationException",
}

KNOWN_BY = {"recorded", "documented", "lampyr_only"}
"""Markers that say how the right answer is known."""


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_handler_is_an_operation(module: object) -> None:
    assert inspect.ismodule(module)
    assert functions_of(module)
    assert set(functions_of(module)) <= set(NAMES)


def test_no_operation_is_served_twice() -> None:
    assert sum(len(functions_of(module)) for module in MODULES) == len(HANDLERS)


def test_the_operations_that_are_missing_are_the_ones_that_are_listed() -> None:
    missing = set(MODEL.operations) - set(HANDLERS)
    assert missing - MISSING == set(), "an operation is no longer served, or AWS has a new one"
    assert MISSING - missing == set(), "served now: take it from the list"


def test_every_handler_takes_a_call_and_a_request() -> None:
    for name, handler in HANDLERS.items():
        assert len(inspect.signature(handler).parameters) == 2, name


def test_every_error_is_a_shape_of_the_model_or_listed_here() -> None:
    classes = [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, errors.ServiceError) and found is not errors.ServiceError
    ]
    codes = {found("").code for found in classes}
    assert {code for code in codes if MODEL.error(code) is None} == WITHOUT_SHAPE


def test_the_model_has_no_unions_and_no_documents() -> None:
    # The parser and the validator know neither; a model that has them needs them first.
    from tests.unit.api.botocore_model import raw_model

    for name, shape in raw_model()["shapes"].items():
        assert not shape.get("union"), name
        assert not shape.get("document"), name
        assert not shape.get("xmlName"), name


def test_every_operation_has_a_conformance_test_that_says_how_its_answer_is_known() -> None:
    tested = {
        name
        for path in (ROOT / "tests" / "conformance").rglob("test_*.py")
        for name in _used_by_marked_tests(ast.parse(path.read_text()))
    }
    assert {xform_name(operation) for operation in HANDLERS} - tested == set()


def _used_by_marked_tests(module: ast.Module) -> set[str]:
    """Names and texts in them, and in whatever of their module they use."""
    uses = {name: set(_words(node)) for node in module.body for name in _defined(node)}
    all_are = uses.get("pytestmark", set()) & KNOWN_BY
    left = {
        name
        for name, words in uses.items()
        if name.startswith("test_") and (all_are or words & KNOWN_BY)
    }
    used: set[str] = set()
    while left:
        words = uses[left.pop()] - used
        used |= words
        left |= words & set(uses)
    return used


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    for target in getattr(node, "targets", None) or [getattr(node, "target", None)]:
        yield from (
            item.id for item in ast.walk(target or ast.Pass()) if isinstance(item, ast.Name)
        )


def _words(node: ast.AST) -> Iterator[str]:
    for item in ast.walk(node):
        for word in (getattr(item, name, None) for name in ("attr", "id", "value", "arg", "name")):
            if isinstance(word, str):
                yield word


def test_the_table_of_operations_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from operations_table import TARGET, table  # type: ignore[import-not-found]

    sys.modules.pop("operations_table")
    assert TARGET.read_text() == table(), "run: .venv/bin/python tools/operations_table.py"


def test_the_checklist_for_an_operation_names_files_that_are_there() -> None:
    text = (ROOT / "docs" / "adding-an-operation.md").read_text()
    assert len(text.splitlines()) <= 60
    paths = re.findall(r"`((?:src|tests|docs|tools)/[^`<>]+)`", text)
    assert paths
    assert not [path for path in paths if not (ROOT / path).exists()]
