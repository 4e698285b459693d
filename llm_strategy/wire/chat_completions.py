"""OpenAI's Chat Completions format: JSON bodies <-> requests and responses.

Pure functions; what they return may share parts with what they are given and is not to be changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import JSON, Message, Request, Response, TextPart, Usage
from llm_strategy.wire.chat_completion_chunks import is_last, join_chunks, split_chunks
from llm_strategy.wire.chat_messages import decode_calls, decode_message, decode_parts, encode_message, text_of
from llm_strategy.wire.format import Answer, Format
from llm_strategy.wire.structured_output import Structured, response_format, strict_schema

__all__ = [
    "FORMAT",
    "decode",
    "decode_message",
    "decode_request",
    "decode_response",
    "decode_usage",
    "encode",
    "encode_request",
    "encode_response",
    "encode_tool",
    "encode_usage",
    "error_message",
    "named_model",
    "strict_schema",
    "tokens_name",
]

_FINISH_REASONS = {"tool_calls": "tool_call", "function_call": "tool_call"}
_OWN_HOSTS = (".openai.com", ".azure.com", ".azure.us", ".azure.cn")
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")
_NO_SETTINGS = frozenset("model messages tools stream stream_options".split())


def tokens_name(host: str) -> str:
    """What the server at a host calls the limit on the tokens of a reply.

    OpenAI's own models refuse the old name, most other servers know only that.
    """
    return "max_completion_tokens" if f".{host}".endswith(_OWN_HOSTS) else "max_tokens"


def encode(
    request: Request,
    *,
    completion_tokens_name: str = "max_completion_tokens",
    structured: Structured = "strict",
) -> dict[str, JSON]:
    """The body of `POST /chat/completions` for a request.

    `structured` is how much of the reply's form the server is told. Settings of names that Chat
    Completions does not know are passed on as they are. Raises ValueError where the request holds
    what the format has no place for.
    """
    model = request.model
    if model is None:
        raise ValueError("the request names no model")
    request = request.sent()
    body: dict[str, JSON] = {
        "model": model.partition(":")[2] or model,
        "messages": [encoded for message in request.messages for encoded in encode_message(message)],
    }
    if request.tools:
        body["tools"] = [encode_tool(tool) for tool in request.tools]
    if form := response_format(request.output_schema, structured):
        body["response_format"] = form
    for name, value in request.settings.items():
        body[completion_tokens_name if name == "max_tokens" else name] = value
    return body


def encode_tool(tool: Mapping[str, JSON]) -> JSON:
    """A tool as Chat Completions describes one: what a function is stands in an object of its own."""
    if "function" in tool or tool.get("type", "function") != "function":
        return tool
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def decode(body: Mapping[str, Any]) -> Response:
    """The response in the body of a completion that was not streamed.

    Raises ValueError where the body is none: no object, an error in place of an answer, no choices.
    """
    choice = first_choice(body)
    message = choice["message"]
    content, reason = text_of(message.get("content")), choice.get("finish_reason") or "stop"
    calls = tuple(decode_calls(message))
    if isinstance(refusal := message.get("refusal"), str) and refusal and not content:
        content, reason = refusal, "refusal"
    elif reason == "stop" and calls:
        reason = "tool_call"
    model = body.get("model")
    return Response(
        content,
        decode_usage(body.get("usage")),
        _FINISH_REASONS.get(reason, str(reason)),
        model if isinstance(model, str) else None,
        tool_calls=calls,
    )


def decode_response(body: Any) -> Answer:
    """The same with all parts, of each choice where there are several; raises ValueError as `decode`."""
    said = decode(body)
    messages = [choice["message"] for choice in body["choices"]]
    parts = tuple(part for message in messages for part in decode_parts(message))
    # What was said aloud alone.
    content = said.content or "".join(part.content for part in decode_parts(messages[0]) if isinstance(part, TextPart))
    return Answer(content, said.usage, said.finish_reason, said.model, parts=parts)


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The body of a completion that says an answer; raises ValueError for what the format has no place for."""
    refused = answer.finish_reason == "refusal"
    parts = [part for part in answer.parts if not (refused and isinstance(part, TextPart))]
    message = next(encode_message(Message("assistant", parts), reasoning=True))
    message["content"] = message["content"] or None
    message["refusal"] = answer.content if refused else None
    reason = {"tool_call": "tool_calls", "refusal": "stop"}.get(answer.finish_reason, answer.finish_reason)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": encode_usage(answer.usage),
    }


def first_choice(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise ValueError(f"the body is {kind(body)}, not an object")
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for holder in (body, choice):
        if isinstance(holder, Mapping) and holder.get("error"):
            raise ValueError(f"the server reports an error: {error_message(holder['error'])}")
    if choice is None:
        raise ValueError(f"the body has no choices, only {', '.join(map(str, body)) or 'nothing'}")
    if not isinstance(choice, Mapping) or not isinstance(choice.get("message"), Mapping):
        raise ValueError("the first choice has no message")
    return choice


def kind(value: object) -> str:
    return "empty" if value is None or value == "" else f"a {type(value).__name__}"


def error_message(error: object) -> str:
    """What the error object of a body says, on one line."""
    said = error.get("message") or error.get("code") if isinstance(error, Mapping) else None
    return " ".join(str(said or error).split())


def encode_usage(usage: Usage | None) -> JSON:
    if usage is None:
        return None
    counts = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
    return {**counts, "total_tokens": sum(filter(None, counts.values()))}


def decode_usage(usage: object) -> Usage | None:
    """The token counts of a body, None where it has none."""
    if not isinstance(usage, Mapping):
        return None
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return Usage(*(count if isinstance(count, int) else None for count in counts))


def decode_request(body: Any, url: str = "", *, provider: str = "openai") -> Request:
    """The request in a body of `POST /chat/completions`.

    A schema is taken over as it was sent; a form of reply without schema stays among the settings.
    Raises ValueError where the body is no such request.
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("messages"), list):
        raise ValueError("the body has no list of messages")
    settings = {name: value for name, value in body.items() if name not in _NO_SETTINGS}
    if "max_completion_tokens" in settings:
        settings["max_tokens"] = settings.pop("max_completion_tokens")
    form = settings.get("response_format")
    schema = form.get("json_schema", {}).get("schema") if isinstance(form, Mapping) else None
    if schema is not None:
        del settings["response_format"]
    return Request(
        named_model(body, url, provider),
        tuple(decode_message(message) for message in body["messages"]),
        schema,
        tuple(_decode_tool(tool) for tool in body.get("tools") or ()),
        FrozenJSON(settings),
    )


def named_model(body: Mapping[str, Any], url: str, provider: str = "openai") -> str | None:
    """The model that a body names, or, as Azure does, the address."""
    deployment = _DEPLOYMENT.search(urlsplit(url).path)
    name = body.get("model") or (deployment and deployment[1])
    return f"{provider}:{name}" if name else None


def _decode_tool(tool: Mapping[str, Any]) -> FrozenJSON:
    function = tool.get("function")
    return FrozenJSON({"type": "function", **function} if isinstance(function, Mapping) else tool)


def encode_request(request: Request) -> dict[str, JSON]:
    """The body for a request with all that `decode_request` finds in one: the schema as it is, and reasoning."""
    body = encode(request, structured="none")
    messages = [encoded for message in request.messages for encoded in encode_message(message, reasoning=True)]
    if request.output_schema is not None:
        named = {"name": "reply", "schema": request.output_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return {**body, "messages": messages}


def rename_ids(body: JSON) -> JSON:
    """Name the tool calls' ids by first appearance: clients make them at random."""
    messages = body.get("messages") if isinstance(body, Mapping) else None
    if not isinstance(messages, list):
        return body
    names: dict[str, str] = {}

    def renamed(item: Any, field: str) -> Any:
        if not isinstance(item, Mapping) or not isinstance(item.get(field), str):
            return item
        return {**item, field: names.setdefault(item[field], f"call_{len(names) + 1}")}

    def renamed_all(message: Any) -> Any:
        calls = message.get("tool_calls") if isinstance(message, Mapping) else None
        if isinstance(calls, list):
            return {**message, "tool_calls": [renamed(call, "id") for call in calls]}
        return renamed(message, "tool_call_id")

    return {**body, "messages": [renamed_all(message) for message in messages]}


FORMAT = Format(
    "chat_completions",
    re.compile(r"/chat/completions$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    join_chunks,
    split_chunks,
    is_last,
    rename_ids,
)
