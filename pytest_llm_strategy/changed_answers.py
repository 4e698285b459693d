"""What the end of a run says of answers that were asked afresh: how many changed, and what of their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_strategy import Session

_VERDICTS = ("identical", "cosmetic", "same value", "value changed", "no longer parses")
_TOLD = ("value changed", "no longer parses")
"""Of these it is shown what they were and are."""
_ANSWERS = 5
_LINES = 6
"""So many answers are shown, and so many lines of each, unless more is asked for."""


def lines(session: Session, verbosity: int) -> Iterator[str]:
    """The lines for a terminal; none where nothing that was recorded before has been asked again."""
    changed = session.account.changed
    counts: Counter[str] = Counter(answer.verdict for answer in changed)
    if not changed or (verbosity < 0 and len(changed) == counts["identical"]):
        return
    yield f"answers asked afresh: {', '.join(f'{counts[name]} {name}' for name in _VERDICTS if counts[name])}"
    told = [answer for answer in changed if answer.verdict in _TOLD]
    shown = told[: len(told) if verbosity > 0 else _ANSWERS if verbosity == 0 else 0]
    by_cause: dict[str, list[Any]] = {}
    for answer in shown:
        by_cause.setdefault("; ".join(answer.causes), []).append(answer)
    for cause, answers in by_cause.items():
        yield session.scrub(f"  because of {cause}:" if cause else "  with the same prompt:")
        for answer in answers:
            yield from (session.scrub(f"    {line}") for line in _answer(answer, whole=verbosity > 0))
    if verbosity >= 0 and len(told) > len(shown):
        yield f"  and {_more(len(told) - len(shown), 'answer')} (-v shows all)"
    if verbosity >= 0 and any(answer.causes or answer.verdict != "identical" for answer in changed):
        yield "  to look at them, and accept or reject each: llm-strategy review"


def _answer(answer: Any, *, whole: bool) -> Iterator[str]:
    """One answer: on a line where there is one thing to say of it."""
    words = [answer.test, *([answer.function] if answer.function and _names_no_function(answer) else [])]
    words += [answer.verdict] if answer.verdict == "no longer parses" else []
    head = ", ".join(words)
    if len(answer.lines) == 1:
        yield f"{head}: {answer.lines[0].strip()}"
        return
    yield head
    most = len(answer.lines) if whole else _LINES
    yield from (f"  {line}" for line in answer.lines[:most])
    if len(answer.lines) > most:
        yield f"  and {_more(len(answer.lines) - most, 'line')} (-v shows all)"


def _names_no_function(answer: Any) -> bool:
    return not any(str(answer.function) in cause for cause in answer.causes)


def _more(number: int, noun: str) -> str:
    return f"{number} more {noun}{'s' * (number != 1)}"
