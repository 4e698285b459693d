"""Google's format for Gemini, at AI Studio and Vertex AI: JSON bodies <-> requests and responses.

The address names the model. Fields are known in camelCase, as Google's documentation has them, and in snake_case, as
some clients send them; settings of no provider-neutral name have camelCase. `gemini_embeddings` has the embeddings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from llm_strategy.canonical import FrozenJSON
from llm_strategy.content import modality
from llm_strategy.values import (
    JSON,
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
from llm_strategy.wire.bodies import event_data
from llm_strategy.wire.chat_completion_chunks import halves
from llm_strategy.wire.fields import (
    as_text,
    function_tool,
    inverse,
    listed,
    mapping,
    named_parameters,
    number,
    renamed,
    said,
    text,
    total,
    usage,
    with_named_ids,
)
from llm_strategy.wire.format import Answer, Format

_MODEL = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:]+):\w+$")
_SETTINGS = {
    "maxOutputTokens": "max_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
_NO_SETTINGS = frozenset("contents systemInstruction tools generationConfig model".split())
_BESIDE = frozenset("safetySettings toolConfig cachedContent labels serviceTier store".split())
"""Settings that stand beside `generationConfig`."""
_SCHEMAS = ("responseJsonSchema", "responseSchema")
_FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length"} | dict.fromkeys(
    "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_RECITATION "
    "IMAGE_PROHIBITED_CONTENT MODEL_ARMOR".split(),
    "content_filter",
)
_REASONS = {"stop": "STOP", "tool_call": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_TO_STANDARD = str.maketrans("-_", "+/")
"""Google's clients send base64 in the alphabet for addresses."""


def camel(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object with its own fields in camelCase."""
    return {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): item for name, item in value.items()}


def model(url: str) -> str | None:
    found = _MODEL.search(urlsplit(url).path)
    return f"google:{unquote(found[1])}" if found else None


def decode_request(body: Any, url: str = "") -> Request:
    """Raises ValueError where the body has no contents."""
    fields = camel(mapping(body, "the body"))
    if "generateContentRequest" in fields:
        # As the tokens of a whole request are counted.
        fields = camel(mapping(fields["generateContentRequest"], "the request"))
    contents = fields.get("contents")
    settings = {name: value for name, value in fields.items() if name not in _NO_SETTINGS}
    settings |= renamed(camel(fields.get("generationConfig") or {}), _SETTINGS)
    schema = _take_schema(settings)
    system = fields.get("systemInstruction")
    return Request(
        model(url),
        (
            *([Message("system", decode_content(system).parts)] if system else []),
            *map(decode_content, [contents] if isinstance(contents, Mapping | str) else listed(contents, "contents")),
        ),
        schema,
        tuple(tool for holder in fields.get("tools") or () for tool in _decode_tools(camel(holder))),
        FrozenJSON(settings),
    )


def _take_schema(settings: dict[str, Any]) -> FrozenJSON | None:
    """The schema of the reply, taken out of the settings."""
    name = next((name for name in _SCHEMAS if isinstance(settings.get(name), Mapping)), None)
    if name is None:
        return None
    if settings.get("responseMimeType") == "application/json":
        del settings["responseMimeType"]
    return FrozenJSON(settings.pop(name))


def _decode_tools(holder: Mapping[str, Any]) -> Iterator[FrozenJSON]:
    for declaration in holder.get("functionDeclarations") or ():
        yield function_tool(camel(declaration), "parametersJsonSchema")
    rest = {name: value for name, value in holder.items() if name != "functionDeclarations"}
    if rest:
        yield FrozenJSON(rest)


def decode_content(content: Any) -> Message:
    """A message; raises ValueError where it is none."""
    if isinstance(content, str):
        return Message("user", content)
    content = mapping(content, "a content")
    given = content.get("parts") or ()
    parts = [part for one in ([given] if isinstance(given, Mapping | str) else given) for part in _decode_part(one)]
    answers = bool(parts) and all(isinstance(part, ToolCallResponsePart) for part in parts)
    role = content.get("role") or "user"
    return Message("tool" if answers else "assistant" if role == "model" else str(role), parts)


def _decode_part(part: Any) -> Iterator[Part]:
    if isinstance(part, str):
        part = {"text": part}
    part = camel(mapping(part, "a part"))
    match part:
        case {"text": ""}:
            # What streams end with.
            return
        case {"text": str(content)}:
            yield ReasoningPart(content) if part.get("thought") else TextPart(content)
        case {"functionCall": Mapping() as call}:
            yield ToolCallPart(text(call.get("id")), str(call.get("name")), call.get("args") or {})
        case {"functionResponse": Mapping() as answer}:
            # Where it has no id, its name says which call is answered.
            yield ToolCallResponsePart(text(answer.get("id")) or text(answer.get("name")), answer.get("response"))
        case {"inlineData": Mapping() as data}:
            kind = text(camel(data).get("mimeType"))
            yield BlobPart(modality(kind or ""), kind, str(data.get("data")).translate(_TO_STANDARD))
        case {"fileData": Mapping() as file}:
            file = camel(file)
            kind = text(file.get("mimeType"))
            yield UriPart(modality(kind or ""), kind, str(file.get("fileUri")))
        case {"executableCode": Mapping() as code}:
            yield ToolCallPart(text(code.get("id")), "executable_code", code)
        case {"codeExecutionResult": Mapping() as result}:
            yield ToolCallResponsePart(text(result.get("id")) or "executable_code", result)
        case _ if not part.keys() <= {"thought", "thoughtSignature"}:
            yield as_text(part)


def encode_request(request: Request) -> dict[str, JSON]:
    """The body of `:generateContent`; raises ValueError where the format has no place for what is asked."""
    request = request.sent()
    system = [message for message in request.messages if message.role == "system"]
    body: dict[str, Any] = {
        "contents": [_encode_content(message) for message in request.messages if message.role != "system"]
    }
    if system:
        body["systemInstruction"] = {"parts": [_encode_part(part) for message in system for part in message.parts]}
    if request.tools:
        body["tools"] = list(_encode_tools(request.tools))
    settings = renamed(request.settings, inverse(_SETTINGS))
    if request.output_schema is not None:
        settings = {"responseMimeType": "application/json", **settings, "responseJsonSchema": request.output_schema}
    body |= {name: settings.pop(name) for name in sorted(_BESIDE & settings.keys())}
    return body | ({"generationConfig": settings} if settings else {})


def _encode_tools(tools: Iterable[Mapping[str, JSON]]) -> Iterator[dict[str, JSON]]:
    declarations = [tool for tool in tools if tool.get("type") == "function"]
    if declarations:
        yield {"functionDeclarations": [named_parameters(tool, "parametersJsonSchema") for tool in declarations]}
    yield from (dict(tool) for tool in tools if tool.get("type") != "function")


_ROLES = {"assistant": "model", "tool": "user"}


def _encode_content(message: Message) -> dict[str, JSON]:
    role = _ROLES.get(message.role, message.role)
    return {"role": role, "parts": [_encode_part(part) for part in message.parts]}


def _encode_part(part: Part) -> dict[str, JSON]:
    match part:
        case TextPart(content):
            return {"text": content}
        case ReasoningPart(content):
            return {"text": content, "thought": True}
        case ToolCallPart(name, tool, arguments):
            return {"functionCall": {"name": tool, "args": arguments, **({"id": name} if name else {})}}
        case ToolCallResponsePart(name, response):
            return {"functionResponse": {"name": name or "", "response": response, **({"id": name} if name else {})}}
        case BlobPart(_, mime_type, content):
            return {"inlineData": {"mimeType": mime_type, "data": content}}
        case UriPart(_, mime_type, uri):
            return {"fileData": {"mimeType": mime_type, "fileUri": uri}}
        case FilePart():
            raise ValueError("Gemini knows files by their addresses, and not by an id")


def decode_response(body: Any) -> Answer:
    """What a body says, or a list of those that a stream brings. Raises ValueError where it is none of this format."""
    if isinstance(body, list):
        body = _joined(mapping(chunk, "a chunk") for chunk in body)
    body = mapping(body, "the body")
    if "totalTokens" in body:
        return said((), Usage(number(body["totalTokens"])), "stop", None)
    feedback = body.get("promptFeedback")
    if not isinstance(body.get("candidates"), list) and not isinstance(feedback, Mapping):
        raise ValueError("the body has no candidates")
    candidates = [mapping(candidate, "a candidate") for candidate in body.get("candidates") or ()]
    parts = [part for one in candidates for part in decode_content(one.get("content") or {}).parts]
    reason = _finish_reason(candidates[0], parts) if candidates else "content_filter" if feedback else "stop"
    return said(parts, _decode_usage(body.get("usageMetadata")), reason, body.get("modelVersion"))


def _finish_reason(candidate: Mapping[str, Any], parts: Iterable[Part]) -> str:
    reason = str(candidate.get("finishReason") or "STOP")
    called = reason == "STOP" and any(
        isinstance(part, ToolCallPart) and part.name != "executable_code" for part in parts
    )
    return "tool_call" if called else _FINISH_REASONS.get(reason, reason.lower())


def _decode_usage(counts: Any) -> Usage | None:
    """What was thought was said as well, and what tools brought was read."""
    if not isinstance(counts, Mapping):
        return None
    read = total(map(counts.get, ("promptTokenCount", "toolUsePromptTokenCount")))
    return usage(read, total(map(counts.get, ("candidatesTokenCount", "thoughtsTokenCount"))))


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The body of an answer; raises ValueError for what the format has no place for."""
    reason = _REASONS.get(answer.finish_reason, answer.finish_reason.upper())
    candidate = {"content": _encode_content(Message("assistant", answer.parts)), "finishReason": reason, "index": 0}
    body: dict[str, JSON] = {"candidates": [candidate], "modelVersion": answer.model, "responseId": "response-1"}
    if answer.usage is not None:
        counts = {"promptTokenCount": answer.usage.input_tokens, "candidatesTokenCount": answer.usage.output_tokens}
        body["usageMetadata"] = {**counts, "totalTokenCount": sum(filter(None, counts.values()))}
    return body


def join(events: Iterable[JSON]) -> dict[str, Any]:
    """The body of the answer that events have brought so far; empty where they are none of this format."""
    data = map(event_data, events)
    return _joined(chunk for chunk in data if isinstance(chunk, Mapping))


def _joined(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        body |= {name: value for name, value in chunk.items() if name != "candidates"}
        for candidate in chunk.get("candidates") or ():
            whole = candidates.setdefault(candidate.get("index") or 0, {"content": {"role": "model", "parts": []}})
            content = whole["content"]
            for part in (candidate.get("content") or {}).get("parts") or ():
                _add(content["parts"], part)
            whole |= {**candidate, "content": content}
    return {**body, "candidates": [candidates[index] for index in sorted(candidates)]} if candidates else body


def _add(parts: list[Any], part: Mapping[str, Any]) -> None:
    """Add what a chunk brings: the texts of several are one."""
    last = parts[-1] if parts else {}
    if "text" in part and "text" in last and part.get("thought") == last.get("thought"):
        parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
    else:
        parts.append(part)


def split(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The events that bring an answer piece by piece."""
    common = {name: body[name] for name in ("modelVersion", "responseId")}
    candidate = body["candidates"][0]
    for part in candidate["content"]["parts"]:
        for piece in [{**part, "text": half} for half in halves(part["text"])] if "text" in part else [part]:
            yield {"data": {**common, "candidates": [{"content": {"role": "model", "parts": [piece]}, "index": 0}]}}
    last = {**candidate, "content": {"role": "model", "parts": [{"text": ""}]}}
    yield {"data": {**body, "candidates": [last]}}


def rename_ids(body: JSON) -> JSON:
    """Name the calls of functions by first appearance, where they are made and where they are answered."""
    if not isinstance(body, Mapping):
        return body
    return {
        name: with_named_ids(value, _is_id, frozenset(("args", "response"))) if name == "contents" else value
        for name, value in body.items()
    }


def _is_id(holder: Mapping[str, Any], field: str) -> bool:
    return field == "id" and not holder.keys().isdisjoint(("name", "code", "outcome"))


FORMAT = Format(
    "gemini",
    re.compile(r":(?:generateContent|streamGenerateContent|countTokens)$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    join,
    split,
    rename_ids=rename_ids,
)
