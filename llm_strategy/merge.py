"""Merging two versions of a cassette as git merges two branches: whole calls, compared by key and occurrence.

A merge of lines would interleave documents: those of two calls have most of their lines in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from llm_strategy.cassette import document
from llm_strategy.cassette.disk import replace_file
from llm_strategy.cassette.emitter import emit
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.store import CassetteFile
from llm_strategy.cassette.versions import rendered_by
from llm_strategy.errors import CassetteError
from llm_strategy.values import JSON

_OURS, _BETWEEN, _THEIRS = b"<<<<<<< ours\n", b"=======\n", b">>>>>>> theirs\n"

Identity = tuple[str, int]
"""Key and occurrence of a call."""


class Merged(NamedTuple):
    """What a version of a call in a merge is: its entries on each side that still counts."""

    ours: Entry | None
    theirs: Entry | None

    @property
    def is_conflict(self) -> bool:
        """Whether both sides have changed it, each in its way; one of them may have deleted it."""
        return self.ours is not self.theirs

    def text(self) -> bytes:
        if not self.is_conflict:
            return self.ours.raw if self.ours is not None else b""
        ours, theirs = (b"" if entry is None else entry.raw for entry in self)
        return b"".join([_OURS, ours, _BETWEEN, theirs, _THEIRS])

    def __str__(self) -> str:
        entry = self.ours or self.theirs
        assert entry is not None
        return f"{entry.function or 'a call'} (key {entry.key[:12]}, occurrence {entry.occurrence})"


def merge(base: Path, ours: Path, theirs: Path) -> Sequence[Merged]:
    """Put the calls of both versions into the file `ours`; returns the conflicts that it now holds between markers.

    A file that is not there counts as empty. Raises CassetteError where `ours` or `theirs` cannot be read; both are
    then in the file as they are, between markers, so that nothing is lost and nobody takes it for merged.
    """
    before = _read(base, needed=False)
    try:
        left, right = _read(ours), _read(theirs)
    except CassetteError:
        replace_file(ours, [_OURS, *_whole(ours), _BETWEEN, *_whole(theirs), _THEIRS])
        raise
    calls = _ordered(left, right, _decided(before, left, right))
    header = _header(before.header, left.header, right.header)
    text = [emit(header).encode("utf-8")] if header else []
    replace_file(ours, [*text, *(call.text() for call in calls)])
    return [call for call in calls if call.is_conflict]


def _read(path: Path, *, needed: bool = True) -> CassetteFile:
    file = CassetteFile(path)
    try:
        file.refresh()
    except CassetteError:
        # Of the common ancestor git may make up a version with conflicts; without one, nothing counts as deleted.
        if needed:
            raise
        return CassetteFile(path)
    return file


def _whole(path: Path) -> Iterable[bytes]:
    data = path.read_bytes() if path.exists() else b""
    return [data, b"\n" * (bool(data) and not data.endswith(b"\n"))]


def _by_identity(file: CassetteFile) -> dict[Identity, Entry]:
    return {(entry.key, entry.occurrence): entry for entry in file.entries}


def _decided(before: CassetteFile, left: CassetteFile, right: CassetteFile) -> dict[Identity, Merged]:
    """What becomes of each call. One that both sides have left out is not among them."""
    base, ours, theirs = map(_by_identity, (before, left, right))
    decided = {call: _choose(base.get(call), ours.get(call), theirs.get(call)) for call in {**ours, **theirs}}
    last: dict[str, int] = {}
    for (key, occurrence), merged in decided.items():
        if merged != (None, None):
            last[key] = max(last.get(key, 0), occurrence)
    for (key, occurrence), merged in decided.items():
        if merged == (None, None) and occurrence < last.get(key, 0):
            # A later answer would take the place of one that is gone.
            entry = ours.get((key, occurrence)) or theirs[key, occurrence]
            decided[key, occurrence] = Merged(entry, entry)
    return {call: merged for call, merged in decided.items() if merged != (None, None)}


def _choose(base: Entry | None, ours: Entry | None, theirs: Entry | None) -> Merged:
    """What only one side has changed, added or deleted is taken from that side."""
    if _equal(base, theirs):
        return Merged(ours, ours)
    if _equal(base, ours):
        return Merged(theirs, theirs)
    if ours is not None and theirs is not None and ours.sealed == theirs.sealed:
        return Merged(ours, ours)
    return Merged(ours, theirs)


def _equal(one: Entry | None, other: Entry | None) -> bool:
    return one is other if one is None or other is None else one.raw == other.raw


def _ordered(left: CassetteFile, right: CassetteFile, decided: Mapping[Identity, Merged]) -> list[Merged]:
    """The calls in the order of ours, with what theirs has added behind the call that it follows there."""
    ours, theirs = ([call for call in _by_identity(file) if call in decided] for file in (left, right))
    common = set(ours) & set(theirs)
    added: dict[Identity | None, list[Identity]] = {}
    anchor: Identity | None = None
    for call in theirs:
        if call in common:
            anchor = call
        else:
            added.setdefault(anchor, []).append(call)
    order: list[Identity] = []
    waiting = added.get(None, [])
    for call in ours:
        if call in common:
            order += waiting
            waiting = added.get(call, [])
        order.append(call)
    return [decided[call] for call in _counted(order + waiting)]


def _counted(order: Sequence[Identity]) -> Iterator[Identity]:
    """The same places, with the calls of each key in the order of their occurrences: their place is their number."""
    numbers: dict[str, list[int]] = {}
    for key, occurrence in order:
        numbers.setdefault(key, []).append(occurrence)
    remaining = {key: iter(sorted(occurrences)) for key, occurrences in numbers.items()}
    for key, _ in order:
        yield key, next(remaining[key])


def _header(base: Mapping[str, JSON], ours: Mapping[str, JSON], theirs: Mapping[str, JSON]) -> dict[str, JSON]:
    """The fields of both; one that both have changed is as in ours, since it is for people."""
    if not ours or not theirs:
        return dict(ours or theirs)
    merged = {name: ours.get(name) for name in ours} | {name: theirs[name] for name in theirs if name not in ours}
    for name in theirs:
        if name in ours and ours[name] == base.get(name):
            merged[name] = theirs[name]
    for name in base:
        if name not in ours or name not in theirs:
            merged.pop(name, None)
    for name, read in (("answered_by", document.answered_by), ("rendered_by", rendered_by)):
        if name in merged:
            merged[name] = document.one_or_list(list(dict.fromkeys([*read(ours), *read(theirs)])))
    return merged
