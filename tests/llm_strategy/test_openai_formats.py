"""The real `openai` client over its formats, recorded from a server and replayed without it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

from llm_strategy import CassetteMiss, use_cassette
from llm_strategy.values import Message, ReasoningPart, Request, TextPart, ToolCallPart, Usage
from llm_strategy.wire.format import Answer
from tests.llm_strategy.providers import MODEL, Provider, saying

NOWHERE = "http://127.0.0.1:9"
TOOL: Any = {"name": "look", "parameters": {"type": "object", "properties": {}}}
ASKED: Any = [{"role": "user", "content": "Weather in Oslo?"}]


class City(BaseModel):
    name: str


def said(request: Request) -> Answer:
    """Calls a tool where there is one that has not answered, gives JSON where a schema asks for it, else an echo."""
    last = request.messages[-1]
    if request.output_schema:
        return saying('{"name": "Oslo"}')
    if request.tools and last.role == "user":
        parts = (ReasoningPart("Hm."), TextPart("Let me see."), ToolCallPart("call_1", "look", {"at": "Oslo"}))
        return Answer("Let me see.", Usage(3, 4), "tool_call", MODEL, parts=parts)
    return saying(f"to {last.parts[-1]}")


def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)


def chat(url: str) -> Any:
    return client(url).chat.completions.create(model="m", messages=ASKED).choices[0].message.content


def chat_parsed(url: str) -> Any:
    return client(url).chat.completions.parse(model="m", messages=ASKED, response_format=City).choices[0].message.parsed


def chat_streamed(url: str) -> Any:
    tools: Any = [{"type": "function", "function": TOOL}]
    with client(url).chat.completions.stream(model="m", messages=ASKED, tools=tools) as stream:
        kinds = [event.type for event in stream]
        return kinds, stream.get_final_completion().choices[0].message.tool_calls


def chat_loop(url: str) -> Any:
    """An agent that sends back what the model wanted, and what the tool said."""
    tools: Any = [{"type": "function", "function": TOOL}]
    messages = list(ASKED)
    message = client(url).chat.completions.create(model="m", messages=messages, tools=tools).choices[0].message
    messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}]
    return client(url).chat.completions.create(model="m", messages=messages, tools=tools).choices[0].message.content


def responses(url: str) -> Any:
    first = client(url).responses.create(model="m", instructions="Be brief.", input="Weather?")
    second = client(url).responses.create(model="m", previous_response_id=first.id, input="And in Rome?")
    return first.output_text, second.output_text


def responses_parsed(url: str) -> Any:
    return client(url).responses.parse(model="m", input="Which city?", text_format=City).output_parsed


def responses_streamed(url: str) -> Any:
    tools: Any = [{"type": "function", **TOOL}]
    with client(url).responses.stream(model="m", input=ASKED, tools=tools) as stream:
        kinds = [event.type for event in stream]
        return kinds, [item.to_dict() for item in stream.get_final_response().output]


def responses_loop(url: str) -> Any:
    tools: Any = [{"type": "function", **TOOL}]
    items = list(ASKED)
    first = client(url).responses.create(model="m", input=items, tools=tools)
    items += first.output
    items += [{"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "sunny"}]
    return client(url).responses.create(model="m", input=items, tools=tools).output_text


def embeddings(url: str) -> Any:
    return [item.embedding for item in client(url).embeddings.create(model="e", input=["cats", "dogs"]).data]


def completions(url: str) -> Any:
    pieces = client(url).completions.create(model="c", prompt="Once", stream=True)
    return "".join(piece.choices[0].text for piece in pieces if piece.choices)


def azure(url: str) -> Any:
    asking = AzureOpenAI(azure_endpoint=url, api_key="any", api_version="2025-01-01", max_retries=0)
    said = asking.chat.completions.create(model="deployed", messages=ASKED).choices[0].message.content
    return said, asking.responses.create(model="deployed", input="hi").output_text


def asynchronous(url: str) -> Any:
    async def main() -> Any:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as asking:
            events = [event.type async for event in await asking.responses.create(model="m", input="hi", stream=True)]
        async with AsyncAzureOpenAI(
            azure_endpoint=url, api_key="any", api_version="2025-01-01", max_retries=0
        ) as asking:
            return events, (await asking.embeddings.create(model="e", input="cats")).data[0].embedding

    return asyncio.run(main())


@pytest.mark.parametrize(
    "call",
    [
        chat,
        chat_parsed,
        chat_streamed,
        chat_loop,
        responses,
        responses_parsed,
        responses_streamed,
        responses_loop,
        embeddings,
        completions,
        azure,
        asynchronous,
    ],
    ids=lambda call: call.__name__,
)
def test_what_was_recorded_is_replayed(tmp_path: Path, call: Callable[[str], Any]) -> None:
    """Each call gives the same when the server has gone, and its prompts are shown as messages."""
    path = tmp_path / "calls.yaml"
    with Provider(said) as server, use_cassette(path, "new", http=True) as recorded:
        before = call(server.url)
    assert before
    with use_cassette(path, http=True) as replayed:
        assert call(NOWHERE) == before
    assert [one.key for one in replayed.calls] == [one.key for one in recorded.calls]
    for one in recorded.calls:
        assert not one.request.messages[0].content.startswith("POST")
        assert isinstance(one.response, Answer)
        assert one.response.parts


@pytest.mark.parametrize("call", [chat_loop, responses_loop], ids=lambda call: call.__name__)
def test_new_ids_do_not_ask_again(tmp_path: Path, call: Callable[[str], Any]) -> None:
    """Where the first answer of a conversation is fetched again, with other ids, what follows is still replayed."""
    numbers = itertools.count()

    def numbered(request: Request) -> Answer:
        answer = said(request)
        number = next(numbers)
        parts = [
            ToolCallPart(f"call_{number}", part.name, part.arguments) if isinstance(part, ToolCallPart) else part
            for part in answer.parts
        ]
        return Answer(answer.content, answer.usage, answer.finish_reason, answer.model, parts=tuple(parts))

    path = tmp_path / "calls.yaml"
    with Provider(numbered) as server:
        with use_cassette(path, "new", http=True):
            before = call(server.url)
        # As if the first call were new.
        header, _, second = path.read_text().split("---\n")[1:]
        path.write_text(f"---\n{header}---\n{second}")
        with use_cassette(path, "new", http=True) as again:
            assert call(server.url) == before
    assert [one.replayed for one in again.calls] == [False, True]


def test_the_first_divergence_of_a_conversation(tmp_path: Path) -> None:
    """A changed prompt in the middle of a conversation is named as such, with the rest counted."""
    messages: Any = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    with Provider(said) as server, use_cassette(tmp_path / "a.yaml", "new", http=True):
        client(server.url).responses.create(model="m", input=messages)
    messages[0]["content"] = "ONE"
    with use_cassette(tmp_path / "a.yaml", http=True), pytest.raises(CassetteMiss) as caught:
        client(NOWHERE).responses.create(model="m", input=messages)
    assert caught.value.causes == ("a message (user): 'one' -> 'ONE'",)
    assert "(2 more messages of the conversation not compared)" in str(caught.value)
    assert caught.value.request is not None
    assert caught.value.request.messages[0] == Message("user", "ONE")


def test_uploads_are_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in parts, at the address that the project names, replay; another byte of one is a miss that says where.

    What providers or servers make up in such calls is not taken for a prompt that changes.
    """
    monkeypatch.setenv("LLM_STRATEGY_HTTP_HOSTS", "127.0.0.1")
    sound = bytes(range(256)) * 8

    def upload(url: str, sound: bytes) -> None:
        client(url).files.create(file=("a.jsonl", b'{"a": 1}\n'), purpose="batch")
        client(url).audio.transcriptions.create(model="whisper-1", file=("a.mp3", sound))

    path = tmp_path / "cassettes" / "a.yaml"
    with Provider() as server, use_cassette(path, "new", http=True):
        upload(server.url, sound)
    with use_cassette(path, http=True) as cassette:
        upload(NOWHERE, sound)
    assert [call.replayed for call in cassette.calls] == [True, True]
    with use_cassette(path, http=True), pytest.raises(CassetteMiss) as caught:
        upload(NOWHERE, sound[:-1] + b"!")
    assert "2,048 bytes, SHA-256" in str(caught.value)
