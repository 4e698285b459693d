"""What a session is told of prices and of its budget, as environment variables, which its child processes inherit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def variables(prices: Sequence[str] | None, budget: str | None, journal: Path) -> dict[str, str | None]:
    """The variables for what is not None. Raises ValueError for what is no price, or no amount."""
    said: dict[str, str | None] = {}
    if prices is not None:
        from llm_strategy import pricing

        said[pricing.ENVIRONMENT] = pricing.joined(prices)
    if budget is not None:
        from llm_strategy.cassette import budget as budgets

        said[budgets.ENVIRONMENT] = budgets.described(budget, journal)
    return said
