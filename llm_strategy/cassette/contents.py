"""What stands in the file of a cassette: its documents, found by their boundaries and keys."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from llm_strategy.cassette import document
from llm_strategy.cassette.entry import DOCUMENT_END, Chunk, Entry
from llm_strategy.cassette.reader import load
from llm_strategy.errors import CassetteError
from llm_strategy.values import JSON

_BOUNDARY = b"\n---"
_KEY = re.compile(rb'---\nkey: "([0-9a-f]{64})"\n(?:function: "((?:[^"\\\n]|\\.)*)"\n)?')
_HEADER = f'---\nformat: "{document.FORMAT}"\n'.encode()
_CONFLICTS = (b"\n<<<<<<< ", b"\n>>>>>>> ")
_TAIL = 100
"""Bytes that are compared to tell whether a file has only grown: a digest stands in them."""


class Contents:
    """What was read of one version of a file; grows while the file only grows.

    `seen` is where its whole documents end. `spoken_for` are the first entries, whose models the header names.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.version: tuple[int, int, int] | None = None
        self.entries: dict[str, list[Entry]] = {}
        self.order: list[Entry] = []
        self.header: dict[str, JSON] | None = None
        self.seen = 0
        self.spoken_for = 0
        self.torn = False
        self._chunk: Chunk | None = None
        self._tail = b""

    def read(self) -> Contents:
        """What the file holds now: these contents and what has come behind them, or others if it was rewritten."""
        try:
            file = self.path.open("rb")
        except IsADirectoryError:
            raise CassetteError(f"{self.path} is a folder, not a cassette; move it away") from None
        with file:
            status = os.fstat(file.fileno())
            # Another thread may be looking into the old contents: they are replaced whole.
            contents = self if self._goes_on(file, status) else Contents(self.path)
            file.seek(contents.seen)
            data = file.read()
        is_first = contents.version is None
        contents.version = file_version(status)
        contents._read(data)
        if is_first:
            contents.spoken_for = len(contents.order)
        return contents

    def _goes_on(self, file: BinaryIO, status: os.stat_result) -> bool:
        """Whether the file has only grown since; an editor may write a changed one into the same place."""
        if self.version is None:
            return True
        if status.st_ino != self.version[0] or status.st_size <= self.seen:
            return False
        file.seek(self.seen - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _read(self, data: bytes) -> None:
        # A checkout on Windows has other line ends. Carriage returns of a recorded text are written as escapes.
        chunk = Chunk(data.replace(b"\r\n", b"\n"), self._chunk)
        conflicts = [at + 1 for marker in _CONFLICTS if (at := chunk.data.find(marker)) >= 0]
        if chunk.data.startswith(_CONFLICTS[0][1:]):
            conflicts = [0]
        if conflicts:
            raise CassetteError(
                f"{self.path}:{chunk.line(min(conflicts))}: git left conflict markers here: resolve them (keep whole "
                "documents of both sides, each from `---` to `digest:`)"
            )
        self._index(chunk)
        self.torn = chunk.end < len(chunk.data)
        end = chunk.end if len(chunk.data) == len(data) else _end_of_line(data, chunk.data.count(b"\n", 0, chunk.end))
        self.seen += end
        self._tail = (self._tail + data[max(0, end - _TAIL) : end])[-_TAIL:]
        if end:
            self._chunk = chunk

    def _index(self, chunk: Chunk) -> None:
        """Find the documents of what was read; the last one may not be complete yet."""
        data = chunk.data
        starts = list(_starts(data))
        for position, (start, end) in enumerate(zip(starts, [*starts[1:], len(data)], strict=False)):
            if position == len(starts) - 1:
                text = data[start:end]
                if _is_torn_header(text) if self.header is None else not _is_complete(text):
                    chunk.end = start
                    break
            self._take(chunk, start, end)

    def _take(self, chunk: Chunk, start: int, end: int) -> None:
        data = chunk.data
        if self.header is None:
            self.header = document.check_header(load(data[start:end], source=str(self.path)), self.path)
            return
        found = _KEY.match(data, start, end)
        number = len(self.order) + 1
        if found:
            key, function = found[1].decode(), _unquoted(found[2])
        else:
            # Another tool has written this: slower, and read all the same.
            line = chunk.line(start)
            parsed = load(data[start:end], source=str(self.path), first_line=line)
            if parsed is None:
                return
            if not isinstance(parsed, dict) or not isinstance(parsed.get("key"), str):
                raise CassetteError(
                    f"{self.path}:{line}: this document is no recorded call; restore the file, or record again: "
                    "pytest --llm-record=all"
                )
            key, function = parsed["key"], parsed.get("function")
        entry = Entry(self.path, chunk, (start, end), number, (key, function))
        self.order.append(entry)
        equal = self.entries.setdefault(key, [])
        equal.append(entry)
        entry.occurrence = len(equal)


def _unquoted(name: bytes | None) -> str | None:
    """The text of a quoted scalar; nearly always it has no escapes."""
    if name is None or b"\\" not in name:
        return None if name is None else name.decode()
    text: str = load(b'name: "' + name + b'"')["name"]
    return text


def _starts(data: bytes) -> Iterator[int]:
    """Where documents begin: at a line with `---`, which nothing inside a document can begin with."""
    if data.startswith(b"---") or data.strip():
        yield 0
    at = data.find(_BOUNDARY)
    while at >= 0:
        # Another tool may have put the first value beside it.
        if data[at + 4 : at + 5] in (b"\n", b" "):
            yield at + 1
        at = data.find(_BOUNDARY, at + 1)


def _end_of_line(data: bytes, number: int) -> int:
    """Where the n-th line ends."""
    at = 0
    for _ in range(number):
        at = data.index(b"\n", at) + 1
    return at


def _is_torn_header(text: bytes) -> bool:
    """Whether this is the beginning of a header of ours, which a crash has cut off: no call is lost with it."""
    if _HEADER.startswith(text):
        return True
    if not text.startswith(_HEADER):
        return False
    try:
        load(text)
    except CassetteError:
        return True
    return not text.endswith(b"\n")


def _is_complete(text: bytes) -> bool:
    if DOCUMENT_END.search(text[-90:]):
        return True
    # Another tool may have put the digest elsewhere.
    try:
        parsed = load(text)
    except CassetteError:
        return False
    return isinstance(parsed, dict) and "digest" in parsed and text.endswith(b"\n")


def file_version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
