"""What was asked and what replaying saved, in calls and tokens of each model; priced when somebody wants to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm_strategy import pricing
from llm_strategy.log import Call
from llm_strategy.pricing import Cost, shown_name
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
        per_input = pricing.price(model, Usage(1000, 0), answered)
        per_output = pricing.price(model, Usage(0, 1000), answered)
        if per_input is None or per_output is None:
            return None
        sent = self.input_tokens - sum(counts[0] for counts in self.long)
        received = self.output_tokens - sum(counts[1] for counts in self.long)
        apart = (pricing.price(model, Usage(*counts), answered) or 0 for counts in self.long)
        return (per_input * sent + per_output * received) / 1000 + sum(apart, Decimal())


Model = tuple[str | None, str | None]
"""The name of the model that was asked, and of what answered, where the provider said it."""


@dataclass
class Count:
    """Calls by model."""

    models: dict[Model, Tokens] = field(default_factory=dict)

    def take(self, request: Request, response: Response) -> None:
        """Count a call; an error that a provider answered is none."""
        usage = response.usage
        if usage is None and response.finish_reason == "error":
            return
        self.models.setdefault((request.model, response.model), Tokens()).take(usage)

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
        return Cost.of(part for counted in self.by_model() for part in _parts(*counted))

    def by_model(self) -> Iterator[tuple[str, Tokens, Decimal | None]]:
        """Each model as people are told of it, most calls first; and what its calls cost, as far as that is known."""
        for (model, answered), tokens in sorted(self.models.items(), key=lambda item: -item[1].calls):
            yield shown_name(model, answered), tokens, tokens.price(model, answered)

    def to_json(self) -> list[Any]:
        return [
            [*model, tokens.calls, tokens.input_tokens, tokens.output_tokens, tokens.uncounted, tokens.long]
            for model, tokens in self.models.items()
        ]

    def add(self, other: Iterable[list[Any]]) -> None:
        """Take in what another process counted."""
        for model, answered, *counts in other:
            self.models.setdefault((model, answered), Tokens()).add(*counts)


def _parts(name: str, tokens: Tokens, price: Decimal | None) -> Iterator[tuple[str, Decimal | None]]:
    """What a model has in a sum: calls without counts are a part that is not known."""
    if price is not None:
        yield name, price
    if price is None or tokens.uncounted:
        yield name, None


@dataclass
class Tally:
    """What was `asked`, what replaying `saved`, and how many calls a budget did not allow: `not_asked`."""

    asked: Count = field(default_factory=Count)
    saved: Count = field(default_factory=Count)
    not_asked: int = 0

    def to_json(self) -> dict[str, Any]:
        return {"asked": self.asked.to_json(), "saved": self.saved.to_json(), "not_asked": self.not_asked}

    def add(self, other: dict[str, Any]) -> None:
        """Take in what another process counted."""
        self.asked.add(other["asked"])
        self.saved.add(other["saved"])
        self.not_asked += other["not_asked"]
