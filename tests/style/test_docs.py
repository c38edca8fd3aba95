"""Documents agree with the code and with each other."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

import lampyr
from lampyr.cli.main import COMMANDS

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")]
)
NAMES: Final = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]


def test_the_settings_reference_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from settings_reference import TARGET, reference  # type: ignore[import-not-found]

    sys.modules.pop("settings_reference")
    assert TARGET.read_text() == reference(), "run: make docs"


@pytest.mark.parametrize("name", NAMES)
def test_a_link_leads_somewhere(name: str) -> None:
    document = ROOT / name
    text = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(), flags=re.DOTALL)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target]
    assert not [target for target in local if not (document.parent / target).exists()]


def test_a_decision_record_has_its_parts_and_a_number_of_its_own() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [path.name[:4] for path in records]
    assert len(set(numbers)) == len(numbers)
    for path in records:
        text = path.read_text()
        for part in ("Context", "Decision", "Consequences"):
            assert re.search(rf"^#+ {part}", text, re.MULTILINE), f"{path.name} has no {part}"


def test_every_command_is_told_of() -> None:
    told = (ROOT / "docs" / "how-to" / "use-the-command-line.md").read_text()
    assert not [name for name in COMMANDS if f"lampyr {name}" not in told]


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == lampyr.__version__
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {lampyr.__version__}" in changes


def test_every_promise_names_a_test_or_benchmark_that_is_there_or_says_pending() -> None:
    text = (ROOT / "SPECIFICATION.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    for row in rows:
        proof = row.strip("| ").split("|")[-1].strip()
        if proof in {"shown by", "pending"}:
            continue
        named = [place.split("::") for place in re.findall(r"`((?:tests|bench)/[^`]+)`", proof)]
        assert named, f"neither a test nor 'pending': {row}"
        for path, *test in named:
            assert (ROOT / path).exists(), row
            assert all(f"def {name}(" in (ROOT / path).read_text() for name in test), row
