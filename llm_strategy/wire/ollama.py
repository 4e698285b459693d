"""The formats of Ollama: `/api/chat` and `/api/generate`; `ollama_embeddings` has the embeddings.

Their paths may be those of any web application: at other hosts than Ollama's a call is one only if its body names a
model and has messages, or a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import (
    JSON,
    BlobPart,
    Message,
    Part,
    ReasoningPart,
    Request,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
)
from llm_strategy.wire.bodies import event_data
from llm_strategy.wire.chat_completion_chunks import halves
from llm_strategy.wire.chat_messages import arguments_value, to_text
from llm_strategy.wire.fields import (
    function_tool,
    inverse,
    listed,
    mapping,
    number,
    renamed,
    said,
    text,
    usage,
    with_named_ids,
)
from llm_strategy.wire.format import Answer, Format

_SETTINGS = {"num_predict": "max_tokens"}
_BESIDE = frozenset(
    "keep_alive think raw template suffix context truncate dimensions format logprobs top_logprobs".split()
)
"""Settings that stand beside `options`."""
_NO_SETTINGS = frozenset("model messages prompt system images tools options stream format input".split())
_TEXTS = ("thinking", "content")


def decode_settings(body: Mapping[str, Any]) -> tuple[FrozenJSON | None, FrozenJSON]:
    """The schema of the reply and the settings in a body."""
    form = body.get("format")
    settings = {name: value for name, value in body.items() if name not in _NO_SETTINGS}
    settings |= renamed(body.get("options") or {}, _SETTINGS)
    if isinstance(form, Mapping):
        return FrozenJSON(form), FrozenJSON(settings)
    return None, FrozenJSON(settings | ({"format": form} if form else {}))


def encode_settings(request: Request) -> dict[str, JSON]:
    """The fields of a body that are no prompt."""
    settings = renamed(request.settings, inverse(_SETTINGS))
    fields: dict[str, JSON] = {name: settings.pop(name) for name in sorted(_BESIDE & settings.keys())}
    if settings:
        fields["options"] = settings
    return fields if request.output_schema is None else {**fields, "format": request.output_schema}


def named(body: Mapping[str, Any]) -> str:
    """The model; raises ValueError where the body names none, as that of another application."""
    name = body.get("model")
    if not isinstance(name, str):
        raise ValueError("the body names no model")
    return f"ollama:{name}"


def name_of(request: Request) -> str:
    return (request.model or "").partition(":")[2]


def decode_request(body: Any, _url: str = "") -> Request:
    """The request of `/api/chat`; raises ValueError where the body is none."""
    body = mapping(body, "the body")
    schema, settings = decode_settings(body)
    messages = tuple(map(_decode_message, listed(body.get("messages"), "messages")))
    tools = tuple(_decode_tool(tool) for tool in body.get("tools") or ())
    return Request(named(body), messages, schema, tools, settings)


def _decode_tool(tool: Mapping[str, Any]) -> FrozenJSON:
    function = tool.get("function")
    return function_tool(function, "parameters") if isinstance(function, Mapping) else FrozenJSON(tool)


def _decode_message(message: Any) -> Message:
    message = mapping(message, "a message")
    role = str(message["role"])
    if role == "tool":
        name = text(message.get("tool_call_id")) or text(message.get("tool_name"))
        return Message(role, [ToolCallResponsePart(name, message.get("content"))])
    return Message(role, list(_parts(message)) or [TextPart("")])


def _parts(message: Mapping[str, Any]) -> Iterator[Part]:
    if thought := text(message.get("thinking")):
        yield ReasoningPart(thought)
    if content := text(message.get("content")):
        yield TextPart(content)
    yield from decode_images(message)
    for call in message.get("tool_calls") or ():
        function = mapping(mapping(call, "a call").get("function"), "a function")
        arguments = arguments_value(function.get("arguments"))
        yield ToolCallPart(text(call.get("id")), str(function.get("name")), arguments)


def decode_images(holder: Mapping[str, Any]) -> Iterator[Part]:
    return (BlobPart("image", None, image) for image in holder.get("images") or () if isinstance(image, str))


def encode_request(request: Request) -> dict[str, JSON]:
    """The body of `/api/chat`; raises ValueError where the format has no place for what is asked."""
    request = request.sent()
    body: dict[str, JSON] = {
        "model": name_of(request),
        "messages": [encoded for message in request.messages for encoded in _encode_message(message)],
    }
    if request.tools:
        body["tools"] = [_encode_tool(tool) for tool in request.tools]
    return body | encode_settings(request)


def _encode_tool(tool: Mapping[str, JSON]) -> JSON:
    function = {name: value for name, value in tool.items() if name != "type"}
    return {"type": "function", "function": function} if tool.get("type") == "function" else tool


def _encode_message(message: Message) -> Iterator[dict[str, JSON]]:
    """One message as those that say the same: each answer of a tool is one of its own."""
    rest = [part for part in message.parts if not isinstance(part, ToolCallResponsePart)]
    for part in message.parts:
        if isinstance(part, ToolCallResponsePart):
            content = part.response if isinstance(part.response, str) else to_text(part.response)
            yield {"role": "tool", "content": content, **({"tool_name": part.id} if part.id else {})}
    if rest:
        yield {"role": message.role, **_encode_parts(rest)}


def _encode_parts(parts: Iterable[Part]) -> dict[str, JSON]:
    fields: dict[str, Any] = {"content": ""}
    for part in parts:
        match part:
            case TextPart(content):
                fields["content"] += content
            case ReasoningPart(content):
                fields["thinking"] = fields.get("thinking", "") + content
            case BlobPart("image", _, content):
                fields.setdefault("images", []).append(content)
            case ToolCallPart(name, tool, arguments):
                call = {"function": {"name": tool, "arguments": arguments}}
                fields.setdefault("tool_calls", []).append({"id": name, **call} if name else call)
            case _:
                raise ValueError(f"Ollama has no place for {part.type}")
    return fields


def decode_response(body: Any) -> Answer:
    """Raises ValueError where the body is no answer of Ollama's."""
    body = mapping(body, "the body")
    if "done" not in body:
        raise ValueError("the body does not say whether the answer is whole")
    message = body.get("message")
    if message is None:
        # As `/api/generate` says it.
        message = {"content": body["response"], "thinking": body.get("thinking")}
    parts = list(_parts(mapping(message, "the message")))
    reason = str(body.get("done_reason") or "stop")
    if reason == "stop" and any(isinstance(part, ToolCallPart) for part in parts):
        reason = "tool_call"
    counts = usage(number(body.get("prompt_eval_count")), number(body.get("eval_count")))
    return said(parts, counts, reason, body.get("model"))


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The body of an answer of `/api/chat`."""
    return {**_outer(answer), "message": {"role": "assistant", **_encode_parts(answer.parts)}}


def _outer(answer: Answer) -> dict[str, JSON]:
    body: dict[str, JSON] = {
        "model": answer.model,
        "created_at": "2023-08-04T19:22:45.499127Z",
        "done": True,
        "done_reason": "stop" if answer.finish_reason == "tool_call" else answer.finish_reason,
        "total_duration": 1,
    }
    if answer.usage is not None:
        body |= {"prompt_eval_count": answer.usage.input_tokens, "eval_count": answer.usage.output_tokens}
    return body


def join(events: Iterable[JSON]) -> dict[str, Any]:
    """The body of the answer that lines have brought so far; empty where they are none of Ollama's."""
    body: dict[str, Any] = {}
    message: dict[str, Any] = {}
    for data in map(event_data, events):
        if not isinstance(data, Mapping) or "done" not in data:
            return {}
        texts = {name: body.get(name, "") + data[name] for name in ("response", "thinking") if name in data}
        body |= {**data, **texts}
        for name, value in (data.get("message") or {}).items():
            if name in _TEXTS or name in ("tool_calls", "images"):
                message[name] = message[name] + value if message.get(name) else value
            else:
                message[name] = value
    return {**body, "message": message} if message else body


def ends(event: JSON) -> bool:
    """Whether nothing of an answer follows a line."""
    data = event_data(event)
    return isinstance(data, Mapping) and data.get("done") is True


def split(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The lines that bring an answer of `/api/chat` piece by piece."""
    common = {name: body[name] for name in ("model", "created_at")}
    message = body["message"]
    for name in _TEXTS:
        for piece in halves(message.get(name) or ""):
            yield {"data": {**common, "message": {"role": "assistant", "content": "", name: piece}, "done": False}}
    if calls := message.get("tool_calls"):
        yield {"data": {**common, "message": {"role": "assistant", "content": "", "tool_calls": calls}, "done": False}}
    yield {"data": {**body, "message": {"role": "assistant", "content": ""}}}


def rename_ids(body: JSON) -> JSON:
    """Name the calls of tools by first appearance, where the client sends ids."""
    if not isinstance(body, Mapping) or not isinstance(body.get("messages"), list):
        return body
    return {**body, "messages": with_named_ids(body["messages"], _is_id, frozenset(("arguments",)))}


def _is_id(holder: Mapping[str, Any], field: str) -> bool:
    return field == "tool_call_id" or (field == "id" and "function" in holder)


# What completes a prompt without a conversation


def decode_prompt(body: Any, _url: str = "") -> Request:
    """The request of `/api/generate`; raises ValueError where the body is none."""
    body = mapping(body, "the body")
    schema, settings = decode_settings(body)
    system = text(body.get("system"))
    if not body.keys() & {"prompt", "keep_alive"}:
        # Without a prompt a model is loaded, or unloaded.
        raise ValueError("the body has no prompt")
    content = TextPart(text(body.get("prompt")) or "")
    asked = Message("user", [content, *decode_images(body)])
    return Request(named(body), (*([Message("system", system)] if system else []), asked), schema, (), settings)


def encode_prompt(request: Request) -> dict[str, JSON]:
    """The body of `/api/generate`; raises ValueError where the format has no place for what is asked."""
    request = request.sent()
    system = "".join(message.content for message in request.messages if message.role == "system")
    asked = [part for message in request.messages if message.role != "system" for part in message.parts]
    fields = _encode_parts(asked)
    body: dict[str, JSON] = {"model": name_of(request), "prompt": fields.pop("content")}
    return body | ({"system": system} if system else {}) | fields | encode_settings(request)


def encode_completion(answer: Answer) -> dict[str, JSON]:
    """The body of an answer of `/api/generate`."""
    fields = _encode_parts(answer.parts)
    return {**_outer(answer), "response": fields.pop("content"), **fields}


def split_completion(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The lines that bring an answer of `/api/generate` piece by piece."""
    common = {name: body[name] for name in ("model", "created_at")}
    for name in ("thinking", "response"):
        for piece in halves(body.get(name) or ""):
            yield {"data": {**common, "response": "", name: piece, "done": False}}
    yield {"data": {**{name: value for name, value in body.items() if name != "thinking"}, "response": ""}}


FORMAT = Format(
    "ollama",
    re.compile(r"/api/chat$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    join,
    split,
    ends,
    rename_ids,
    is_common=True,
)
COMPLETIONS = Format(
    "ollama_completions",
    re.compile(r"/api/generate$"),
    decode_prompt,
    decode_response,
    encode_prompt,
    encode_completion,
    join,
    split_completion,
    ends,
    is_common=True,
)
