"""The rows of the table, one function for each group."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measuring import Row, Sample, Target, alternate, settle, timed
from processes import Children
from workload import LIMIT, Floor, Ours, Renamed, Vcrpy, adder, check, each, query, spread

from llm_strategy import CassetteMiss

SIZES = (10, 1_000, 10_000)
DISTINCT = 1_000
_SUMS = 300
SMALL, LARGE = SIZES[0], SIZES[-1]


class Benchmark:
    """The recordings that the rows share, and how often to repeat."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self.ours = Ours()
        self.vcrpy = Vcrpy(self.ours)
        self.children = Children(folder)
        self._made: dict[tuple[str, int], Path] = {}

    def recording(self, of: Ours | Vcrpy, count: int) -> Path:
        """A cassette of `count` calls, made when first asked for."""
        name = type(of).__name__.lower()
        if (name, count) not in self._made:
            self._made[name, count] = of.record(self.folder / f"{name}-{count}.yaml", count)
        return self._made[name, count]

    def rounds(self, full: int, quick: int) -> int:
        return quick if self.quick else full


# Replay


def replay_rows(bench: Benchmark) -> Iterator[Row]:
    """A replayed call beside the floor and beside vcrpy, in cassettes of growing size."""
    for size in SIZES:
        yield _beside_floor(bench, size)
    for size in SIZES:
        yield _beside_vcrpy(bench, size)


def _replayed(bench: Benchmark, by: Ours | Vcrpy, size: int, numbers: Sequence[int]) -> Sample:
    """What each of these calls takes; call 0 opens the cassette before."""
    with by.cassette(bench.recording(by, size)):
        by.call(0)
        with timed() as watch:
            each(by.call, numbers)
    return watch.sample.per(len(numbers))


def _beside_floor(bench: Benchmark, size: int) -> Row:
    numbers = spread(1_000, size)
    floor = Floor(bench.ours, numbers)

    def at_floor() -> Sample:
        with timed() as watch:
            each(floor.call, numbers)
        return watch.sample.per(len(numbers))

    bench.recording(bench.ours, size)
    settle()
    ours, peer = alternate(bench.rounds(40, 15), lambda: _replayed(bench, bench.ours, size, numbers), at_floor)
    return Row(f"replayed call, {size:,} recorded", "floor", Target("cost", 3), ours, peer)


def _beside_vcrpy(bench: Benchmark, size: int) -> Row:
    calls, rounds = {10: (9, 15), 1_000: (10, 5), 10_000: (3, 1)}[size]
    if bench.quick:
        calls, rounds = {10: (9, 5), 1_000: (4, 2), 10_000: (1, 1)}[size]
    numbers = spread(calls, size)
    bench.recording(bench.vcrpy, size)
    ours, peer = [], []
    for _ in range(rounds):
        settle()
        peer.append(_replayed(bench, bench.vcrpy, size, numbers))
        settle()
        ours.append(_replayed(bench, bench.ours, size, spread(1_000, size)))
    note = f"vcrpy: {calls} of the calls, the last among them" if len(numbers) < size - 1 else ""
    return Row(f"replayed call, {size:,} recorded", "vcrpy", Target("faster", 30), ours, peer, note)


def distinct_row(bench: Benchmark) -> Iterator[Row]:
    """Many calls, each once, the opening of the file included."""
    # All of vcrpy's calls would take minutes; it looks at the recordings in turn, so that evenly spaced ones tell.
    asked = spread(bench.rounds(200, 20), DISTINCT)
    ours = _all_calls(bench, bench.ours, list(range(DISTINCT)))
    peer = _all_calls(bench, bench.vcrpy, asked)
    note = f"vcrpy: {len(asked)} of the calls, scaled up" if len(asked) < DISTINCT else ""
    yield Row(f"{DISTINCT:,} distinct calls, once each", "vcrpy", Target("faster", 500), [ours], [peer], note)


def _all_calls(bench: Benchmark, by: Ours | Vcrpy, numbers: Sequence[int]) -> Sample:
    """Opening the file and replaying all of its calls, worked out from those that are asked."""
    path = bench.recording(by, DISTINCT)
    settle()
    with timed() as whole, by.cassette(path), timed() as calls:
        each(by.call, numbers)
    more = DISTINCT / len(numbers) - 1
    return Sample(whole.sample.cost + more * calls.sample.cost, whole.sample.wall + more * calls.sample.wall)


def large_rows(bench: Benchmark) -> Iterator[Row]:
    """Opening a large file, in processes of their own."""
    runs = [[_opened(bench, bench.ours), _opened(bench, bench.vcrpy)] for _ in range(bench.rounds(2, 1))]
    ours, peer = zip(*runs, strict=True)
    size = bench.recording(bench.ours, LARGE).stat().st_size
    what = f"open {LARGE:,} calls ({size / 1e6:.0f} MB), replay the last"
    yield Row(what, "vcrpy", Target("faster", 30), [one.time for one in ours], [one.time for one in peer])
    yield _memory_row("  peak memory grows by", Target("cost", 1.5), [one.memory for one in ours], size)
    theirs = bench.recording(bench.vcrpy, LARGE).stat().st_size
    yield _memory_row("  vcrpy's peak memory grows by", Target("cost"), [one.memory for one in peer], theirs)


def _opened(bench: Benchmark, by: Ours | Vcrpy) -> Any:
    small, large = bench.recording(by, SMALL), bench.recording(by, LARGE)
    return bench.children.open_large(type(by).__name__.lower(), small, large, LARGE)


def _memory_row(what: str, target: Target, grown: Sequence[Sample], size: int) -> Row:
    return Row(what, "file of", target, grown, [Sample(size)] * len(grown), unit="bytes")


# Recording


def append_rows(bench: Benchmark) -> Iterator[Row]:
    """One more call for a cassette that has many, beside one that has few."""
    paths = {}
    for size in (SMALL, LARGE):
        paths[size] = bench.folder / f"grows-{size}.yaml"
        shutil.copyfile(bench.recording(bench.ours, size), paths[size])
    settle()
    numbers = iter(range(LARGE, 2 * LARGE))
    runs = [[_append(bench, path, next(numbers)) for path in paths.values()] for _ in range(bench.rounds(15, 5))]
    few, many = zip(*runs[1:], strict=True)
    name = f"{SMALL} recorded"
    append, leave = [one[0] for one in many], [one[1] for one in many]
    yield Row(f"append one call, {LARGE:,} recorded", name, Target("cost", 1.5), append, [one[0] for one in few])
    yield Row("  leave the block after it", name, Target("cost"), leave, [one[1] for one in few])


def _append(bench: Benchmark, path: Path, number: int) -> tuple[Sample, Sample]:
    with ExitStack() as block:
        block.enter_context(bench.ours.cassette(path, "new"))
        bench.ours.call(0)
        with timed() as appending:
            check(bench.ours.recorder.find(query(number), LIMIT), number)
        with timed() as leaving:
            block.close()
    return appending.sample, leaving.sample


def miss_rows(bench: Benchmark) -> Iterator[Row]:
    """A call that no recording answers, and the search for the one that it was."""
    path = bench.recording(bench.ours, LARGE)
    renamed = Renamed()
    settle()
    for what, limit, call in (
        ("an argument is new", 0.1, bench.ours.call),
        ("function and argument are new", 0.3, renamed.call),
    ):
        runs = [_missed(bench, path, call, LARGE + n) for n in range(bench.rounds(10, 4))]
        yield Row(f"miss, {LARGE:,} recorded: {what}", "-", Target("absolute", limit), runs[1:])


def _missed(bench: Benchmark, path: Path, call: Any, number: int) -> Sample:
    said = ""
    with bench.ours.cassette(path):
        bench.ours.call(0)
        with timed() as watch:
            try:
                call(number)
            except CassetteMiss as miss:
                said = str(miss)
    if "nearest recording" not in said:
        raise AssertionError(f"call {number} is not recorded, and was answered: {said or 'with a value'}")
    return watch.sample


# Without a cassette, and before any call


def without_cassette_row(bench: Benchmark) -> Iterator[Row]:
    """A function of two numbers on a model in this process."""
    settle()
    what, target, rounds = "(int, int) -> int, no cassette", Target("faster", 5), bench.rounds(20, 8)
    ours = adder()
    if find_spec("mirascope") is None:
        _added(ours)
        yield Row(what, "mirascope: not installed", target, [_added(ours) for _ in range(rounds)])
        return
    from mirascope_adder import adder as mirascope_adder

    theirs = mirascope_adder()
    yield Row(what, "mirascope", target, *alternate(rounds, lambda: _added(ours), lambda: _added(theirs)))


def _added(add: Callable[[int, int], int]) -> Sample:
    with timed() as watch:
        for number in range(_SUMS):
            assert add(number, 2) == number + 2
    return watch.sample.per(_SUMS)


def start_rows(bench: Benchmark) -> Iterator[Row]:
    """What is paid before the first call, in fresh processes."""
    rounds, children = bench.rounds(21, 9), bench.children
    ours, peer = alternate(
        bench.rounds(41, 21), lambda: children.pytest(plugin=True), lambda: children.pytest(plugin=False)
    )
    note = "figure: of the lower quartiles"
    yield Row("pytest, with the plugin unused", "without", Target("extra", 0.01), ours, peer, note)
    for statement, beside, limit in (
        ("import llm_strategy", "import pydantic", 1.3),
        ("from llm_strategy import llm_strategy", "import pydantic", 1.3),
        ("from llm_strategy import llm_strategy", "from pydantic import BaseModel, TypeAdapter, create_model", None),
    ):
        ours, peer = alternate(rounds, partial(children.statement, statement), partial(children.statement, beside))
        yield Row(statement, beside.partition(",")[0], Target("cost", limit), ours, peer)
