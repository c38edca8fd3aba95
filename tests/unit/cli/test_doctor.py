"""`lampyr doctor`: its verdict, and how it is told."""

import json
from collections.abc import Sequence

import pytest

from lampyr.cli.doctor import judge
from lampyr.worker.network.probe import Fact
from tests.unit.cli.conftest import Run


def facts(*missing: str) -> list[Fact]:
    names = (
        "user namespace",
        "pid namespace",
        "seccomp",
        "proc",
        "overlay",
        "bubblewrap (the fallback)",
    )
    return [Fact(name=n, ok=n.split()[0] not in missing, detail="d", mend="m") for n in names]


@pytest.mark.parametrize(
    ("found", "sandbox", "isolated", "by"),
    [
        (facts(), "auto", True, "by namespaces"),
        (facts("overlay", "bubblewrap"), "auto", True, "by namespaces"),
        (facts("user"), "auto", True, "by bubblewrap"),
        (facts("user"), "namespaces", False, "user namespace cannot be had"),
        (facts("seccomp", "bubblewrap"), "auto", False, "seccomp cannot be had"),
        (facts("bubblewrap"), "bubblewrap", False, "bubblewrap cannot be had"),
        (facts(), "bubblewrap", True, "by bubblewrap"),
        (facts(), "process", False, "'process' sandbox was asked for"),
        ([], "auto", False, "namespaces cannot be had"),
    ],
)
def test_the_verdict(found: Sequence[Fact], sandbox: str, isolated: bool, by: str) -> None:
    verdict = judge(found, sandbox)
    assert (verdict.isolated, by in verdict.sentence) == (isolated, True)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> list[Fact]:
    """What the probes find; the host itself is left alone."""
    found = facts()

    async def probe() -> tuple[list[Fact], list[Fact], Fact]:
        return found, [], Fact(name="hand-over", ok=False, detail="36 µs", mend="have it poll")

    monkeypatch.setattr("lampyr.cli.doctor._probe", probe)
    return found


def test_the_exit_code_and_the_report_say_the_same(run: Run, host: list[Fact]) -> None:
    good = run("doctor", "--json")
    assert (good.exit_code, json.loads(good.stdout)["isolated"]) == (0, True)
    host[:] = facts("user", "bubblewrap")
    bad = run("doctor", "--json")
    assert (bad.exit_code, json.loads(bad.stdout)["isolated"]) == (1, False)
    report = run("doctor")
    assert report.exit_code == 1
    assert "no  user namespace" in report.stdout
    assert "no  hand-over  36 µs\n               → have it poll" in report.stdout
    assert "→ m" in report.stdout
    assert "provided.al2023" in report.stdout
    assert report.stdout.endswith("See above how to mend it.\n")
