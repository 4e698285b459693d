"""What was asked and what replaying saved, in calls and tokens of each model; priced when somebody wants to know."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from llm_strategy import pricing
from llm_strategy.log import Call
from llm_strategy.pricing import Cost, dollars, shown_name
from llm_strategy.values import Request, Response, Usage

_LONG = 32_000
"""Input tokens of a call beyond which some lists have another price for them."""


@dataclass
class Tokens:
    """Calls of one model. `uncounted` are those of which nobody said how many tokens they took.

    Calls with long prompts are kept one by one in `long` as well: they may have prices of their own.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    uncounted: int = 0
    long: list[tuple[int, int]] = field(default_factory=list)

    def take(self, usage: Usage | None) -> None:
        """Count a call."""
        self.calls += 1
        if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
            self.uncounted += 1
            return
        counts = usage.input_tokens or 0, usage.output_tokens or 0
        self.input_tokens += counts[0]
        self.output_tokens += counts[1]
        if counts[0] > _LONG:
            self.long.append(counts)

    def add(self, calls: int, input_tokens: int, output_tokens: int, uncounted: int, long: list[Any]) -> None:
        """Take in what another process counted."""
        self.calls += calls
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.uncounted += uncounted
        self.long += [(sent, received) for sent, received in long]

    def price(self, model: str | None, answered: str | None) -> Decimal | None:
        """What the calls cost whose tokens are known; None where none are, or the model's price is not."""
        if self.calls == self.uncounted:
            return None
        total = Decimal()
        for sent, received, length in self._by_length(pricing.steps(model, answered)):
            # The list has one price for prompts of about this length.
            per_input = pricing.price(model, Usage(length, 0), answered)
            with_output = pricing.price(model, Usage(length, length), answered)
            if per_input is None or with_output is None:
                return None
            total += (per_input * sent + (with_output - per_input) * received) / length
        return total

    def _by_length(self, steps: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Input and output tokens of the calls between two steps of a price, and the length of one of their prompts."""
        long = [counts for counts in self.long if steps and counts[0] > steps[0]]
        sent, received = (sum(counts[at] for counts in long) for at in (0, 1))
        yield self.input_tokens - sent, self.output_tokens - received, min([1000, *steps])
        for _, some in groupby(sorted(long), key=lambda counts: bisect_left(steps, counts[0])):
            alike = list(some)
            yield sum(counts[0] for counts in alike), sum(counts[1] for counts in alike), alike[0][0]


Model = tuple[str | None, str | None]
"""The name of the model that was asked, and of what answered, where the provider said it."""


class ModelCount(NamedTuple):
    """A model as people are told of it, and what its calls cost, as far as that is known."""

    name: str
    tokens: Tokens
    price: Decimal | None

    @property
    def parts(self) -> Iterator[Decimal | None]:
        """What it has in a sum: calls without counts are a part that is not known."""
        if self.price is not None:
            yield self.price
        if self.price is None or self.tokens.uncounted:
            yield None

    @property
    def cost(self) -> str:
        """What the calls cost, for people."""
        return " and ".join(map(dollars, self.parts))


@dataclass
class Count:
    """Calls by model."""

    models: dict[Model, Tokens] = field(default_factory=dict)

    def take(self, request: Request, response: Response) -> None:
        """Count a call; an error that a provider answered is none."""
        usage = response.usage
        if usage is not None or response.finish_reason != "error":
            self.expect(request.model, usage, response.model)

    def expect(self, model: str | None, usage: Usage | None, answered: str | None = None) -> None:
        """Count a call of a model, whether it was made or only wanted."""
        self.models.setdefault((model, answered), Tokens()).take(usage)

    def replayed(self, calls: Iterable[Call]) -> None:
        """Count those of a log that nobody was asked."""
        for call in calls:
            if call.replayed:
                self.take(call.request, call.response)

    @property
    def calls(self) -> int:
        return sum(tokens.calls for tokens in self.models.values())

    @property
    def input_tokens(self) -> int:
        return sum(tokens.input_tokens for tokens in self.models.values())

    @property
    def output_tokens(self) -> int:
        return sum(tokens.output_tokens for tokens in self.models.values())

    @property
    def cost(self) -> Cost:
        """What all of it costs."""
        return Cost.of((model.name, price) for model in self.by_model() for price in model.parts)

    def by_model(self) -> Iterator[ModelCount]:
        """Each model, most calls first."""
        for (model, answered), tokens in sorted(self.models.items(), key=lambda item: -item[1].calls):
            yield ModelCount(shown_name(model, answered), tokens, tokens.price(model, answered))

    def to_json(self) -> list[Any]:
        return [
            [*model, tokens.calls, tokens.input_tokens, tokens.output_tokens, tokens.uncounted, tokens.long]
            for model, tokens in self.models.items()
        ]

    def add(self, other: Iterable[list[Any]]) -> None:
        """Take in what another process counted."""
        for model, answered, *counts in other:
            self.models.setdefault((model, answered), Tokens()).add(*counts)


@dataclass
class Tally:
    """What was `asked`, what replaying `saved`, and what `dry` runs `wanted`, which is what it may be at most.

    `not_asked` are the calls that a budget did not allow.
    """

    asked: Count = field(default_factory=Count)
    saved: Count = field(default_factory=Count)
    wanted: Count = field(default_factory=Count)
    not_asked: int = 0

    def to_json(self) -> dict[str, Any]:
        counts = {"asked": self.asked, "saved": self.saved, "wanted": self.wanted}
        return {**{name: count.to_json() for name, count in counts.items()}, "not_asked": self.not_asked}

    def add(self, other: dict[str, Any]) -> None:
        """Take in what another process counted."""
        self.asked.add(other["asked"])
        self.saved.add(other["saved"])
        self.wanted.add(other["wanted"])
        self.not_asked += other["not_asked"]
