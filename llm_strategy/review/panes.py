"""What a person looks at to judge a pending change: the prompt, both answers, the values that differ."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_strategy.cassette.answers import whole_reply
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import shown
from llm_strategy.difference.hunks import visible
from llm_strategy.difference.prompt_text import read
from llm_strategy.difference.replies import ABSENT, Field
from llm_strategy.difference.rows import Row, excerpts, rows
from llm_strategy.errors import CassetteError
from llm_strategy.redaction import scrub, scrub_reply
from llm_strategy.transcript import compact, laid_out, message_text, sections
from llm_strategy.values import JSON, Request

if TYPE_CHECKING:
    from llm_strategy.review import Pending

_LINE_END = re.compile(r"(?<!\\)((?:\\\\)*)\\n")
"""The end of a line within a JSON string."""
_LONGEST_VALUE = 120
"""Characters of a value that are shown in one line."""
_MOST_VALUES = 200
_MOST_ARGUMENTS = 20
_LONGEST_NAME = 200
_BRIEF = 60


@dataclass(frozen=True)
class Value:
    """A place in the parsed reply, and what was and is there; None where there was or is nothing."""

    path: str
    old: str | None
    new: str | None

    @property
    def is_usage(self) -> bool:
        """Whether it only says what the answer took."""
        return self.path in ("usage.input_tokens", "usage.output_tokens")


@dataclass(frozen=True)
class Panes:
    """What a change consists of, fit to be shown: without secrets, and with nothing that a terminal would obey.

    `asked` are the arguments, or the last message, of a prompt; `prompt` is empty where it is as it was. `trouble`
    says what kept the recordings from being read.
    """

    asked: Sequence[tuple[str, str]] = ()
    prompt: Sequence[Row] = ()
    answer: Sequence[Row] = ()
    values: Sequence[Value] = ()
    trouble: str = ""


def panes(pending: Pending) -> Panes:
    """Read what is pending; a damaged recording becomes a text that says so."""
    change = pending.change
    try:
        old, new = change.old, change.new
        return Panes(
            _asked(new or old),
            _prompt(pending),
            _answers(old, new),
            values(pending),
        )
    except (CassetteError, OSError, RecursionError) as error:
        return Panes(trouble=visible(scrub(str(error))))


def _prompt(pending: Pending) -> list[Row]:
    change = pending.change
    if change.old is None or change.new is None:
        entry = change.new or change.old
        return [] if entry is None else rows("", _transcript(entry.request), context=None)
    texts = [_transcript(entry.request) for entry in (change.old, change.new)]
    if texts[0] != texts[1]:
        return rows(*texts)
    # An HTTP call may differ in what its transcript does not show.
    return [_diff_row(line) for line in change.prompt.splitlines()]


def _diff_row(line: str) -> Row:
    mark, text = line[:1], visible(line[1:])
    if mark in ("+", "-"):
        return Row("added", None, text) if mark == "+" else Row("removed", text, None)
    return Row("equal", text, text) if mark == " " else Row("folded", visible(line), None)


def _transcript(request: Request) -> str:
    """A request as text, each section scrubbed as a whole: half a secret would not be recognised."""
    pieces = (f"{title}:\n\n{scrub(text)}" if title else scrub(text) for title, text in sections(request))
    return "\n\n".join(pieces)


def _asked(entry: Entry | None) -> list[tuple[str, str]]:
    """The arguments of a call; of a free prompt the last message."""
    message = entry.request.messages[-1] if entry is not None and entry.request.messages else None
    if message is None:
        return []
    prompt = read(message.content)
    told = {message.role: message_text(message)} if prompt is None else prompt.arguments
    # An object is long, and seldom what tells a call from others.
    found = [(name, short(scrub(text))) for name, text in told.items() if name != "self" or len(told) == 1]
    return found if len(found) <= _MOST_ARGUMENTS else [*found[:_MOST_ARGUMENTS], ("…", f"{len(found):,} in all")]


def _answers(old: Entry | None, new: Entry | None) -> list[Row]:
    """Both answers; JSON is laid out where more than its layout differs."""
    texts = [scrub_reply(whole_reply(entry.response)) if entry is not None else "" for entry in (old, new)]
    if old is None or new is None:
        return rows(*texts, context=None)
    spread = [_spread(text) for text in texts]
    return rows(*(spread if spread[0] != spread[1] else texts))


def _spread(text: str) -> str:
    """JSON with a value per line, and long texts in their lines."""
    try:
        value: JSON = json.loads(text)
        return _LINE_END.sub(r"\1\\n\n", laid_out(value)) if isinstance(value, dict | list) else text
    except (ValueError, RecursionError):
        return text


def values(pending: Pending) -> list[Value]:
    """The places in the answer that differ."""
    fields = pending.change.reply.fields
    found = [_value(field) for field in fields[:_MOST_VALUES]]
    if len(fields) > _MOST_VALUES:
        found.append(Value(f"… {len(fields) - _MOST_VALUES:,} more", None, None))
    return found


def _value(field: Field) -> Value:
    old, new = ("" if side is ABSENT else compact(side) for side in (field.old, field.new))
    was, now = excerpts(old, new, _LONGEST_VALUE) if old and new else (short(old), short(new))
    return Value(short(field.path) or "the whole reply", was or None, now or None)


def short(text: str, longest: int = _LONGEST_VALUE) -> str:
    """A text on one line, as long as a person reads it."""
    line = visible(text)
    return line if len(line) <= longest else f"{line[:longest]} … {len(line) - longest:,} more characters"


def verdict(pending: Pending) -> str:
    """What became of the answer, in words."""
    change = pending.change
    try:
        return change.verdict or change.kind
    except (CassetteError, OSError, RecursionError):
        return "damaged"


def verdicts(items: Iterable[Pending]) -> str:
    """As `3 value changed, 14 same value`."""
    counts = Counter(map(verdict, items))
    return ", ".join(f"{counts[name]} {name}" for name in sorted(counts, key=severity))


SEVERITY = ("damaged", "no longer parses", "value changed", "removed", "added", "same value", "cosmetic", "identical")
"""Verdicts, with those first that a person should look at."""


def severity(name: str) -> int:
    return SEVERITY.index(name) if name in SEVERITY else len(SEVERITY)


def test(pending: Pending) -> str:
    """The test or fixture, or the cassette that several share."""
    _, is_test, name = pending.test.rpartition("::")
    return short(scrub(name if is_test else pending.cassette.stem), _LONGEST_NAME)


def function(pending: Pending) -> str:
    return short(scrub(_entry(pending).function or "a call"), _LONGEST_NAME)


def name(pending: Pending) -> str:
    return f"{test(pending)}  {function(pending)}"


def brief(pending: Pending) -> str:
    """What tells a call from others of its test: its arguments in a few words."""
    try:
        told = [text for _, text in _asked(_entry(pending))]
    except (CassetteError, OSError, RecursionError):
        return ""
    return short(", ".join(told), _BRIEF)


def _entry(pending: Pending) -> Entry:
    entry = pending.change.new or pending.change.old
    assert entry is not None
    return entry


def place(pending: Pending) -> str:
    line = _entry(pending).place.rpartition(":")[2]
    return short(scrub(f"{shown(pending.cassette)}:{line}"), _LONGEST_NAME)


def matching(words: str) -> Callable[[str, Pending], bool]:
    """Whether a cause and what is pending because of it hold all the words that a person looks for."""
    wanted = words.casefold().split()

    def matches(cause: str, pending: Pending) -> bool:
        text = f"{cause} {name(pending)} {shown(pending.cassette)} {verdict(pending)}".casefold()
        return all(word in text for word in wanted)

    return matches
