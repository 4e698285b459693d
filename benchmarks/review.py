"""What a person waits for who looks at a test run of 2,000 calls: its summary, its report, the review, a diff.

    python benchmarks/review.py [--quick] [--json FILE]

One table, made in one run. `review_suite.py` has the calls. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path

from figures import header
from measuring import Row, Sample, Target, settle, table, timed
from review_suite import Suite

from llm_strategy import Session
from llm_strategy.cli import main as command
from llm_strategy.review import Review
from pytest_llm_strategy import summary

CALLS = 2_000
OPENED = 1_000
"""Calls of the report that a browser opens."""
LARGEST = 5_000_000
"""Bytes that this report may have when it is compressed."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()


class Benchmark:
    """The recordings that the rows share, and how often to repeat."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.rounds = 3 if quick else 9
        self.suite = Suite(folder / "suite", CALLS)

    def row(
        self, what: str, ours: Callable[[], Sample], limit: float | None, *, rounds: int = 0, note: str = ""
    ) -> Row:
        ours()
        settle()
        samples = [ours() for _ in range(rounds or self.rounds)]
        return Row(what, "-", Target("absolute", limit), samples, note=note)


# Rows


def summary_rows(bench: Benchmark) -> Iterator[Row]:
    """The lines at the end of a run, as a terminal gets them."""
    for what, session in (
        ("replayed", bench.suite.replayed()),
        ("missed", bench.suite.missed()),
        ("recorded again", bench.suite.recorded_again()),
    ):
        for verbosity, option in ((0, ""), (1, " (-v)")):
            name = f"summary, {CALLS:,} calls {what}{option}"
            yield bench.row(name, lambda session=session, verbosity=verbosity: _written(session, verbosity), 0.2)


class _Terminal:
    """What a summary is written to."""

    def __init__(self, verbosity: int) -> None:
        self.verbosity = verbosity
        self.written = io.StringIO()

    def write_line(self, line: str, **markup: bool) -> None:
        self.written.write(f"{line}{sorted(markup)}\n")


def _written(session: Session, verbosity: int) -> Sample:
    terminal = _Terminal(verbosity)
    with timed() as watch:
        summary.write(terminal, session)  # type: ignore[arg-type]  # it needs no more of a terminal
    assert "model calls" in terminal.written.getvalue()
    return watch.sample


def report_rows(bench: Benchmark) -> Iterator[Row]:
    """What `--llm-report` adds to a run, the page on the disk included."""
    for what in ("replayed", "missed"):
        name = f"report, {CALLS:,} calls {what}"
        # Most of the time goes into the run that is reported.
        yield bench.row(name, lambda what=what: _reported(bench, what, CALLS)[0], 2, rounds=bench.rounds // 3)
    _, page = _reported(bench, "replayed", OPENED)
    size = len(gzip.compress(page.read_bytes()))
    limit = [Sample(LARGEST)]
    yield Row(f"report, {OPENED:,} calls, compressed", "limit", Target("cost", 1), [Sample(size)], limit, unit="bytes")
    yield _opened_row(bench, page)


def _reported(bench: Benchmark, what: str, calls: int) -> tuple[Sample, Path]:
    page = bench.folder / "report.html"
    return bench.suite.reported(what, calls, page), page


def _opened_row(bench: Benchmark, page: Path) -> Row:
    name = f"report, {OPENED:,} calls, opened"
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return Row(name, "-", Target("absolute", 1), [], note="no chromium is on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        try:
            return bench.row(name, lambda: _opened(chromium, page), 1, note="by the browser's clock")
        finally:
            chromium.close()


def _opened(chromium: object, page: Path) -> Sample:
    """From the navigation until everything is loaded, its scripts have run, and it is painted."""
    tab = chromium.new_page()  # type: ignore[attr-defined]  # playwright is imported where it is used
    tab.goto(page.as_uri())
    tab.wait_for_function("performance.getEntriesByType('paint').length > 0")
    took = tab.evaluate(
        "Math.max(performance.getEntriesByType('navigation')[0].loadEventEnd,"
        " ...performance.getEntriesByType('paint').map((entry) => entry.startTime))"
    )
    tab.close()
    return Sample(took / 1000, took / 1000)


def review_rows(bench: Benchmark) -> Iterator[Row]:
    """Finding out what is pending, at first and after a decision; and the same as a diff of two folders."""
    old, new = bench.suite.changed()
    review = Review(new)

    def looked(review: Review) -> Sample:
        with timed() as watch:
            found = review.by_cause()
        assert sum(map(len, found.values())) == CALLS, {cause: len(items) for cause, items in found.items()}
        return watch.sample

    yield bench.row(f"review, {CALLS:,} pending, listed", lambda: looked(Review(new)), None)
    yield bench.row(f"review, {CALLS:,} pending, listed again", lambda: looked(review), None)
    yield bench.row(f"diff of {CALLS:,} changed calls", lambda: _compared(old, new), None)


def _compared(old: Path, new: Path) -> Sample:
    printed = io.StringIO()
    with timed() as watch, redirect_stdout(printed):
        assert command(["diff", str(old), str(new)]) == 1
    assert "prompt" in printed.getvalue()
    return watch.sample


def main() -> None:
    parser = argparse.ArgumentParser(description="What looking at a run of 2,000 calls takes, in one table.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file, to compare commits")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("LLM_STRATEGY_", "OPENAI_"))]:
        del os.environ[name]
    said = header("llm-strategy", "pydantic", "PyYAML", "playwright") | {"run": "quick" if options.quick else "full"}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="llm-strategy-benchmark-") as folder:
        bench = Benchmark(Path(folder), quick=options.quick)
        for part in (summary_rows, report_rows, review_rows):
            started = time.perf_counter()
            rows += part(bench)
            print(f"{part.__name__}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    print("\n".join(f"{name + ':':14}{text}" for name, text in said.items()), end="\n\n")
    print(table(rows))
    print("\nCPU time, unless the column says wall; medians of runs; spread: least and most.")
    if options.json:
        options.json.write_text(json.dumps({"header": said, "rows": [row.to_json() for row in rows]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
