"""Runs as a table, and their scores over the steps: as bars in a terminal, and as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape
from itertools import accumulate
from statistics import mean
from typing import Any

Steps = Sequence[Sequence[Any]]
"""The runs of each step: each has `task_parameters`, `hyperparameters`, `score` and `exception`."""


def table(steps: Steps, defaults: Any) -> str:
    """A line for each run: its step, its score, and what is not the default."""
    rows = [("step", "score", "topic", "hyperparameters")]
    for number, runs in enumerate(steps):
        for run in runs:
            score = "failed" if run.exception else f"{run.score:g}"
            rows.append((str(number), score, cut(run.task_parameters.topic, 32), told(run.hyperparameters, defaults)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]}" for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def told(hyperparameters: Any, defaults: Any) -> str:
    """The hyperparameters that differ from their defaults."""
    usual = defaults.model_dump(mode="json")
    now = hyperparameters.model_dump(mode="json")
    changed = [f"{name}={cut(value, 40)}" for name, value in now.items() if value != usual.get(name)]
    return " ".join(changed) or "the defaults"


def cut(value: Any, width: int) -> str:
    """A value on a line, without what a terminal would take for a command."""
    text = "".join(sign if sign.isprintable() else " " for sign in str(value))
    return textwrap.shorten(text, width, placeholder=" ...")


def bars(steps: Steps) -> str:
    """The mean score of each step as a bar, and on to its best run; in signs that every terminal has."""
    lines = []
    for number, runs in enumerate(steps):
        scores = [run.score for run in runs]
        middle, top = round(mean(scores) / 2), round(max(scores) / 2)
        bar = "#" * middle + "-" * (top - middle)
        lines.append(f"{number:>4}  {mean(scores):5.1f}  {max(scores):5.1f}  {bar}".rstrip())
    return "\n".join(["step   mean   best", *lines])


WIDTH, HEIGHT, EDGE = 640, 360, 48
STYLE = "text{font:13px sans-serif;fill:#555}.axis{stroke:#999}.run{fill:#4c78a8;fill-opacity:.6}"
STYLE += ".best{fill:none;stroke:#e45756;stroke-width:2}"


def picture(steps: Steps, title: str) -> str:
    """An SVG: each run is a dot, and a line leads along the best one so far."""
    across = (WIDTH - 2 * EDGE) / max(1, len(steps) - 1)
    places = [EDGE + across * number for number in range(len(steps))]
    dots = [
        f'<circle class="run" cx="{x:.1f}" cy="{_y(run.score):.1f}" r="5">'
        f"<title>{escape(cut(run.task_parameters.topic, 60))}: {run.score:g}</title></circle>"
        for x, runs in zip(places, steps, strict=True)
        for run in runs
    ]
    highest = accumulate((max(run.score for run in runs) for runs in steps), max)
    line = " ".join(f"{x:.1f},{_y(score):.1f}" for x, score in zip(places, highest, strict=True))
    scale = [
        f'<line class="axis" x1="{EDGE}" x2="{WIDTH - EDGE}" y1="{_y(at):.1f}" y2="{_y(at):.1f}" stroke-opacity=".3"/>'
        f'<text x="{EDGE - 8}" y="{_y(at) + 4:.1f}" text-anchor="end">{at}</text>'
        for at in (0, 25, 50, 75, 100)
    ]
    names = [
        f'<text x="{x:.1f}" y="{HEIGHT - 16}" text-anchor="middle">step {at}</text>' for at, x in enumerate(places)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    drawn = [*scale, *names, f'<polyline class="best" points="{line}"/>', *dots]
    heading = f'<text x="{EDGE}" y="24">{escape(title)}</text>'
    return "\n".join([head, f"<title>{escape(title)}</title><style>{STYLE}</style>", heading, *drawn, "</svg>\n"])


def _y(score: float) -> float:
    return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * score / 100
