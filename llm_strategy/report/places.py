"""Where the calls of a report stand in their cassettes, once these are as they will be committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from llm_strategy.cassette.miss import shown_place
from llm_strategy.cassette.rerecording import new_path
from llm_strategy.cassette.store import CassetteFile, open_file
from llm_strategy.errors import CassetteError
from llm_strategy.values import JSON


def with_lines(tests: Iterable[Mapping[str, JSON]]) -> list[dict[str, JSON]]:
    """The tests with the lines of those calls that lack them: recording and pruning have moved documents."""
    files: dict[str, list[CassetteFile]] = {}
    return [{**test, "calls": [_with_line(call, files) for call in test["calls"]]} for test in tests]


def _with_line(call: dict[str, JSON], files: dict[str, list[CassetteFile]]) -> dict[str, JSON]:
    if "occurrence" not in call or "line" in call:
        return call
    name = call["cassette"]
    if name not in files:
        # What did not replace its cassette stands beside it.
        files[name] = [file for path in (Path(name), new_path(Path(name), 0)) if (file := _opened(path)) is not None]
    for file in files[name]:
        entry = file.find(call["key"], call["occurrence"], repeat_last=True)
        if entry is not None:
            place, _, line = shown_place(entry).rpartition(":")
            return {**call, "cassette": place, "line": int(line)}
    return call


def _opened(path: Path) -> CassetteFile | None:
    with suppress(CassetteError, OSError):
        return open_file(path) if path.exists() else None
    return None
