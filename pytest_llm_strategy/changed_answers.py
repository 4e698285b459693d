"""What the end of a run says of answers that were asked afresh: how many changed, and what of their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

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
    for answer in shown:
        because = f" ({', '.join(answer.causes)})" if answer.causes else ""
        yield session.scrub(f"  {answer.test}: {answer.function or 'a call'}: {answer.verdict}{because}")
        most = len(answer.lines) if verbosity > 0 else _LINES
        yield from (session.scrub(f"    {line}") for line in answer.lines[:most])
        if len(answer.lines) > most:
            yield f"    and {_more(len(answer.lines) - most, 'line')} (-v shows all)"
    if verbosity >= 0 and len(told) > len(shown):
        yield f"  and {_more(len(told) - len(shown), 'answer')} (-v shows all)"
    if verbosity >= 0 and len(changed) > counts["identical"]:
        yield "  to look at them, and accept or reject each: llm-strategy review"


def _more(number: int, noun: str) -> str:
    return f"{number} more {noun}{'s' * (number != 1)}"
