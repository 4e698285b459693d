"""Which recordings of two cassettes are the same call: by key, then by function and likeness."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from itertools import pairwise
from typing import NamedTuple

from llm_strategy.cassette.entry import Entry

_RENAMED = 0.75
"""The share of their lines that the calls of two functions have in common where one is the other renamed."""
_MOST_COMPARED = 100_000
"""So many pairs are compared line by line; of more recordings the first belongs to the first."""
_MOST_READ = 10_000
"""So many are compared word by word, too: of short prompts a change may leave no line as it was."""


class Pair(NamedTuple):
    """A call in an old and a new cassette; None where one of them lacks it."""

    old: Entry | None
    new: Entry | None


def pairs(old: Sequence[Entry], new: Sequence[Entry], *, alike: float = 0) -> list[Pair]:
    """Every recording of both once: in the order of the new ones, then those that were removed.

    `alike` is the share of their lines that calls of one function need to have in common.
    """
    partners = _partners(old, new, alike)
    kept = set(partners.values())
    found = [Pair(partners.get(entry), entry) for entry in new]
    return found + [Pair(entry, None) for entry in old if entry not in kept]


def _partners(old: Sequence[Entry], new: Sequence[Entry], alike: float) -> dict[Entry, Entry]:
    """The old recording that each new one belongs to."""
    places = {(entry.key, entry.occurrence): entry for entry in old}
    partners = {entry: places[entry.key, entry.occurrence] for entry in new if (entry.key, entry.occurrence) in places}
    taken = set(partners.values())
    before, after = [entry for entry in old if entry not in taken], [entry for entry in new if entry not in partners]
    for function in dict.fromkeys(entry.function for entry in after):
        same = ([entry for entry in side if entry.function == function] for side in (before, after))
        partners |= _alike(*same, at_least=alike)
    taken = set(partners.values())
    before, after = (
        [entry for entry in before if entry not in taken],
        [entry for entry in after if entry not in partners],
    )
    return partners | _alike(before, after, at_least=_RENAMED)


def _alike(old: Sequence[Entry], new: Sequence[Entry], *, at_least: float) -> dict[Entry, Entry]:
    """The most alike recordings, by their lines, then their words, each once; among equals those at the same place."""
    if len(old) * len(new) > _MOST_COMPARED:
        return {} if at_least else dict(zip(new, old, strict=False))
    before, after = (list(map(_lines, side)) for side in (old, new))
    reads = len(old) * len(new) <= _MOST_READ
    words, others = ([_words(lines if reads else ()) for lines in side] for side in (before, after))
    ranks = [
        (-likeness, -_likeness(words[at], others[to]), abs(at - to), at, to)
        for at in range(len(old))
        for to in range(len(new))
        if (likeness := _likeness(before[at], after[to])) >= at_least
    ]
    found: dict[Entry, Entry] = {}
    taken: set[int] = set()
    for *_, at, to in sorted(ranks):
        if at not in taken and new[to] not in found:
            found[new[to]] = old[at]
            taken.add(at)
    return found


def _lines(entry: Entry) -> set[bytes]:
    """The lines of a recorded request."""
    raw = entry.raw
    end = raw.find(b"\nresponse:\n")
    return set(raw[: end if end >= 0 else len(raw)].split(b"\n")[2:])


def _words(lines: Iterable[bytes]) -> set[bytes | tuple[bytes, bytes]]:
    """The words of the lines, and each with the one that follows it."""
    found = [re.findall(rb"[\w\x80-\xff]+", line) for line in lines]
    return {word for words in found for word in (*words, *pairwise(words))}


def _likeness(some: Set[object], others: Set[object]) -> float:
    """The share of what either has that both have."""
    return len(some & others) / (len(some | others) or 1)
