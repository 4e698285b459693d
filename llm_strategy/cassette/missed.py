"""The requests of a session that no recording answered, and the few causes that most of them have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llm_strategy.cassette.recording_command import one_command

if TYPE_CHECKING:
    from llm_strategy.errors import CassetteMiss


class Missed(NamedTuple):
    """A request that no recording answered.

    `test` is the test or fixture that made it, `function` the qualified name of the decorated function, `causes` what
    differs from the nearest recording. `file` and `line` are where a change belongs, as messages show them: the first
    line of the function's docstring, or the line of the call where no decorated function made it. `command` records
    it, and is empty where none does. `key` is that of the request, empty where it was in no known format.
    """

    test: str
    function: str | None
    causes: tuple[str, ...]
    file: str | None
    line: int | None
    command: str
    key: str

    @classmethod
    def of(cls, miss: CassetteMiss, test: str, key: str) -> Missed:
        return cls(test, miss.function, miss.causes, miss.file, miss.line, miss.command, key)

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Missed:
        """What another process has handed over, as JSON, which has no tuples."""
        test, function, causes, *rest = data
        return cls(test, function, tuple(causes), *rest)


class Group(NamedTuple):
    """What one cause concerns: so many calls, of these tests; where most of them belong, and what records them all."""

    cause: str
    calls: int
    tests: tuple[str, ...]
    file: str | None
    line: int | None
    command: str


def groups(missed: Iterable[Missed]) -> list[Group]:
    """The causes of misses, each once, those of most tests first; a miss with two causes belongs to both."""
    concerned: dict[str, list[Missed]] = {}
    for miss in missed:
        for cause in miss.causes:
            concerned.setdefault(cause, []).append(miss)
    found = [_group(cause, misses) for cause, misses in concerned.items()]
    return sorted(found, key=lambda group: (-len(group.tests), -group.calls))


def _group(cause: str, misses: Sequence[Missed]) -> Group:
    places = Counter((miss.file, miss.line) for miss in misses if miss.file is not None)
    file, line = places.most_common(1)[0][0] if places else (None, None)
    tests = tuple(dict.fromkeys(miss.test for miss in misses))
    return Group(cause, len(misses), tests, file, line, one_command(miss.command for miss in misses if miss.command))
