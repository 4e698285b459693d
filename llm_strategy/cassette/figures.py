"""What was done in figures, for programs that read reports of tests: of a scope, and of a whole session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from llm_strategy.cassette.child import of_children
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.tokens import Count, Tally

if TYPE_CHECKING:
    from llm_strategy.cassette.account import Account
    from llm_strategy.cassette.scope import CassetteScope


def figures(scope: CassetteScope) -> dict[str, object]:
    """The calls of a scope by what became of them, their tokens and prices; nothing where there were none.

    `calls` counts those of models that are never recorded, too.
    """
    homes = list(_homes(scope))
    misses = [miss for home in homes for miss in home.misses]
    children = list(of_children(scope))
    answered = [*scope.calls, *children]
    if not answered and not misses:
        return {}
    recorded = [call for call in children if not call.replayed]
    for home in homes:
        # Those of models that are never recorded have no place among what was used of the cassette.
        recorded += [call for place, call in home.calls.placed() if place in home.usage.calls and not call.replayed]
    tokens = Tally()
    tokens.saved.replayed(answered)
    for call in recorded:
        tokens.asked.take(call.request, call.response)
    causes = dict.fromkeys(cause for miss in misses for cause in miss.causes)
    return {
        "calls": len(answered) + len(misses),
        "replayed": sum(call.replayed for call in answered),
        "recorded": len(recorded),
        "missed": len(misses),
        **_spent(tokens),
        **({"causes": "; ".join(causes)} if causes else {}),
        "cassette": shown(scope.path),
    }


def _homes(scope: CassetteScope) -> Iterator[CassetteScope]:
    """The scope, and the blocks in it."""
    yield scope
    for block in scope.blocks:
        yield from _homes(block)


def totals(account: Account) -> dict[str, object]:
    """The same of a session; what was copied from another cassette counts as replayed."""
    replayed = account.replayed + account.copied
    return {
        "calls": replayed + account.asked + account.missed,
        "replayed": replayed,
        "recorded": account.asked,
        "missed": account.missed,
        **_spent(account.tokens),
    }


def _spent(tokens: Tally) -> Mapping[str, object]:
    """The tokens of all calls, what the recorded ones cost, and what replaying the others saved, where it is known."""
    both = (tokens.asked, tokens.saved)
    priced = {"price_usd": tokens.asked, "saved_usd": tokens.saved}
    return {
        "input_tokens": sum(count.input_tokens for count in both),
        "output_tokens": sum(count.output_tokens for count in both),
        **{name: f"{count.cost.amount:.6f}" for name, count in priced.items() if _is_priced(count)},
    }


def _is_priced(count: Count) -> bool:
    return bool(count.calls) and not count.cost.unknown
