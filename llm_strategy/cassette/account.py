"""What a session did: calls replayed, asked, copied, missed; tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from llm_strategy.cassette.missed import Group, Missed, groups
from llm_strategy.cassette.recording_command import one_command
from llm_strategy.cassette.tokens import Tally
from llm_strategy.volatility import HTTP_CALL

if TYPE_CHECKING:
    from llm_strategy.cassette.changed import Changed
    from llm_strategy.log import Call
    from llm_strategy.values import Request, Response


_LONGEST_DIFF = 20_000
"""Characters that are kept of how a request differs."""


@dataclass
class Account:
    """Counts of a session. `tokens` are those of the calls that were asked, and of those that replaying has saved.

    `missed_calls` are the requests that no recording answered, each once, `groups` what they have in common, and
    `diffs` shows for each cause what it has changed in one of them.
    `repaired` counts the replies that could only be read after a repair, `repairs` each kind of it.
    `changing` has what stood in prompts that differs from run to run: how many calls held it, a value, a key.
    `changed` says what asking afresh has made of recorded answers.
    """

    replayed: int = 0
    asked: int = 0
    copied: int = 0
    missed: int = 0
    stale: int = 0
    pruned: int = 0
    repaired: int = 0
    tokens: Tally = field(default_factory=Tally)
    missed_calls: list[Missed] = field(default_factory=list)
    repairs: dict[str, int] = field(default_factory=dict)
    changing: dict[str, list[Any]] = field(default_factory=dict)
    changed: list[Changed] = field(default_factory=list)
    diffs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _known: set[Missed] = field(default_factory=set, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, **numbers: int) -> None:
        """Add to counts; calls are made in many threads."""
        with self._lock:
            for name, number in numbers.items():
                setattr(self, name, getattr(self, name) + number)

    def asked_for(self, request: Request, response: Response) -> None:
        """Count a call that a model was asked, and what it cost."""
        with self._lock:
            self.asked += 1
            self.tokens.asked.take(request, response)

    def would_ask(self, request: Request) -> None:
        """Count a call that a dry run has only listed."""
        from llm_strategy.cassette.estimate import largest_usage

        with self._lock:
            self.tokens.wanted.expect(request.model, largest_usage(request, None))

    def refused(self) -> None:
        """Count a call that the budget did not allow."""
        with self._lock:
            self.tokens.not_asked += 1

    def saved(self, calls: Iterable[Call]) -> None:
        """Count the tokens of the calls that were replayed, of a scope that has closed."""
        with self._lock:
            self.tokens.saved.replayed(calls)

    def mended(self, repairs: tuple[str, ...]) -> None:
        """Count a reply that had to be repaired, and each repair."""
        with self._lock:
            self.repaired += 1
            for repair in repairs:
                self.repairs[repair] = self.repairs.get(repair, 0) + 1

    def changes(self, function: str, finding: str, value: str, key: str, calls: int = 1) -> None:
        """Note a value in recorded prompts of a function that the next run will not have."""
        with self._lock:
            known = self.changing.setdefault(f"{function}: {finding}", [0, value, key])
            known[0] += calls

    @property
    def cure(self) -> str:
        """What to do about a value that differs from run to run."""
        over_http = [finding.startswith(f"{HTTP_CALL}: ") for finding in self.changing]
        if all(over_http):
            return "Give it a stable form, or keep it out of the prompt"
        return "Declare it Volatile[...], or give it a stable form"

    @property
    def changing_values(self) -> list[str]:
        """A line for each value that differs from run to run."""
        return [
            f"{finding}, {value} ({calls} call{'s' * (calls != 1)}; llm-strategy why {key[:12]})"
            for finding, (calls, value, key) in self.changing.items()
        ]

    def miss(self, missed: Missed, diff: str = "") -> None:
        """Note a request that no recording answered; workers that share a fixture, and reruns, miss it again."""
        with self._lock:
            if missed not in self._known:
                self._known.add(missed)
                self.missed_calls.append(missed)
            for cause in missed.causes:
                # What differs for no other reason shows a cause best.
                if diff and (cause not in self.diffs or missed.causes == (cause,)):
                    self.diffs[cause] = diff[:_LONGEST_DIFF]

    @property
    def groups(self) -> list[Group]:
        """The causes of misses, those of most tests first."""
        return groups(self.missed_calls)

    @property
    def command(self) -> str:
        """What records everything that was missed; empty where nothing does."""
        return one_command(miss.command for miss in self.missed_calls if miss.command)

    def note(self, text: str) -> None:
        """Keep something to say when all is done, once: what stands in parentheses, such as a test, is an example."""
        subject = text.partition(" (")[0]
        with self._lock:
            if not any(note.partition(" (")[0] == subject for note in self.notes):
                self.notes.append(text)

    def page(self, *, mode: str, room: int, hint: str = "") -> str:
        """The account as Markdown, in at most `room` bytes of UTF-8; `mode` is the session's."""
        from llm_strategy.cassette.summary_page import page

        return page(self, mode=mode, room=room, hint=hint)

    def figures(self) -> dict[str, object]:
        """The totals, for programs that read reports of tests."""
        from llm_strategy.cassette.figures import totals

        return totals(self)

    def to_json(self) -> dict[str, object]:
        said = {item.name: getattr(self, item.name) for item in fields(self) if not item.name.startswith("_")}
        return {**said, "tokens": self.tokens.to_json()}

    def add(self, other: dict[str, Any]) -> None:
        """Add the account of another worker."""
        self.count(**{name: value for name, value in other.items() if isinstance(value, int)})
        self.tokens.add(other["tokens"])
        for missed in other["missed_calls"]:
            self.miss(Missed.from_json(missed))
        if other["changed"]:
            from llm_strategy.cassette.changed import Changed

            self.changed += map(Changed.from_json, other["changed"])
        self.diffs = {**other["diffs"], **self.diffs}
        self.notes += [note for note in other["notes"] if note not in self.notes]
        for key, (calls, value, call) in other["changing"].items():
            function, _, finding = key.partition(": ")
            self.changes(function, finding, value, call, calls)
        for repair, number in other["repairs"].items():
            self.repairs[repair] = self.repairs.get(repair, 0) + number
