"""What calls cost, by list and by what a project says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from llm_strategy import Usage, pricing
from llm_strategy.cassette.tokens import Tokens
from llm_strategy.pricing import Cost, dollars, joined, price, shown_name

MILLION = Usage(1_000_000, 0)


@pytest.mark.parametrize(
    "model",
    [
        "openai:gpt-5-mini",
        "anthropic:claude-sonnet-4-5",
        "google:gemini-2.5-flash",
        "google_genai:gemini-2.5-flash",
        "bedrock:anthropic.claude-3-5-sonnet-20240620-v1:0",
        "cohere:command-r",
        "mistralai:mistral-large-latest",
        "openai:text-embedding-3-small",
    ],
)
def test_models_of_all_providers_have_list_prices(model: str) -> None:
    """What a request calls a model is found on the list, whatever the provider's name is there."""
    assert (price(model, MILLION) or 0) > 0


@pytest.mark.parametrize(
    "model", ["ollama:llama3", "openai:my-own", "stub:", "counter", None, "openai:", "openai:whisper-1"]
)
def test_what_is_on_no_list_is_unknown(model: str | None) -> None:
    """A model without a list price, or with one for other things than tokens, is unknown, never free."""
    assert price(model, Usage(10, 10)) is None


def test_tokens_that_nobody_counted_are_unknown() -> None:
    """Without usage there is no price; with half of it there is one for that half."""
    assert price("openai:gpt-5-mini", None) is None
    assert price("openai:gpt-5-mini", Usage()) is None
    assert price("openai:gpt-5-mini", Usage(1000)) == price("openai:gpt-5-mini", Usage(1000, 0))


def test_what_answered_is_what_is_paid_for() -> None:
    """The name in the response decides: a dated one counts as the model that was asked, a stand-in does not."""
    known = price("openai:gpt-5-mini", MILLION)
    assert price("openai:gpt-5-mini", MILLION, "gpt-5-mini-2025-08-07") == known
    assert price("openai:gpt-5-mini", MILLION, "gpt-5-mini-2999-01-01") == known
    assert price("openai:gpt-5-mini", MILLION, "gpt-5") == price("openai:gpt-5", MILLION) != known
    assert price("openai:gpt-5-mini", MILLION, "local stand-in") is None


def test_a_project_says_prices_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go before the list, hold for what was asked and what answered, and may name several models at once."""
    lines = ["openai:my-own 1 2", "local stand-in 0 0", "ollama:* 0.5 0.5", "openai:gpt-5-mini 7 7"]
    monkeypatch.setenv(pricing.ENVIRONMENT, joined(lines))
    assert price("openai:my-own", Usage(1_000_000, 500_000)) == 2
    assert price("openai:gpt-5", MILLION, "local stand-in") == 0
    assert price("ollama:llama3:8b", MILLION) == Decimal("0.5")
    assert price("openai:gpt-5-mini", MILLION, "gpt-5-mini-2025-08-07") == 7


@pytest.mark.parametrize("line", ["openai:gpt-5-mini", "x 1", "x 1 -2", "x one two", "x nan 1", "x 1 inf"])
def test_what_is_no_price_is_named(line: str) -> None:
    """A line that is no price raises ValueError, which shows it and one that is right."""
    with pytest.raises(ValueError, match=r"is no price: write a model.*'openai:gpt-5-mini 0\.25 2'") as caught:
        joined(["good 1 1", line])
    assert repr(line) in str(caught.value)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0", "$0"), ("0.00001", "less than $0.0001"), ("0.01234", "$0.0123"), ("1234.5", "$1,234.50"), (None, "unknown")],
)
def test_amounts_as_people_read_them(amount: str | None, shown: str) -> None:
    """Small amounts have four places, large ones two; what is not known is no amount."""
    assert dollars(None if amount is None else Decimal(amount)) == shown


def test_a_sum_says_what_of_it_is_unknown() -> None:
    """The models without a price stand beside the sum of the others, or in its place."""
    known, unknown = ("a", Decimal("0.0123")), ("my-model", None)
    assert str(Cost.of([known])) == "$0.0123"
    assert str(Cost.of([known, unknown, unknown])) == "$0.0123 and an unknown price for my-model"
    assert str(Cost.of([unknown])) == "an unknown price for my-model"
    assert str(Cost.of([(name, None) for name in "abcde"])) == "an unknown price for a, b, c and 2 more"


@pytest.mark.parametrize(
    ("model", "answered", "shown"),
    [
        ("openai:gpt-5-mini", None, "openai:gpt-5-mini"),
        ("openai:gpt-5-mini", "gpt-5-mini", "openai:gpt-5-mini"),
        ("openai:gpt-5-mini", "gpt-5-mini-2025-08-07", "openai:gpt-5-mini-2025-08-07"),
        ("openai:gpt-5-mini", "local stand-in", "openai:gpt-5-mini (answered by local stand-in)"),
        (None, "gpt-5", "gpt-5"),
        (None, None, "a model that was not named"),
    ],
)
def test_names_of_models(model: str | None, answered: str | None, shown: str) -> None:
    """People are told what answered, where that is not what was asked."""
    assert shown_name(model, answered) == shown


def test_sums_are_those_of_the_calls() -> None:
    """Calls are added up before they are priced, and long prompts, which some lists price otherwise, keep their price."""
    for model in ("google:gemini-2.5-pro", "openai:gpt-5-mini"):
        tokens, total = Tokens(), Decimal()
        for sent, received in [(10, 10), (1, 0), (150_000, 7), (250_000, 9), (300_000, 1), (199_999, 3), (200_001, 3)]:
            tokens.take(Usage(sent, received))
            total += price(model, Usage(sent, received)) or 0
        assert tokens.price(model, None) == total
    assert price("google:gemini-2.5-pro", Usage(300_000, 0)) > 3 * (
        price("google:gemini-2.5-pro", Usage(100_000, 0)) or 0
    )
