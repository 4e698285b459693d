"""Real clients carry tools, calls and results over real HTTP: `openai`, and LangChain's models."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import FakeListLLM, FakeMessagesListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI

from llm_strategy import (
    LangChainModel,
    Message,
    ModelError,
    OpenAIModel,
    Response,
    ToolCallPart,
    llm_strategy,
    use_cassette,
)
from llm_strategy.models.langchain import from_langchain, to_langchain
from llm_strategy.models.langchain.replies import MessageAssembly
from tests.llm_strategy.answers import reply
from tests.llm_strategy.loopback import ID, MODEL, Loopback, Reply, completion

KEY = "sk-loopback-0123456789-0123456789"


def stock(name: str, near: bool = False) -> int:
    """Tell how many of an article are there.

    Args:
        name: in the singular
    """
    return len(name)


async def price(name: str) -> float:
    """Tell what an article costs."""
    return 2.5


def wire_call(name: str, arguments: str, id: str = "call_a1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: dict[str, Any]) -> Reply:
    return completion(None, finish_reason="tool_calls", tool_calls=list(calls))


TOLD = {
    "type": "function",
    "function": {
        "name": "stock",
        "description": "Tell how many of an article are there.",
        "parameters": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "in the singular"},
                "near": {"type": "boolean", "default": False},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
    },
}
SAID = [
    wire_call("stock", '{"name": "lamp"}'),
    wire_call("price", '{"name": "la', "call_b2"),
    wire_call("price", "", "c3"),
]
SENT_BACK = [
    {"role": "assistant", "content": None, "tool_calls": [SAID[0], SAID[1], wire_call("price", "{}", "c3")]},
    {"role": "tool", "tool_call_id": "call_a1", "content": "4"},
    {"role": "tool", "tool_call_id": "call_b2", "content": "price was not called: its arguments are no JSON object"},
    {
        "role": "tool",
        "tool_call_id": "c3",
        "content": "price was not called: its arguments do not fit:\n- name: Field required",
    },
]


@pytest.fixture(autouse=True)
def _recording(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Under pytest a model is asked only where the answer is recorded."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_STRATEGY_MODEL"):
        monkeypatch.delenv(name, raising=False)
    with use_cassette(tmp_path / "c.yaml", mode="new"):
        yield


def ask(model: Any, asynchronous: bool) -> str:
    if asynchronous:

        @llm_strategy(model, tools=[stock, price])
        async def later(question: str) -> str:
            """Answer."""
            raise NotImplementedError

        return asyncio.run(later("lamps?"))  # type: ignore[arg-type]  # a coroutine

    @llm_strategy(model, tools=[stock, price])
    def now(question: str) -> str:
        """Answer."""
        raise NotImplementedError

    return now("lamps?")


def openai_model(url: str, client: type[Any]) -> Any:
    return OpenAIModel(MODEL, client=client(base_url=url, api_key=KEY, max_retries=0))


def chat_openai(url: str, **settings: Any) -> Any:
    return LangChainModel(ChatOpenAI(model=MODEL, base_url=url, api_key=KEY, max_retries=0, **settings))


MODELS = [
    pytest.param(lambda url: openai_model(url, OpenAI), id="OpenAI"),
    pytest.param(lambda url: openai_model(url, AsyncOpenAI), id="AsyncOpenAI"),
    pytest.param(chat_openai, id="ChatOpenAI"),
]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("make", MODELS)
def test_tools_calls_and_results_go_over_the_wire(make: Any, asynchronous: bool) -> None:
    """Chat Completions is told of the tools, and gets calls and results back as it wrote them, broken ones too."""
    with Loopback(calling(*SAID), reply("4")) as server:
        assert ask(make(server.url), asynchronous) == "4"
        first, second = server.bodies
    assert first["tools"][0] == TOLD
    assert [tool["function"]["name"] for tool in second["tools"]] == ["stock", "price"]
    said, *answers = map(without_empty, second["messages"][2:])
    assert said == without_empty(SENT_BACK[0])
    # LangChain puts calls that are no JSON behind the others.
    assert {answer["tool_call_id"]: answer for answer in answers} == {one["tool_call_id"]: one for one in SENT_BACK[1:]}


def without_empty(message: dict[str, Any]) -> Any:
    """A message in one form: who sends no text writes null, or nothing; JSON may have spaces; order is free."""
    message = copy.deepcopy({name: value for name, value in message.items() if value not in (None, "")})
    for call in message.get("tool_calls", ()):
        try:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        except ValueError:
            continue
    calls = message.get("tool_calls")
    return message if calls is None else {**message, "tool_calls": sorted(calls, key=lambda call: str(call["id"]))}


def pieces(*deltas: dict[str, Any], reason: str = "tool_calls") -> Reply:
    common = {"id": ID, "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    ends: Sequence[tuple[dict[str, Any], str | None]] = [*((delta, None) for delta in deltas), ({}, reason)]
    chunks = [common | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in ends]
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return Reply(chunks=[*chunks, common | {"choices": [], "usage": usage}])


def begun(index: int, id: str, name: str) -> dict[str, Any]:
    return {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}


def more(index: int, arguments: str) -> dict[str, Any]:
    return {"index": index, "function": {"arguments": arguments}}


CHUNKED = [
    {"role": "assistant", "content": None, "tool_calls": [begun(0, "call_a1", "stock")]},
    {"tool_calls": [more(0, '{"name": ')]},
    {"tool_calls": [more(0, '"lamp"}'), begun(1, "call_b2", "price")]},
    {"tool_calls": [more(1, '{"name": "lamp"}')]},
]
ITEMS = [{"content": '{"return_value": [1, '}, {"content": "2]}"}]


@pytest.mark.parametrize("make", MODELS)
def test_streamed_calls_are_put_together(make: Any) -> None:
    """A call comes in pieces by its index; the items are streamed in the turn after it."""
    with Loopback(pieces(*CHUNKED), pieces(*ITEMS, reason="stop")) as server:

        @llm_strategy(make(server.url), tools=[stock, price])
        def numbers(question: str) -> Iterator[int]:
            """Numbers."""
            raise NotImplementedError

        assert list(numbers("a")) == [1, 2]
        answered = server.bodies[1]["messages"][3:]
    assert [(message["tool_call_id"], message["content"]) for message in answered] == [
        ("call_a1", "4"),
        ("call_b2", "2.5"),
    ]


@pytest.mark.parametrize("make", MODELS)
def test_streamed_calls_are_put_together_asynchronously(make: Any) -> None:
    """The same in an event loop."""
    with Loopback(pieces(*CHUNKED), pieces(*ITEMS, reason="stop")) as server:

        @llm_strategy(make(server.url), tools=[stock, price])
        def numbers(question: str) -> AsyncIterator[int]:
            """Numbers."""
            raise NotImplementedError

        async def read() -> list[int]:
            return [number async for number in numbers("a")]

        assert asyncio.run(read()) == [1, 2]


class Calling(FakeMessagesListChatModel):
    """LangChain's fake, which also takes tools."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_fake_of_langchain_calls_tools(asynchronous: bool) -> None:
    """Any chat model that has `bind_tools` will do."""
    said = AIMessage(content="", tool_calls=[tool_call(name="stock", args={"name": "lamp"}, id="x")])
    fake = Calling(responses=[said, AIMessage(content=reply("4"))])
    assert ask(fake, asynchronous) == "4"


def test_models_that_cannot_call_tools_say_so() -> None:
    """A completion model, and a chat model without `bind_tools`."""
    with pytest.raises(ModelError, match="completes text and cannot call tools: take a chat model"):
        ask(FakeListLLM(responses=["a"]), False)
    with pytest.raises(ModelError, match="cannot call tools: FakeMessagesListChatModel has no bind_tools of its own"):
        ask(FakeMessagesListChatModel(responses=[AIMessage(content="a")]), False)


CALLS = (ToolCallPart("a", "stock", {"name": "lamp"}), ToolCallPart("b", "price", '{"na'))


def test_calls_go_to_langchain_and_back() -> None:
    """Calls whose arguments are no JSON object, too."""
    (message,) = to_langchain([Message("assistant", CALLS)])
    assert isinstance(message, AIMessage)
    assert [call["name"] for call in message.tool_calls] == ["stock"]
    assert [call["args"] for call in message.invalid_tool_calls] == ['{"na']
    assert from_langchain(message) == Message("assistant", CALLS)


def test_calls_in_chunks_of_langchain_are_put_together() -> None:
    """A model may send its calls in chunks, whole in one chunk, or in a message."""
    chunks = [
        AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(name="stock", args='{"name": ', id="a", index=0)]),
        AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(name=None, args='"lamp"}', id=None, index=0)]),
        AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(name="price", args="not json", id="b", index=1)]),
    ]
    whole = AIMessage(
        content="",
        tool_calls=[tool_call(name="stock", args={"name": "lamp"}, id="a")],
        invalid_tool_calls=[invalid_tool_call(name="price", args="not json", id="b", error=None)],
    )
    for said in (chunks, [whole]):
        assembly = MessageAssembly()
        for chunk in said:
            assembly.add(chunk)
        expected = ToolCallPart("a", "stock", {"name": "lamp"}), ToolCallPart("b", "price", "not json")
        assert assembly.response == Response("", finish_reason="tool_call", tool_calls=expected)


def test_a_conversation_with_tools_of_langchain_goes_on() -> None:
    """Messages of LangChain, results too, stand before a prompt."""
    messages = [
        HumanMessage("lamps?"),
        AIMessage(content="", tool_calls=[tool_call(name="stock", args={"name": "lamp"}, id="x")]),
        ToolMessage("4", tool_call_id="x"),
    ]
    assert to_langchain([from_langchain(message) for message in messages])[2] == messages[2]
