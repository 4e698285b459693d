"""Functions of every kind for tests of traces, and the tree that a trace makes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from llm_strategy import Request, Response, ScriptedModel, llm_strategy
from llm_strategy.tracing.format import Node, read, trees
from llm_strategy.values import ToolCallPart


def _second_try(request: Request) -> str:
    return '{"return_value": 3}' if len(request.messages) > 2 else "three, I think"


@llm_strategy(ScriptedModel(_second_try))
def retried(a: int) -> int:
    """Give a number."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(lambda request: '{"return_value": 3}'))
def add(a: int, b: int) -> int:
    """Add."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(lambda request: '{"return_value": 3}'))
async def aadd(a: int, b: int) -> int:
    """Add."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(lambda request: '{"return_value": [1, 2, 3]}'))
def items(a: int) -> Iterator[int]:
    """Count."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(lambda request: '{"return_value": [1, 2, 3]}'))
def aitems(a: int) -> AsyncIterator[int]:
    """Count."""
    raise NotImplementedError


def weather(city: str) -> str:
    """The weather of a city."""
    if city == "Nowhere":
        raise LookupError("no such city")
    return f"sunny, {add(1, 2)} degrees"


def _with_tools(request: Request) -> str | Response:
    if any(message.role == "tool" for message in request.messages):
        return '{"return_value": "sunny"}'
    wanted = [ToolCallPart(city, "weather", {"city": city}) for city in ("Paris", "Nowhere")]
    return Response("", finish_reason="tool_call", tool_calls=tuple(wanted))


@llm_strategy(ScriptedModel(_with_tools), tools=[weather])
def forecast(question: str) -> str:
    """Answer."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(_with_tools), tools=[weather])
async def aforecast(question: str) -> str:
    """Answer."""
    raise NotImplementedError


def spans(path: Path) -> list[dict[str, Any]]:
    """What stands in a trace, span by span."""
    return [dict(span) for span in read(path).spans.values()]


def tree(path: Path) -> str:
    """The tree of a trace as indented lines: kinds and names, and the types of errors."""
    return "\n".join("  " * depth + _line(node) for root in trees(read(path)) for depth, node in root.walk())


def _line(node: Node) -> str:
    error = node.span.get("error")
    return " ".join([node.span["kind"], node.span["name"], *([error["type"]] if error else [])])
