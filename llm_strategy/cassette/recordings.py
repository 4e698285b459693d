"""A cassette file to look into."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from llm_strategy.cassette.obstacle import missing
from llm_strategy.cassette.store import open_file
from llm_strategy.log import Call
from llm_strategy.values import JSON


class Cassette(Sequence[Call]):
    """The calls recorded in a file, in the order of the file. Raises CassetteError for a file that is damaged."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise missing(self.path)
        self._file = open_file(self.path)

    @property
    def header(self) -> dict[str, JSON]:
        """What the file says of itself: format, version, what answered, which test recorded it."""
        return self._file.header

    def __len__(self) -> int:
        return len(self._file.entries)

    def __iter__(self) -> Iterator[Call]:
        asked: dict[str, int] = {}
        for entry in self._file.entries:
            asked[entry.key] = asked.get(entry.key, 0) + 1
            yield entry.call(asked[entry.key])

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | Sequence[Call]:
        if isinstance(index, slice):
            return list(self)[index]
        entries = self._file.entries
        entry = entries[index]
        # Only this one is parsed; a file may hold ten thousand.
        return entry.call(sum(other.key == entry.key for other in entries[: index % len(entries)]) + 1)
