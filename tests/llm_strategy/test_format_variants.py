"""How other servers write what OpenAI's formats say, and items that only some programs send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_strategy.values import (
    BlobPart,
    FilePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from llm_strategy.wire.bodies import pack_answer, parse_body
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse, request_of
from llm_strategy.wire.registry import find

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings"

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
CALLED = ToolCallPart("c1", "look", {"at": 1})


def asked(url: str, body: Any) -> HTTPRequest:
    return request_of("POST", url, {}, body)


def answered(body: bytes | dict[str, Any], content_type: str = "application/json") -> HTTPResponse:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    return HTTPResponse.of({"status": 200, **pack_answer(data, content_type)})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "chat_completions"),
        ("/openai/deployments/gpt-5/chat/completions", "chat_completions"),
        ("/openai/v1/chat/completions", "chat_completions"),
        ("/api/v1/chat/completions", "chat_completions"),
        ("/v1beta/openai/chat/completions", "chat_completions"),
        ("/v1/responses", "responses"),
        ("/openai/responses", "responses"),
        ("/openai/v1/responses", "responses"),
        ("/api/v1/responses", "responses"),
        ("/v1/responses/input_tokens", "responses"),
        ("/v1/embeddings", "embeddings"),
        ("/openai/deployments/e/embeddings", "embeddings"),
        ("/v1/completions", "completions"),
        ("/openai/deployments/d/completions", "completions"),
        ("/v1/fim/completions", "completions"),
        ("/embeddings", "embeddings"),
        ("/completions", "completions"),
        ("/search/completions", None),
        ("/images/embeddings", None),
        ("/api/embeddings", "ollama_embeddings"),
        ("/responses", None),
        ("/survey/responses", None),
        ("/v1/responses/resp_1", None),
        ("/v1/chat/completions/x", None),
        ("/v1/models", None),
    ],
)
def test_paths(path: str, name: str | None) -> None:
    """A format is found by the path, on any host; a path that means other things elsewhere is not taken for one."""
    found = find(path)
    assert (found and found.name) == name


@pytest.mark.parametrize("end", ["chat/completions", "responses", "embeddings", "completions"])
def test_azure_names_the_model_in_the_path(end: str) -> None:
    """A deployment is the model where the body names none, and another deployment is another call."""
    body = {"messages": [], "input": "x", "prompt": "x"}
    one, other = (asked(f"https://a.openai.azure.com/openai/deployments/{name}/{end}", body) for name in ("d1", "d2"))
    assert (one.model, other.model) == ("openai:d1", "openai:d2")
    assert one.key != other.key


def message(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (message(content="Hi", reasoning_content="Hm."), [ReasoningPart("Hm."), TextPart("Hi")]),  # DeepSeek
        (message(content="Hi", reasoning="Hm."), [ReasoningPart("Hm."), TextPart("Hi")]),  # Groq
        (
            message(content="Hi", reasoning="Hm.", reasoning_details=[{"type": "reasoning.text", "text": "Hm."}]),
            [ReasoningPart("Hm."), TextPart("Hi")],
        ),  # OpenRouter
        (
            message(
                content=[
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": "Hi"},
                ]
            ),
            [ReasoningPart("Hm."), TextPart("Hi")],
        ),  # Mistral
        (message(content="", tool_calls=[CALL]), [CALLED]),
        (message(content=None, function_call=CALL["function"]), [ToolCallPart(None, "look", {"at": 1})]),
        (
            message(
                content=None, tool_calls=[{"id": "c1", "type": "custom", "custom": {"name": "run", "input": "ls"}}]
            ),
            [ToolCallPart("c1", "run", "ls")],
        ),
        (
            message(content=None, audio={"id": "a1", "data": "AAAA", "transcript": "Hi"}),
            [TextPart("Hi"), BlobPart("audio", None, "AAAA")],
        ),
        (
            {"choices": [*message(content="Hi")["choices"], {"index": 1, "message": {"content": "Hello"}}]},
            [TextPart("Hi"), TextPart("Hello")],
        ),
    ],
)
def test_answers_of_other_servers(body: dict[str, Any], parts: list[Part]) -> None:
    """Reasoning, tool calls, audio and several choices are found where each server puts them."""
    response = answered(body)
    assert list(response.parts) == parts
    assert response.content == next((part.content for part in parts if isinstance(part, TextPart)), "")


def chunks(*deltas: dict[str, Any]) -> bytes:
    events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"


def piece(index: int | None, **function: str) -> dict[str, Any]:
    named = {name: function.pop(name) for name in ("id",) if name in function}
    return {"tool_calls": [{**({} if index is None else {"index": index}), **named, "function": function}]}


@pytest.mark.parametrize(
    ("stream", "parts"),
    [
        (
            chunks(
                piece(0, id="c1", name="look", arguments=""),
                piece(0, arguments='{"at"'),
                piece(1, id="c2", name="go", arguments="{}"),
                piece(0, arguments=": 1}"),
            ),
            [CALLED, ToolCallPart("c2", "go", {})],
        ),
        (
            # Gemini's compatible server sends whole calls, all of index 0.
            chunks(piece(0, id="c1", name="look", arguments='{"at": 1}'), piece(0, id="c2", name="go", arguments="{}")),
            [CALLED, ToolCallPart("c2", "go", {})],
        ),
        (
            chunks(piece(None, id="c1", name="look", arguments='{"at": 1}'), piece(None, name="go", arguments="{}")),
            [CALLED, ToolCallPart(None, "go", {})],
        ),
        (
            b": OPENROUTER PROCESSING\n\n" * 40 + chunks({"reasoning": "H"}, {"reasoning": "m."}, {"content": "Hi"}),
            None,
        ),
        (
            chunks(
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}, {"content": "Hi"}
            ),
            None,
        ),
        # Azure begins with what it filtered.
        (
            b'data: {"choices":[],"prompt_filter_results":[]}\n\n'
            + chunks({"reasoning_content": "Hm."}, {"content": "Hi"}),
            None,
        ),
    ],
)
def test_streams_of_other_servers(stream: bytes, parts: list[Part] | None) -> None:
    """Calls of tools are put together by index or id, reasoning by its field; comments are passed over."""
    assert list(answered(stream, "text/event-stream").parts) == (parts or [ReasoningPart("Hm."), TextPart("Hi")])


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ([{"type": "image_url", "image_url": "https://a/b.png"}], [UriPart("image", None, "https://a/b.png")]),
        ([{"type": "document_url", "document_url": "https://a/b.pdf"}], [UriPart("document", None, "https://a/b.pdf")]),
        ([{"type": "input_audio", "input_audio": "AAAA"}], [BlobPart("audio", None, "AAAA")]),
        ([{"type": "file", "file_id": "f"}], [FilePart("document", None, "f")]),
        (
            [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}],
            [BlobPart("video", "video/mp4", "AAAA")],
        ),
        ([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], [TextPart("a")]),
    ],
)
def test_contents_of_other_servers(content: Any, parts: list[Part]) -> None:
    """Mistral and OpenRouter have parts of their own."""
    request = asked("https://api.mistral.ai/v1/chat/completions", {"messages": [{"role": "user", "content": content}]})
    assert list(request.messages[0].parts) == parts


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"role": "developer", "content": "Hi"}, Message("system", "Hi")),
        ({"type": "custom_tool_call", "call_id": "c", "name": "run", "input": "ls"}, ToolCallPart("c", "run", "ls")),
        ({"type": "custom_tool_call_output", "call_id": "c", "output": "a.py"}, ToolCallResponsePart("c", "a.py")),
        (
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "Hi"}]},
            ToolCallResponsePart("c", "Hi"),
        ),
        (
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
            ToolCallPart("ws_1", "web_search_call", {"action": {"type": "search"}}),
        ),
        (
            {"type": "mcp_approval_request", "id": "m_1", "name": "go", "arguments": "{}"},
            ToolCallPart("m_1", "mcp_approval_request", {"name": "go", "arguments": "{}"}),
        ),
        (
            {"type": "mcp_approval_response", "approval_request_id": "m_1", "approve": True},
            ToolCallResponsePart("m_1", {"approve": True}),
        ),
        (
            {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "file_id": "f"}},
            ToolCallResponsePart("c", {"output": {"type": "computer_screenshot", "file_id": "f"}}),
        ),
        ({"type": "image_generation_call", "id": "ig_1", "result": "AAAA"}, BlobPart("image", "image/png", "AAAA")),
        ({"type": "item_reference", "id": "msg_1"}, FilePart("item", None, "msg_1")),
        (
            {"role": "user", "content": [{"type": "input_file", "file_url": "https://a/b.pdf"}]},
            Message("user", [UriPart("document", None, "https://a/b.pdf")]),
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
            Message("user", [FilePart("image", None, "f")]),
        ),
        ({"type": "something_new", "id": "x", "what": 1}, ToolCallPart("x", "something_new", {"what": 1})),
    ],
)
def test_items_of_responses(item: Any, said: Any) -> None:
    """Every kind of item is shown, those of the provider's own tools and those still unknown too."""
    found = find("/v1/responses")
    assert found is not None
    (message_,) = found.decode_request({"input": [item]}, "").messages
    role = "tool" if isinstance(said, ToolCallResponsePart) else "assistant"
    assert message_ == (said if isinstance(said, Message) else Message(role, [said]))


@pytest.mark.parametrize(
    ("fields", "reason", "content"),
    [
        ({"status": "completed"}, "stop", "Hi"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length", "Hi"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter", "Hi"),
        ({"status": "failed", "output": [], "error": {"message": "Broken", "code": "x"}}, "error", "Broken"),
        ({"status": "queued", "output": []}, "queued", ""),
        (
            {"output": [{"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}]},
            "refusal",
            "No.",
        ),
    ],
)
def test_why_a_response_ended(fields: dict[str, Any], reason: str, content: str) -> None:
    """Finish reasons have the names that they have everywhere here."""
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    response = answered({"object": "response", "status": "completed", "output": [said], "model": "m", **fields})
    assert (response.finish_reason, response.content) == (reason, content)


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (
            "https://api.openai.com/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
        ),
        ("https://api.openai.com/v1/chat/completions", {"messages": [{"role": "user", "tool_calls": 3}]}),
        ("https://api.openai.com/v1/responses", {"input": [{"role": "user", "content": [{"type": "hologram"}]}]}),
        ("https://api.openai.com/v1/responses", {"input": 3, "tools": 3}),
        ("https://api.openai.com/v1/embeddings", {"model": "m"}),
        ("https://api.openai.com/v1/completions", ["x"]),
        ("https://api.openai.com/v1/completions", "x"),
        ("https://api.openai.com/v1/responses", None),
    ],
)
def test_what_a_format_does_not_know_is_shown_as_it_is(url: str, body: Any) -> None:
    """A body that is not understood does not fail: it is the text of a message."""
    request = asked(url, body)
    assert request.messages[0].content.startswith(f"POST /v1/{url.rpartition('/v1/')[2]}")
    assert "hologram" in request.messages[0].content or "hologram" not in str(body)


@pytest.mark.parametrize(
    ("host", "model"),
    [
        ("api.openai.com", "openai:m"),
        ("mine.openai.azure.com", "openai:m"),
        ("localhost:8765", "openai:m"),
        ("127.0.0.1:8765", "openai:m"),
        ("api.cohere.com", "cohere:m"),
        ("generativelanguage.googleapis.com", "google:m"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock:m"),
    ],
)
def test_whose_model_it_is(host: str, model: str) -> None:
    """A call of no known format names its model by the owner of its host."""
    assert asked(f"https://{host}/v9/x", {"model": "m"}).model == model


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"output": [3]},
        {"output": [{"type": "message", "content": 3}]},
        {"data": [{"embedding": ["x"]}]},
        {"data": [{"embedding": 3}]},
        {"data": []},
        {"choices": [{"text": 3}]},
        {"choices": 3},
        {"choices": [3]},
        b"[1]",
        b"not JSON",
        b"",
    ],
)
def test_answers_that_are_none(body: Any) -> None:
    """An answer of no known format has no parts, and nothing fails."""
    assert answered(body).parts == ()


def recorded() -> Iterator[tuple[str, HTTPRequest, HTTPResponse]]:
    """Each recorded call of these formats, with the name of its file."""
    for path in sorted(RECORDINGS.glob("test_openai*/*.yaml")):
        for interaction in yaml.safe_load(path.read_text("utf-8"))["interactions"]:
            sent, came = interaction["request"], interaction["response"]
            if sent["method"] == "POST" and sent["uri"].endswith(("/chat/completions", "/responses")):
                body = parse_body(json.dumps(sent["parsed_body"]).encode())
                reply = came["parsed_body"] if "parsed_body" in came else came["body"]["string"]
                data = json.dumps(reply).encode() if isinstance(reply, dict) else reply.encode()
                packed = pack_answer(data, came["headers"]["content-type"][0])
                yield path.stem, asked(sent["uri"], body), HTTPResponse.of({"status": came["status"]["code"], **packed})


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recorded traffic in ../shared/recordings is not here")
def test_recorded_traffic_is_understood() -> None:
    """What real clients and servers exchanged is decoded: who says what, and what was answered."""
    calls = list(recorded())
    assert len(calls) >= 25
    for name, request, response in calls:
        assert not request.messages[0].content.startswith("POST "), name
        assert request.model == f"openai:{request.http['body']['model']}", name
        # An error, an answer that is not there yet, and the echo of a server that is no provider.
        if response.status < 400 and response.finish_reason != "queued" and name != "test_invalid_response":
            assert response.parts, name
            assert response.usage is not None, name
            called = any(isinstance(part, ToolCallPart) for part in response.parts)
            assert response.content or called, name
