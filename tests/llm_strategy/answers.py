"""Replies as a model would send them, and models that give them."""

from __future__ import annotations

import json
import re
from typing import Any

from llm_strategy import Request, Response, ScriptedModel


def reply(value: Any) -> str:
    """The text that means `value`."""
    return json.dumps({"return_value": value})


def scripted(*values: Any) -> ScriptedModel:
    """A model that answers these values in turn, and whose answers are not recorded."""
    return ScriptedModel([reply(value) for value in values])


def counting(*, name: str = "test:counter") -> ScriptedModel:
    """A model whose answers are recorded: 1 to its first request, 2 to its second."""
    model = ScriptedModel(lambda request: reply(len(model.requests)), name=name, recorded=True)
    return model


def echoing(*, name: str = "test:echo") -> ScriptedModel:
    """A model whose answers are recorded: the argument `number` of the request."""
    return ScriptedModel(lambda request: reply(argument(request, "number")), name=name, recorded=True)


def argument(request: Request, name: str) -> Any:
    """The value of an argument in a prompt, where it stands on one line."""
    found = re.search(rf"^{name} = (.*)$", request.messages[-1].content, re.MULTILINE)
    assert found, request.messages[-1].content
    return json.loads(found[1])


class Slow:
    """An asynchronous model that is recorded; the argument `number` decides what it answers, `delays` when."""

    name = "test:slow"
    recorded = True

    def __init__(self, delays: dict[int, float]) -> None:
        self.settings: dict[str, Any] = {}
        self.delays = delays

    async def agenerate(self, request: Request) -> Response:
        import asyncio

        number = argument(request, "number")
        await asyncio.sleep(self.delays[number])
        return Response(reply(number), model="slow-1")
