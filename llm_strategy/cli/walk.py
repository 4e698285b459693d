"""Walking through what is pending in a plain terminal: a question, a line of input, a decision."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from llm_strategy.cli import pending_text
from llm_strategy.cli.outcome import CORRUPT, GOOD
from llm_strategy.cli.paint import Paint
from llm_strategy.cli.pending_text import calls_in_tests
from llm_strategy.cli.places import counted, printable
from llm_strategy.errors import CassetteError
from llm_strategy.review import Pending, Review

_INTERRUPTED = 130
"""The exit code of what Ctrl-C has ended, as shells have it."""
_HELP = """\
a  accept: the new recording stays
r  reject: the old recording comes back
s  skip: decide later
A  accept all that is left of this cause
R  reject all that is left of this cause
u  undo the last decision, also one of an earlier review
d  show both prompts and both answers as a whole
q  quit; what was decided stays decided
?  this help"""


class _Quit(Exception):
    """Nobody wants to go on."""


def walk(review: Review) -> int:
    """Ask about everything that is pending; returns the exit code."""
    visit = _Walk(review)
    code = GOOD
    try:
        visit.go()
    except _Quit:
        pass
    except KeyboardInterrupt:
        # What was decided is on the disk, and what was not is pending.
        print()
        code = _INTERRUPTED
    for line in visit.summary():
        print(line)
    return max(code, CORRUPT if review.problems or visit.refused else GOOD)


class _Walk:
    """`_shown` is the cause, and the lines of its prompt, that stand above.

    `_asked` says whether there was anything to decide, `refused` whether a decision was not carried out.
    """

    def __init__(self, review: Review) -> None:
        self._review = review
        self._paint = Paint.of(sys.stdout)
        self._skipped: set[str] = set()
        self._accepted = self._rejected = 0
        self._asked = self.refused = False
        self._shown: tuple[str, Sequence[str]] | None = None

    def go(self) -> None:
        self._review.pending()
        for problem in self._review.problems:
            print(printable(problem), file=sys.stderr)
        while (found := self._next()) is not None:
            cause, items = found
            self._asked = True
            self._show(cause, items)
            self._ask(items)

    def _next(self) -> tuple[str, list[Pending]] | None:
        """The first cause of which something is left, that which is shown before others, and what is left of it."""
        causes = self._review.by_cause()
        order = sorted(causes, key=lambda cause: self._shown is None or cause != self._shown[0])
        left = ((cause, [item for item in causes[cause] if item.id not in self._skipped]) for cause in order)
        return next((found for found in left if found[1]), None)

    def _show(self, cause: str, items: Sequence[Pending]) -> None:
        item, paint = items[0], self._paint
        lines = pending_text.changed_lines(item.change.prompt)
        if self._shown is None or self._shown[0] != cause:
            self._say("", paint.title(printable(cause)), f"{calls_in_tests(items)}")
            self._say(*paint.diff(item.change.prompt.splitlines()))
            self._shown = (cause, lines)
        elif lines != self._shown[1]:
            self._say("", "the prompt of this call:", *paint.diff(item.change.prompt.splitlines()))
        self._say("", paint.title(printable(pending_text.name(item))))
        self._say(*(f"  {line}" for line in pending_text.arguments(item)))
        self._say(*paint.diff(list(pending_text.answer(item))))

    def _ask(self, items: Sequence[Pending]) -> None:
        """Ask until something is decided about the first of the calls, or all of them."""
        choices = {"a": (True, items[:1]), "r": (False, items[:1]), "A": (True, items), "R": (False, items)}
        while True:
            answer = self._answer(len(items))
            if answer in choices:
                self._decide(*choices[answer])
            elif answer == "s":
                self._skipped.add(items[0].id)
            elif answer == "u":
                self._undo()
            elif answer == "d":
                self._say(*pending_text.whole(items[0]))
                continue
            elif answer == "q":
                raise _Quit
            else:
                self._say(_HELP)
                continue
            return

    def _answer(self, left: int) -> str:
        print(f"a/r/s, A/R all {left} of this cause, u, d, q, ? for help: ", end="", flush=True)
        line = sys.stdin.readline()
        if not line.endswith("\n") and not line.strip():
            print()
            raise _Quit
        if not sys.stdin.isatty():
            print()
        return line.strip()

    def _decide(self, accept: bool, items: Sequence[Pending]) -> None:
        try:
            decided = (self._review.accept if accept else self._review.reject)(items)
        except (CassetteError, OSError) as error:
            self._say(printable(error))
            self.refused = True
            # Who wants to go on to the others may.
            self._skipped |= {item.id for item in items}
            return
        self._accepted += len(decided.done) if accept else 0
        self._rejected += 0 if accept else len(decided.done)
        self._say(*map(printable, decided.refused))
        self.refused = self.refused or bool(decided.refused)
        self._skipped |= {item.id for item in items} - {item.id for item in decided.done}
        self._say(f"{'accepted' if accept else 'rejected'}: {calls_in_tests(decided.done)}")

    def _undo(self) -> None:
        try:
            undone = self._review.undo()
        except (CassetteError, OSError) as error:
            self._say(printable(error))
            return
        self._say(f"undone: {printable(undone)}" if undone else "there is no decision to undo")
        if undone is not None:
            self._shown = None
            self._skipped.clear()

    def summary(self) -> Iterator[str]:
        left = self._review.pending()
        done = f"accepted {self._accepted:,}, rejected {self._rejected:,}, left {len(left):,}"
        yield done if self._asked else "nothing is pending"
        if self._review.hidden:
            hidden = counted(self._review.hidden, "call")
            yield f"{hidden} not shown: their cassettes are committed as they stand"

    def _say(self, *lines: str) -> None:
        for line in lines:
            print(line)
