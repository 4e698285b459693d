"""Replaying beside the floor of the design and beside vcrpy; start-up beside what it is added to.

    python benchmarks/replay.py [--quick] [--write] [--json FILE]

One table, made in one run, so that both sides of a ratio had the same machine. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from figures import FIGURES, header, keep
from measuring import Row, table
from rows import (
    Benchmark,
    append_rows,
    distinct_row,
    large_rows,
    miss_rows,
    replay_rows,
    start_rows,
    without_cassette_row,
)

PACKAGES = ("llm-strategy", "pydantic", "PyYAML", "openai", "vcrpy", "pytest")
PARTS: tuple[Callable[[Benchmark], Iterator[Row]], ...] = (
    replay_rows,
    distinct_row,
    large_rows,
    append_rows,
    miss_rows,
    without_cassette_row,
    start_rows,
)


def run(*, quick: bool) -> list[Row]:
    """Measure every row; a line on standard error says how far it is."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="llm-strategy-benchmark-") as folder:
        bench = Benchmark(Path(folder), quick=quick)
        for part in PARTS:
            started = time.perf_counter()
            rows += part(bench)
            print(f"{part.__name__}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return rows


def kept(rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """The figures that the design asks for."""
    return {
        row.what.strip(): _figure(row)
        for row in rows
        if row.target.kind != "extra" and (row.target.limit is not None or row.unit == "bytes")
    }


def _figure(row: Row) -> dict[str, str]:
    """What was measured, beside what, and what the design asks for, where it asks for anything."""
    beside = {"beside": row.peer_name} if row.peer else {}
    design = {"design": str(row.target)} if row.target.limit is not None else {}
    return {"figure": row.target.shown(row.figure), **beside, **design}


def main() -> None:
    parser = argparse.ArgumentParser(description="Replaying beside its floor and beside vcrpy, in one table.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and samples of vcrpy's slow calls")
    parser.add_argument("--write", action="store_true", help=f"keep the figures of the design in {FIGURES.name}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file, to compare commits")
    options = parser.parse_args()
    # Outside pytest a call without a cassette would be live: nothing here may come from the machine's settings.
    for name in [name for name in os.environ if name.startswith(("LLM_STRATEGY_", "OPENAI_"))]:
        del os.environ[name]
    said = header("llm-strategy", "pydantic", "PyYAML", "openai", "vcrpy", "pytest") | {
        "run": "quick" if options.quick else "full"
    }
    rows = run(quick=options.quick)
    print("\n".join(f"{name + ':':14}{text}" for name, text in said.items()), end="\n\n")
    print(table(rows))
    print("\nCPU time, unless the column says wall; medians of pairs of runs, taken in turn; spread: least and most.")
    if options.write:
        keep("speed", kept(rows), "benchmarks/replay.py --quick")
    if options.json:
        options.json.write_text(json.dumps({"header": said, "rows": [row.to_json() for row in rows]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
