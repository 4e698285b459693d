"""The formats of Anthropic, Google, AWS, Ollama and Cohere: what their documentation shows is understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from llm_strategy.values import (
    BlobPart,
    FilePart,
    Message,
    Part,
    ReasoningPart,
    Request,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
    Usage,
)
from llm_strategy.wire.bodies import pack_answer
from llm_strategy.wire.embeddings import VECTORS
from llm_strategy.wire.envelope import HTTPResponse, request_of
from llm_strategy.wire.format import Answer, Format
from llm_strategy.wire.registry import FORMATS, find
from tests.llm_strategy.test_formats import (
    NAMELESS,
    chat_answers,
    chat_requests,
    embedding_answers,
    sent,
    text_requests,
)

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
BY_NAME = {format.name: format for format in FORMATS}
URLS = {
    "anthropic_messages": ("anthropic", "https://api.anthropic.com/v1/messages"),
    "gemini": ("google", "https://generativelanguage.googleapis.com/v1beta/models/{}:generateContent"),
    "gemini_embeddings": ("google", "https://generativelanguage.googleapis.com/v1beta/models/{}:batchEmbedContents"),
    "bedrock_converse": ("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com/model/{}/converse"),
    "ollama": ("ollama", "http://localhost:11434/api/chat"),
    "ollama_completions": ("ollama", "http://localhost:11434/api/generate"),
    "ollama_embeddings": ("ollama", "http://localhost:11434/api/embed"),
    "cohere_chat": ("cohere", "https://api.cohere.com/v2/chat"),
    "cohere_chat_v1": ("cohere", "https://api.cohere.com/v1/chat"),
    "cohere_embeddings": ("cohere", "https://api.cohere.com/v2/embed"),
}
"""For each format the provider that its models are named by, and an address, with a place for the model."""


def url(name: str, model: str = "m") -> str:
    return URLS[name][1].format(model)


def _is_image(part: Part) -> bool:
    return isinstance(part, BlobPart) and part.modality == "image"


_PLAIN = (TextPart, ReasoningPart, ToolCallPart, ToolCallResponsePart)
PLACES: dict[str, Callable[[Part], bool]] = {
    "anthropic_messages": lambda part: getattr(part, "modality", "") != "audio",
    "gemini": lambda part: isinstance(part, (*_PLAIN, BlobPart)),
    "bedrock_converse": lambda part: isinstance(part, (*_PLAIN, BlobPart)),
    "ollama": lambda part: isinstance(part, _PLAIN) or _is_image(part),
    "cohere_chat": lambda part: isinstance(part, _PLAIN) or _is_image(part),
}
"""The parts that a format has a place for."""


def fitting(name: str, request: Request) -> Request:
    """A request without what a format has no place for, to a model of its provider."""
    messages = [Message(message.role, list(filter(PLACES[name], message.parts))) for message in request.messages]
    if name == "ollama":
        # Text in one piece, and images without their type behind it.
        messages = [Message(message.role, [*_joined(message)]) for message in messages]
    messages = [message for message in messages if message.parts]
    return replace(request, model=f"{URLS[name][0]}:m", messages=tuple(messages))


def _joined(message: Message) -> list[Part]:
    others = [part for part in message.parts if not isinstance(part, TextPart)]
    images: list[Part] = [replace(part, mime_type=None) for part in others if isinstance(part, BlobPart)]
    texts: list[Part] = [TextPart(message.content)] if message.content else []
    thoughts: list[Part] = [part for part in others if isinstance(part, ReasoningPart)]
    calls: list[Part] = [part for part in others if isinstance(part, ToolCallPart | ToolCallResponsePart)]
    return [*thoughts, *texts, *images, *calls]


@pytest.mark.parametrize("name", PLACES)
@given(request_=chat_requests)
def test_a_conversation_is_read_as_it_was_written(name: str, request_: Request) -> None:
    """Messages with all parts that a format has, tools, settings and schema survive the way there and back."""
    request = fitting(name, request_)
    assume(request.messages)
    assert BY_NAME[name].decode_request(sent(BY_NAME[name].encode_request(request)), url(name)) == request


@pytest.mark.parametrize("name", PLACES)
@given(answer=chat_answers)
def test_an_answer_is_read_as_it_was_written(name: str, answer: Answer) -> None:
    """Words, thoughts, calls of tools, usage and why the model stopped come back, whole and streamed."""
    format = BY_NAME[name]
    answer = replace(answer, model=None if name in NAMELESS else answer.model)
    body = sent(format.encode_response(answer))
    assert format.decode_response(body) == answer
    events = sent(list(format.split(body)))
    assert format.decode_response(format.join(events)) == answer
    if name != "gemini":
        # Google's streams have no event of their own at the end.
        assert [format.ends(event) for event in events] == [False] * (len(events) - 1) + [True]


@pytest.mark.parametrize("name", ["gemini_embeddings", "ollama_embeddings", "cohere_embeddings"])
@given(request_=text_requests, answer=embedding_answers)
def test_embeddings_are_read_as_they_were_written(name: str, request_: Request, answer: Answer) -> None:
    """Each text is a message, and each vector comes back."""
    format = BY_NAME[name]
    messages = tuple(Message("user", [part]) for message in request_.messages for part in message.parts)
    request = replace(request_, model=f"{URLS[name][0]}:m", messages=messages)
    assert format.decode_request(sent(format.encode_request(request)), url(name)) == request
    counts = None if name == "gemini_embeddings" or answer.usage is None else Usage(answer.usage.input_tokens)
    answer = replace(answer, usage=counts, model=None if name in NAMELESS else answer.model)
    assert format.decode_response(sent(format.encode_response(answer))) == answer


@pytest.mark.parametrize("name", ["ollama_completions", "cohere_chat_v1"])
def test_a_prompt_is_read_as_it_was_written(name: str) -> None:
    """What stands apart from a conversation, or completes none, survives the way there and back, whole and streamed."""
    format, provider = BY_NAME[name], URLS[name][0]
    messages = (Message("system", "Be brief."), Message("user", "Hi"))
    request = Request(f"{provider}:m", messages, {"type": "object"}, (), {"temperature": 0.5, "stop": ["x"]})  # type: ignore[arg-type]  # what is given is frozen
    assert format.decode_request(sent(format.encode_request(request)), url(name)) == request
    model = None if name in NAMELESS else "m-1"
    answer = Answer("Hello.", Usage(3, 4), "length", model, parts=(TextPart("Hello."),))
    body = sent(format.encode_response(answer))
    assert format.decode_response(body) == answer
    assert format.decode_response(format.join(sent(list(format.split(body))))) == answer


# Real bodies, as the providers' documentation has them

USER, TOOL, MODEL, SYSTEM = "user", "tool", "assistant", "system"
PNG = "iVBORw0KGgo="
VERTEX = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def asked(model: str, *messages: Message, schema: Any = None, tools: Any = (), **settings: Any) -> Request:
    return Request(model, messages, schema, tools, settings)  # type: ignore[arg-type]  # what is given is frozen


REQUESTS: list[tuple[str, dict[str, Any], Request]] = [
    (
        "https://api.anthropic.com/v1/messages",
        {
            "model": "claude-sonnet-4-5",
            "max_tokens": 1024,
            "stop_sequences": ["END"],
            "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
            "tools": [
                {"name": "get_weather", "description": "Weather", "input_schema": SCHEMA},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
            ],
            "tool_choice": {"type": "auto"},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
                        {"type": "document", "source": {"type": "file", "file_id": "file_1"}, "title": "Report"},
                        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Plain."}},
                        {"type": "text", "text": "Look."},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
                        {"type": "redacted_thinking", "data": "EmwK"},
                        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"a": "Paris"}},
                        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
                        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": "T"}]},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "toolu_1",
                            "content": [{"type": "text", "text": "Sunny"}],
                        },
                        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "No.", "is_error": True},
                    ],
                },
                {"role": "user", "content": "And?"},
            ],
        },
        asked(
            "anthropic:claude-sonnet-4-5",
            Message(SYSTEM, "Be kind."),
            Message(
                USER,
                [
                    BlobPart("image", "image/png", PNG),
                    UriPart("image", None, "https://example.org/a.png"),
                    TextPart("Report"),
                    FilePart("document", None, "file_1"),
                    TextPart("Plain."),
                    TextPart("Look."),
                ],
            ),
            Message(
                MODEL,
                [
                    ReasoningPart("Hm."),
                    ReasoningPart("[redacted]"),
                    ToolCallPart("toolu_1", "get_weather", {"a": "Paris"}),
                    ToolCallPart("srvtoolu_1", "web_search", {"query": "x"}),
                    ToolCallResponsePart("srvtoolu_1", [{"title": "T"}]),
                ],
            ),
            Message(
                TOOL,
                [
                    ToolCallResponsePart("toolu_1", "Sunny"),
                    ToolCallResponsePart("toolu_2", {"is_error": True, "content": "No."}),
                ],
            ),
            Message(USER, "And?"),
            schema=SCHEMA,
            tools=(
                {"type": "function", "name": "get_weather", "description": "Weather", "parameters": SCHEMA},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
            ),
            max_tokens=1024,
            stop=["END"],
            tool_choice={"type": "auto"},
            thinking={"type": "enabled", "budget_tokens": 1024},
            output_config={"effort": "low"},
        ),
    ),
    (
        f"{VERTEX}/publishers/anthropic/models/claude-sonnet-4@20250514:streamRawPredict",
        {"anthropic_version": "vertex-2023-10-16", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
        asked("anthropic:claude-sonnet-4@20250514", Message(USER, "Hi"), anthropic_version="vertex-2023-10-16"),
    ),
    (
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke",
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
        asked(
            "bedrock:anthropic.claude-3-haiku-20240307-v1:0",
            Message(USER, "Hi"),
            anthropic_version="bedrock-2023-05-31",
            max_tokens=9,
        ),
    ),
    (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
        {
            "systemInstruction": {"parts": [{"text": "Be kind."}]},
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"text": "Look."},
                        {"inlineData": {"mimeType": "image/png", "data": "_-BORw0KGgo="}},
                        {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://bucket/a.mp4"}},
                    ],
                },
                {
                    "role": "model",
                    "parts": [
                        {"text": "Hm.", "thought": True},
                        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                        {"functionCall": {"id": "fc_1", "name": "g", "args": {}}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"name": "f", "response": {"result": 2}}},
                        {"functionResponse": {"id": "fc_1", "name": "g", "response": {"output": "x"}}},
                    ],
                },
                {"parts": [{"text": "And?"}]},
            ],
            "tools": [
                {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]},
                {"googleSearch": {}},
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            "generationConfig": {
                "temperature": 0.5,
                "maxOutputTokens": 9,
                "stopSequences": ["x"],
                "responseMimeType": "application/json",
                "responseSchema": {"type": "OBJECT"},
                "thinkingConfig": {"thinkingBudget": 0},
            },
        },
        asked(
            "google:gemini-2.5-flash",
            Message(SYSTEM, "Be kind."),
            Message(
                USER,
                [
                    TextPart("Look."),
                    BlobPart("image", "image/png", "/+BORw0KGgo="),
                    UriPart("video", "video/mp4", "gs://bucket/a.mp4"),
                ],
            ),
            Message(MODEL, [ReasoningPart("Hm."), ToolCallPart(None, "f", {"a": 1}), ToolCallPart("fc_1", "g", {})]),
            Message(TOOL, [ToolCallResponsePart("f", {"result": 2}), ToolCallResponsePart("fc_1", {"output": "x"})]),
            Message(USER, "And?"),
            schema={"type": "OBJECT"},
            tools=({"type": "function", "name": "f", "parameters": {"type": "OBJECT"}}, {"googleSearch": {}}),
            toolConfig={"functionCallingConfig": {"mode": "ANY"}},
            temperature=0.5,
            max_tokens=9,
            stop=["x"],
            thinkingConfig={"thinkingBudget": 0},
        ),
    ),
    (
        f"{VERTEX}/publishers/google/models/gemini-2.0-flash:streamGenerateContent?alt=sse",
        {
            "system_instruction": {"parts": {"text": "Be kind."}},
            "contents": {"role": "user", "parts": [{"inline_data": {"mime_type": "audio/mp3", "data": "AAAA"}}]},
            "generation_config": {"max_output_tokens": 9, "response_json_schema": SCHEMA},
        },
        asked(
            "google:gemini-2.0-flash",
            Message(SYSTEM, "Be kind."),
            Message(USER, [BlobPart("audio", "audio/mp3", "AAAA")]),
            schema=SCHEMA,
            max_tokens=9,
        ),
    ),
    (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:embedContent",
        {"content": {"parts": [{"text": "one"}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8},
        asked("google:gemini-embedding-001", Message(USER, "one"), taskType="RETRIEVAL_QUERY", outputDimensionality=8),
    ),
    (
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/eu.amazon.nova-lite-v1%3A0/converse-stream",
        {
            "system": [{"text": "Be kind."}, {"cachePoint": {"type": "default"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"text": "Look."},
                        {"image": {"format": "png", "source": {"bytes": PNG}}},
                        {"document": {"format": "pdf", "name": "Report", "source": {"bytes": "JVBERi0="}}},
                        {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/a.mp4"}}}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}},
                        {"reasoningContent": {"redactedContent": "AAAA"}},
                        {"toolUse": {"toolUseId": "tooluse_1", "name": "f", "input": {"a": 1}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "toolResult": {
                                "toolUseId": "tooluse_1",
                                "content": [{"json": {"b": 2}}],
                                "status": "success",
                            }
                        },
                        {"toolResult": {"toolUseId": "tooluse_2", "content": [{"text": "No."}], "status": "error"}},
                    ],
                },
            ],
            "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}],
                "toolChoice": {"any": {}},
            },
            "outputConfig": {
                "textFormat": {
                    "type": "json_schema",
                    "structure": {"jsonSchema": {"name": "reply", "schema": json.dumps(SCHEMA)}},
                }
            },
        },
        asked(
            "bedrock:eu.amazon.nova-lite-v1:0",
            Message(SYSTEM, "Be kind."),
            Message(
                USER,
                [
                    TextPart("Look."),
                    BlobPart("image", "image/png", PNG),
                    TextPart("Report"),
                    BlobPart("document", "application/pdf", "JVBERi0="),
                    UriPart("video", "video/mp4", "s3://bucket/a.mp4"),
                ],
            ),
            Message(
                MODEL, [ReasoningPart("Hm."), ReasoningPart("[redacted]"), ToolCallPart("tooluse_1", "f", {"a": 1})]
            ),
            Message(
                TOOL,
                [
                    ToolCallResponsePart("tooluse_1", {"b": 2}),
                    ToolCallResponsePart("tooluse_2", {"status": "error", "content": "No."}),
                ],
            ),
            schema=SCHEMA,
            tools=({"type": "function", "name": "f", "parameters": SCHEMA},),
            max_tokens=9,
            temperature=0.5,
            top_p=0.9,
            stop=["x"],
            toolChoice={"any": {}},
        ),
    ),
    (
        "http://localhost:11434/api/chat",
        {
            "model": "llama3.2:1b",
            "messages": [
                {"role": "user", "content": "Look.", "images": [PNG]},
                {
                    "role": "assistant",
                    "content": "",
                    "thinking": "Hm.",
                    "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
                },
                {"role": "tool", "tool_name": "f", "content": "2"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
            "format": SCHEMA,
            "options": {"temperature": 0, "num_predict": 9, "num_ctx": 1024},
            "keep_alive": "5m",
            "stream": False,
        },
        asked(
            "ollama:llama3.2:1b",
            Message(USER, [TextPart("Look."), BlobPart("image", None, PNG)]),
            Message(MODEL, [ReasoningPart("Hm."), ToolCallPart(None, "f", {"a": 1})]),
            Message(TOOL, [ToolCallResponsePart("f", "2")]),
            schema=SCHEMA,
            tools=({"type": "function", "name": "f", "parameters": SCHEMA},),
            temperature=0,
            max_tokens=9,
            num_ctx=1024,
            keep_alive="5m",
        ),
    ),
    (
        "http://localhost:11434/api/generate",
        {"model": "llava", "system": "Be kind.", "prompt": "Look.", "images": [PNG], "format": "json", "raw": True},
        asked(
            "ollama:llava",
            Message(SYSTEM, "Be kind."),
            Message(USER, [TextPart("Look."), BlobPart("image", None, PNG)]),
            raw=True,
            format="json",
        ),
    ),
    (
        "http://localhost:11434/api/embeddings",
        {"model": "all-minilm", "prompt": "one"},
        asked("ollama:all-minilm", Message(USER, "one")),
    ),
    (
        "https://api.cohere.com/v2/chat",
        {
            "model": "command-a-03-2025",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Look."},
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                    ],
                },
                {
                    "role": "assistant",
                    "tool_plan": "I will ask.",
                    "tool_calls": [
                        {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
                    ],
                },
                {
                    "role": "tool",
                    "tool_call_id": "f_1",
                    "content": [{"type": "document", "document": {"data": '{"b": 2}'}}],
                },
            ],
            "documents": [{"id": "1", "data": {"text": "Facts."}}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
            "response_format": {"type": "json_object", "schema": SCHEMA},
            "p": 0.9,
            "k": 3,
            "max_tokens": 9,
        },
        asked(
            "cohere:command-a-03-2025",
            Message(SYSTEM, "Be kind."),
            Message(USER, [TextPart("Look."), BlobPart("image", "image/png", PNG)]),
            Message(MODEL, [ReasoningPart("I will ask."), ToolCallPart("f_1", "f", {"a": 1})]),
            Message(TOOL, [ToolCallResponsePart("f_1", '{"b": 2}')]),
            Message(USER, "Facts."),
            schema=SCHEMA,
            tools=({"type": "function", "name": "f", "parameters": SCHEMA},),
            top_p=0.9,
            top_k=3,
            max_tokens=9,
        ),
    ),
    (
        "https://api.cohere.com/v1/chat",
        {
            "model": "command-r",
            "preamble": "Be kind.",
            "chat_history": [
                {"role": "USER", "message": "Ask."},
                {"role": "CHATBOT", "message": "", "tool_calls": [{"name": "f", "parameters": {"a": 1}}]},
            ],
            "message": "",
            "tool_results": [{"call": {"name": "f", "parameters": {"a": 1}}, "outputs": [{"b": 2}]}],
            "tools": [{"name": "f", "description": "d", "parameter_definitions": {"a": {"type": "int"}}}],
        },
        asked(
            "cohere:command-r",
            Message(SYSTEM, "Be kind."),
            Message(USER, "Ask."),
            Message(MODEL, [ToolCallPart(None, "f", {"a": 1})]),
            Message(TOOL, [ToolCallResponsePart("f", [{"b": 2}])]),
            tools=({"type": "function", "name": "f", "description": "d", "parameters": {"a": {"type": "int"}}},),
        ),
    ),
    (
        "https://api.cohere.com/v2/embed",
        {
            "model": "embed-v4.0",
            "inputs": [{"content": [{"type": "text", "text": "one"}]}],
            "input_type": "search_query",
            "embedding_types": ["float"],
        },
        asked("cohere:embed-v4.0", Message(USER, "one"), input_type="search_query", embedding_types=["float"]),
    ),
]


@pytest.mark.parametrize(
    ("address", "body", "request_"), REQUESTS, ids=[found[0].partition("://")[2] for found in REQUESTS]
)
def test_a_request_is_understood(address: str, body: dict[str, Any], request_: Request) -> None:
    """A body as it is documented is read as messages with parts, tools, schema and settings."""
    format = find(address.partition("?")[0].partition("://")[2])
    assert format is not None
    assert format.decode_request(body, address) == request_


CALL = ToolCallPart("t_1", "f", {"a": 1})
ANSWERS: list[tuple[str, Any, Answer]] = [
    (
        "anthropic",
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
                {"type": "text", "text": "Hi", "citations": None},
                {"type": "tool_use", "id": "t_1", "name": "f", "input": {"a": 1}},
            ],
            "stop_reason": "tool_use",
            "usage": {
                "input_tokens": 3,
                "cache_creation_input_tokens": 4,
                "cache_read_input_tokens": None,
                "output_tokens": 5,
            },
        },
        Answer(
            "Hi",
            Usage(7, 5),
            "tool_call",
            "claude-sonnet-4-5-20250929",
            parts=(ReasoningPart("Hm."), TextPart("Hi"), CALL),
        ),
    ),
    ("anthropic count", {"input_tokens": 14}, Answer("", Usage(14, None))),
    (
        "gemini",
        {
            "candidates": [
                {
                    "content": {"role": "model", "parts": [{"text": "Hm.", "thought": True}, {"text": "Hi"}]},
                    "finishReason": "MAX_TOKENS",
                    "index": 0,
                }
            ],
            "usageMetadata": {
                "promptTokenCount": 3,
                "candidatesTokenCount": 2,
                "thoughtsTokenCount": 3,
                "totalTokenCount": 8,
            },
            "modelVersion": "gemini-2.5-flash",
        },
        Answer("Hi", Usage(3, 5), "length", "gemini-2.5-flash", parts=(ReasoningPart("Hm."), TextPart("Hi"))),
    ),
    (
        "gemini refused",
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}},
        Answer("", Usage(3, None), "content_filter"),
    ),
    (
        "gemini array",
        [
            {"candidates": [{"content": {"role": "model", "parts": [{"text": "H"}]}}]},
            {"candidates": [{"content": {"parts": [{"text": "i"}]}, "finishReason": "STOP"}], "modelVersion": "g"},
        ],
        Answer("Hi", None, "stop", "g", parts=(TextPart("Hi"),)),
    ),
    ("gemini count", {"totalTokens": 31, "promptTokensDetails": []}, Answer("", Usage(31, None))),
    (
        "bedrock",
        {
            "metrics": {"latencyMs": 551},
            "output": {
                "message": {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "Hm."}}},
                        {"text": "Hi"},
                        {"toolUse": {"toolUseId": "t_1", "name": "f", "input": {"a": 1}}},
                    ],
                }
            },
            "stopReason": "tool_use",
            "usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8, "cacheReadInputTokens": 4},
        },
        Answer("Hi", Usage(7, 5), "tool_call", parts=(ReasoningPart("Hm."), TextPart("Hi"), CALL)),
    ),
    (
        "ollama",
        {
            "model": "llama3.2",
            "created_at": "2023-12-12T14:13:43.416799Z",
            "message": {"role": "assistant", "content": "Hi", "images": None},
            "done": True,
            "done_reason": "length",
            "prompt_eval_count": 3,
            "eval_count": 5,
        },
        Answer("Hi", Usage(3, 5), "length", "llama3.2", parts=(TextPart("Hi"),)),
    ),
    (
        "ollama generate",
        {"model": "llama3.2", "response": "Hi", "done": True, "context": [1, 2, 3]},
        Answer("Hi", None, "stop", "llama3.2", parts=(TextPart("Hi"),)),
    ),
    (
        "ollama embed",
        {"model": "all-minilm", "embeddings": [[1.0, 2.0]], "prompt_eval_count": 8},
        Answer("", Usage(8, None), "stop", "all-minilm", parts=(BlobPart("embedding", VECTORS, "AACAPwAAAEA="),)),
    ),
    (
        "ollama embeddings",
        {"embedding": [1.0, 2.0]},
        Answer("", parts=(BlobPart("embedding", VECTORS, "AACAPwAAAEA="),)),
    ),
    (
        "cohere",
        {
            "id": "c14c80c3",
            "finish_reason": "COMPLETE",
            "message": {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hi"}],
            },
            "usage": {
                "billed_units": {"input_tokens": 1, "output_tokens": 2},
                "tokens": {"input_tokens": 3, "output_tokens": 5},
            },
        },
        Answer("Hi", Usage(3, 5), parts=(ReasoningPart("Hm."), TextPart("Hi"))),
    ),
    (
        "cohere tools",
        {
            "id": "c14c80c3",
            "finish_reason": "TOOL_CALL",
            "message": {
                "role": "assistant",
                "tool_plan": "I ask.",
                "tool_calls": [{"id": "t_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
            },
        },
        Answer("", None, "tool_call", parts=(ReasoningPart("I ask."), CALL)),
    ),
    (
        "cohere v1",
        {
            "response_id": "r",
            "generation_id": "g",
            "text": "Hi",
            "finish_reason": "COMPLETE",
            "meta": {"billed_units": {"input_tokens": 3, "output_tokens": 5}},
        },
        Answer("Hi", Usage(3, 5), parts=(TextPart("Hi"),)),
    ),
    (
        "cohere embed",
        {
            "id": "e",
            "embeddings": {"float": [[1.0, 2.0]]},
            "texts": ["one"],
            "meta": {"billed_units": {"input_tokens": 2}},
        },
        Answer("", Usage(2, None), parts=(BlobPart("embedding", VECTORS, "AACAPwAAAEA="),)),
    ),
]


def _said(response: HTTPResponse) -> Answer:
    return Answer(response.content, response.usage, response.finish_reason, response.model, parts=response.parts)


@pytest.mark.parametrize(("body", "answer"), [found[1:] for found in ANSWERS], ids=[found[0] for found in ANSWERS])
def test_an_answer_is_understood(body: Any, answer: Answer) -> None:
    """A body as it is documented is read as its text, parts, usage and reason to stop, without its request."""
    assert _said(HTTPResponse.of({"status": 200, "body": body})) == answer


def frames(*events: tuple[str, dict[str, Any]]) -> list[Any]:
    return [{"headers": {":event-type": kind, ":message-type": "event"}, "data": data} for kind, data in events]


STREAMS: list[tuple[str, list[Any], Answer]] = [
    (
        "anthropic that fails",
        [
            {"event": "message_start", "data": {"type": "message_start", "message": {"type": "message", "model": "c"}}},
            {"data": {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}},
            {"data": {"type": "ping"}},
            {"data": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "H"}}},
            {
                "event": "error",
                "data": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            },
        ],
        Answer("H", None, "error", "c", parts=(TextPart("H"),)),
    ),
    (
        "bedrock",
        frames(
            ("messageStart", {"role": "assistant", "p": "abc"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm"}}}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "."}}}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "s"}}}),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t_1", "name": "f"}}}),
            ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a"'}}}),
            ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": ": 1}"}}}),
            ("messageStop", {"stopReason": "tool_use"}),
            ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}}),
        ),
        Answer("", Usage(3, 5), "tool_call", parts=(ReasoningPart("Hm."), CALL)),
    ),
    (
        "cohere v1",
        [
            {"data": {"is_finished": False, "event_type": "stream-start", "generation_id": "g"}},
            {"data": {"is_finished": False, "event_type": "text-generation", "text": "H"}},
            {"data": {"is_finished": False, "event_type": "text-generation", "text": "i"}},
        ],
        Answer("Hi", parts=(TextPart("Hi"),)),
    ),
]


@pytest.mark.parametrize(("events", "answer"), [found[1:] for found in STREAMS], ids=[found[0] for found in STREAMS])
def test_a_stream_is_understood(events: list[Any], answer: Answer) -> None:
    """Events as they are documented are read as what they bring together, also where the last are missing."""
    assert _said(HTTPResponse.of({"status": 200, "events": events})) == answer


# Keys


def key(name: str, body: Any) -> str:
    return request_of("POST", url(name), {}, body).key


def permuted(value: Any) -> Any:
    """The same value with the keys of its objects the other way round."""
    if isinstance(value, dict):
        return {name: permuted(value[name]) for name in reversed(value)}
    return [permuted(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", PLACES)
@given(request_=chat_requests, data=st.data())
def test_one_character_makes_another_call(name: str, request_: Request, data: st.DataObject) -> None:
    """A changed character of any text is another call; keys of objects in another order are the same one."""
    request = fitting(name, request_)
    texts = [
        (at, one) for at, one in enumerate(request.messages) if any(isinstance(part, TextPart) for part in one.parts)
    ]
    assume(texts)
    at, message = data.draw(st.sampled_from(texts))
    parts = list(message.parts)
    which = data.draw(st.sampled_from([number for number, part in enumerate(parts) if isinstance(part, TextPart)]))
    changed = parts[which]
    assert isinstance(changed, TextPart)
    place = data.draw(st.integers(0, len(changed.content) - 1))
    parts[which] = TextPart(f"{changed.content[:place]}\N{SNOWMAN}{changed.content[place + 1 :]}")
    assume(parts[which] != changed)
    other = replace(
        request, messages=(*request.messages[:at], Message(message.role, parts), *request.messages[at + 1 :])
    )
    format = BY_NAME[name]
    body = sent(format.encode_request(request))
    assert key(name, permuted(body)) == key(name, body)
    assert key(name, sent(format.encode_request(other))) != key(name, body)


@pytest.mark.parametrize("name", PLACES)
def test_ids_of_tool_calls_change_no_key(name: str) -> None:
    """Ids that differ from run to run change no key, but which call is answered does."""

    def body(first: str, second: str, answered: str) -> Any:
        calls = [ToolCallPart(first, "f", {"id": "fixed"}), ToolCallPart(second, "g", {})]
        messages = (Message(USER, "Hi"), Message(MODEL, calls), Message(TOOL, [ToolCallResponsePart(answered, "ok")]))
        return BY_NAME[name].encode_request(Request("p:m", messages))

    if name == "ollama":
        # An answer names the function, and ids are only sent by some clients.
        assert key(name, body("a", "b", "f")) == key(name, body("c", "d", "f"))
        return
    if name == "gemini":
        # The encoded name of an answer is its id.
        def body(first: str, second: str, answered: str) -> Any:
            calls = [{"functionCall": {"id": one, "name": "f", "args": {"id": "x"}}} for one in (first, second)]
            answer = {"functionResponse": {"id": answered, "name": "f", "response": {}}}
            return {"contents": [{"role": "model", "parts": calls}, {"role": "user", "parts": [answer]}]}

    assert key(name, body("a", "b", "a")) == key(name, body("c", "d", "c"))
    assert key(name, body("a", "b", "a")) != key(name, body("a", "b", "b"))


def test_the_order_of_fields_names_no_ids() -> None:
    """Where several ids stand in one object, those in another order are the same call."""
    calls = [{"type": "tool_use", "id": name, "name": "f", "input": {}} for name in ("a", "b")]
    answer = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "x", "tool_use_id": "c"}]}
    first = {"messages": [{"role": "user", "content": [{**answer, "nested": calls}]}]}
    assert key("anthropic_messages", permuted(first)) == key("anthropic_messages", first)


@pytest.mark.parametrize("fields", [{"name": "f"}, {"name": "f", "args": {}}, {"code": "1"}])
def test_ids_of_all_that_gemini_runs_change_no_key(fields: dict[str, Any]) -> None:
    """A call without arguments has its id renamed as well, and so has its answer."""

    def body(name: str) -> Any:
        parts = [{"functionCall": {**fields, "id": name}}, {"functionResponse": {"id": name, "name": "f"}}]
        return {"contents": [{"role": "model", "parts": parts}]}

    assert key("gemini", body("a")) == key("gemini", body("b"))


# Paths


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/messages", "anthropic_messages"),
        ("/anthropic/v1/messages/count_tokens", "anthropic_messages"),
        ("/v1/messages/batches", None),
        ("/v1beta/tunedModels/t:streamGenerateContent", "gemini"),
        ("/v1beta/models", None),
        ("/model/arn%3Aaws%3Abedrock%2Fx/converse", "bedrock_converse"),
        ("/model/x/invoke-with-response-stream", "anthropic_messages"),
        ("/model/x/train", None),
        ("/api/chats", None),
        ("/api/generate/report", None),
        ("/v2/chat", "cohere_chat"),
        ("/v1/chat", "cohere_chat_v1"),
        ("/v1/chat/completions", "chat_completions"),
        ("/v1/embed", "cohere_embeddings"),
        ("/v1/embeddings", "embeddings"),
    ],
)
def test_a_path_tells_the_format(path: str, name: str | None) -> None:
    """Each path belongs to one format at most, and those beside it to none."""
    found = [format.name for format in FORMATS if format.path.search(path)]
    assert found == ([] if name is None else [name])


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("http://localhost:8000/api/chat", {"message": "Hi", "room": 7}),
        ("http://localhost:8000/api/generate", {"report": "sales"}),
        ("http://localhost:8000/v1/chat", {"message": "Hi"}),
        ("http://localhost:8000/v2/chat", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("http://localhost:8000/v1/messages", {"to": "a@example.org", "text": "Hi"}),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan/invoke", {"inputText": "Hi"}),
    ],
)
def test_a_body_of_another_application_is_refused(address: str, body: dict[str, Any]) -> None:
    """At a path that others may have as well, a body without what the provider's has is shown as it is."""
    request = request_of("POST", address, {}, body)
    assert request.messages[0].content.startswith("POST /")


# Recordings


def _interactions() -> list[dict[str, Any]]:
    files = sorted(RECORDINGS.glob("test_anthropic/*.yaml"))
    if not files:
        pytest.skip(f"{RECORDINGS} is not there: no body of a real call to Anthropic was read")
    found = [one for file in files for one in yaml.safe_load(file.read_text("utf-8"))["interactions"]]
    return [one for one in found if "anthropic.com" in one["request"]["uri"]]


def test_recorded_calls_of_anthropic_are_understood() -> None:
    """Requests and answers of real calls, streamed ones too, are read whole, and requests survive the way back."""
    format = BY_NAME["anthropic_messages"]
    for one in _interactions():
        request, response = one["request"], one["response"]
        asked = format.decode_request(request["parsed_body"], request["uri"])
        assert format.decode_request(sent(format.encode_request(asked)), "") == asked
        body = response["body"]["string"] if "body" in response else json.dumps(response["parsed_body"])
        packed = pack_answer(body.encode(), response["headers"]["content-type"][0])
        said = HTTPResponse.of({"status": 200, **packed})
        assert said.parts
        assert said.model
        assert said.usage
        assert said.usage.output_tokens
        assert all(isinstance(event, dict) and "raw" not in event for event in packed.get("events", ()))


def test_formats_are_named_once() -> None:
    """The names of formats tell them apart."""
    assert len({format.name for format in FORMATS}) == len(FORMATS)
    assert set(URLS) <= BY_NAME.keys()
    assert all(isinstance(format, Format) for format in FORMATS)
