"""Functions that a model implements, as tools of LangChain."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from langchain_core.tools import StructuredTool, ToolException
from pydantic import PydanticUserError

from llm_strategy.errors import ModelError, ReplyError
from llm_strategy.models.langchain.runnable import StrategyRunnable


class StrategyTool(StructuredTool):
    """A function as a tool.

    Called by a model it answers with text, JSON where the value is none, and the value is the message's `artifact`.
    `handle_tool_error` also takes the errors of the function's own model.
    """

    _made_of: tuple[Any, ...] = ()
    _runnable: StrategyRunnable

    def __reduce__(self) -> tuple[Any, ...]:
        # Its schema is a class that no module has.
        return _made_again, self._made_of

    def _to_args_and_kwargs(self, tool_input: Any, tool_call_id: str | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, arguments = super()._to_args_and_kwargs(tool_input, tool_call_id)
        # All in one, since a function may have parameters of any name, `config` too.
        return (args[0] if args else arguments, tool_call_id is not None), {}

    def _run(self, given: Any, called: bool) -> Any:  # type: ignore[override]  # what it gets is made above
        __tracebackhide__ = True
        try:
            return self._answer(self._runnable.call(given), called)
        except (ReplyError, ModelError) as error:
            raise self._told(error) from error

    async def _arun(self, given: Any, called: bool) -> Any:  # type: ignore[override]  # what it gets is made above
        __tracebackhide__ = True
        try:
            return self._answer(await self._runnable.acall(given), called)
        except (ReplyError, ModelError) as error:
            raise self._told(error) from error

    def _answer(self, value: Any, called: bool) -> tuple[Any, Any]:
        return (self._text(value) if called else value), value

    def _text(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        reply = self._runnable.arguments.prompt.output.dump(value)
        return json.dumps(json.loads(reply)["return_value"], ensure_ascii=False)

    def _told(self, error: Exception) -> Exception:
        return ToolException(str(error)) if self.handle_tool_error else error


def as_tool(
    function: Callable[..., Any], name: str | None = None, description: str | None = None, **options: Any
) -> StrategyTool:
    """The tool. Raises TypeError where a model cannot give the function's arguments."""
    runnable = StrategyRunnable(function)
    arguments = runnable.arguments
    if arguments.signature.binding and arguments.leading:
        raise TypeError(
            f"{runnable.name} needs an object to be called on, which no model can give: bind it, as in "
            f"obj.{function.__name__}.as_tool()"
        )
    try:
        arguments.schema.model_json_schema()
    except PydanticUserError as error:
        raise TypeError(
            f"{arguments.signature.place} cannot be a tool, because a model gives arguments as JSON, and "
            f"{str(error).splitlines()[0]}"
        ) from None
    tool = StrategyTool(
        name=name or arguments.signature.function.__name__,
        description=description or arguments.signature.docstring,
        func=runnable.call,
        coroutine=runnable.acall,
        args_schema=arguments.schema,
        response_format="content_and_artifact",
        **options,
    )
    tool._runnable, tool._made_of = runnable, (function, name, description, options)
    return tool


def _made_again(function: Any, name: str | None, description: str | None, options: dict[str, Any]) -> StrategyTool:
    return as_tool(function, name, description, **options)
