"""The recordings of one file while a decision moves them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from llm_strategy.cassette.document import answered_by, header_document
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.replaced import apart, identity
from llm_strategy.cassette.store import CassetteFile, open_file
from llm_strategy.cassette.versions import rendered_by


class Side:
    """A file, which need not be there, and the recordings that it is to hold. Raises CassetteError or OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before = path.read_bytes() if path.exists() else None
        self._file = open_file(path)
        self.entries = list(self._file.entries)
        self._came: list[Entry] = []
        self._went = 0

    @property
    def exists(self) -> bool:
        return self.before is not None

    @property
    def is_shared(self) -> bool:
        """Whether several tests use it; a file that is not there is nobody's yet."""
        return self.exists and not isinstance(self._file.header.get("recorded_by"), str)

    def holds(self, entry: Entry | None) -> bool:
        """Whether a recording stands in the file, unchanged."""
        return entry is None or self._place(entry) is not None

    def _place(self, entry: Entry) -> int | None:
        raw = entry.raw
        places = (at for at, other in enumerate(self.entries) if other.key == entry.key and other.raw == raw)
        return next(places, None)

    def swap(self, gone: Entry | None, come: Entry | None, order: Sequence[Entry] = ()) -> None:
        """Put a recording in the place of another one; without another one, where it stands in `order`."""
        at = None if gone is None else self._place(gone)
        if at is not None:
            del self.entries[at]
            self._went += 1
        if come is not None:
            self.entries.insert(self._behind(come, order) if at is None else at, come)
            self._came.append(come)

    def _behind(self, entry: Entry, order: Sequence[Entry]) -> int:
        """Behind the nearest recording that stands before it there and is here as well, else at the end."""
        marks = list(map(identity, order))
        if identity(entry) not in marks:
            return len(self.entries)
        here = {identity(other): at for at, other in enumerate(self.entries)}
        before = reversed(marks[: marks.index(identity(entry))])
        return next((here[mark] for mark in before if mark in here), -1) + 1

    def order_equals(self, order: Sequence[Entry]) -> None:
        """Put the recordings of each request into the order that they have there: their place is their number."""
        numbers = {identity(entry): number for number, entry in enumerate(order)}
        places: defaultdict[str, list[int]] = defaultdict(list)
        for at, entry in enumerate(self.entries):
            if identity(entry) in numbers:
                places[entry.key].append(at)
        for taken in places.values():
            ordered = sorted((self.entries[at] for at in taken), key=lambda entry: numbers[identity(entry)])
            for at, entry in zip(taken, ordered, strict=True):
                self.entries[at] = entry

    def says_the_same(self, other: Side) -> bool:
        return apart(self.entries, other.entries) == ([], [])

    @property
    def has_changed(self) -> bool:
        return bool(self._came or self._went)

    def text(self, *like: CassetteFile) -> bytes | None:
        """What is to stand in the file; None where nothing is left to stand there."""
        if not self.has_changed:
            return self.before
        if not self.entries:
            return None
        header = self._file.header
        for other in like:
            header = header or other.header
        names = dict.fromkeys(answered_by(header))
        names |= dict.fromkeys(name for entry in self._came if (name := entry.response.model or entry.model))
        rendered = dict.fromkeys(rendered_by(header))
        owner = header.get("recorded_by")
        document = header_document(tuple(names), owner if isinstance(owner, str) else None, header, tuple(rendered))
        return b"".join([document, *(entry.raw for entry in self.entries)])

    @property
    def file(self) -> CassetteFile:
        return self._file
