"""What calls cost, by the price lists of genai-prices and by what a project says of models that are on none.

The lists come with the package and are read from the disk: nothing here reaches the network. They know no discount of
anybody's own, and tokens that a provider had cached count as others do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Any, NamedTuple

from llm_strategy.values import Usage

ENVIRONMENT = "LLM_STRATEGY_PRICES"
"""The environment variable that holds a project's own prices, a line each; child processes inherit it."""
INSTALL = 'pip install "llm-strategy[prices]"'
_MILLION = 1_000_000
_DATED = re.compile(r"-\d{4}-?\d\d-?\d\d$")


class Rate(NamedTuple):
    """US dollars for a million tokens."""

    input: Decimal
    output: Decimal

    def price(self, usage: Usage) -> Decimal:
        spent = (usage.input_tokens or 0) * self.input + (usage.output_tokens or 0) * self.output
        return spent / _MILLION


def price(model: str | None, usage: Usage | None, answered: str | None = None) -> Decimal | None:
    """What a call of a model costs in US dollars; None where that is not known.

    `model` is "provider:name", as requests have it. `answered` is the name that the provider gave of what answered: its
    price counts, where it is given.
    """
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    own = _own_rate(model, answered)
    return own.price(usage) if own is not None else _listed(model, usage, answered)


def shown_name(model: str | None, answered: str | None = None) -> str:
    """A model as people are told of it."""
    provider, _, name = (model or "").rpartition(":")
    if not answered or answered == name:
        return model or "a model that was not named"
    if not name or answered.startswith(name):
        return f"{provider}:{answered}" if provider else answered
    return f"{model} (answered by {answered})"


def dollars(amount: Decimal | None) -> str:
    """An amount as people read it: "$12.35", "$0.0123"; "unknown" for None."""
    if amount is None:
        return "unknown"
    if not amount:
        return "$0"
    if amount < Decimal("0.0001"):
        return "less than $0.0001"
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"


class Cost(NamedTuple):
    """A sum, and the models whose part in it is not known."""

    amount: Decimal
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[tuple[str, Decimal | None]]) -> Cost:
        """The sum of what each model costs, None for what is not known."""
        found = list(parts)
        known = [amount for _, amount in found if amount is not None]
        return cls(sum(known, Decimal()), tuple(dict.fromkeys(name for name, amount in found if amount is None)))

    def __str__(self) -> str:
        if not self.unknown:
            return dollars(self.amount)
        names = ", ".join(self.unknown[:3]) + f" and {len(self.unknown) - 3} more" * (len(self.unknown) > 3)
        advice = "" if is_installed() else f" ({INSTALL})"
        unknown = f"an unknown price for {names}{advice}"
        return f"{dollars(self.amount)} and {unknown}" if self.amount else unknown


# What a project says


@lru_cache(maxsize=8)
def parse(lines: str) -> Sequence[tuple[str, Rate]]:
    """A project's own prices: in each line a model, and US dollars for a million input and output tokens.

    `*` in a model stands for anything. Raises ValueError, which names the line, for what is none.
    """
    found = []
    for line in filter(None, map(str.strip, lines.splitlines())):
        model, *amounts = line.rsplit(None, 2)
        try:
            given = [Decimal(amount) for amount in amounts]
        except InvalidOperation:
            given = []
        if len(given) != 2 or not all(amount.is_finite() and amount >= 0 for amount in given):
            raise ValueError(
                f"prices: {line!r} is no price: write a model, and the US dollars for a million input tokens and for a "
                "million output tokens, as in 'openai:gpt-5-mini 0.25 2'"
            )
        found.append((model, Rate(*given)))
    return found


def joined(lines: Iterable[str]) -> str:
    """The value of the environment variable for some lines. Raises ValueError as `parse` does."""
    text = "\n".join(lines)
    parse(text)
    return text


def _own_rate(model: str | None, answered: str | None) -> Rate | None:
    lines = os.environ.get(ENVIRONMENT)
    if not lines:
        return None
    names = [name for said in (answered, model) if said for name in (said, said.partition(":")[2]) if name]
    for name in names or [""]:
        for pattern, rate in parse(lines):
            if name == pattern or fnmatchcase(name, pattern):
                return rate
    return None


# What is listed


def is_installed() -> bool:
    """Whether there are price lists."""
    return _lists() is not None


@cache
def _lists() -> Any:
    try:
        import genai_prices
    except ImportError:
        return None
    return genai_prices


def _listed(model: str | None, usage: Usage, answered: str | None) -> Decimal | None:
    found = _calculated(model, usage, answered)
    return None if found is None else Decimal(found.total_price)


def steps(model: str | None, answered: str | None = None) -> Sequence[int]:
    """The lengths of a prompt, in tokens, beyond which a call has another price for all of them; ascending."""
    found = None if _own_rate(model, answered) else _calculated(model, Usage(1, 1), answered)
    rates = [] if found is None else [found.model_price.input_mtok, found.model_price.output_mtok]
    return sorted({tier.start for rate in rates for tier in getattr(rate, "tiers", ())})


def _calculated(model: str | None, usage: Usage, answered: str | None) -> Any:
    """What the lists say of a call; None where it is on none."""
    lists = _lists()
    provider, _, name = (model or "").partition(":")
    if lists is None or not name:
        return None
    counts = lists.Usage(input_tokens=usage.input_tokens or 0, output_tokens=usage.output_tokens or 0)
    for candidate in _candidates(name, answered):
        try:
            found = lists.calc_price(counts, candidate, provider_id=provider)
        except (LookupError, ValueError):
            continue
        rates = found.model_price
        # What is paid for otherwise, by the second or the page, has tokens for nothing.
        return None if rates.input_mtok is None and rates.output_mtok is None else found
    return None


def _candidates(name: str, answered: str | None) -> Iterator[str]:
    """The names to look for. What says that it is another model than was asked for is none of that one's price."""
    if answered:
        answered = answered.removeprefix("models/")
        yield answered
        if not answered.startswith(name):
            return
        yield _DATED.sub("", answered)
    yield name
