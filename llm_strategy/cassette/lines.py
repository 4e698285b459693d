"""Reading lines in the form in which our emitter writes them, in less than half of the time of a YAML parser.

It may err about lines of another form: the digest beside a response tells.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from llm_strategy.values import JSON

_LINE = re.compile(
    r"( *+)((?:- )*)"
    r'(?:([_$]*+[A-Za-z][A-Za-z0-9_$-]*+|"[^"\\\n]++"):)?'
    r'(?: ?(?:"([^"\\\n]*+(?:\\["\\tnru][^"\\\n]*+)*)"'
    r"|\|2?([-+]?)"
    r"|(null|true|false)"
    r"|(-?[0-9]{1,15})"
    r"|(-?[0-9]++\.[0-9]++(?:e[+-][0-9]++)?)"
    r"|(\[\])"
    r"|(\{\})))?\n"
).match
_STRING, _BLOCK, _WORD, _INTEGER, _FLOAT, _LIST, _MAPPING = range(4, 11)
_WORDS = {"null": None, "true": True, "false": False}
_LONGEST = 1 << 20
"""Bytes; what is longer is left to the reader that knows all limits."""
_DEEPEST = 90


def read_lines(data: bytes) -> dict[str, JSON] | None:
    """The value of lines that hold some fields of a document; None where they have another form."""
    # A mapping with such a key may stand for what YAML cannot carry.
    if len(data) > _LONGEST or b"encoding: " in data:
        return None
    try:
        return _read(data.decode())
    except (ValueError, LookupError, AttributeError):
        return None


def _read(lines: str) -> dict[str, JSON]:
    """Raises ValueError, LookupError or AttributeError for lines of another form."""
    levels = _Levels()
    root: dict[str, JSON] = levels.container
    at, end = 0, len(lines)
    while at < end:
        found = _LINE(lines, at)
        if found is None:
            raise ValueError
        at = found.end()
        spaces, dashes, key = found.group(1, 2, 3)
        if dashes or len(spaces) != levels.column or levels.waiting is not None or type(levels.container) is list:
            levels.go_to(len(spaces), len(dashes), key is not None)
        kind = found.lastindex or 0
        if kind < _STRING:
            levels.wait(key)
            continue
        text = found[kind]
        if kind == _BLOCK:
            value, at = _block(lines, at, levels.column + 2, text)
        else:
            value = text if kind == _STRING and "\\" not in text else _value(kind, text)
        levels.put(key, value)
    if levels.waiting is not None:
        raise ValueError
    return root


class _Levels:
    """The mappings and sequences that are open, each with the column at which its items stand."""

    __slots__ = ("_around", "column", "container", "waiting")

    def __init__(self) -> None:
        self.container: Any = {}
        self.column = 0
        self._around: list[tuple[int, Any]] = []
        self.waiting: str | None = None
        """The key whose value stands in the lines that follow."""

    def go_to(self, column: int, dashes: int, is_mapping: bool) -> None:
        """Open and close, so that `container` is the one that a line with this beginning has a value for."""
        wanted: Any = list if dashes else dict
        if self.waiting is not None:
            if column != (self.column if dashes else self.column + 2):
                raise ValueError
            key, self.waiting = self.waiting, None
            self.put(key, container := wanted())
            self._enter(column, container)
        while self.column > column or (self.column == column and type(self.container) is not wanted):
            self.column, self.container = self._around.pop()
        if self.column != column:
            raise ValueError
        for inner in range(column + 2, column + dashes + 1, 2):
            if inner < column + dashes or is_mapping:
                self.container.append(container := {} if inner == column + dashes else [])
                self._enter(inner, container)

    def _enter(self, column: int, container: Any) -> None:
        self._around.append((self.column, self.container))
        if len(self._around) > _DEEPEST:
            raise ValueError
        self.column, self.container = column, container

    def wait(self, key: str | None) -> None:
        """The value stands in the lines that follow."""
        if key is None:
            raise ValueError
        self.waiting = key

    def put(self, key: str | None, value: JSON) -> None:
        if key is None:
            self.container.append(value)
            return
        if key[0] == '"':
            key = key[1:-1]
        if key in self.container:
            raise ValueError
        self.container[key] = value


def _value(kind: int, text: str) -> JSON:
    if kind == _STRING:
        return json.loads(f'"{text}"') if "\\" in text else text
    if kind == _WORD:
        return _WORDS[text]
    if kind == _INTEGER:
        return int(text)
    return float(text) if kind == _FLOAT else [] if kind == _LIST else {}


def _block(text: str, at: int, column: int, chomping: str) -> tuple[str, int]:
    """The text of the block that begins there, and where it ends."""
    end = _block_lines(column)(text, at).end()
    content = text[at:end].replace("\n" + " " * column, "\n").removeprefix(" " * column)
    return (content[:-1] if chomping == "-" else content), end


@cache
def _block_lines(column: int) -> Any:
    return re.compile(rf"(?>(?: {{{column}}}.*+\n|\n)*)").match
