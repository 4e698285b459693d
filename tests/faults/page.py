"""Writes `docs/reference/guarantees.md`: each promise, what tests it, and what a long run has counted.

    python -m tests.faults.page

The figures come from `docs/reference/guarantees.json`, into which `make faults` writes them. Nobody types one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
FIGURES = REFERENCE / "guarantees.json"
PAGE = REFERENCE / "guarantees.md"

NOT_RUN = "not run long yet"
VCRPY = "vcrpy"
"""The entry of the figures that is no promise: what `benchmarks/faults.py` has measured of both."""
_BESIDE = ("on", "test")
"""Fields that are no figures: on what they were counted, and by which test."""
_FIRST = ("trials", "tests", "calls", "completed", "entries", "prompts", "figure")
"""Fields that say of how many; the others follow by name."""


class Row(NamedTuple):
    """A promise. `figures` are the beginnings of the names under which tests keep its figures, `tests` are those
    that keep none, `faults` are what was done to vcrpy as well."""

    promise: str
    figures: Sequence[str] = ()
    tests: Sequence[str] = ()
    faults: Sequence[str] = ()


_CLI = "tests/llm_strategy/test_cli.py"
_CASSETTE = "tests/llm_strategy/test_cassette.py"
_WRITERS = "tests/faults/test_parallel_writers.py"
_MODES = "tests/pytest_llm_strategy/test_record_modes.py"

SECTIONS: Mapping[str, Sequence[Row]] = {
    "It loses nothing": (
        Row(
            "A recording killed at any moment (SIGKILL) keeps every call whose answer its program got; the file is readable, and the next run goes on",
            ["killed"],
            faults=["killed while recording"],
        ),
        Row("A torn last document is reported and dropped, the rest is used", tests=[_CASSETTE]),
        Row(
            "A full disk, a read-only folder, a failing `write`, `fsync` or `replace`, at every system call in turn: what was there is intact, and the error names the file",
            ["failing system calls", "full disk", "writes cut short", "read-only folder"],
            faults=["full disk"],
        ),
        Row(
            "Recording afresh (`all`) with a provider that refuses or times out, a test that fails, Ctrl-C, `-x`, `-k`, `--lf`: the old cassette stays byte for byte, and what was paid for lies beside it",
            ["recorded afresh"],
            [_MODES],
        ),
        Row(
            "What a run replaces or removes is kept until it is accepted. Killed, or failing, in any system call, neither a run nor a decision loses a recording that was accepted; two may review while a third records",
            tests=["tests/faults/test_replaced.py"],
        ),
        Row(
            "8 threads record 50 calls each into one cassette",
            ["threads"],
            faults=["threads on one cassette", "threads in one block"],
        ),
        Row(
            "8 threads send calls over HTTP with `requests` and with botocore, through clients made before the recording and in it: none gets past it, neither while recording nor in replay",
            ["HTTP clients in threads"],
        ),
        Row("100 tasks with answers in any order give one content of the file", ["tasks"]),
        Row(
            "Processes, spawned ones too, record into one cassette",
            tests=[f"{_WRITERS}::test_child_processes_of_a_block", "tests/llm_strategy/test_session.py"],
        ),
        Row(
            "Workers of pytest-xdist with one cassette for 40 tests keep 40 calls",
            ["workers on one cassette"],
            faults=["xdist workers on one cassette"],
        ),
        Row(
            "What two workers need at the same time is asked once, a session fixture's calls too",
            tests=[f"{_WRITERS}::test_workers_on_one_shared_cassette"],
        ),
        Row(
            "A lock that is held says so after a time, and a killed process holds none",
            tests=[f"{_WRITERS}::test_a_lock_times_out_with_a_message_and_goes_with_its_process"],
        ),
        Row(
            "A test's own cassette loses what is stale only after a complete pass; a shared one only by `llm-strategy prune`; a file that no test owns is listed, never deleted unasked",
            tests=["tests/pytest_llm_strategy/test_pruning.py", "tests/llm_strategy/test_prune.py"],
        ),
        Row(
            "A parameter inserted before others shifts the names of 300 cassettes: nothing is asked again, nothing is lost",
            ["a parameter is", "SIG"],
        ),
    ),
    "It tells no lies": (
        Row(
            "A request that changed by one character never gets the old answer",
            ["one other character"],
            ["tests/llm_strategy/test_http.py::test_one_changed_character_misses"],
            faults=["a prompt that changed"],
        ),
        Row(
            "A program has the same keys under 20 hash seeds, 3 time zones, 3 locales, Python 3.11 to 3.13, the oldest and newest pydantic (but where one writes another schema), and after a checkout with CRLF",
            ["the same keys"],
            ["tests/llm_strategy/test_keys.py"],
        ),
        Row(
            "Where a new version of a dependency changes a schema, the miss says so",
            tests=["tests/llm_strategy/test_versions.py"],
        ),
        Row(
            "Values that change from run to run are named when they are recorded",
            ["changing values", "constants in prompts", "the second process"],
        ),
        Row("`llm-strategy why KEY` shows what keeps changing", tests=["tests/llm_strategy/test_why.py"]),
        Row(
            "Every byte flipped: the right answer or a clear error, never a wrong answer",
            ["a changed byte"],
        ),
        Row(
            "Cut off anywhere: what is whole is replayed, the rest is missing",
            ["a file cut off"],
        ),
        Row(
            "Conflict markers, another format version, a duplicate, an empty file, a folder in its place: each has a message of its own",
            tests=[
                "tests/faults/test_hostile_files.py::test_each_bad_state_of_a_file_is_named_with_what_to_do",
                _CASSETTE,
            ],
        ),
        Row("`llm-strategy verify` finds what was edited, and `--accept` signs replies, never requests", (), [_CLI]),
        Row("`llm-strategy merge` keeps the calls of both branches", tests=["tests/llm_strategy/test_merge.py"]),
        Row(
            "`ls`, `show` and `diff` say what is there and what has changed",
            (),
            [_CLI, "tests/llm_strategy/test_cli_diff.py"],
        ),
        Row(
            "1,000 hostile test ids: no two share a file, none leaves the folder",
            ["hostile test ids"],
            ["tests/llm_strategy/test_naming.py"],
        ),
    ),
    "It leaks nothing": (
        Row("Each rule finds the credential that it is for", tests=["tests/llm_strategy/test_redaction.py"]),
        Row(
            "No way out (cassettes, snapshots, reports, errors, logs, JUnit XML) lets a credential through",
            ["a credential on its way"],
        ),
        Row(
            "Recorded as one user, in one home and environment, it replays as another",
            tests=["tests/faults/test_leaks.py::test_another_user_replays_what_one_has_recorded"],
        ),
        Row(
            "`llm-strategy scan` finds credentials in cassettes, ours and vcrpy's, and never prints them",
            tests=["tests/llm_strategy/test_scan.py"],
        ),
        Row("A hostile file runs no code, and takes bounded memory and time", ["a hostile file", "hostile text"]),
    ),
    "It scales": (
        Row("A cassette of 10,000 calls is opened, and its last call replayed", ["speed: open"]),
        Row("Its memory stays near the size of the file", ["speed: peak memory", "speed: vcrpy's peak memory"]),
        Row("A miss in it finds the nearest recording", ["speed: miss"]),
        Row("A call is appended to it as fast as to a small one", ["speed: append"]),
        Row(
            "A direct call of the `openai` client, replayed, beside what the client itself takes: the same from a small cassette as from a large one",
            ["http: "],
        ),
        Row(
            "Images, sound and files from 1 KiB on are stored once, beside the cassettes, also those of HTTP calls",
            (),
            ["tests/llm_strategy/test_content_parts.py", "tests/llm_strategy/test_http_contents.py"],
        ),
    ),
}

_HEAD = """# What is guaranteed

Each promise stands beside the tests that prove it and the figures of the last long run. `make faults` makes that run: the tests of
`tests/faults/` in their long form, the same faults for vcrpy (`benchmarks/faults.py`), the design's speeds (`benchmarks/replay.py --quick`,
`benchmarks/http.py`), and then this page, from `guarantees.json`. An ordinary run of the tests (`make test`) tries the same faults less often. "{not_run}" stands where no long
run has left figures yet.

The last column has what became of vcrpy under the same fault: the same `openai` client, the same server, the same kill. It is told to compare
bodies, except where a prompt changes: there both are as they come. In its column, *with llm-strategy* is what this library made of that very
program.
"""


def page(figures: Mapping[str, Any]) -> str:
    """The text of the page."""
    lines = [_HEAD.format(not_run=NOT_RUN)]
    peers = figures.get(VCRPY, {})
    shown: set[str] = set()
    for title, rows in SECTIONS.items():
        lines += [f"## {title}\n", "| promise | tested by | counted | vcrpy |", "|---|---|---|---|"]
        for row in rows:
            names = [name for name in sorted(figures) if name.startswith(tuple(row.figures)) and name != VCRPY]
            shown.update(names)
            cells = row.promise, _tested(row, names, figures), _counted(row, names, figures), _peer(row, peers)
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    others = [name for name in sorted(figures) if name not in shown and name != VCRPY]
    if others:
        lines += ["## Counted besides\n", "| what | tested by | counted |", "|---|---|---|"]
        row = Row("")
        lines += [f"| {name} | {_tested(row, [name], figures)} | {_one(figures[name])} |" for name in others]
        lines.append("")
    lines.append(_ground(figures))
    return "\n".join(lines) + "\n"


def _tested(row: Row, names: Sequence[str], figures: Mapping[str, Any]) -> str:
    counting = [str(figures[name]["test"]) for name in names if "test" in figures[name]]
    tests = list(dict.fromkeys([*counting, *row.tests]))
    return "<br>".join(f"`{_command(test)}`" for test in tests) or "-"


def _command(test: str) -> str:
    return f"pytest {test}" if test.partition("::")[0].endswith(".py") and test.startswith("tests/") else test


def _counted(row: Row, names: Sequence[str], figures: Mapping[str, Any]) -> str:
    if not names:
        return NOT_RUN if row.figures else "holds in every run of the tests"
    if len(names) == 1:
        return _one(figures[names[0]])
    return "<br>".join(
        f"{name.removeprefix('speed: ').removeprefix('http: ')}: {_one(figures[name])}" for name in names
    )


def _one(numbers: Mapping[str, Any]) -> str:
    names = sorted(set(numbers) - set(_BESIDE), key=lambda name: ([*_FIRST, name].index(name), name))
    return ", ".join(f"{name.replace('_', ' ')} {_number(numbers[name])}" for name in names)


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "\\|")


def _peer(row: Row, peers: Mapping[str, Any]) -> str:
    return "<br>".join(_sides(fault, peers, named=len(row.faults) > 1) for fault in row.faults)


def _sides(fault: str, peers: Mapping[str, Any], *, named: bool) -> str:
    if fault not in peers:
        return NOT_RUN
    sides, name = peers[fault], f"{fault}: " * named
    return f"{name}{_one(sides['vcrpy'])}<br>*with llm-strategy:* {_one(sides['ours'])}"


def _ground(figures: Mapping[str, Any]) -> str:
    """What the figures were counted on."""

    def grounds(entries: Iterator[Any]) -> str:
        return "; ".join(sorted({entry["on"] for entry in entries if "on" in entry})) or NOT_RUN

    ours = grounds(numbers for name, numbers in figures.items() if name != VCRPY)
    return f"Counted on: {ours}. vcrpy: {grounds(iter(figures.get(VCRPY, {}).values()))}."


def read() -> dict[str, Any]:
    """The figures; none before the first long run."""
    found: dict[str, Any] = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    return found


def main() -> None:
    PAGE.write_text(page(read()), "utf-8")


if __name__ == "__main__":
    main()
