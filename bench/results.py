"""The table of a run: budget, ours, rivals, limit, verdict."""

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.rivals import NPM_PACKAGES, SAM


@dataclass(slots=True, kw_only=True)
class Row:
    number: str
    metric: str
    budget: str
    ours: str
    inside: bool | None
    """None when there is nothing to compare with the budget."""
    is_budget: bool = True
    """Whether it is what the budget is about, or a comparison with it."""
    share_inside: bool | None = None
    """Of a budget that is a share of a rival's figure as well, which holds on any machine."""
    rivals: Mapping[str, str] = field(default_factory=dict)
    limit: str = "-"

    @property
    def verdict(self) -> str:
        if self.inside is None:
            return "not measured"
        if not self.is_budget:
            return f"{'inside' if self.inside else 'outside'}, as a comparison"
        if self.inside or self.share_inside is None:
            return "inside" if self.inside else "**outside**"
        return "inside as a share, over the figure" if self.share_inside else "**outside**"

    def line(self) -> str:
        rivals = "; ".join(f"{name} {figure}" for name, figure in self.rivals.items()) or "-"
        cells = (self.number, self.metric, self.budget, self.ours, rivals, self.limit, self.verdict)
        return "| " + " | ".join(cells) + " |"


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} µs"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms" if seconds < 0.1 else f"{seconds * 1e3:,.0f} ms"


def short(seconds: float) -> str:
    """For a figure that somebody has chosen."""
    if seconds >= 0.1:
        return f"{seconds:g} s"
    return f"{seconds * 1e3:g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:g} µs"


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"


def document(rows: Sequence[Row], *, rounds: int, seconds: float, load: str) -> str:
    """RESULTS.md. `load` is the load average before the run began."""
    lines = [
        "# Benchmark results",
        "",
        "Written by `make bench`. Every figure of a row comes from the same run: all programs are",
        f"up at once and take turns, {rounds} rounds each. p50 and p99 are the medians of the",
        "rounds' own. “Limit” is what the same load generator measures against a bare echo server",
        "(asyncio, uvloop and httptools, no function): the caller's own cost is in every figure.",
        "One caller has only one process at work at a time; on two cores each hand-over wakes",
        "the other one, which takes some 35 µs in a virtual machine whose processors sleep at once",
        "when they have no work (`lampyr doctor` tells). While it is busy, Lampyr keeps them awake",
        "there (`stay_awake`), and no other program does; what it costs a caller to be woken is",
        "less then, too. “All on one core” is the same without any such wait, and without any",
        "second processor: a comparison, as the budgets are for a machine with two.",
        "In rows 1, 3, 4 and 5 the other programs are stopped while one takes its turn.",
        "“Of CPU”: what all processes of a program computed for one call, the caller's own apart.",
        "The budgets' figures were set on another machine with two cores. Where a rival is here",
        "that was measured there, or a bare loop that stands for what is possible, a budget has a",
        "share too: its figure divided by what that took on that machine. That is what is promised",
        "of any machine; the verdict says so where a figure itself is not reached.",
        "Functions have 1,769 MB, which is one core: at 128 MB it is the CPU share of 7 % that is",
        "measured. ministack and serverless-offline isolate nothing and limit nothing.",
        "",
        *(f"- {line}" for line in machine()),
        f"- load average before the run: {load}; the run took {seconds:.0f} s",
        "",
        "| # | metric | budget | Lampyr | rivals | limit | verdict |",
        "|---|---|---|---|---|---|---|",
        *(row.line() for row in rows),
        "",
    ]
    return "\n".join(lines)


def machine() -> list[str]:
    now = dt.datetime.now(dt.UTC)
    names = ("botocore", "httptools", "uvloop")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return [
        f"{now:%Y-%m-%d %H:%M} UTC, commit {_output('git', 'rev-parse', '--short', 'HEAD')}",
        f"{os.cpu_count()} cores of {_cpu()}, {_memory()}",
        f"Linux {platform.release()}, {_distribution()}{_polling()}",
        f"Python {platform.python_version()}, Node {_output('node', '--version')}, {versions}",
        f"rivals: {_rivals()}",
    ]


def _polling() -> str:
    """What `lampyr doctor` may advise to change: it is a third of a call's time, or more."""
    try:
        nanoseconds = int(Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns").read_text())
    except (OSError, ValueError):
        return ""
    how = f"looks for work for {nanoseconds / 1e3:.0f} µs" if nanoseconds else "sleeps at once"
    return f"; a processor without work {how}"


def _rivals() -> str:
    found = (Path(__file__).parent / ".env" / "python" / "lib").glob("*/site-packages/*.dist-info")
    python = [path.name.removesuffix(".dist-info").replace("-", " ") for path in found]
    return ", ".join(
        [name for name in python if name.startswith("ministack ")]
        + [package.replace("@", " ") for package in NPM_PACKAGES]
        + [f"AWS's emulator of {SAM.replace('==', ' ')}"]
    )


def _output(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> str:
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    return f"{kilobytes / 1024 / 1024:.0f} GiB"


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
