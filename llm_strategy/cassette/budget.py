"""What a run may spend, shared by all of its processes: before a call is asked, what it may cost is set aside.

They have a ledger in common, a journal to which each appends while it holds a lock. An environment variable leads
to it, so that workers, threads and child processes find the same one.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from llm_strategy.cassette.estimate import largest_usage
from llm_strategy.cassette.journal import ledger, tell
from llm_strategy.cassette.miss import place
from llm_strategy.cassette.modes import Mode
from llm_strategy.context import Ask
from llm_strategy.errors import CassetteMiss
from llm_strategy.pricing import INSTALL, dollars, is_installed, price
from llm_strategy.values import Response
from llm_strategy.wire.envelope import HTTPRequest

ENVIRONMENT = "LLM_STRATEGY_BUDGET"
"""The environment variable in which a session says what may be spent, and where its ledger is."""
_OPTION = "--llm-budget"
_PATIENCE = 60.0
"""Seconds to wait for calls in flight, which mostly cost less than was set aside for them."""
_POLL = 0.02


def described(amount: str, journal: Path) -> str:
    """The value of the environment variable. Raises ValueError for what is no amount."""
    try:
        limit = Decimal(amount.strip().removeprefix("$"))
    except InvalidOperation:
        limit = Decimal("nan")
    if not limit.is_finite() or limit < 0:
        raise ValueError(
            f"budget: {amount!r} is no amount of US dollars: write {_OPTION}=0.50, or {_OPTION}=0 to ask for nothing"
        )
    return json.dumps({"limit": str(limit), "journal": str(journal)})


def patience() -> float:
    """Until when a call that is made now waits for others."""
    return time.monotonic() + _PATIENCE


def current() -> Budget | None:
    """The budget of the run that this process has a part in; None where there is none."""
    said = os.environ.get(ENVIRONMENT)
    return _budget(said) if said else None


@lru_cache(maxsize=8)
def _budget(said: str) -> Budget:
    found = json.loads(said)
    return Budget(Decimal(found["limit"]), Path(found["journal"]))


class Reservation(NamedTuple):
    """What has been set aside for one call."""

    budget: Budget
    number: str
    kind: str

    def settle(self, ask: Ask, response: Response) -> None:
        """The call was answered: what it has cost is spent, and where that is not known, all that was set aside."""
        usage = response.usage
        cost = price(ask.request.model, usage, response.model)
        tokens = usage.output_tokens if usage else None
        self.budget.tell("spent", self.number, None if cost is None else str(cost), self.kind, tokens)

    def give_back(self) -> None:
        """The call was not answered."""
        self.budget.tell("spent", self.number, "0", self.kind, None)


class _Totals:
    """What a ledger says: what was spent, and what is set aside for calls in flight."""

    def __init__(self) -> None:
        self.spent = Decimal()
        self.open: dict[str, Decimal] = {}
        self.longest: dict[str, int] = {}
        self.is_closed = False

    @property
    def in_flight(self) -> Decimal:
        return sum(self.open.values(), Decimal())

    def take_in(
        self, event: str, number: str = "", amount: str | None = None, kind: str = "", tokens: Any = None
    ) -> None:
        if event == "reserved":
            self.open[number] = Decimal(amount or 0)
        elif event == "spent":
            reserved = self.open.pop(number, Decimal())
            self.spent += reserved if amount is None else Decimal(amount)
            if tokens is not None:
                self.longest[kind] = max(tokens, self.longest.get(kind, 0))
        else:
            self.is_closed = True


class Budget:
    """An amount of US dollars, and the ledger of what has been spent of it."""

    def __init__(self, limit: Decimal, journal: Path) -> None:
        self.limit = limit
        self.ledger, self._lock_file = ledger(journal)
        self._totals = _Totals()
        self._read = 0
        self._numbers = count()
        self._lock = threading.Lock()

    def reserve(self, ask: Ask, mode: Mode, *, blocking: bool, deadline: float) -> Reservation | None:
        """Set aside what a call may cost. Raises CassetteMiss where that is not left; the `mode` says what to do then.

        None, where it might be once the calls in flight have been answered: unless `blocking`, and until `deadline`.
        """
        while True:
            late = time.monotonic() > deadline
            with self._written():
                found = self._try(ask, mode, late=late, alone=blocking)
            if found is not None or not blocking:
                return found
            time.sleep(_POLL)

    def _try(self, ask: Ask, mode: Mode, *, late: bool, alone: bool) -> Reservation | None:
        totals, model = self._totals, ask.request.model
        kind = json.dumps([ask.site.function, model])
        usage = largest_usage(ask.request, totals.longest.get(kind))
        cost = price(model, usage) if _may_cost(ask) else Decimal()
        if cost is None:
            raise _unknown(ask)
        if not totals.is_closed and totals.spent + totals.in_flight + cost <= self.limit:
            number = f"{_thread()}.{next(self._numbers)}"
            tell(self.ledger, ["reserved", number, str(cost)])
            return Reservation(self, number, kind)
        # A thread that waits for its own stream, which it reads no further meanwhile, would wait in vain.
        others = [number for number in totals.open if not (alone and number.startswith(f"{_thread()}."))]
        if not totals.is_closed and not late and others and totals.spent + cost <= self.limit:
            return None
        tell(self.ledger, ["closed"])
        has_limit = "max_tokens" in ask.request.settings
        taken = f"{usage.input_tokens:,} input and {usage.output_tokens:,} output tokens"
        raise self._refused(ask, mode, cost, f"{taken}{'' if has_limit else _ASSUMED}")

    def _refused(self, ask: Ask, mode: Mode, cost: Decimal, taken: str) -> CassetteMiss:
        spent, in_flight = dollars(self._totals.spent), self._totals.in_flight
        waiting = f", and {dollars(in_flight)} set aside for calls that are being asked" if in_flight else ""
        amount = str(self.limit) if cost <= self.limit and self.limit else "USD, with what it may cost"
        text = (
            f"{_asker(ask)} is not asked: the budget of {dollars(self.limit)} ({_OPTION}) does not allow it\n"
            f"spent so far: {spent}{waiting}\nthis call may cost: up to {dollars(cost)} ({taken})\n\n"
            f"{_GOING_ON.get(mode, _GOING_ON['new'])}{_OPTION}={'USD' if mode == 'live' else amount}"
        )
        cause = f"the budget of {dollars(self.limit)} ({_OPTION}) is used up"
        return CassetteMiss(text, request=ask.request, function=ask.site.function, causes=(cause,), **place(ask.site))

    def tell(self, *line: object) -> None:
        """Write into the ledger."""
        with self._written():
            tell(self.ledger, list(line))

    @contextmanager
    def _written(self) -> Iterator[None]:
        """While nobody else writes; what others have written is known."""
        from filelock import FileLock

        with self._lock, FileLock(self._lock_file):
            self._take_in()
            yield

    def _take_in(self) -> None:
        with suppress(FileNotFoundError), self.ledger.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
            self._read += len(lines)
            for line in lines.splitlines():
                self._totals.take_in(*json.loads(line))


_GOING_ON: Mapping[Mode, str] = {
    "live": "Nothing that is asked here is recorded, so that the next run asks all of it again: allow more with ",
    "all": "Tests that have passed have their new answers, others keep the old ones. A run with a budget of its own "
    "asks for\nthose that it names: pytest TESTS --llm-record=all ",
    "new": "What was recorded is kept. A run with a budget of its own goes on: pytest --llm-record ",
}
_ASSUMED = ", as many as may come where no max_tokens is set"


def _may_cost(ask: Ask) -> bool:
    """Whether a request can be for anything that is paid for: what is only looked at, or taken away, is not."""
    return not isinstance(ask.request, HTTPRequest) or ask.request.http["method"] not in ("GET", "HEAD", "DELETE")


def _thread() -> str:
    return f"{os.getpid()}.{threading.get_ident()}"


def _asker(ask: Ask) -> str:
    return f"{ask.site.function or 'a model'} ({ask.request.model or 'no model is named'})"


def _unknown(ask: Ask) -> CassetteMiss:
    named = ask.request.model
    model = named or "a call that names no model"
    install = "" if is_installed() else f"install the price lists: {INSTALL}\nor "
    text = (
        f"{_asker(ask)} is not asked: there is a budget ({_OPTION}), and no price is known for {model}\n\nTo ask it, "
        f"{install}say in pytest's configuration what a million input and output tokens cost, in US dollars:\n\n"
        f"    llm_prices =\n        {named or '*'} 1.00 4.00"
    )
    cause = f"no price is known for {model}, and there is a budget ({_OPTION})"
    return CassetteMiss(text, request=ask.request, function=ask.site.function, causes=(cause,), **place(ask.site))


if hasattr(os, "register_at_fork"):
    # Its lock may be held by a thread of the parent, which the child does not have.
    os.register_at_fork(after_in_child=_budget.cache_clear)
