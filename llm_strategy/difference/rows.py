"""Two texts beside each other, row by row, with the words that differ and without what is far from any change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from llm_strategy.difference.hunks import CONTEXT, Change, align, common_ends, visible

Kind = Literal["equal", "changed", "removed", "added", "folded"]
Span = tuple[int, int]
"""Where a changed word begins and ends."""

MOST = 1_000
"""Rows that are shown."""
_LONGEST = 1_000
"""Characters of a line that are shown."""
_BEFORE = 200
"""Characters of a longer line that are shown before the first that differs."""
_TOKENS = re.compile(r"\w+|\s+|[^\w\s]")
_IN_COMMON = 0.35
"""The share of its letters that a line keeps where the words that changed say more than the whole line."""
_MOST_PAIRED = 20
"""In so many lines on each side of a change those that belong together are sought; the others are paired in order."""


class Row(NamedTuple):
    """A line of each text; None where one has none. `old_words` and `new_words` are what differs within the two.

    Of a `folded` row `old` says how many equal lines are left out.
    """

    kind: Kind
    old: str | None
    new: str | None
    old_words: tuple[Span, ...] = ()
    new_words: tuple[Span, ...] = ()


def rows(old: str, new: str, *, context: int | None = CONTEXT) -> list[Row]:
    """The rows of two texts, fit for a terminal. `context` is how many equal lines stand around a change; None: all."""
    before, after = ([visible(line).expandtabs(4) for line in text.split("\n")] if text else [] for text in (old, new))
    found: list[Row] = []
    changes = align(before, after)
    for number, change in enumerate(changes):
        lines = before[change.old_start : change.old_end]
        if change.tag == "equal":
            ends = (number > 0, number < len(changes) - 1)
            found += _unchanged(lines, context, ends)
        else:
            found += _replaced(lines, after[change.new_start : change.new_end])
        if len(found) > MOST:
            return [*found[:MOST], _left_out(before, after, change, len(found) - MOST)]
    return found


def words(old: str, new: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The words of two lines that differ; none where the lines have little in common."""
    split = [_TOKENS.findall(line) for line in (old, new)]
    changes = align(*split)
    kept = sum(len("".join(split[0][c.old_start : c.old_end])) for c in changes if c.tag == "equal")
    if kept < _IN_COMMON * max(len(old), len(new)):
        return (), ()
    differing = [change for change in changes if change.tag != "equal"]
    was = _spans(split[0], [(change.old_start, change.old_end) for change in differing])
    return was, _spans(split[1], [(change.new_start, change.new_end) for change in differing])


def excerpts(old: str, new: str, longest: int) -> tuple[str, str]:
    """Two texts in a line each; of long ones what stands around the first character that differs."""
    old, new = visible(old), visible(new)
    if max(len(old), len(new)) <= longest:
        return old, new
    start = max(common_ends(old, new)[0] - longest // 4, 0)
    return _cut(old, start, longest), _cut(new, start, longest)


def _spans(tokens: Sequence[str], ranges: Sequence[Span]) -> tuple[Span, ...]:
    places = [0]
    for token in tokens:
        places.append(places[-1] + len(token))
    text = "".join(tokens)
    return tuple(_bare(text, places[start], places[end]) for start, end in ranges if end > start)


def _bare(text: str, start: int, end: int) -> Span:
    """A stretch without the blanks at its ends, where it has anything else."""
    stretch = text[start:end]
    if not stretch.strip():
        return start, end
    return end - len(stretch.lstrip()), start + len(stretch.rstrip())


def _unchanged(lines: Sequence[str], context: int | None, ends: tuple[bool, bool]) -> Iterator[Row]:
    """Equal lines, but for those that are far from a change; `ends` says whether one comes before, and after."""
    head, tail = (context * end if context is not None else len(lines) for end in ends)
    if len(lines) <= head + tail + 1:
        head, tail = len(lines), 0
    yield from (Row("equal", _cut(line), _cut(line)) for line in lines[:head])
    if left_out := len(lines) - head - tail:
        yield Row("folded", f"{left_out:,} equal line{'s' * (left_out > 1)}", None)
    yield from (Row("equal", _cut(line), _cut(line)) for line in lines[len(lines) - tail :])


def _replaced(before: Sequence[str], after: Sequence[str]) -> Iterator[Row]:
    """Lines that went and lines that came, those that are versions of each other in one row."""
    at = to = 0
    for was, now in [*_pairs(before, after), (len(before), len(after))]:
        yield from (Row("removed", _cut(line), None) for line in before[at:was])
        yield from (Row("added", None, _cut(line)) for line in after[to:now])
        if was < len(before):
            old, new = _shortened(before[was], after[now])
            yield Row("changed", old, new, *words(old, new))
        at, to = was + 1, now + 1


def _pairs(before: Sequence[str], after: Sequence[str]) -> list[Span]:
    if len(before) == len(after):
        return [(at, at) for at in range(len(before))]
    found: list[Span] = []
    to = 0
    for at, line in enumerate(before[:_MOST_PAIRED]):
        likeness = [(_affinity(line, other), -number) for number, other in enumerate(after[to:_MOST_PAIRED], to)]
        best = max(likeness, default=(0.0, 0))
        if best[0] >= 0.5:
            found.append((at, -best[1]))
            to = 1 - best[1]
    return found


def _affinity(old: str, new: str) -> float:
    old, new = old[:_LONGEST], new[:_LONGEST]
    return sum(common_ends(old, new)) / max(len(old), len(new), 1)


def _shortened(old: str, new: str) -> tuple[str, str]:
    """Two versions of a line; of a long one what stands around the first character that differs."""
    if max(len(old), len(new)) <= _LONGEST:
        return old, new
    start = max(common_ends(old, new)[0] - _BEFORE, 0)
    return _cut(old, start), _cut(new, start)


def _cut(line: str, start: int = 0, longest: int = _LONGEST) -> str:
    shown = line[start : start + longest]
    more = len(line) - start - len(shown)
    return f"{'… ' * (start > 0)}{shown}{f' … {more:,} more characters' * (more > 0)}"


def _left_out(before: Sequence[str], after: Sequence[str], last: Change, rest: int) -> Row:
    following = max(len(before) - last.old_end, len(after) - last.new_end)
    return Row("folded", f"{rest + following:,} more lines are not shown here", None)
