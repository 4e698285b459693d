"""LangChain, imported when something of it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_strategy.models.langchain.runnable import StrategyRunnable
    from llm_strategy.models.langchain.tool import StrategyTool

INSTALL = 'pip install "llm-strategy[langchain]"'


@contextmanager
def wanted(what: str) -> Iterator[None]:
    """Where LangChain is missing, say for what it is needed and how it is installed."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{what} needs LangChain: {INSTALL} ({error})", name=error.name) from error


def as_runnable(function: Callable[..., Any]) -> StrategyRunnable:
    """An implemented function, or a method of an object, for chains of LangChain."""
    with wanted("as_runnable()"):
        from llm_strategy.models.langchain.runnable import StrategyRunnable
    return StrategyRunnable(function)


def as_tool(
    function: Callable[..., Any], name: str | None = None, description: str | None = None, **options: Any
) -> StrategyTool:
    """An implemented function, or a method of an object, for agents of LangChain."""
    with wanted("as_tool()"):
        from llm_strategy.models.langchain import tool
    return tool.as_tool(function, name, description, **options)
