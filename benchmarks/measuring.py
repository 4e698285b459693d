"""Timing two things against each other, and the table that comes of it."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Literal, NamedTuple


class Sample(NamedTuple):
    """What one run took: seconds of CPU, or bytes, and seconds on the clock (NaN for bytes)."""

    cost: float
    wall: float = math.nan

    def per(self, count: int) -> Sample:
        return Sample(self.cost / count, self.wall / count)

    def to_json(self) -> dict[str, float]:
        return {"cost": self.cost} if math.isnan(self.wall) else {"cost": self.cost, "wall": self.wall}


class Stopwatch:
    """Filled when the block of `timed` ends."""

    sample = Sample(math.nan)


@contextmanager
def timed() -> Iterator[Stopwatch]:
    """Measure a block. CPU time is that of the process, all threads, user and system."""
    watch = Stopwatch()
    wall, cpu = time.perf_counter(), time.process_time()
    yield watch
    watch.sample = Sample(time.process_time() - cpu, time.perf_counter() - wall)


def settle() -> None:
    """Keep what stands in memory by now out of the garbage collections that the next row would pay for."""
    gc.collect()
    gc.freeze()


Kind = Literal["faster", "cost", "extra", "absolute"]


@dataclass(frozen=True)
class Target:
    """What the design asks for. `faster`: at least `limit` times as fast as the peer; `cost`: at most `limit` times the
    peer's; `extra`: at most `limit` seconds more; `absolute`: at most `limit` seconds. No limit: shown, not judged."""

    kind: Kind
    limit: float | None = None

    def figure(self, ours: float, peer: float) -> float:
        """The number that is compared with the limit, of one pair of runs."""
        if self.kind == "faster":
            return peer / ours if ours else math.inf
        if self.kind == "cost":
            return ours / peer if peer else math.inf
        return ours - peer if self.kind == "extra" else ours

    def reached(self, figure: float) -> bool | None:
        if self.limit is None or math.isnan(figure):
            return None
        return figure >= self.limit if self.kind == "faster" else figure <= self.limit

    def __str__(self) -> str:
        if self.limit is None:
            return "-"
        if self.kind in ("extra", "absolute"):
            return f"<= {seconds(self.limit)}{' more' if self.kind == 'extra' else ''}"
        return f"{'>=' if self.kind == 'faster' else '<='} {self.limit:g}x"

    def shown(self, figure: float) -> str:
        if math.isnan(figure):
            return "-"
        if self.kind in ("extra", "absolute"):
            return f"{'+' if self.kind == 'extra' and figure >= 0 else ''}{seconds(figure)}"
        return f"{figure:.3g}x" if figure < 100 else f"{figure:.0f}x"


@dataclass(frozen=True)
class Row:
    """One line of the table: runs of ours and of the peer, taken in turn, so that each pair had the same machine.

    Without any run, `note` says why there is none.
    """

    what: str
    peer_name: str
    target: Target
    ours: Sequence[Sample]
    peer: Sequence[Sample] = ()
    note: str = ""
    unit: Literal["seconds", "bytes"] = field(default="seconds")

    def _pairs(self) -> Iterator[tuple[Sample, Sample]]:
        return zip(self.ours, self.peer or [Sample(math.nan)] * len(self.ours), strict=True)

    @property
    def figures(self) -> list[float]:
        """The figure of each pair, in CPU time (or bytes)."""
        return [self.target.figure(ours.cost, peer.cost) for ours, peer in self._pairs()]

    @property
    def wall_figures(self) -> list[float]:
        return [self.target.figure(ours.wall, peer.wall) for ours, peer in self._pairs()]

    @property
    def figure(self) -> float:
        """The figure of the row: the median of the pairs; for small differences that of the lower quartiles.

        What else the machine does can only add to a run, and it adds more than such a difference.
        """
        if self.target.kind == "extra":
            return _lower_quartile(self.ours) - _lower_quartile(self.peer)
        return median(self.figures) if self.ours else math.nan

    @property
    def reached(self) -> bool | None:
        return self.target.reached(self.figure)

    def cells(self) -> tuple[str, ...]:
        """The texts of the line, column by column."""
        figures, shown = self.figures, self.target.shown
        verdict = {None: "-", True: "yes", False: "NO"}[self.reached]
        return (
            self.what,
            self._amount(self.ours),
            f"{self.peer_name} {self._amount(self.peer)}" if self.peer else self.peer_name,
            shown(self.figure),
            f"{shown(min(figures))} .. {shown(max(figures))}" if len(figures) > 1 else "one run" if figures else "-",
            shown(median(self.wall_figures)) if figures else "-",
            str(self.target),
            verdict,
            self.note,
        )

    def _amount(self, samples: Sequence[Sample]) -> str:
        if not samples:
            return "-"
        amount = median(sample.cost for sample in samples)
        return f"{amount / 1e6:.1f} MB" if self.unit == "bytes" else seconds(amount)

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "peer": self.peer_name,
            "unit": self.unit,
            "ours": [sample.to_json() for sample in self.ours],
            "theirs": [sample.to_json() for sample in self.peer],
            "kind": self.target.kind,
            "figure": None if math.isnan(self.figure) else self.figure,
            "target": self.target.limit,
            "reached": self.reached,
            "note": self.note,
        }


def _lower_quartile(samples: Sequence[Sample]) -> float:
    return quantiles([sample.cost for sample in samples], n=4)[0]


HEADINGS = ("what", "ours", "beside", "figure", "spread", "wall", "design", "reached", "")


def table(rows: Sequence[Row], headings: Sequence[str] = HEADINGS) -> str:
    """The rows under their headings, in columns."""
    lines = [headings, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([texts[0], "-" * max(map(len, texts)), *texts[1:]])


def seconds(amount: float) -> str:
    """A time as a person reads it."""
    size = abs(amount)
    if size >= 1:
        return f"{amount:.2f} s"
    return f"{amount * 1e3:.3g} ms" if size >= 1e-3 else f"{amount * 1e6:.3g} us"


def alternate(rounds: int, ours: Callable[[], Sample], peer: Callable[[], Sample]) -> tuple[list[Sample], list[Sample]]:
    """Run both in turn, after one run of each that does not count."""
    ours()
    peer()
    pairs = [(ours(), peer()) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
