"""What the steps of a stream ask their driver to do."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from llm_strategy.context import Ask, Turn
from llm_strategy.tool_turns import ToolUse
from llm_strategy.values import Request, Response


class Begin(NamedTuple):
    """Wait until somebody wants to read."""

    turn: Turn


class Acquire(NamedTuple):
    turn: Turn


class Next(NamedTuple):
    """Get what the model sends next: a text, a Response, or None at the end."""

    ask: Ask


class HangUp(NamedTuple):
    """Tell the model that nothing more is wanted."""


class Keep(NamedTuple):
    turn: Turn
    response: Response


class Out(NamedTuple):
    """Give the caller a value."""

    value: Any


Effect = Begin | Acquire | Next | HangUp | Keep | ToolUse | Out
Steps = Generator[Effect, Any, Any]
"""What a `ToolUse` gives is sent to them, as in `engine`."""
Enter = Callable[[Request], Turn]


class Closed(Exception):
    """The caller wants no more; thrown into the steps."""
