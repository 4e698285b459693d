"""What has changed about a text of any form: the words that differ, which tell one change from another.

A line of a template that has changed is the same cause in every call that it stands in, whatever else these say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llm_strategy.difference.hunks import Change, align, around, common_ends, look

_TOKEN = re.compile(r"\s+|[\u0e00-\U0010ffff]|\w+|[^\w\s]")
"""Words, blanks and signs; scripts without blanks between their words come sign by sign."""
_MOST_TOKENS = 1000
"""So many of them are compared; a change that is longer is told by its beginning."""
_MOST_LINES = 2000
"""So many lines are compared, from the first that differs."""
_WIDTH = 40
"""Characters that are quoted of one side."""
_LENGTH = 80
"""Characters of a change behind which what else has changed is only counted."""


def rewordings(old: str, new: str) -> Iterator[str]:
    """Each change of adjoining lines in a few words: `'one sentence' -> 'two sentences', added 'please'`."""
    before, after = old.split("\n"), new.split("\n")
    start, _ = common_ends(before, after)
    before, after = before[start : start + _MOST_LINES], after[start : start + _MOST_LINES]
    for change in _joined(align(before, after), before):
        yield _reworded(
            "\n".join(before[change.old_start : change.old_end]), "\n".join(after[change.new_start : change.new_end])
        )


def _joined(changes: Sequence[Change], old: Sequence[str]) -> Iterator[Change]:
    """What has changed; as one where nothing but blanks stands between."""
    found: Change | None = None
    for change in changes:
        if change.tag != "equal":
            found = found._replace(old_end=change.old_end, new_end=change.new_end) if found else change
        elif found and any(text.strip() for text in old[change.old_start : change.old_end]):
            yield found
            found = None
    if found:
        yield found


def _reworded(old: str, new: str) -> str:
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    start, end = common_ends(before, after)
    before, after = before[start : len(before) - end][:_MOST_TOKENS], after[start : len(after) - end][:_MOST_TOKENS]
    changes = list(_joined(align(before, after), before))
    # Each once: a word that has got another name has so in many places.
    told: dict[str, None] = {}
    for number, change in enumerate(changes):
        if sum(map(len, told)) > _LENGTH:
            return f"{', '.join(told)}, and {len(changes) - number} more"
        sides = before[change.old_start : change.old_end], after[change.new_start : change.new_end]
        told[_quoted(*map("".join, sides))] = None
    return ", ".join(told)


def _quoted(old: str, new: str) -> str:
    was, now = (" ".join(text.split()) for text in (old, new))
    if was == now:
        # Only blanks differ.
        was, now = old, new
    if max(len(was), len(now)) > _WIDTH:
        was, now = around(was, now, _WIDTH // 4)
    shown = list(map(ascii if look(was) == look(now) else repr, (was, now)))
    return f"added {shown[1]}" if not was else f"removed {shown[0]}" if not now else f"{shown[0]} -> {shown[1]}"
