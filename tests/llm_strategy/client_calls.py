"""Calls that programs make with the real clients, as a table of functions from a server's address and a text to the answer.

    CALLS["openai chat"]("http://127.0.0.1:8765", "How much is 6 * 7?")

Clients are made once per address, as programs do, and asynchronous ones once per event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from pydantic import BaseModel

from llm_strategy.values import Request, TextPart, ToolCallPart
from llm_strategy.wire.format import Answer
from tests.llm_strategy.providers import MODEL, USAGE, saying

KEY = "key-of-the-tests-1"
LOOK = {"type": "object", "properties": {"for": {"type": "string"}}, "required": ["for"]}


class Sum(BaseModel):
    """What `parse` is to return."""

    text: str
    length: int


def reply(request: Request) -> Answer:
    """What the server says: the text back, as an object where one is wanted, or as the argument of the tool offered."""
    said = request.messages[-1].content
    if request.tools:
        return Answer("", USAGE, "tool_call", MODEL, parts=(ToolCallPart("call_1", "look", {"for": said}),))
    if request.output_schema is not None:
        said = json.dumps({"text": said, "length": len(said)})
        return saying(said)
    return Answer(f"to {said}", USAGE, "stop", MODEL, parts=(TextPart(f"to {said}"),))


@contextmanager
def no_settings() -> Iterator[None]:
    """The settings of the machine for any of the clients do not count, and no client asks the machine for more."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "AWS_", "LANGCHAIN_", "LANGSMITH_")):
                patch.delenv(name)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "LLM_STRATEGY_RECORD"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


_of_loops: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def _in_loop(make: Callable[[str], Any], url: str) -> Any:
    """The client of the running event loop for an address."""
    clients = _of_loops.setdefault(asyncio.get_running_loop(), {})
    if (make, url) not in clients:
        clients[make, url] = make(url)
    return clients[make, url]


def _user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


# openai


@cache
def _openai(url: str) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=f"{url}/v1", api_key=KEY)


def _openai_chat(url: str, text: str) -> Any:
    return _openai(url).chat.completions.create(model="m", messages=_user(text)).to_dict()


def _openai_chat_stream(url: str, text: str) -> Any:
    chunks = _openai(url).chat.completions.create(model="m", messages=_user(text), stream=True)
    return [chunk.to_dict() for chunk in chunks]


def _openai_tools(url: str, text: str) -> Any:
    tool = {"type": "function", "function": {"name": "look", "parameters": LOOK}}
    return _openai(url).chat.completions.create(model="m", messages=_user(text), tools=[tool]).to_dict()


def _openai_parse(url: str, text: str) -> Any:
    completion = _openai(url).chat.completions.parse(model="m", messages=_user(text), response_format=Sum)
    return completion.choices[0].message.parsed


def _openai_responses(url: str, text: str) -> Any:
    return _openai(url).responses.create(model="m", input=text).to_dict()


def _openai_responses_stream(url: str, text: str) -> Any:
    return [event.to_dict() for event in _openai(url).responses.create(model="m", input=text, stream=True)]


def _openai_responses_parse(url: str, text: str) -> Any:
    return _openai(url).responses.parse(model="m", input=text, text_format=Sum).output_parsed


def _openai_embeddings(url: str, text: str) -> Any:
    return _openai(url).embeddings.create(model="m", input=[text, "another"]).to_dict()


def _openai_completions(url: str, text: str) -> Any:
    return _openai(url).completions.create(model="m", prompt=text).to_dict()


def _async_openai(url: str) -> Any:
    from openai import AsyncOpenAI

    return AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY)


async def _async_openai_chat(url: str, text: str) -> Any:
    client = _in_loop(_async_openai, url)
    return (await client.chat.completions.create(model="m", messages=_user(text))).to_dict()


async def _async_openai_chat_stream(url: str, text: str) -> Any:
    client = _in_loop(_async_openai, url)
    chunks = await client.chat.completions.create(model="m", messages=_user(text), stream=True)
    return [chunk.to_dict() async for chunk in chunks]


async def _async_openai_responses(url: str, text: str) -> Any:
    return (await _in_loop(_async_openai, url).responses.create(model="m", input=text)).to_dict()


# anthropic


@cache
def _anthropic(url: str) -> Any:
    from anthropic import Anthropic

    return Anthropic(base_url=url, api_key=KEY)


def _anthropic_messages(url: str, text: str) -> Any:
    return _anthropic(url).messages.create(model="m", max_tokens=64, messages=_user(text)).to_dict()


def _anthropic_stream(url: str, text: str) -> Any:
    with _anthropic(url).messages.stream(model="m", max_tokens=64, messages=_user(text)) as stream:
        return [event.to_dict() for event in stream]


def _async_anthropic(url: str) -> Any:
    from anthropic import AsyncAnthropic

    return AsyncAnthropic(base_url=url, api_key=KEY)


async def _async_anthropic_messages(url: str, text: str) -> Any:
    client = _in_loop(_async_anthropic, url)
    return (await client.messages.create(model="m", max_tokens=64, messages=_user(text))).to_dict()


async def _async_anthropic_stream(url: str, text: str) -> Any:
    client = _in_loop(_async_anthropic, url)
    async with client.messages.stream(model="m", max_tokens=64, messages=_user(text)) as stream:
        return [event.to_dict() async for event in stream]


# google-genai: synchronous calls through httpx, asynchronous ones through aiohttp


def _new_genai(url: str) -> Any:
    from google import genai

    return genai.Client(api_key=KEY, http_options={"base_url": url})


_genai = cache(_new_genai)


# It closes what it has made when nothing refers to it any more.


def _genai_generate(url: str, text: str) -> Any:
    client = _genai(url)
    return _said(client.models.generate_content(model="m", contents=text))


def _genai_stream(url: str, text: str) -> Any:
    client = _genai(url)
    return [_said(part) for part in client.models.generate_content_stream(model="m", contents=text)]


async def _async_genai_generate(url: str, text: str) -> Any:
    client = _in_loop(_new_genai, url)
    return _said(await client.aio.models.generate_content(model="m", contents=text))


async def _async_genai_stream(url: str, text: str) -> Any:
    client = _in_loop(_new_genai, url)
    parts = await client.aio.models.generate_content_stream(model="m", contents=text)
    return [_said(part) async for part in parts]


def _said(response: Any) -> Any:
    # The headers of a response carry the date of its server.
    return response.model_dump(exclude={"sdk_http_response"})


# langchain_openai


@cache
def _chat_openai(url: str) -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="m", base_url=f"{url}/v1", api_key=KEY)


def _langchain_invoke(url: str, text: str) -> Any:
    return _chat_openai(url).invoke(text).content


def _langchain_stream(url: str, text: str) -> Any:
    return [chunk.content for chunk in _chat_openai(url).stream(text)]


def _langchain_batch(url: str, text: str) -> Any:
    return [message.content for message in _chat_openai(url).batch([text, f"{text}, and more"])]


def _langchain_embeddings(url: str, text: str) -> Any:
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(model="m", base_url=f"{url}/v1", api_key=KEY, check_embedding_ctx_length=False)
    return embeddings.embed_query(text)


async def _langchain_ainvoke(url: str, text: str) -> Any:
    return (await _in_loop(_chat_openai.__wrapped__, url).ainvoke(text)).content


# requests and aiohttp


@cache
def _session() -> Any:
    import requests

    return requests.Session()


def _requests_post(url: str, text: str) -> Any:
    return _session().post(f"{url}/v1/chat/completions", json={"model": "m", "messages": _user(text)}).json()


def _requests_stream(url: str, text: str) -> Any:
    body = {"model": "m", "messages": _user(text), "stream": True}
    with _session().post(f"{url}/v1/chat/completions", json=body, stream=True) as response:
        return list(response.iter_lines())


async def _aiohttp_post(url: str, text: str) -> Any:
    import aiohttp

    body = {"model": "m", "messages": _user(text)}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=body) as response:
        return await response.json()


async def _aiohttp_stream(url: str, text: str) -> Any:
    import aiohttp

    body = {"model": "m", "messages": _user(text), "stream": True}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=body) as response:
        return [piece async for piece in response.content.iter_any()]


# boto3


@cache
def _aws() -> Any:
    import boto3

    return boto3.session.Session(region_name="eu-central-1")


def bedrock(url: str) -> Any:
    """A new client of Bedrock at an address."""
    return _aws().client(
        "bedrock-runtime",
        endpoint_url=url,
        aws_access_key_id="AKIDOFTHETESTS",
        aws_secret_access_key=KEY,
    )


_bedrock = cache(bedrock)


def _bedrock_converse(url: str, text: str) -> Any:
    answer = _bedrock(url).converse(modelId="m", messages=[{"role": "user", "content": [{"text": text}]}])
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def _bedrock_converse_stream(url: str, text: str) -> Any:
    answer = _bedrock(url).converse_stream(modelId="m", messages=[{"role": "user", "content": [{"text": text}]}])
    return list(answer["stream"])


CALLS: dict[str, Callable[[str, str], Any]] = {
    "openai chat": _openai_chat,
    "openai chat stream": _openai_chat_stream,
    "openai tools": _openai_tools,
    "openai parse": _openai_parse,
    "openai responses": _openai_responses,
    "openai responses stream": _openai_responses_stream,
    "openai responses parse": _openai_responses_parse,
    "openai embeddings": _openai_embeddings,
    "openai completions": _openai_completions,
    "anthropic messages": _anthropic_messages,
    "anthropic stream": _anthropic_stream,
    "genai generate": _genai_generate,
    "genai stream": _genai_stream,
    "langchain invoke": _langchain_invoke,
    "langchain stream": _langchain_stream,
    "langchain batch": _langchain_batch,
    "langchain embeddings": _langchain_embeddings,
    "requests post": _requests_post,
    "requests stream": _requests_stream,
    "bedrock converse": _bedrock_converse,
    "bedrock converse stream": _bedrock_converse_stream,
}
ASYNC_CALLS: dict[str, Callable[[str, str], Awaitable[Any]]] = {
    "openai chat": _async_openai_chat,
    "openai chat stream": _async_openai_chat_stream,
    "openai responses": _async_openai_responses,
    "anthropic messages": _async_anthropic_messages,
    "anthropic stream": _async_anthropic_stream,
    "genai generate": _async_genai_generate,
    "genai stream": _async_genai_stream,
    "langchain ainvoke": _langchain_ainvoke,
    "aiohttp post": _aiohttp_post,
    "aiohttp stream": _aiohttp_stream,
}
