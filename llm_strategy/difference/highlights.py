"""Two texts line by line, with the words that differ: for who shows a difference in colours or as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from llm_strategy.difference.hunks import Change, Line, align, replacement, visible

CONTEXT = 1
"""Lines that are shown before and after a change."""
LENGTH = 200
"""Lines that are shown in all."""
_KEPT = 0.3
"""The share of a line that must have stayed for its words to be told apart."""


class Shown(NamedTuple):
    """A line of a difference.

    `mark` is "-" for what was removed, "+" for what was added, " " for what is equal, "?" for a hint at what cannot be
    seen in the lines above, "." where lines are left out. `words` are the stretches of `text` that differ from the
    other version of the line.
    """

    mark: str
    text: str
    words: tuple[tuple[int, int], ...] = ()


def highlighted(old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]) -> list[Shown]:
    """What became of the lines of a text; each comes with the title of the section that it stands in.

    Empty where both are equal. Where nothing has changed, lines are left out.
    """
    before, after = [Line(*line) for line in old], [Line(*line) for line in new]
    changes = align([line.text for line in before], [line.text for line in after])
    if all(change.tag == "equal" for change in changes):
        return []
    shown = [line for at, change in enumerate(changes) for line in _shown(change, at, changes, before, after)]
    more = [Shown(".", f"... {len(shown) - LENGTH:,} more lines")] if len(shown) > LENGTH else []
    return shown[:LENGTH] + more


def _shown(
    change: Change, at: int, changes: Sequence[Change], old: Sequence[Line], new: Sequence[Line]
) -> Iterator[Shown]:
    before, after = old[change.old_start : change.old_end], new[change.new_start : change.new_end]
    if change.tag != "equal":
        yield from _changed([line.text for line in before], [line.text for line in after])
        return
    head, tail = CONTEXT if at else 0, CONTEXT if at + 1 < len(changes) else 0
    left_out = len(after) - head - tail
    if left_out < 2:
        yield from (Shown(" ", visible(line.text)) for line in after)
        return
    yield from (Shown(" ", visible(line.text)) for line in after[:head])
    # The section is that of what comes next.
    where = f" · {visible(_section(changes[at + 1], old, new))}" if tail else ""
    yield Shown(".", f"... {left_out:,} equal lines{where}".removesuffix(" · "))
    yield from (Shown(" ", visible(line.text)) for line in after[len(after) - tail :])


def _section(change: Change, old: Sequence[Line], new: Sequence[Line]) -> str:
    return (new[change.new_start] if change.new_end > change.new_start else old[change.old_start]).section


def _changed(before: Sequence[str], after: Sequence[str]) -> Iterator[Shown]:
    """Lines that went and lines that came; the words that differ in those that belong together."""
    removed, added, hints = replacement(before, after)
    removed, added = list(map(visible, removed)), list(map(visible, added))
    spans = {pair: _words(removed[pair[0]], added[pair[1]]) for pair in hints}
    went = {at: words[0] for (at, _), words in spans.items()}
    came = {to: (spans[at, to][1], hint) for (at, to), hint in hints.items()}
    yield from (Shown("-", text, went.get(at, ())) for at, text in enumerate(removed))
    for to, text in enumerate(added):
        words, hint = came.get(to, ((), ""))
        yield Shown("+", text, words)
        if hint:
            yield Shown("?", visible(hint))


Spans = tuple[tuple[int, int], ...]


def _words(old: str, new: str) -> tuple[Spans, Spans]:
    """Where two versions of a line differ; nowhere in lines that have little in common."""
    words = [re.findall(r"\w+|\s+|[^\w\s]", text) for text in (old, new)]
    changes = align(*words)
    kept = sum(len("".join(words[1][to:end])) for tag, _, _, to, end in changes if tag == "equal")
    if kept < _KEPT * max(len(old), len(new)):
        return (), ()
    differing = [change for change in changes if change.tag != "equal"]
    return (
        _spans(words[0], [(change.old_start, change.old_end) for change in differing]),
        _spans(words[1], [(change.new_start, change.new_end) for change in differing]),
    )


def _spans(words: Sequence[str], stretches: Sequence[tuple[int, int]]) -> Spans:
    ends = [0]
    for word in words:
        ends.append(ends[-1] + len(word))
    return tuple((ends[start], ends[end]) for start, end in stretches if end > start)
