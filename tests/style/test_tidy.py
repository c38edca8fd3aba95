"""Rules of STYLE.md that a machine can check; ruff and import-linter check the others."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FUNCTION_LINES_MAX: Final = 70
MODULE_LINES_MAX: Final = 400
DATA_SUFFIXES: Final = {".json", ".lock", ".png", ".svg", ".woff2", ".ico"}

# Modules that run in a process of their own, without the event loop, or wait as a person would.
OWN_PROCESS: Final = (
    "cli/",
    "neighbours/child/",
    "testing/",
    "worker/sandbox/spawner/",
    "worker/network/keeper/",
    "worker/runtime_clients/",
)
CLOCKS: Final = ("clock.py", *OWN_PROCESS)


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git, which lists the project's own files, is not here")
    return tuple(path for name in listed.decode().split("\0") if (path := ROOT / name).is_file())


def modules(folder: str = "src") -> list[Path]:
    return [
        path
        for path in project_files()
        if path.suffix == ".py" and path.is_relative_to(ROOT / folder)
    ]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def place(path: Path, line: int = 0) -> str:
    return f"{path.relative_to(ROOT)}{f':{line}' if line else ''}"


def in_product(path: Path) -> str:
    return path.relative_to(ROOT / "src" / "lampyr").as_posix()


@pytest.mark.parametrize("folder", ["src", "tests", "tools"])
def test_a_function_fits_on_a_screen(folder: str) -> None:
    long = [
        f"{place(path, node.lineno)} {node.name}: {lines} lines"
        for path in modules(folder)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long


@pytest.mark.parametrize("folder", ["src", "tests", "tools"])
def test_a_module_can_be_read_in_one_go(folder: str) -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in modules(folder)}
    assert not [f"{place(p)}: {n} lines" for p, n in sizes.items() if n > MODULE_LINES_MAX]


@pytest.mark.parametrize("folder", ["src", "tools", "bench"])
def test_a_module_opens_with_a_sentence(folder: str) -> None:
    def opens_well(path: Path) -> bool:
        first = (ast.get_docstring(tree(path)) or "").split("\n\n")[0]
        return first.endswith((".", "?")) or ("." in first and len(first) > 0)

    assert not [
        place(path) for path in modules(folder) if path.stat().st_size and not opens_well(path)
    ]


def test_nothing_is_left_to_do() -> None:
    word = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    assert not list(matches(word, skip={"STYLE.md", "CONTRIBUTING.md"}))


def test_no_address_of_a_package_registry_and_no_path_of_ones_own() -> None:
    hosts: tuple[str, ...] = (
        "pypi" + ".org",
        "python" + "hosted",
        "npm" + "js.org",
        "npm" + "js.com",
    )
    hosts += ("proxy.go" + "lang.org", "crates" + ".io", "ruby" + "gems.org")
    paths = ("/wo" + "rk/", "/home/" + "[a-z]+/", "/Us" + "ers/")
    pattern = re.compile(
        "|".join([*map(re.escape, hosts), *(rf"(?<![\w.*$}}]){p}" for p in paths)])
    )
    assert not list(matches(pattern, skip=set()))


def test_a_lock_has_hashes_and_no_addresses() -> None:
    for name in ("neighbours.lock", "requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        requirements = re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
        assert requirements
        assert not [
            item for item in requirements if "==" not in item or "--hash=sha256:" not in item
        ]


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names that are called, and where."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


Banned = Callable[[str], bool]
BANNED: Final[list[tuple[str, Banned, tuple[str, ...]]]] = [
    ("print", lambda name: name == "print", ()),
    (
        "a task without an owner",
        lambda name: bool(re.search(r"(?<!group)\.(create_task|ensure_future)$", name)),
        ("tasks.py",),
    ),
    (
        "a clock of one's own",
        lambda name: (
            bool(re.search(r"\b(datetime|date)\.(now|utcnow|today)$", name))
            or name in {"time.time", "time.time_ns"}
        ),
        CLOCKS,
    ),
    ("a wait that stops everything", lambda name: name == "time.sleep", OWN_PROCESS),
    ("a shell", lambda name: name in {"os.system", "os.popen", "subprocess.getoutput"}, ()),
]


@pytest.mark.parametrize(("banned", "allowed"), [i[1:] for i in BANNED], ids=[i[0] for i in BANNED])
def test_what_the_product_does_not_do(banned: Banned, allowed: tuple[str, ...]) -> None:
    assert not [
        f"{place(path, line)} {name}"
        for path in modules("src")
        if not in_product(path).startswith(allowed or ("-",))
        for name, line in calls(path)
        if banned(name)
    ]


def test_the_environment_is_read_at_the_edge_only() -> None:
    edges = ("cli/", "testing/", "settings.py", "app/")
    assert not [
        place(path, node.lineno)
        for path in modules("src")
        if not in_product(path).startswith((*edges, *OWN_PROCESS))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
    ]


def matches(pattern: re.Pattern[str], skip: set[str]) -> Iterator[str]:
    for path in project_files():
        if path.name in skip or path.suffix in DATA_SUFFIXES - {".lock"}:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if found := pattern.search(line):
                yield f"{place(path, number)}: {found[0]}"
