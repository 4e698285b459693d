"""What differs between two answers to a request: field by field where both are JSON, else line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from llm_strategy.canonical import canonical
from llm_strategy.difference.hunks import WIDTH, Line, align, bounded, unified, visible
from llm_strategy.difference.names import parsed, same
from llm_strategy.redaction import each_text, scrub_reply, scrubbing
from llm_strategy.transcript import compact
from llm_strategy.values import JSON

_SHORT = 60
"""Characters of a text that is shown beside another one, rather than as lines of a diff."""


class _Absent:
    """Where one of two values has nothing."""


ABSENT: Any = _Absent()


@dataclass(frozen=True)
class Field:
    """A place in two JSON values, as `return_value[1].name`, and what each holds there, or ABSENT."""

    path: str
    old: JSON
    new: JSON

    def lines(self) -> Iterator[str]:
        """The field for people: a line, or a few where texts are long."""
        old, new = self.old, self.new
        name = self.path or "the whole reply"
        if new is ABSENT:
            yield f"- {name}: {_shown(old)}"
        elif old is ABSENT:
            yield f"+ {name}: {_shown(new)}"
        elif isinstance(old, str) and isinstance(new, str) and any(len(s) > _SHORT or "\n" in s for s in (old, new)):
            yield f"  {name}:"
            yield from (f"    {line}" for line in text_diff(old, new))
        else:
            yield f"  {name}: {_shown(old)} -> {_shown(new)}"

    def to_json(self) -> dict[str, JSON]:
        sides = {"old": self.old, "new": self.new}
        return {"path": self.path, **{side: value for side, value in sides.items() if value is not ABSENT}}


@dataclass(frozen=True)
class ReplyDifference:
    """`fields` are what differs of two JSON replies and of what came with them; `diff` is for other texts."""

    fields: Sequence[Field]
    diff: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.diff)

    def lines(self) -> list[str]:
        shown = [*self.diff, *(line for field in self.fields for line in field.lines())]
        return bounded([visible(line) for line in shown])


def compare_replies(old: str, new: str) -> ReplyDifference:
    """What differs between two replies, fit to be shown; nothing where it is all scrubbed away."""
    if old == new:
        return ReplyDifference(())
    was, now = parsed(old), parsed(new)
    if isinstance(was, dict | list) and isinstance(now, dict | list):
        # Of a deeply nested reply, and where only the layout differs, the lines are compared.
        with suppress(RecursionError):
            if not same(was, now):
                return ReplyDifference(compare_fields(was, now))
    return ReplyDifference((), text_diff(*map(scrub_reply, (old, new))))


def compare_fields(old: JSON, new: JSON) -> list[Field]:
    """The places in which two JSON values differ, fit to be shown."""
    # The machine is looked at once, and not for every text in the values.
    _, scrub_each, _ = scrubbing()
    was, now = (each_text(value, scrub_each) for value in (old, new))
    return list(_differing(was, now, ""))


def text_diff(old: str, new: str) -> list[str]:
    """The lines of a unified diff, without the names of its sides."""
    lines = unified(*([Line("", line) for line in text.split("\n")] for text in (old, new)))
    return bounded(lines[2:])


def _differing(old: JSON, new: JSON, path: str) -> Iterator[Field]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from _differing(old.get(key, ABSENT), new.get(key, ABSENT), _step(path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for at, was, now in _items(old, new):
            yield from _differing(was, now, f"{path}[{at}]")
    elif old is ABSENT or new is ABSENT or not same(old, new):
        yield Field(path, old, new)


def _step(path: str, key: str) -> str:
    if not key.isidentifier():
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def _items(old: Sequence[JSON], new: Sequence[JSON]) -> Iterator[tuple[int, JSON, JSON]]:
    """Items that belong together and are not equal, each with its index."""
    for change in align(list(map(canonical, old)), list(map(canonical, new))):
        if change.tag == "equal":
            continue
        was, now = old[change.old_start : change.old_end], new[change.new_start : change.new_end]
        both = min(len(was), len(now))
        yield from ((change.new_start + at, was[at], now[at]) for at in range(both))
        yield from ((change.old_start + at, was[at], ABSENT) for at in range(both, len(was)))
        yield from ((change.new_start + at, ABSENT, now[at]) for at in range(both, len(now)))


def _shown(value: JSON) -> str:
    text = compact(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 30]}... ({len(text) - WIDTH + 30} more characters)"
