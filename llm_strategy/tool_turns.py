"""The turns of a call in which the model calls tools: they run, and what they return goes back to it."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import Any, NamedTuple

from llm_strategy import observers
from llm_strategy.canonical import FrozenJSON
from llm_strategy.errors import CassetteError, ModelError, PromptError, ReplyError, SecretFound
from llm_strategy.redaction import scrub
from llm_strategy.tools import Tool, WrongCall
from llm_strategy.values import Message, Request, Response, TextPart, ToolCallPart, ToolCallResponsePart

_FOR_THE_PROGRAM = (PromptError, CassetteError, ModelError, SecretFound)
"""What no model can mend."""
_ADDRESS = re.compile(r"\bat 0x[0-9A-Fa-f]+")
"""Where an object lies in memory, which differs from run to run."""


class ToolUse(NamedTuple):
    """The calls of one turn, which are to be run. What each gives is told as text, failures too."""

    tools: Sequence[Tool]
    calls: Sequence[ToolCallPart]

    def run(self) -> list[str]:
        """Run them one after another, as the model wrote them; what is asynchronous, in an event loop of its own."""
        return [self._run(call) for call in self.calls]

    async def arun(self) -> list[str]:
        """Run them at once, but what is not asynchronous one after another, in a worker thread.

        Where one fails in a way that is not for the model, the others are finished first.
        """
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Another event loop than asyncio's, such as trio's.
            return [await self._arun(call) for call in self.calls]
        with _Worker(1) as thread:
            running = [
                self._arun(call)
                if self._is_asynchronous(call)
                else loop.run_in_executor(thread, copy_context().run, self._run, call)
                for call in self.calls
            ]
            results = await asyncio.gather(*running, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [str(result) for result in results]

    def _run(self, call: ToolCallPart) -> str:
        with observers.tool(call) if observers.listening else observers.NOTHING as told:
            try:
                tool = self._tool(call)
                return told.returned(tool.text(_at_once(_whole(tool.bind(call.arguments)()))))
            except Exception as error:  # noqa: BLE001  # whatever a tool raises, the model may try something else
                told.failed(error)
                return _told(error)

    async def _arun(self, call: ToolCallPart) -> str:
        with observers.tool(call) if observers.listening else observers.NOTHING as told:
            try:
                tool = self._tool(call)
                return told.returned(tool.text(await _awaited(_whole(tool.bind(call.arguments)()))))
            except Exception as error:  # noqa: BLE001  # as above
                told.failed(error)
                return _told(error)

    def _find(self, call: ToolCallPart) -> Tool | None:
        return next((tool for tool in self.tools if tool.name == call.name), None)

    def _tool(self, call: ToolCallPart) -> Tool:
        tool = self._find(call)
        if tool is None:
            names = ", ".join(tool.name for tool in self.tools)
            raise WrongCall(f"There is no tool {call.name!r}. The tools are: {names}.")
        return tool

    def _is_asynchronous(self, call: ToolCallPart) -> bool:
        tool = self._find(call)
        # What is no tool has nothing that could hold up an event loop.
        return tool is None or tool.is_asynchronous


class _Worker(ThreadPoolExecutor):
    def __exit__(self, *error: object) -> None:
        # Who is cancelled does not wait for what nobody wants to know any more.
        self.shutdown(wait=False, cancel_futures=True)


def _told(error: Exception) -> str:
    """What the model is told of a failure. Raises what is not for the model."""
    if isinstance(error, _FOR_THE_PROGRAM):
        raise error
    if isinstance(error, WrongCall):
        return str(error)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # a class of the program's own, whose `__str__` fails in its turn
        text = ""
    return _ADDRESS.sub("at 0x...", scrub(f"{type(error).__name__}: {text}")).removesuffix(": ")


def _whole(value: Any) -> Any:
    """What a generator yields, as a list."""
    return list(value) if isinstance(value, Iterator) else value


async def _awaited(value: Any) -> Any:
    """What is awaited or iterated over asynchronously, when it is there; anything else as it is."""
    if hasattr(value, "__aiter__"):
        return [item async for item in value]
    return await value if inspect.isawaitable(value) else value


def _at_once(value: Any) -> Any:
    """The same in synchronous code, where a loop may be running already."""
    if not (hasattr(value, "__aiter__") or inspect.isawaitable(value)):
        return value
    import asyncio

    def run() -> Any:
        return asyncio.run(_awaited(value))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, run).result()


class ToolTurns:
    """The turns of one call in which its model calls tools, at most `limit`."""

    def __init__(self, place: str, tools: Sequence[Tool], limit: int) -> None:
        self._place = place
        self._tools = tools
        self._limit = limit
        self._called: Counter[str] = Counter()
        self._count = 0

    def steps(self, request: Request, response: Response) -> Generator[ToolUse, list[str], Request]:
        """Let the calls of a reply be run; returns the conversation with them. Raises ReplyError beyond the limit."""
        __tracebackhide__ = True
        if self._count == self._limit:
            raise self._exhausted(response)
        self._count += 1
        self._called.update(call.name for call in response.tool_calls)
        calls = list(_with_ids(request, response.tool_calls))
        results = yield ToolUse(self._tools, calls)
        said = [TextPart(response.content)] if response.content else []
        messages = [Message("assistant", [*said, *calls])]
        volatile = dict(request.volatile)
        for call, result in zip(calls, results, strict=True):
            kept = self._placeholder(call, volatile)
            if kept is not None:
                volatile[kept] = result
            messages.append(Message("tool", [ToolCallResponsePart(call.id, result if kept is None else kept)]))
        return replace(request, messages=(*request.messages, *messages), volatile=FrozenJSON(volatile))

    def _placeholder(self, call: ToolCallPart, volatile: dict[str, str]) -> str | None:
        """What stands in the key for a result that differs from run to run; None for others."""
        if not any(tool.name == call.name and tool.is_volatile for tool in self._tools):
            return None
        return f"<volatile: {call.name} {sum(text.startswith('<volatile: ') for text in volatile) + 1}>"

    def _exhausted(self, response: Response) -> ReplyError:
        called = ", ".join(f"{name} {count}x" for name, count in self._called.items())
        turns = f"{self._limit} turn{'s' * (self._limit != 1)}"
        return ReplyError(
            f"{self._place}: no answer after {turns} in which the model called tools ({called}), and it calls "
            f"{', '.join(dict.fromkeys(call.name for call in response.tool_calls))} again: say in the docstring when "
            f"to stop, or allow more turns, as in max_turns={2 * self._limit}",
            reply=response.content,
            finish_reason="tool_call",
        )


def _with_ids(request: Request, calls: Sequence[ToolCallPart]) -> Iterator[ToolCallPart]:
    """Calls with ids that are not taken: some providers give none, or the same ones in each turn."""
    taken = {part.id for message in request.messages for part in message.parts if isinstance(part, ToolCallPart)}
    for call in calls:
        name, number = call.id, len(taken)
        while not name or name in taken:
            number += 1
            name = f"call_{number}"
        taken.add(name)
        arguments = {} if call.arguments is None or call.arguments == "" else call.arguments
        yield ToolCallPart(name, call.name, arguments)
