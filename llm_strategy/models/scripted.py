"""A model that says what a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.errors import ModelError
from llm_strategy.values import Request, Response


class ScriptedModel:
    """Answers from a list of replies, or from a function of the request.

    A reply is the raw text that a model would send, such as '{"return_value": 1}', or a `Response`.
    `requests` lists what was asked. Once the list is used up, ModelError is raised. With
    `recorded=True` the answers are kept in cassettes and replayed, as a provider's are.
    """

    def __init__(
        self,
        replies: Iterable[str | Response] | Callable[[Request], str | Response],
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
        with self._lock:
            self.requests.append(request)
            position = len(self.requests)
            if self._answer is None and position > len(self._replies):
                raise ModelError(
                    f"the ScriptedModel {self.name!r} has {len(self._replies)} replies and is asked for "
                    f"number {position}: {request.messages[-1].content.splitlines()[0]!r}"
                )
        reply = self._replies[position - 1] if self._answer is None else self._answer(request)
        if not isinstance(reply, str | Response):
            raise TypeError(f"a reply is the text that a model would send, or a Response, not {reply!r}")
        return reply if isinstance(reply, Response) else Response(reply, model=self.name)

    async def agenerate(self, request: Request) -> Response:
        return self.generate(request)
