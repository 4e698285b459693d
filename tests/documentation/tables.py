"""The tables of a Markdown text, and the code that stands in their cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.documentation.blocks import read_blocks
from tests.documentation.runner import CHECKOUT

_CELLS = re.compile(r"(?<!\\)\|")
_SPAN = re.compile(r"(?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)")


def document(name: str) -> str:
    return (CHECKOUT / "docs" / name).read_text(encoding="utf-8")


def rows(text: str, header: str) -> list[list[str]]:
    """The rows of the table with this header line, each a list of cells."""
    lines = iter(text.partition(header + "\n")[2].splitlines()[1:])
    found: list[list[str]] = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip().replace("\\|", "|") for cell in _CELLS.split(line)[1:-1]])
    return found


def code(cell: str) -> str:
    """The code that is all of a cell; around more than one backtick a blank is no part of it."""
    match = _SPAN.fullmatch(cell)
    assert match, f"no code: {cell}"
    inner = match["code"]
    return inner[1:-1] if len(match["ticks"]) > 1 else inner


def names(text: str, folder: Path) -> dict[str, Any]:
    """The names that the Python blocks of a document define, its files included."""
    namespace: dict[str, Any] = {"__name__": "document"}
    for block in _definitions(text):
        path = folder / "block.py"
        path.write_text(block, encoding="utf-8")
        exec(compile(block, str(path), "exec"), namespace)  # noqa: S102  # our own documentation
    return namespace


def _definitions(text: str) -> Iterator[str]:
    for block in read_blocks(text):
        if block.language == "python":
            yield block.text
            return
