"""A tree of spans as the rows that people are shown, in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from llm_strategy.tracing.format import Node
from llm_strategy.values import JSON


class Row(NamedTuple):
    """A span to be shown. `function` is the function that a call is all of, which has no row of its own."""

    depth: int
    span: Mapping[str, JSON]
    function: Mapping[str, JSON] | None = None


def rows(roots: Iterable[Node]) -> Iterator[Row]:
    """The rows of trees, from the top.

    What says nothing of its own has no row: the only attempt of a function, an attempt that is one call, which then has
    the attempt's error, and a function that is one call.
    """
    left = [(0, root) for root in reversed(list(roots))]
    while left:
        depth, node = left.pop()
        shown, below = _joined(node)
        alone = below[0] if len(below) == 1 and below[0].span["kind"] == "call" and not below[0].children else None
        if node.span["kind"] == "function" and alone is not None:
            yield Row(depth, _with_error(alone.span, shown), node.span)
        elif node.span["kind"] == "attempt" and alone is not None:
            yield Row(depth, _with_error(alone.span, shown))
        else:
            yield Row(depth, shown)
            left += [(depth + 1, child) for child in reversed(below)]


def _joined(node: Node) -> tuple[Mapping[str, JSON], Sequence[Node]]:
    """A span and what is below it, without an attempt that is all that is below it."""
    only = node.children[0] if len(node.children) == 1 else None
    if node.span["kind"] != "function" or only is None or only.span["kind"] != "attempt":
        return node.span, node.children
    return {**_with_error(node.span, only.span), "repairs": only.span.get("repairs")}, only.children


def _with_error(span: Mapping[str, JSON], other: Mapping[str, JSON]) -> Mapping[str, JSON]:
    known = {name: other[name] for name in ("error", "repairs") if other.get(name) and not span.get(name)}
    return {**span, **known}
