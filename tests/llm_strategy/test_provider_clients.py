"""The clients of Anthropic, Google and AWS, and plain ones for Ollama and Cohere, against a server that speaks their formats.

Each call is recorded, whole and streamed, and replayed with no server there.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import httpx
import pytest
import requests
from anthropic import Anthropic, AnthropicBedrock
from google import genai
from google.genai import types

from llm_strategy import Cassette, use_cassette
from llm_strategy.secret_rules import mixed
from llm_strategy.values import BlobPart, Message, ReasoningPart, Request, TextPart, ToolCallPart, Usage
from llm_strategy.wire.format import Answer
from tests.llm_strategy.providers import MODEL, Provider
from tests.llm_strategy.test_http import serving

NOWHERE = "http://127.0.0.1:9"
PARTS = (ReasoningPart("Hm."), TextPart("Sunny, é."), ToolCallPart("call_a", "look", {"at": "Paris"}))
ANSWER = Answer("Sunny, é.", Usage(11, 7), "tool_call", MODEL, parts=PARTS)
SAID: list[Any] = ["Hm.", "Sunny, é.", ("look", {"at": "Paris"})]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.yaml"


def anthropic(base: str) -> Anthropic:
    return Anthropic(base_url=base, api_key="any", max_retries=0)


def google(base: str) -> genai.Client:
    return genai.Client(api_key="any", http_options=types.HttpOptions(base_url=base))


def bedrock(base: str) -> Any:
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    return boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=base, **keys)


HI: Any = [{"role": "user", "content": "Hi"}]


def anthropic_blocks(content: Any) -> list[Any]:
    kinds: dict[str, Callable[[Any], Any]] = {
        "text": lambda block: block.text,
        "thinking": lambda block: block.thinking,
        "tool_use": lambda block: (block.name, block.input),
    }
    return [kinds[block.type](block) for block in content]


def ask_anthropic(base: str) -> Any:
    message = anthropic(base).messages.create(model="claude-x", max_tokens=99, messages=HI)
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("tool_use", 11, 7)
    return anthropic_blocks(message.content)


def stream_anthropic(base: str) -> Any:
    with anthropic(base).messages.stream(model="claude-x", max_tokens=99, messages=HI) as stream:
        assert "".join(stream.text_stream) == "Sunny, é."
        return anthropic_blocks(stream.get_final_message().content)


def count_anthropic(base: str) -> Any:
    return anthropic(base).messages.count_tokens(model="claude-x", messages=HI).input_tokens


def invoke_anthropic(base: str) -> Any:
    client = AnthropicBedrock(base_url=base, aws_region="us-east-1", aws_access_key="any", aws_secret_key="any")
    whole = client.messages.create(model="anthropic.claude-x-v1:0", max_tokens=99, messages=HI)
    with client.messages.create(model="anthropic.claude-x-v1:0", max_tokens=99, messages=HI, stream=True) as stream:
        kinds = [event.type for event in stream]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    return anthropic_blocks(whole.content)


def google_parts(chunks: Any) -> list[Any]:
    """Texts joined as far as they are of one kind, and calls."""
    found: list[Any] = []
    thinking = None
    for part in [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]:
        if part.function_call:
            found.append((part.function_call.name, part.function_call.args))
        elif part.text and found and thinking == bool(part.thought):
            found[-1] += part.text
        elif part.text:
            found.append(part.text)
            thinking = bool(part.thought)
    return found


def ask_google(base: str) -> Any:
    client = google(base)
    response = client.models.generate_content(model="gemini-x", contents="Hi")
    assert response.usage_metadata is not None
    assert response.usage_metadata.prompt_token_count == 11
    return google_parts([response])


def stream_google(base: str) -> Any:
    client = google(base)
    return google_parts(client.models.generate_content_stream(model="gemini-x", contents="Hi"))


def count_google(base: str) -> Any:
    client = google(base)
    return client.models.count_tokens(model="gemini-x", contents="Hi").total_tokens


def embed_google(base: str) -> Any:
    client = google(base)
    response = client.models.embed_content(model="gemini-embedding-x", contents=["one", "three"])
    return [embedding.values for embedding in response.embeddings or []]


def bedrock_blocks(content: Any) -> list[Any]:
    kinds: dict[str, Callable[[Any], Any]] = {
        "text": lambda text: text,
        "reasoningContent": lambda thought: thought["reasoningText"]["text"],
        "toolUse": lambda call: (call["name"], call["input"]),
    }
    return [kinds[kind](value) for block in content for kind, value in block.items()]


CONVERSE: Any = {"modelId": "amazon.nova-x-v1:0", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


def ask_bedrock(base: str) -> Any:
    response = bedrock(base).converse(**CONVERSE)
    assert (response["stopReason"], response["usage"]["inputTokens"]) == ("tool_use", 11)
    return bedrock_blocks(response["output"]["message"]["content"])


def stream_bedrock(base: str) -> Any:
    texts: dict[int, str] = {}
    names: dict[int, str] = {}
    for event in bedrock(base).converse_stream(**CONVERSE)["stream"]:
        for kind, said in event.items():
            at = said.get("contentBlockIndex")
            if kind == "contentBlockStart":
                names[at] = said["start"]["toolUse"]["name"]
            if kind == "contentBlockDelta":
                delta = said["delta"]
                text = delta.get("text") or (delta.get("reasoningContent") or delta.get("toolUse"))
                texts[at] = texts.get(at, "") + (text if isinstance(text, str) else next(iter(text.values())))
    return [(names[at], json.loads(text)) if at in names else text for at, text in texts.items()]


def ollama_says(messages: list[Any]) -> list[Any]:
    thought, content = ("".join(message.get(name) or "" for message in messages) for name in ("thinking", "content"))
    calls = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
    return [thought, content, *((call["name"], call["arguments"]) for call in calls)]


def ask_ollama(base: str) -> Any:
    body = {"model": "llama-x", "messages": HI, "stream": False}
    return ollama_says([httpx.post(f"{base}/api/chat", json=body).json()["message"]])


def stream_ollama(base: str) -> Any:
    with httpx.stream("POST", f"{base}/api/chat", json={"model": "llama-x", "messages": HI}) as response:
        lines = [json.loads(line) for line in response.iter_lines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    return ollama_says([line["message"] for line in lines])


def ask_cohere(base: str) -> Any:
    message = httpx.post(f"{base}/v2/chat", json={"model": "command-x", "messages": HI}).json()["message"]
    call = message["tool_calls"][0]["function"]
    return [message["tool_plan"], message["content"][0]["text"], (call["name"], json.loads(call["arguments"]))]


CALLS: list[tuple[Callable[[str], Any], Any]] = [
    (ask_anthropic, SAID),
    (stream_anthropic, SAID),
    (count_anthropic, 11),
    (invoke_anthropic, SAID),
    (ask_google, SAID),
    (stream_google, SAID),
    (count_google, 11),
    (embed_google, [[3.0, 322.0, 9.0], [5.0, 536.0, 9.0]]),
    (ask_bedrock, SAID),
    (stream_bedrock, SAID),
    (ask_ollama, SAID),
    (stream_ollama, SAID),
    (ask_cohere, SAID),
]


@pytest.mark.parametrize(("ask", "said"), CALLS, ids=[ask.__name__ for ask, _ in CALLS])
def test_real_clients_record_and_replay(path: Path, ask: Callable[[str], Any], said: Any) -> None:
    """What a client understands of an answer is what it understands when that is replayed, with no server there."""
    with Provider(ANSWER) as server:
        with use_cassette(path, "new", http=True) as cassette:
            assert ask(server.url) == said
        assert all(received.request is not None for received in server.requests)
    assert len(cassette.calls) == len(server.requests)
    with use_cassette(path, "replay", http=True):
        assert ask(NOWHERE) == said
    for call in Cassette(path):
        assert call.request.messages[0].content in ("Hi", "one", "onethree")
        assert call.request.model
        assert call.request.model.split(":")[0] in ("anthropic", "google", "bedrock", "ollama", "cohere")


def test_a_conversation_with_tools_is_shown(path: Path) -> None:
    """The messages of a call show images, thoughts, calls and answers of tools, and ids that differ change no key."""

    def converse(base: str, name: str) -> None:
        anthropic(base).messages.create(
            model="claude-x",
            max_tokens=99,
            system="Be kind.",
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                        {"type": "text", "text": "Look."},
                    ],
                },
                {"role": "assistant", "content": [{"type": "tool_use", "id": name, "name": "f", "input": {"a": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": name, "content": "ok"}]},
            ],
        )

    with Provider("Fine.") as server, use_cassette(path, "new", http=True) as cassette:
        converse(server.url, "toolu_1")
    roles = [message.role for message in cassette.calls[0].request.messages]
    assert roles == ["system", "user", "assistant", "tool"]
    assert cassette.calls[0].request.messages[1] == Message(
        "user", [BlobPart("image", "image/png", "AAAA"), TextPart("Look.")]
    )
    with use_cassette(path, "replay", http=True):
        converse(NOWHERE, "toolu_of_another_run")


def test_an_image_of_google_becomes_a_file(path: Path) -> None:
    """Google's client sends base64 in the alphabet for addresses; a large image lies beside the cassette all the same."""
    image = bytes(range(256)) * 16

    def show(base: str) -> str | None:
        client = google(base)
        parts: Any = [types.Part.from_bytes(data=image, mime_type="image/png"), "Look."]
        return client.models.generate_content(model="gemini-x", contents=parts).text

    def seen(request: Request) -> str:
        sent = [part.content for message in request.messages for part in message.parts if isinstance(part, BlobPart)]
        return f"{len(sent)} image of {len(sent[0])} characters"

    with Provider(seen) as server, use_cassette(path, "new", http=True):
        assert show(server.url) == "1 image of 5464 characters"
    files = [file.read_bytes() for file in (path.parent / "blobs").glob("*/*")]
    assert files == [image]
    assert 'alphabet: "url"' in path.read_text("utf-8")
    assert len(path.read_bytes()) < len(image)
    with use_cassette(path, "replay", http=True) as cassette:
        assert show(NOWHERE) == "1 image of 5464 characters"
    [call] = cassette.calls
    assert [part.type for part in call.request.messages[0].parts] == ["blob", "text"]


def stream_invoked(base: str) -> str:
    client = AnthropicBedrock(base_url=base, aws_region="us-east-1", aws_access_key="any", aws_secret_key="any")
    with client.messages.create(model="anthropic.claude-x-v1:0", max_tokens=99, messages=HI, stream=True) as stream:
        return "".join(getattr(event.delta, "text", "") for event in stream if event.type == "content_block_delta")


def stream_conversed(base: str) -> str:
    events = bedrock(base).converse_stream(**CONVERSE)["stream"]
    return "".join(event.get("contentBlockDelta", {}).get("delta", {}).get("text", "") for event in events)


@pytest.mark.parametrize("ask", [stream_invoked, stream_conversed])
def test_a_secret_in_the_frames_of_aws_is_not_written(
    path: Path, ask: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a model's own events come in base64, and a secret in pieces, a placeholder stands for it."""
    monkeypatch.setenv("SHOP_PASSWORD", "correct horse battery staple")
    key = "sk-" + "proj-" + mixed(40)
    said = f"It is correct horse battery staple, or {key}."
    with Provider(said) as server, use_cassette(path, "new", http=True):
        assert ask(server.url) == said
    written = path.read_text("utf-8")
    for secret in (key, "correct horse"):
        inside = [base64.b64encode(b"." * before + secret.encode()).decode()[4:-4] for before in range(3)]
        assert not [form for form in (secret, *inside) if form in written]
    with use_cassette(path, "replay", http=True):
        assert ask(NOWHERE) == "It is <SHOP_PASSWORD>, or <openai-key>."


def _posts(kind: str) -> Callable[[str, Any], Any]:
    async def by_aiohttp(url: str, body: Any) -> Any:
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            return await response.json()

    async def by_async_httpx(url: str, body: Any) -> Any:
        async with httpx.AsyncClient() as client:
            return (await client.post(url, json=body)).json()

    return {
        "httpx": lambda url, body: httpx.post(url, json=body).json(),
        "async httpx": lambda url, body: asyncio.run(by_async_httpx(url, body)),
        "requests": lambda url, body: requests.post(url, json=body, timeout=60).json(),
        "aiohttp": lambda url, body: asyncio.run(by_aiohttp(url, body)),
    }[kind]


OWN: list[tuple[str, Any]] = [
    ("/api/chat", {"message": "Hi", "room": 7}),
    ("/api/generate", {"report": "sales"}),
    ("/api/embed", {"video": 7}),
    ("/v1/chat", {"message": "Hi"}),
    ("/v2/chat", {"messages": ["Hi"]}),
]
"""Calls of a program's own servers, at paths that Ollama and Cohere have as well."""


@pytest.mark.parametrize("kind", ["httpx", "async httpx", "requests", "aiohttp"])
def test_what_a_programs_own_server_is_asked_passes(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In replay, too, it is asked, and nothing of it is recorded, unless the project names its host."""
    post = _posts(kind)

    json_type = {"Content-Type": "application/json"}
    with serving(lambda _: (json_type, b'{"own": true}')) as url:
        with use_cassette(path, "replay", http=True) as cassette:
            assert [post(url + at, body) for at, body in OWN] == [{"own": True}] * len(OWN)
        assert len(cassette.calls) == 0
        monkeypatch.setenv("LLM_STRATEGY_HTTP_HOSTS", "127.0.0.1")
        with use_cassette(path, "new", http=True) as cassette:
            assert post(url + "/api/chat", OWN[0][1]) == {"own": True}
        assert len(cassette.calls) == 1
