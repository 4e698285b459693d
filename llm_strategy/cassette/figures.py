"""What a scope did in figures, for programs that read reports of tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from llm_strategy.cassette.miss import shown

if TYPE_CHECKING:
    from llm_strategy.cassette.scope import CassetteScope
    from llm_strategy.errors import CassetteMiss
    from llm_strategy.log import Call


def figures(scope: CassetteScope, misses: Sequence[CassetteMiss]) -> dict[str, object]:
    """The calls of a scope by what became of them, their tokens and price; nothing where there were none.

    `calls` counts those of models that are never recorded, too. Tokens are those of all calls that were answered, as
    far as providers say them.
    """
    answered = list(scope.calls)
    kept = {key for key, _ in scope.usage.recorded}
    counts = {
        "calls": len(answered) + len(misses),
        "replayed": sum(call.replayed for call in answered),
        "recorded": sum(not call.replayed and call.key in kept for call in answered),
        "missed": len(misses),
    }
    if not counts["calls"]:
        return {}
    causes = dict.fromkeys(cause for miss in misses for cause in miss.causes)
    return {
        **counts,
        **tokens(answered),
        **({"causes": "; ".join(causes)} if causes else {}),
        "cassette": shown(scope.path),
    }


def tokens(calls: Iterable[Call]) -> dict[str, int]:
    """The tokens of calls, as far as providers say them."""
    usages = [call.response.usage for call in calls if call.response.usage is not None]
    return {
        f"{side}_tokens": sum(said)
        for side in ("input", "output")
        if (said := [count for usage in usages if (count := getattr(usage, f"{side}_tokens")) is not None])
    }
