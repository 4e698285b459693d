"""What becomes of each recorded interaction: one of four outcomes, and why it was not imported."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Outcome = Literal["imported", "not_a_model_call", "unsupported", "malformed"]
OUTCOMES: tuple[Outcome, ...] = ("imported", "not_a_model_call", "unsupported", "malformed")


class NotImported(Exception):
    """Why an interaction, or a file, does not become a recording."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


def malformed(reason: str) -> NotImported:
    """What was meant to be a recording, and cannot be read as one."""
    return NotImported("malformed", reason)


def unsupported(reason: str) -> NotImported:
    """What is good as it is, but nothing that a cassette can hold or answer with."""
    return NotImported("unsupported", reason)


@dataclass(frozen=True)
class Problem:
    """An interaction that was not imported, counted from 0; `index` is None for a whole file."""

    file: Path
    index: int | None
    outcome: Outcome
    reason: str


@dataclass
class Report:
    """All outcomes of an import.

    `written` says how many calls each cassette has got; the others were there before. `own` are cassettes of this
    library, which are passed over.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    written: Counter[Path] = field(default_factory=Counter)
    own: list[Path] = field(default_factory=list)

    def add(self, file: Path, index: int | None, problem: NotImported | None) -> None:
        self.outcomes["imported" if problem is None else problem.outcome] += 1
        if problem is not None:
            self.problems.append(Problem(file, index, problem.outcome, problem.reason))
