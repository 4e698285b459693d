"""OpenAI's Chat Completions format: JSON bodies <-> requests and responses.

Pure functions; what they return may share parts with what they are given and is not to be changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.content import file_name
from llm_strategy.values import (
    JSON,
    BlobPart,
    FilePart,
    Message,
    Part,
    ReasoningPart,
    Request,
    Response,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
    Usage,
)
from llm_strategy.wire.structured_output import Structured, response_format, strict_schema

__all__ = [
    "decode",
    "decode_message",
    "decode_request",
    "decode_usage",
    "encode",
    "encode_tool",
    "error_message",
    "strict_schema",
    "tokens_name",
]

_FINISH_REASONS = {"tool_calls": "tool_call", "function_call": "tool_call"}
_OWN_HOSTS = (".openai.com", ".azure.com", ".azure.us", ".azure.cn")
_ROLES = {"developer": "system", "function": "tool"}
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
        "messages": [encoded for message in request.messages for encoded in _encode_message(message)],
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


def _encode_message(message: Message) -> Iterator[dict[str, JSON]]:
    """One message as those that say the same: each answer of a tool is one of its own."""
    content = [_encode_part(part) for part in message.parts if not isinstance(part, _APART)]
    calls = [_encode_call(part) for part in message.parts if isinstance(part, ToolCallPart)]
    answers = [part for part in message.parts if isinstance(part, ToolCallResponsePart)]
    for answer in answers:
        said = answer.response if isinstance(answer.response, str) else _to_text(answer.response)
        yield {"role": "tool", "tool_call_id": answer.id or "", "content": said}
    if content or not answers:
        encoded: dict[str, JSON] = {"role": message.role, "content": _shorten(content)}
        if calls:
            encoded["tool_calls"] = calls
            encoded["content"] = encoded["content"] or None
        yield encoded


# What stands beside a message's content, or (reasoning) is not sent back.
_APART = (ToolCallPart, ToolCallResponsePart, ReasoningPart)


def _shorten(content: list[dict[str, JSON]]) -> JSON:
    """A single text as a string: servers of few skills know no list."""
    if not content:
        return ""
    return content[0]["text"] if len(content) == 1 and content[0]["type"] == "text" else content


def _encode_part(part: Part) -> dict[str, JSON]:
    match part:
        case TextPart(content):
            return {"type": "text", "text": content}
        case BlobPart("image", mime_type, content):
            return {"type": "image_url", "image_url": {"url": _data_url(mime_type or "image/png", content)}}
        case BlobPart("audio", mime_type, content):
            kind = (mime_type or "audio/wav").rpartition("/")[2].removeprefix("x-")
            return {"type": "input_audio", "input_audio": {"data": content, "format": _AUDIO.get(kind, kind)}}
        case BlobPart(modality, mime_type, content) if modality != "video":
            mime_type = mime_type or "application/pdf"
            name = file_name(modality, mime_type)
            return {"type": "file", "file": {"filename": name, "file_data": _data_url(mime_type, content)}}
        case UriPart("image", _, uri):
            return {"type": "image_url", "image_url": {"url": uri}}
        case FilePart(_, _, file_id):
            return {"type": "file", "file": {"file_id": file_id}}
        case _:
            modality, media_type = getattr(part, "modality", "content"), getattr(part, "mime_type", None)
            kind = f" ({media_type})" if media_type else ""
            given = {"uri": "an address: pass the file itself, or", "blob": "content:"}.get(part.type, f"{part.type}:")
            raise ValueError(
                f"Chat Completions has no place for {modality}{kind} given as {given} ask a model of another kind"
            )


_AUDIO = {"mpeg": "mp3", "wave": "wav"}


def _data_url(mime_type: str, content: str) -> str:
    return f"data:{mime_type};base64,{content}"


def _encode_call(part: ToolCallPart) -> dict[str, JSON]:
    arguments = part.arguments if isinstance(part.arguments, str) else _to_text(part.arguments)
    return {"id": part.id or "", "type": "function", "function": {"name": part.name, "arguments": arguments}}


def _to_text(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def decode(body: Mapping[str, Any]) -> Response:
    """The response in the body of a completion that was not streamed.

    Raises ValueError where the body is none: no object, an error in place of an answer, no choices.
    """
    choice = _first_choice(body)
    message = choice["message"]
    content, reason = _text(message.get("content")), choice.get("finish_reason") or "stop"
    if isinstance(refusal := message.get("refusal"), str) and refusal and not content:
        content, reason = refusal, "refusal"
    elif reason == "stop" and message.get("tool_calls"):
        reason = "tool_call"
    model = body.get("model")
    return Response(
        content,
        decode_usage(body.get("usage")),
        _FINISH_REASONS.get(reason, str(reason)),
        model if isinstance(model, str) else None,
    )


def _first_choice(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise ValueError(f"the body is {_kind(body)}, not an object")
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


def _kind(value: object) -> str:
    return "empty" if value is None or value == "" else f"a {type(value).__name__}"


def error_message(error: object) -> str:
    """What the error object of a body says, on one line."""
    said = error.get("message") or error.get("code") if isinstance(error, Mapping) else None
    return " ".join(str(said or error).split())


def decode_usage(usage: object) -> Usage | None:
    """The token counts of a body, None where it has none."""
    if not isinstance(usage, Mapping):
        return None
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return Usage(*(count if isinstance(count, int) else None for count in counts))


def _text(content: object) -> str:
    """The text of a message's content: a string, or a list of which the texts are joined."""
    if isinstance(content, list):
        texts = [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
        return "".join(texts)
    return content if isinstance(content, str) else ""


def decode_request(body: Any, *, provider: str = "openai") -> Request:
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
        f"{provider}:{body['model']}" if body.get("model") else None,
        tuple(decode_message(message) for message in body["messages"]),
        schema,
        tuple(_decode_tool(tool) for tool in body.get("tools") or ()),
        FrozenJSON(settings),
    )


def _decode_tool(tool: Mapping[str, Any]) -> FrozenJSON:
    function = tool.get("function")
    return FrozenJSON({"type": "function", **function} if isinstance(function, Mapping) else tool)


def decode_message(message: Any) -> Message:
    """One message of a body; raises ValueError where it holds what is not known."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise ValueError("a message is an object with a role")
    role = str(_ROLES.get(message["role"], message["role"]))
    content = message.get("content")
    if role == "tool":
        return Message(role, [ToolCallResponsePart(message.get("tool_call_id") or None, _text(content))])
    parts: list[Part] = []
    if isinstance(thought := message.get("reasoning_content"), str) and thought:
        parts.append(ReasoningPart(thought))
    if isinstance(content, list):
        parts.extend(map(_decode_part, content))
    elif said := content or message.get("refusal"):
        parts.append(TextPart(str(said)))
    parts.extend(map(_decode_call, message.get("tool_calls") or ()))
    return Message(role, parts or [TextPart("")])


def _decode_part(part: Any) -> Part:
    match part:
        case str(text) | {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return TextPart(text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return _from_data_url("image", url) or UriPart("image", None, url)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(coding)}}:
            return BlobPart("audio", f"audio/{'mpeg' if coding == 'mp3' else coding}", data)
        case {"type": "file", "file": {"file_id": str(file_id)}}:
            return FilePart("document", None, file_id)
        case {"type": "file", "file": {"file_data": str(data)}}:
            return _from_data_url("document", data) or BlobPart("document", None, data)
        case _:
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise ValueError(f"content of type {kind!r} is not known")


def _from_data_url(modality: str, url: str) -> BlobPart | None:
    head, comma, content = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return BlobPart(modality, head[len("data:") :].partition(";")[0] or None, content)


def _decode_call(call: Mapping[str, Any]) -> ToolCallPart:
    function = call.get("function") or call.get("custom") or {}
    arguments = function.get("arguments", function.get("input"))
    return ToolCallPart(call.get("id") or None, str(function.get("name")), _from_text(arguments))


def _from_text(arguments: Any) -> JSON:
    """Arguments as JSON; what is none, or only a string, stays the text that it came as."""
    try:
        value = json.loads(arguments)
    except (TypeError, ValueError):
        return arguments
    return arguments if isinstance(value, str) else value
