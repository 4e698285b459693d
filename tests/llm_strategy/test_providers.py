"""The server that tests ask in place of providers, by the real clients."""

from __future__ import annotations

import threading
from typing import Any

import httpx
from openai import OpenAI

from llm_strategy.values import Request
from tests.llm_strategy.providers import MODEL, Provider


def client(server: Provider, retries: int = 0) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=retries)


def echo(request: Request) -> str:
    return f"to {request.messages[-1].content}"


def test_a_chat_completion_is_answered_whole_and_streamed() -> None:
    """The real client reads an answer in one, and in pieces, after an error."""
    messages: Any = [{"role": "user", "content": "you"}]
    with Provider(echo, failures=[500]) as server:
        whole = client(server, 1).chat.completions.create(model="m", messages=messages)
        stream = client(server).chat.completions.create(model="m", messages=messages, stream=True)
        pieces = [chunk.choices[0].delta.content for chunk in stream if chunk.choices]
    assert (whole.choices[0].message.content, whole.model) == ("to you", MODEL)
    assert "".join(filter(None, pieces)) == "to you"
    assert [received.request.model for received in server.requests if received.request] == ["openai:m"] * 3


def test_the_gate_holds_all_events_but_the_first() -> None:
    """What follows the first event is sent only when the test says so."""
    gate = threading.Event()
    with (
        Provider(echo, gate=gate) as server,
        httpx.stream(
            "POST",
            f"{server.url}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "you"}], "stream": True},
        ) as response,
    ):
        pieces = response.iter_text()
        assert "assistant" in next(pieces)
        gate.set()
        assert "[DONE]" in "".join(pieces)


def test_what_is_no_model_call_is_answered() -> None:
    """A request to another address gets a JSON object, and is kept too."""
    with Provider() as server:
        assert httpx.get(f"{server.url}/v1/models").json() == {"path": "/v1/models", "received": 0}
    assert [(received.method, received.request) for received in server.requests] == [("GET", None)]
