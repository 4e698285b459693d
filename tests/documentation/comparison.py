"""Writes the tables of docs/explanation/comparison.md: `python -m tests.documentation.comparison`.

What stands in them was found by `python benchmarks/comparison.py --write`, and by the long runs behind the page of guarantees.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.documentation.runner import CHECKOUT

PAGE = CHECKOUT / "docs" / "explanation" / "comparison.md"
FOUND = PAGE.with_suffix(".json")
GUARANTEES = CHECKOUT / "docs" / "reference" / "guarantees.json"
COMMAND = "python -m tests.documentation.comparison"
_MARK = f"<!-- From here on the page is written by `{COMMAND}` -->\n"

RECORDERS = ("llm-strategy", "vcrpy", "cassetter", "promptecho")
SITUATIONS = {
    "client:openai": "a call of `openai` is replayed",
    "client:httpx": "a call of `httpx` is replayed",
    "client:requests": "a call of `requests` is replayed",
    "client:aiohttp": "a call of `aiohttp` is replayed",
    "client:boto3": "a call of `boto3` (Bedrock) is replayed",
    "other_prompt": "a prompt that was not recorded, where another one was, gets",
    "key_in_header": "the key in a header is",
    "key_in_prompt": "a key in a prompt is",
    "kept": "a recording killed after five answers",
    "thread": "a call from a thread that was started in a block",
    "nested": "a block within a block",
    "overlapping": "two blocks at the same time, in two threads",
}
SPEED = ("llm-strategy", "cassetter", "vcrpy", "pytest-recording")
SIZES = ("10", "1,000", "10,000")
FAULTS = ("threads on one cassette", "xdist workers on one cassette", "full disk")


def written(text: str) -> str:
    """The page as it should be: its head is kept, the rest is what was found."""
    head, mark, _ = text.partition(_MARK)
    assert mark, f"{PAGE.name} has lost its line {_MARK}"
    found = json.loads(FOUND.read_text("utf-8"))
    figures = json.loads(GUARANTEES.read_text("utf-8"))
    return "\n".join([f"{head}{mark}", *_situations(found), *_speed(figures), *_in_process(found), *_faults(figures)])


def _situations(found: Mapping[str, Any]) -> Iterator[str]:
    ground = dict(found["on"])
    day = ground.pop("day")
    yield "## The same situations\n"
    yield f"Each recorder as it comes, tried on {day} by `python benchmarks/comparison.py --write` with"
    yield f"{', '.join(f'{name} {which}' for name, which in sorted(ground.items()) if name != 'system')}.\n"
    yield from _table(["situation", *RECORDERS])
    for name, words in SITUATIONS.items():
        yield _row([words, *(found["situations"][which][name] for which in RECORDERS)])
    yield ""


def _speed(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "## The cost of a replayed call\n"
    yield "A direct call of the `openai` client, replayed from a cassette of so many calls, in multiples of what the client itself takes"
    yield "(`python benchmarks/http.py --write`). vcrpy and pytest-recording are told to compare bodies, as they must be to tell prompts apart.\n"
    yield from _table(["recorder", *(f"{size} recorded" for size in SIZES)])
    for which in SPEED:
        yield _row([which, *(_figure(figures[f"http: {which}, {size} recorded"]) for size in SIZES)])
    yield ""


def _figure(entry: Mapping[str, str]) -> str:
    return "cannot open it" if entry["figure"] == "none" else entry["figure"]


def _in_process(found: Mapping[str, Any]) -> Iterator[str]:
    entry = found["in the process"]
    yield "## A call that a function in the process answers\n"
    yield "An `(int, int) -> int` function whose answers a Python function computes, in multiples of what it takes here. An agent of pydantic-ai"
    yield "does more in such a call than a function does: it runs a graph in an event loop.\n"
    yield from _table(["with", "cost", "of five runs"])
    yield _row(["pydantic-ai's FunctionModel", entry["pydantic-ai's FunctionModel"], entry["runs"]])
    yield ""


def _faults(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "## The same faults\n"
    yield "What became of recordings of vcrpy and of this library (`python benchmarks/faults.py --write`); [what is"
    yield "guaranteed](../reference/guarantees.md) has the others.\n"
    yield from _table(["fault", "vcrpy", "llm-strategy"])
    for fault in FAULTS:
        sides = figures["vcrpy"][fault]
        yield _row(
            [
                fault,
                *(", ".join(f"{name} {value}" for name, value in sides[side].items()) for side in ("vcrpy", "ours")),
            ]
        )


def _table(titles: Sequence[str]) -> Iterator[str]:
    yield _row(titles)
    yield "|---" * len(titles) + "|"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(page: Path = PAGE) -> None:
    page.write_text(written(page.read_text("utf-8")).rstrip("\n") + "\n", "utf-8")


if __name__ == "__main__":
    main()
