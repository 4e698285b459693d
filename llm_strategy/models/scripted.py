"""A model that says what a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.errors import ModelError
from llm_strategy.transcript import message_text
from llm_strategy.values import JSON, Request, Response, ToolCallPart

Reply = str | Response | Iterable[str] | Mapping[str, JSON]


class ScriptedModel:
    """Answers from a list of replies, or from a function of the request.

    A reply is the raw text that a model would send, such as '{"return_value": 1}', or a `Response`, or
    the pieces in which the text comes where it is streamed: a list or any iterable of texts. A dict calls
    tools in place of an answer: `{"look_up": {"name": "Ada"}}`, with a list of such arguments for several
    calls of the same tool.
    `requests` lists what was asked. Once the list is used up, ModelError is raised. With
    `recorded=True` the answers are kept in cassettes and replayed, as a provider's are.
    """

    def __init__(
        self,
        replies: Iterable[Reply] | Callable[[Request], Reply],
        *,
        name: str = "scripted",
        recorded: bool = False,
    ) -> None:
        if isinstance(replies, str):
            raise TypeError(f"ScriptedModel takes a list of replies, or a function, not one text: [{replies!r}]")
        self.name = name
        self.recorded = recorded
        self.settings = FrozenJSON()
        self.requests: list[Request] = []
        self._answer = replies if callable(replies) else None
        self._replies = [] if callable(replies) else list(replies)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def generate(self, request: Request) -> Response:
        """The next reply, or what the function makes of the request. Raises ModelError where none is left."""
        reply = self._next(request)
        return reply if isinstance(reply, Response) else Response("".join(_texts(reply)), model=self.name)

    async def agenerate(self, request: Request) -> Response:
        """As `generate`."""
        return self.generate(request)

    def stream(self, request: Request) -> Iterator[str | Response]:
        """The pieces of the reply, and the rest of it; a reply that is one text or has no pieces comes whole."""
        reply = self._next(request)
        if isinstance(reply, Response):
            yield from reply.pieces
            yield reply
        else:
            yield from _texts(reply)
            yield Response("", model=self.name)

    async def astream(self, request: Request) -> AsyncIterator[str | Response]:
        """As `stream`."""
        for piece in self.stream(request):
            yield piece

    def _next(self, request: Request) -> Response | Iterable[str]:
        with self._lock:
            self.requests.append(request)
            position = len(self.requests)
            if self._answer is None and position > len(self._replies):
                raise ModelError(
                    f"the ScriptedModel {self.name!r} has {len(self._replies)} replies and is asked for "
                    f"number {position}: {message_text(request.messages[-1]).partition(chr(10))[0]!r}"
                )
        reply: Any = self._replies[position - 1] if self._answer is None else self._answer(request)
        if isinstance(reply, str):
            return Response(reply, model=self.name)
        if isinstance(reply, Mapping):
            calls = tuple(_calls(reply, [str(tool["name"]) for tool in request.tools]))
            return Response("", finish_reason="tool_call", model=self.name, tool_calls=calls)
        if isinstance(reply, bytes) or not isinstance(reply, Iterable | Response):
            raise TypeError(f"{_WHAT}, not {reply!r}")
        return reply


_WHAT = "a reply is the text that a model would send, or its pieces, a dict of tools to call, or a Response"


def _calls(reply: Mapping[str, JSON], tools: Sequence[str]) -> Iterator[ToolCallPart]:
    for name, given in reply.items():
        for arguments in given if isinstance(given, list) else [given]:
            if name not in tools or not isinstance(arguments, Mapping):
                raise TypeError(
                    "a dict as a reply calls tools of the request, each with a dict of its arguments: "
                    f"{{{name!r}: {given!r}}} does not (tools: {', '.join(tools) or 'none'}); "
                    "the text of an answer is written with json.dumps"
                )
            yield ToolCallPart(None, name, dict(arguments))


def _texts(pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        if not isinstance(piece, str):
            raise TypeError(f"{_WHAT}; among its pieces is {piece!r}")
        yield piece
