"""The call log: the calls made in a scope, in the order in which they were asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

from llm_strategy.values import Request, Response


@dataclass(frozen=True)
class Call:
    """One request to a model and its response.

    `key` is the SHA-256 of the canonical request, `occurrence` counts equal requests of one scope
    from 1, `function` is the qualified name of the decorated function if one asked. `replayed` says
    that no model was asked; `repairs` names what had to be mended in the reply to read it. `seconds` is how long
    the model took, None where none was asked.
    """

    key: str
    occurrence: int
    function: str | None
    request: Request
    response: Response
    replayed: bool = False
    repairs: tuple[str, ...] = ()
    seconds: float | None = field(default=None, compare=False)


class CallLog(Sequence[Call]):
    """Calls in request order, whatever the order in which their answers arrived. Read-only to users."""

    def __init__(self) -> None:
        self._calls: list[Call | None] = []
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, key: object) -> int:
        """How many calls with this key, or equal to this call, are in the log."""
        return sum(call.key == key or call == key for call in self)

    def next_occurrence(self, key: str) -> int:
        """The number, from 1, of a request with this key that is being asked now."""
        with self._lock:
            self._asked[key] += 1
            return self._asked[key]

    def give_back(self, key: str) -> None:
        """The request was not answered: the next equal one has its number."""
        with self._lock:
            self._asked[key] -= 1

    def begin(self) -> int:
        """Take the place of a call that is being asked; `finish` fills it."""
        with self._lock:
            self._calls.append(None)
            return len(self._calls) - 1

    def finish(self, place: int, call: Call) -> None:
        self._calls[place] = call

    def reopen(self, place: int) -> None:
        """Take the call of a place out again: it is asked anew."""
        self._calls[place] = None

    def repaired(self, place: int, repairs: tuple[str, ...]) -> None:
        call = self._calls[place]
        if call is not None:
            self._calls[place] = replace(call, repairs=repairs)

    def placed(self) -> list[tuple[int, Call]]:
        """The calls with their places, which those that are still being asked have too."""
        return [(place, call) for place, call in enumerate(self._calls) if call is not None]

    def _finished(self) -> list[Call]:
        return [call for call in self._calls if call is not None]

    def __len__(self) -> int:
        return len(self._finished())

    def __iter__(self) -> Iterator[Call]:
        return iter(self._finished())

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | Sequence[Call]:
        return self._finished()[index]

    def __repr__(self) -> str:
        return f"<{len(self)} calls: {', '.join(call.function or call.key[:8] for call in self)}>"
