"""Which calls of two revisions are the same, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llm_strategy.cassette.changes import Change, change
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.pairing import Pair, pairs
from llm_strategy.revisions.recordings import Sides

_ALIKE = 0.75
"""The share of their lines that two calls have in common where one is the other in another file."""


def became(pair: Pair) -> Iterator[Change]:
    """What has become of a call; raises CassetteError for a damaged one."""
    found = change(pair)
    old, new = pair
    if old is not None and new is not None and old.path != new.path and found.has_other_input:
        # Asked about something else by another test, it is another call.
        yield change(Pair(None, new))
        yield change(Pair(old, None))
    elif found.kind != "equal":
        yield found


def matched(files: Sequence[Sides]) -> tuple[list[Pair], int]:
    """The calls that are not as they were, each once, and how many are, but in another place."""
    found: list[Pair] = []
    left = [_left(file, found) for file in files]
    moved = _moved(left, found)
    for old, new in left:
        for pair in pairs(list(old), list(new)) if old and new else ():
            if pair.old is not None and pair.new is not None:
                found.append(pair)
                del old[pair.old], new[pair.new]
    return found + list(_elsewhere(left)), moved


_Left = tuple[dict[Entry, None], dict[Entry, None]]
"""The recordings of both sides of a file that are not accounted for yet, in order."""


def _elsewhere(left: Sequence[_Left]) -> Iterator[Pair]:
    """What is left over, by function: a call whose test was renamed stands in another file, asked in other words."""
    sides = [[entry for file in left for entry in file[side]] for side in (0, 1)]
    for function in dict.fromkeys(entry.function for side in sides for entry in side):
        old, new = ([entry for entry in side if entry.function == function] for side in sides)
        yield from pairs(old, new, alike=_ALIKE)


def _left(file: Sides, found: list[Pair]) -> _Left:
    """The recordings of a file that the other side lacks; those that have another answer there are `found`."""
    old, new = (list(side.entries) if side else [] for side in file)
    places = {(entry.key, entry.occurrence): entry for entry in old}
    both = {(entry.key, entry.occurrence): entry for entry in new if (entry.key, entry.occurrence) in places}
    found += [Pair(places[call], entry) for call, entry in both.items() if not _is_equal(places[call], entry)]
    kept = [dict.fromkeys(entry for entry in side if (entry.key, entry.occurrence) not in both) for side in (old, new)]
    return kept[0], kept[1]


def _moved(left: Sequence[_Left], found: list[Pair]) -> int:
    """Take out the calls that are in another file now, and count them; those that were asked again are `found`."""
    waiting: dict[str, list[tuple[Entry, dict[Entry, None]]]] = {}
    for old, _ in left:
        for entry in old:
            waiting.setdefault(entry.key, []).append((entry, old))
    moved = 0
    for _, new in left:
        for entry in list(new):
            if waiting.get(entry.key):
                was, file = waiting[entry.key].pop(0)
                del file[was], new[entry]
                moved += _is_equal(was, entry)
                found += [] if _is_equal(was, entry) else [Pair(was, entry)]
    return moved


def _is_equal(old: Entry, new: Entry) -> bool:
    if old.raw == new.raw:
        return True
    # A reply that was edited by hand has the digest that it had.
    return bool(old.sealed == new.sealed) and old.is_sound and new.is_sound
