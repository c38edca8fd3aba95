"""Draws what a run has seen: run by the benchmark's own Python, which has matplotlib.

    bench/.env/python/bin/python bench/plots.py DIRECTORY < charts.json

Charts are `{"name": …, "title": …, "kind": "distribution" | "course", "x": …, "y": …, "series":
{label: [number …] | [[x, y] …]}}`: the file's name, what it shows, axes, and the figures. Of a
distribution as many points are drawn as one can see.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["svg.hashsalt"] = "lampyr"

from matplotlib import pyplot as plt  # noqa: E402 - what it draws with is chosen before

POINTS = 120


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(exist_ok=True)
    for chart in json.load(sys.stdin):
        figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
        draw = distribution if chart["kind"] == "distribution" else course
        for label, figures in chart["series"].items():
            draw(axes, label, figures)
        axes.set(title=chart["title"], xlabel=chart["x"], ylabel=chart["y"])
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize="small")
        figure.savefig(directory / f"{chart['name']}.svg", metadata={"Date": None})
        plt.close(figure)


def distribution(axes: Any, label: str, seconds: list[float]) -> None:
    """Of calls, how many took at most so long."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    shares = [number / POINTS for number in range(POINTS)] + [0.995, 0.999, 1.0]
    axes.plot([ordered[round(share * last)] * 1e3 for share in shares], shares, label=label)
    axes.set_xscale("log")


def course(axes: Any, label: str, points: list[list[float]]) -> None:
    axes.plot([point[0] for point in points], [point[1] for point in points], label=label)


if __name__ == "__main__":
    main()
