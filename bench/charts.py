"""What of a run is drawn, and by whom: see `plots.py`."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.client import Series
from bench.rivals import python_environment

DIRECTORY: Final = Path(__file__).parent / "plots"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    name: str
    title: str
    kind: str
    x: str
    y: str
    series: Mapping[str, Sequence[float] | Sequence[tuple[float, float]]]


def latency(name: str, title: str, series: Mapping[str, Series]) -> Chart:
    return Chart(
        name=name,
        title=title,
        kind="distribution",
        x="milliseconds",
        y="share of calls",
        series={
            program: [sample for samples in item.rounds for sample in samples]
            for program, item in series.items()
        },
    )


def course(
    name: str, title: str, y: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> Chart:
    """Of something over the time of a run."""
    return Chart(name=name, title=title, kind="course", x="seconds", y=y, series=series)


def draw(charts: Sequence[Chart], directory: Path = DIRECTORY) -> None:
    """One SVG each; raises where matplotlib cannot be had."""
    subprocess.run(
        [python_environment(), str(Path(__file__).with_name("plots.py")), str(directory)],
        input=json.dumps([asdict(chart) for chart in charts]),
        text=True,
        check=True,
        timeout=120,
    )
