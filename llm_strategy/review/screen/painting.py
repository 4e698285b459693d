"""What is pending as styled text. Markup is never interpreted: every text is a `Content` of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from textual.content import Content, Span

from llm_strategy.difference.rows import Row
from llm_strategy.review.panes import Panes, Value, brief, function, name, place, short, test, verdict, verdicts

if TYPE_CHECKING:
    from llm_strategy.review import Pending

MUTED = "$foreground-muted"
_OLD, _OLD_WORDS = "$text-error", "bold $text-error on $error-muted"
_NEW, _NEW_WORDS = "$text-success", "bold $text-success on $success-muted"
_Styles = tuple[str, str, str]
"""How a line looks, how its words that differ do, and the sign before it."""
_PLAIN: _Styles = ("", "", "  ")
_VERDICTS = {
    "no longer parses": "error",
    "value changed": "warning",
    "removed": "error",
    "added": "success",
    "same value": "success",
}
_LONGEST_CAUSE = 300
_DECISIONS = {
    "replaced": "accept keeps the new answer, reject brings the old one back",
    "left over": "its test did not pass: accept takes the new answer into the cassette, reject drops it",
}


def styled(text: str, style: str = "", words: Iterable[tuple[int, int]] = (), word_style: str = "") -> Content:
    spans = [Span(0, len(text), style)] if style and text else []
    return Content(text, [*spans, *(Span(start, end, word_style) for start, end in words)])


def badge(said: str) -> Content:
    """A verdict in words, on its colour."""
    colour = _VERDICTS.get(said)
    return styled(f" {said} ", f"$text-{colour} on ${colour}-muted" if colour else f"{MUTED} on $surface-lighten-2")


def leaf(cause: str, pending: Pending, width: int, *, skipped: bool) -> list[tuple[str, str]]:
    """A pending change as a line of the tree, in pieces, each with what its colour says; a verdict takes `width`."""
    said = verdict(pending)
    of_function = f"  {function(pending)}" * (function(pending) not in cause)
    told = [("  skipped" * skipped, "muted"), (f"  {brief(pending)}", "muted"), (of_function, "muted")]
    return [(f"{said:<{width}}  ", _VERDICTS.get(said, "muted")), (test(pending), ""), *told]


def branch(cause: str, items: Sequence[Pending]) -> list[tuple[str, str]]:
    """A cause as a line of the tree, in the same form."""
    return [(f"{len(items):,}  ", "muted"), (short(cause, _LONGEST_CAUSE), "cause")]


def bar(pending: int, counts: Mapping[str, int], hidden: int) -> Content:
    """How far the review is."""
    told = [f"{number:,} {word}" for word, number in sorted(counts.items())]
    told += [f"{hidden:,} not shown, as git has committed them"] if hidden else []
    return styled(" Review ", "bold $text-primary") + Content(f" {pending:,} pending") + styled(_dotted(told), MUTED)


def _dotted(told: Iterable[str]) -> str:
    return "".join(f"  ·  {text}" for text in told)


def head(pending: Pending) -> Content:
    """What a pending change is, and what a decision does."""
    lines = [
        badge(verdict(pending)) + Content("  ") + styled(test(pending), "bold"),
        Content(function(pending)) + styled(f"  {place(pending)}", MUTED),
        *(Content("because of ") + styled(short(cause, _LONGEST_CAUSE), "bold") for cause in pending.causes),
        styled(_DECISIONS.get(pending.source, ""), f"italic {MUTED}"),
    ]
    return Content("\n").join(lines)


def group_head(cause: str, items: Sequence[Pending]) -> Content:
    """What a cause has led to."""
    files = len({item.cassette for item in items})
    told = f"{_counted(len(items), 'call')} in {_counted(files, 'cassette')}: {verdicts(items)}"
    keys = "a or A accepts them all, r or R rejects them all; u takes it back"
    return Content("\n").join(
        [styled(short(cause, _LONGEST_CAUSE), "bold"), Content(told), styled(keys, f"italic {MUTED}")]
    )


def overview(items: Sequence[tuple[Pending, Sequence[Value]]], total: int) -> Content:
    """What a cause has changed in each answer that it has changed."""
    lines: list[Content] = []
    for pending, values in items:
        found = [value for value in values if not value.is_usage]
        lines.append(badge(verdict(pending)) + Content("  ") + Content(name(pending)))
        lines += [Content("    ") + _value(value) for value in found[:3]]
        lines += [styled(f"    … {len(found) - 3:,} more", MUTED)] * (len(found) > 3)
    if total > len(items):
        lines.append(styled(f"… and {total - len(items):,} more", MUTED))
    return Content("\n").join(lines)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def telling(items: Sequence[Pending]) -> list[Pending]:
    """Those of which a person wants to know what became of them."""
    return [item for item in items if verdict(item) not in ("same value", "cosmetic", "identical")]


def asked(found: Panes) -> Content:
    """What the call was about."""
    return Content("\n").join([styled(f"{key} = ", MUTED) + Content(text) for key, text in found.asked])


def changed_values(found: Sequence[Value]) -> Content:
    return Content("\n").join(map(_value, found))


def _value(value: Value) -> Content:
    if value.is_usage:
        return styled(f"{value.path}  {value.old}  →  {value.new}", MUTED)
    path = styled(f"{value.path}  ", "bold")
    old = None if value.old is None else styled(value.old, _OLD)
    new = None if value.new is None else styled(value.new, _NEW)
    if old is not None and new is not None:
        return path + old + styled("  →  ", MUTED) + new
    if new is not None:
        return path + styled("added ", MUTED) + new
    return path if old is None else path + styled("removed ", MUTED) + old


def unified(rows: Sequence[Row], width: int) -> Iterator[Content]:
    """Rows one below the other: of each run of changes first what went, then what came."""
    for changed, run in groupby(rows, lambda row: row.kind in ("changed", "removed", "added")):
        if not changed:
            for row in run:
                yield from (
                    _folded(row, width) if row.kind == "folded" else _wrapped(Content(row.old or ""), "  ", width)
                )
            continue
        lines = list(run)
        for row in lines:
            if row.old is not None:
                yield from _wrapped(styled(row.old, _OLD, row.old_words, _OLD_WORDS), "- ", width, _OLD)
        for row in lines:
            if row.new is not None:
                yield from _wrapped(styled(row.new, _NEW, row.new_words, _NEW_WORDS), "+ ", width, _NEW)


def beside(rows: Sequence[Row], width: int) -> Iterator[Content]:
    """Rows in two columns, the old text left and the new one right."""
    half = (width - 3) // 2
    yield styled("old".ljust(half), MUTED) + styled(" │ ", MUTED) + styled("new", MUTED)
    for row in rows:
        if row.kind == "folded":
            yield from _folded(row, width)
            continue
        is_equal = row.kind == "equal"
        left = _column(row.old, row.old_words, _PLAIN if is_equal else (_OLD, _OLD_WORDS, "- "), half)
        right = _column(row.new, row.new_words, _PLAIN if is_equal else (_NEW, _NEW_WORDS, "+ "), half)
        for at in range(max(len(left), len(right))):
            first = left[at] if at < len(left) else Content("")
            other = right[at] if at < len(right) else Content("")
            padding = " " * (half - first.cell_length)
            yield first + Content(padding) + styled(" │ ", MUTED) + other


def _column(
    text: str | None, words: Sequence[tuple[int, int]], styles: tuple[str, str, str], width: int
) -> list[Content]:
    if text is None:
        return []
    style, word_style, sign = styles
    return list(_wrapped(styled(text, style, words, word_style), sign, width, style))


def _wrapped(line: Content, sign: str, width: int, style: str = "") -> Iterator[Content]:
    """A line in pieces that fit, the first behind its sign."""
    for number, piece in enumerate(line.wrap(max(width - len(sign), 2))):
        yield styled(" " * len(sign) if number else sign, style) + piece


def _folded(row: Row, width: int) -> Iterator[Content]:
    yield styled(f"  ⋯ {row.old}"[:width], MUTED)
