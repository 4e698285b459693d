"""What stands in the file of a cassette: its documents, found by their boundaries and keys."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

from llm_strategy.cassette import document, obstacle
from llm_strategy.cassette.emitter import LIMITS
from llm_strategy.cassette.entry import Chunk, Entry
from llm_strategy.cassette.reader import load
from llm_strategy.cassette.spans import Conflict, Span, spans
from llm_strategy.errors import CassetteError
from llm_strategy.values import JSON

_KEY = re.compile(rb'---\nkey: "([0-9a-f]{64})"\n(?:function: "((?:[^"\\\n]|\\.)*)"\n)?')
_HEADER = f'---\nformat: "{obstacle.FORMAT}"\n'.encode()
_DIGITS = re.compile("[0-9a-f]{64}")
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
        self._halves: dict[str, Entry] = {}
        self._chunk: Chunk | None = None
        self._tail = b""

    @classmethod
    def of(cls, path: Path, data: bytes) -> Contents:
        """What a file with this in it would hold. Raises CassetteError for what is no cassette."""
        contents = cls(path)
        obstacle.check_beginning(path, data[: obstacle.BEGINNING])
        contents._read(data)
        return contents

    def read(self) -> Contents:
        """What the file holds now: these contents and what has come behind them, or others if it was rewritten."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise obstacle.unreadable(self.path, error) from None
        with file:
            status = os.fstat(file.fileno())
            # Another thread may be looking into the old contents: they are replaced whole.
            contents = self if self._goes_on(file, status) else Contents(self.path)
            file.seek(contents.seen)
            if contents.header is None:
                # It may be anything, of any size.
                obstacle.check_beginning(self.path, file.read(obstacle.BEGINNING))
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
        chunk = Chunk(data.replace(b"\r\n", b"\n") if b"\r" in data else data, self._chunk)
        try:
            found = list(spans(chunk.data))
        except Conflict as conflict:
            raise CassetteError(
                f"{self.path}:{chunk.line(conflict.args[0])}: git left conflict markers here: resolve them (keep whole "
                "documents of both sides, each from `---` to `digest:`)"
            ) from None
        for span in found:
            if self._is_torn(chunk, span):
                chunk.end = span.start
            else:
                self._take(chunk, span)
        self.torn = chunk.end < len(chunk.data)
        end = chunk.end if len(chunk.data) == len(data) else _end_of_line(data, chunk.data.count(b"\n", 0, chunk.end))
        self.seen += end
        self._tail = (self._tail + data[max(0, end - _TAIL) : end])[-_TAIL:]
        if end:
            self._chunk = chunk

    def _is_torn(self, chunk: Chunk, span: Span) -> bool:
        """Whether nothing but the end of a document, or of the header, is missing."""
        if not span.torn or span.end - span.start > LIMITS.document:
            return False
        text = chunk.data[span.start : span.end]
        return _is_torn_header(text) if self.header is None else not _is_complete(text)

    def _take(self, chunk: Chunk, span: Span) -> None:
        data, start, end, plain, _ = chunk.data, *span
        if end - start > LIMITS.document:
            raise self._refused(chunk, start, f"a document of more than {LIMITS.document:,} bytes is not allowed here")
        if self.header is None:
            if data[start:end].strip():
                self.header = document.check_header(load(data[start:end], source=str(self.path)), self.path)
            return
        found = _KEY.match(data, start, end) if plain else None
        if found:
            key, function = found[1].decode(), _unquoted(found[2] or b"") or None
        elif end - start < 9 and data[start:end].strip(b"-\n ") == b"":
            return
        else:
            # Another tool has written this: slower, and read all the same.
            key, function = self._identity(chunk, start, end)
        entry = Entry(self.path, chunk, (start, end), len(self.order) + 1, (key, function))
        equal = self.entries.get(key)
        if equal is None:
            equal = self.entries[key] = []
            self._compare_halves(entry)
        self.order.append(entry)
        equal.append(entry)
        entry.occurrence = len(equal)

    def _identity(self, chunk: Chunk, start: int, end: int) -> tuple[str, str | None]:
        """Key and function of a document that has to be parsed to find them."""
        text = chunk.data[start:end]
        try:
            parsed = load(text)
        except CassetteError:
            parsed = load(text, source=str(self.path), first_line=chunk.line(start))
        if not isinstance(parsed, dict) or not isinstance(parsed.get("key"), str):
            raise self._refused(chunk, start, "this document is no recorded call")
        key, function = parsed["key"], parsed.get("function")
        if not _DIGITS.fullmatch(key):
            raise self._refused(chunk, start, "its key is not 64 hex digits: it was edited, or damaged")
        if not isinstance(parsed.get("digest"), str):
            raise self._refused(chunk, start, "it has no digest: it was edited, or damaged")
        return key, function if isinstance(function, str) else None

    def _compare_halves(self, entry: Entry) -> None:
        """Find a damaged key: an equal call's later recording would answer in place of this one.

        No two keys have a half in common, but for a damaged one and what it was. The digest tells which is which.
        """
        for half in (entry.key[:32], entry.key[32:]):
            other = self._halves.setdefault(half, entry)
            if other is not entry:
                for damaged in (entry, other):
                    if not damaged.is_sound:
                        raise CassetteError(
                            f"{damaged.place}: the key of this document does not agree with its digest, and resembles "
                            "that of another: it was edited, or damaged. Restore the file, or record again: "
                            "pytest --llm-record=all"
                        )

    def _refused(self, chunk: Chunk, start: int, problem: str) -> CassetteError:
        return CassetteError(
            f"{self.path}:{chunk.line(start)}: {problem}; restore the file, or record again: pytest --llm-record=all"
        )


def _unquoted(name: bytes) -> str:
    """The text of a quoted scalar; nearly always it has no escapes. A damaged name does no harm: it is for people."""
    if b"\\" not in name:
        return name.decode("utf-8", "replace")
    try:
        text: str = load(b'name: "' + name + b'"')["name"]
    except CassetteError:
        return name.decode("utf-8", "replace")
    return text


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
    """Whether another tool has put the digest elsewhere."""
    try:
        parsed = load(text)
    except CassetteError:
        return False
    return isinstance(parsed, dict) and "digest" in parsed and text.endswith(b"\n")


def file_version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
