"""A unified diff that stays readable where lines are long and what has changed cannot be seen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

CONTEXT = 3
"""Lines shown before and after a change."""
WIDTH = 120
"""Characters of a line that are shown."""
LENGTH = 60
"""Lines of a diff that are shown."""

_AROUND = 40
"""Characters of a long line that are shown on either side of a change."""
_WORD = 50
"""Characters of a changed word that are shown."""
_STRETCH = 2000
"""So many lines, or words of a line, are aligned with each other at once."""
_MOST_ALIGNED = 20_000
"""Lines or words beyond these are not aligned."""
_MOST_PAIRED = 20
"""In so many lines on each side of a change those that belong together are sought."""
_SAMPLED = 500
"""Characters at each end of a line that tell whether it belongs to another."""


class Line(NamedTuple):
    """A line and the title of the section that it stands in."""

    section: str
    text: str


class Change(NamedTuple):
    """The lines `old_start:old_end` of one text became `new_start:new_end` of the other."""

    tag: str
    old_start: int
    old_end: int
    new_start: int
    new_end: int


def unified(old: Sequence[Line], new: Sequence[Line]) -> list[str]:
    """The lines of a unified diff with the sides `recorded` and `now`; empty where both are equal.

    A line that begins with `?` says what has changed in the lines above it, where that is hard to see.
    """
    changes = align([line.text for line in old], [line.text for line in new])
    shown = ["--- recorded", "+++ now"]
    for hunk in _hunks(changes):
        first, last = hunk[0], hunk[-1]
        sides = f"-{_range(first.old_start, last.old_end)} +{_range(first.new_start, last.new_end)}"
        changed = next(change for change in hunk if change.tag != "equal")
        side, at = (new, changed.new_start) if changed.new_end > changed.new_start else (old, changed.old_start)
        shown.append(f"@@ {sides} @@ {side[at].section}".rstrip())
        for change in hunk:
            before = [line.text for line in old[change.old_start : change.old_end]]
            after = [line.text for line in new[change.new_start : change.new_end]]
            shown += [" " + _cut(text) for text in before] if change.tag == "equal" else _replacement(before, after)
    return [visible(line) for line in shown] if len(shown) > 2 else []


def bounded(lines: list[str]) -> list[str]:
    """The first lines, and how many are left out."""
    return lines if len(lines) <= LENGTH else [*lines[:LENGTH], f"... {len(lines) - LENGTH} more lines"]


def align(old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """What became of what, in order; equal stretches included."""
    start, end = common_ends(old, new)
    before, after = old[start : len(old) - end], new[start : len(new) - end]
    found = [Change("equal", 0, start, 0, start)]
    found += [Change(tag, *(at + start for at in places)) for tag, *places in _aligned(before, after)]
    found.append(Change("equal", len(old) - end, len(old), len(new) - end, len(new)))
    merged: list[Change] = []
    for change in found:
        if merged and merged[-1].tag == change.tag:
            merged[-1] = merged[-1]._replace(old_end=change.old_end, new_end=change.new_end)
        elif change.old_end > change.old_start or change.new_end > change.new_start:
            merged.append(change)
    return merged


def _aligned(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    """What became of what, in stretches of the same length: the time it takes grows with the square of a stretch."""
    for start in range(0, min(max(len(old), len(new)), _MOST_ALIGNED), _STRETCH):
        stretches = old[start : start + _STRETCH], new[start : start + _STRETCH]
        for tag, *places in SequenceMatcher(None, *stretches).get_opcodes():
            yield Change(tag, *(at + start for at in places))
    if max(len(old), len(new)) > _MOST_ALIGNED:
        ends = [min(len(side), _MOST_ALIGNED) for side in (old, new)]
        yield Change("replace", ends[0], len(old), ends[1], len(new))


def _hunks(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Changes that stand near each other, with the lines around them."""
    hunk: list[Change] = []
    for change in changes:
        if change.tag != "equal":
            hunk.append(change)
            continue
        length = change.old_end - change.old_start
        near = min(CONTEXT, length)
        if hunk and length > 2 * CONTEXT:
            yield [*hunk, _part(change, 0, near)]
            hunk = []
        elif hunk:
            hunk.append(change)
            continue
        hunk = [_part(change, length - near, length)]
    if any(change.tag != "equal" for change in hunk):
        *rest, last = hunk
        length = last.old_end - last.old_start
        yield [*rest, _part(last, 0, min(CONTEXT, length))] if last.tag == "equal" else hunk


def _part(equal: Change, start: int, end: int) -> Change:
    """Some of the lines that are equal."""
    _, old, _, new, _ = equal
    return Change("equal", old + start, old + end, new + start, new + end)


def _range(start: int, end: int) -> str:
    return f"{start + 1},{end - start}" if end > start else f"{start},0"


def _replacement(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Lines that went and lines that came, as a unified diff has them."""
    removed, added, pairs = replacement(before, after)
    hints = {to: f"? {hint}" for (_, to), hint in pairs.items() if hint}
    came = ((f"+{text}", hints.get(to)) for to, text in enumerate(added))
    return [f"-{text}" for text in removed] + [line for lines in came for line in lines if line]


def replacement(before: Sequence[str], after: Sequence[str]) -> tuple[list[str], list[str], dict[tuple[int, int], str]]:
    """Lines that went and lines that came; where one of each belong together, shortened around what differs.

    With the indices of those that belong together come the words that differ, or nothing where they can be seen.
    """
    removed, added = [_cut(text) for text in before], [_cut(text) for text in after]
    pairs: dict[tuple[int, int], str] = {}
    for at, to in _pairs(before, after):
        wide = max(len(before[at]), len(after[to])) > WIDTH
        if wide:
            removed[at], added[to] = around(before[at], after[to])
        hidden = wide or look(before[at]) == look(after[to])
        pairs[at, to] = _hint(before[at], after[to]) if hidden else ""
    return removed, added, pairs


def _pairs(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Indices of the lines that are versions of each other, in order."""
    to = 0
    for at, text in enumerate(before[:_MOST_PAIRED]):
        for other in range(to, min(len(after), _MOST_PAIRED)):
            if len(before) == len(after) == 1 or _affinity(text, after[other]) >= 0.5:
                yield at, other
                to = other + 1
                break


def _affinity(old: str, new: str) -> float:
    """The share of the longer line that both have at their ends."""
    old, new = (text[:_SAMPLED] + text[_SAMPLED:][-_SAMPLED:] for text in (old, new))
    return sum(common_ends(old, new)) / max(len(old), len(new), 1)


def common_ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """How much is equal at the start, and how much of the rest at the end."""
    start = _common_start(old, new)
    return start, _common_start(old[start:][::-1], new[start:][::-1])


def _common_start(old: Sequence[str], new: Sequence[str]) -> int:
    # Slices are compared in C: a line may have millions of characters.
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if old[low:middle] == new[low:middle] else (low, middle - 1)
    return low


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 30]}... ({len(text) - WIDTH + 30} more characters)"


def around(old: str, new: str, margin: int = _AROUND) -> tuple[str, str]:
    """Two versions of a long text, each shortened to what differs and some of what stands around it."""
    start, end = common_ends(old, new)
    before = old[max(0, start - margin) : start]
    after = old[len(old) - end :][:margin]
    before = f"...{before}" if start > margin else before
    after = f"{after}..." if end > margin else after
    was, now = (_middle(text[start : len(text) - end], 3 * margin) for text in (old, new))
    return f"{before}{was}{after}", f"{before}{now}{after}"


def _middle(text: str, width: int) -> str:
    half = width // 2
    return text if len(text) <= width else f"{text[:half]}...{text[-half:]}"


def _hint(old: str, new: str) -> str:
    """The words that differ: `'1990' -> '1991'`."""
    words = [re.findall(r"\S+\s*|\s+", text) for text in (old, new)]
    changes = [change for change in align(*words) if change.tag != "equal"]
    shown = []
    for change in changes[:3]:
        was = "".join(words[0][change.old_start : change.old_end])
        now = "".join(words[1][change.new_start : change.new_end])
        if was.strip() != now.strip():
            was, now = was.strip(), now.strip()
        if max(len(was), len(now)) > _WORD:
            was, now = around(was, now, _WORD // 4)
        was, now = map(ascii if look(was) == look(now) else repr, (was, now))
        shown.append({"insert": f"added {now}", "delete": f"removed {was}"}.get(change.tag, f"{was} -> {now}"))
    more = f", and {len(changes) - 3} more" if len(changes) > 3 else ""
    return ", ".join(shown) + more


def look(text: str) -> str:
    """The text as far as a reader can tell it from others."""
    seen = "".join(character for character in text if character.isspace() or unicodedata.category(character)[0] != "C")
    return "".join(unicodedata.normalize("NFKC", seen).split())


def visible(text: str) -> str:
    """The text with what a terminal would obey, reorder or hide as escapes."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\t\u200d"
    return ascii(character)[1:-1] if hidden else character
