"""Functions that a model implements, as Runnables of LangChain."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from llm_strategy.errors import PromptError
from llm_strategy.models import awaited
from llm_strategy.models.langchain.arguments import Arguments
from llm_strategy.models.streaming import from_asynchronous, from_synchronous
from llm_strategy.typed_dicts import accepted


class StrategyRunnable(Runnable[Any, Any]):
    """A function in a chain: its input is a dict of arguments, or the plain value where it needs only one.

    Values that do not fit a parameter as they are, but would as JSON, are read as such; of prompts and messages a
    parameter of type `str` gets the text. What is bound with `bind` are further arguments. A function that returns a
    stream is streamed by `stream` and `astream`, and gives all of it, as a list or a text, to `invoke`.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.arguments = Arguments(function)
        self.name = self.arguments.signature.name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.function,)

    def __repr__(self) -> str:
        return f"<StrategyRunnable {self.name}>"

    @property
    def InputType(self) -> Any:  # noqa: N802  # as LangChain calls it
        return self.arguments.schema

    @property
    def OutputType(self) -> Any:  # noqa: N802  # as LangChain calls it
        try:
            return accepted(self.arguments.prompt.output.annotation)
        except PromptError:
            # Only a call tells.
            return Any

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:  # noqa: ARG002  # as LangChain asks
        return self.arguments.schema

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return self._call_with_config(self.call, input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return await self._acall_with_config(self.acall, input, config, **kwargs)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        if self._streams:
            yield from self._transform_stream_with_config(iter([input]), self._pieces, config, **kwargs)
        else:
            yield self.invoke(input, config, **kwargs)

    async def astream(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        if not self._streams:
            yield await self.ainvoke(input, config, **kwargs)
            return
        pieces = self._atransform_stream_with_config(_one(input), self._apieces, config, **kwargs)
        async for piece in pieces:
            yield piece

    def as_tool(self, args_schema: type[BaseModel] | None = None, **options: Any) -> BaseTool:
        """The tool that the function itself gives, unless other arguments are described."""
        if args_schema is not None or options.get("arg_types") is not None:
            return super().as_tool(args_schema, **options)
        from llm_strategy.models.langchain.tool import as_tool

        return as_tool(self.function, options.get("name"), options.get("description"))

    @property
    def _streams(self) -> bool:
        return self.arguments.prompt.streamed is not None

    def call(self, given: Any, **more: Any) -> Any:
        """Call the function, from synchronous code whatever it is."""
        __tracebackhide__ = True
        if self._streams:
            return self._whole(list(self._pieces(iter([given]), **more)))
        args, kwargs = self.arguments.bound(given, more)
        if not self.arguments.signature.asynchronous:
            return self.function(*args, **kwargs)
        return awaited(lambda: self.function(*args, **kwargs))

    async def acall(self, given: Any, **more: Any) -> Any:
        """Call the function; one that is not asynchronous in a thread."""
        __tracebackhide__ = True
        if self._streams:
            return self._whole([piece async for piece in self._apieces(_one(given), **more)])
        args, kwargs = self.arguments.bound(given, more)
        if self.arguments.signature.asynchronous:
            return await self.function(*args, **kwargs)
        return await run_in_executor(None, self.function, *args, **kwargs)

    def _whole(self, pieces: list[Any]) -> Any:
        return "".join(pieces) if self.arguments.prompt.is_text else pieces

    def _pieces(self, given: Iterator[Any], **more: Any) -> Iterator[Any]:
        args, kwargs = self.arguments.bound(next(given), more)
        stream = self.function(*args, **kwargs)
        if inspect.isawaitable(stream) or hasattr(stream, "__anext__"):
            stream = from_asynchronous(_opened(stream))
        with closing(stream):
            yield from stream

    async def _apieces(self, given: AsyncIterator[Any], **more: Any) -> AsyncIterator[Any]:
        args, kwargs = self.arguments.bound(await anext(given), more)
        stream = self.function(*args, **kwargs)
        if inspect.isawaitable(stream) or hasattr(stream, "__anext__"):
            stream = _opened(stream)
        else:
            stream = from_synchronous(stream)
        async with aclosing(stream):
            async for piece in stream:
                yield piece


async def _one(value: Any) -> AsyncIterator[Any]:
    yield value


async def _opened(stream: Any) -> Any:
    """An asynchronous stream, which a coroutine function gives only when it is awaited."""
    if inspect.isawaitable(stream):
        stream = await stream
    async with aclosing(stream):
        async for piece in stream:
            yield piece
