"""OpenAI's format of old for completing a text, without messages, which other servers still speak."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import JSON, Message, Request, TextPart
from llm_strategy.wire.chat_completion_chunks import DONE, data_of, halves, is_last
from llm_strategy.wire.chat_completions import decode_usage, encode_usage, named_model
from llm_strategy.wire.chat_messages import to_text
from llm_strategy.wire.format import Answer, Format

_NO_SETTINGS = frozenset("model prompt stream stream_options".split())


def decode_request(body: Any, url: str = "") -> Request:
    """The request in a body of `POST /completions`; raises ValueError where it is none."""
    if not isinstance(body, Mapping) or "prompt" not in body:
        raise ValueError("the body has no prompt")
    settings = {name: value for name, value in body.items() if name not in _NO_SETTINGS}
    return Request(named_model(body, url), (decode_texts(body["prompt"]),), settings=FrozenJSON(settings))


def decode_texts(given: Any) -> Message:
    """A text, several, or what stands for texts as tokens, as a message with a part for each."""
    several = isinstance(given, list) and not all(isinstance(item, int) for item in given)
    texts = given if several else [given]
    return Message("user", [TextPart(text if isinstance(text, str) else to_text(text)) for text in texts])


def encode_texts(request: Request) -> JSON:
    """The texts of a request, one without a list; raises ValueError for anything else in it."""
    parts = [part for message in request.sent().messages for part in message.parts]
    texts = [part.content for part in parts if isinstance(part, TextPart)]
    if len(texts) < len(parts):
        raise ValueError("the format has a place for texts only")
    return texts[0] if len(texts) == 1 else texts


def encode_request(request: Request) -> dict[str, JSON]:
    """The body for a request, whose texts become its prompts; raises ValueError for anything else in it."""
    model = request.model or ""
    return {"model": model.partition(":")[2] or model, "prompt": encode_texts(request), **request.settings}


def decode_response(body: Any) -> Answer:
    """The answer in a completion, with a part for each choice; raises ValueError where a body is none."""
    if not isinstance(body, Mapping) or not isinstance(body.get("choices"), list) or not body["choices"]:
        raise ValueError("the body has no choices")
    texts = [choice["text"] for choice in body["choices"]]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a choice has no text")
    model = body.get("model")
    return Answer(
        texts[0],
        decode_usage(body.get("usage")),
        str(body["choices"][0].get("finish_reason") or "stop"),
        model if isinstance(model, str) else None,
        parts=tuple(map(TextPart, texts)),
    )


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The completion that says an answer."""
    texts = [part.content for part in answer.parts if isinstance(part, TextPart)]
    choices = [
        {"index": index, "text": text, "logprobs": None, "finish_reason": answer.finish_reason}
        for index, text in enumerate(texts)
    ]
    usage = encode_usage(answer.usage)
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": answer.model,
        "choices": choices,
        "usage": usage,
    }


def join_chunks(events: Iterable[JSON]) -> dict[str, Any]:
    """The completion that an envelope's events brought, as far as it is there."""
    body: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for event in events:
        chunk = data_of(event)
        if not isinstance(chunk, Mapping):
            continue
        body |= {name: chunk[name] for name in ("model", "usage", "error") if chunk.get(name)}
        for part in chunk.get("choices") or ():
            if isinstance(part.get("text"), str):
                choice = choices.setdefault(part.get("index") or 0, {"text": "", "finish_reason": None})
                choice["text"] += part["text"]
                choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]
    return {**body, "choices": [choices[index] | {"index": index} for index in sorted(choices)]}


def split_chunks(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The events that bring a completion piece by piece."""
    common = {name: body[name] for name in ("id", "object", "created", "model")}
    for choice in body["choices"]:
        pieces = halves(choice["text"]) or [""]
        for number, piece in enumerate(pieces, 1):
            reason = choice["finish_reason"] if number == len(pieces) else None
            yield {"data": common | {"choices": [{**choice, "text": piece, "finish_reason": reason}]}}
    yield {"data": common | {"choices": [], "usage": body["usage"]}}
    yield DONE


FORMAT = Format(
    "completions",
    re.compile(r"(?:^|/v\d\w*|/deployments/[^/]+|/openai|/fim|/beta)/completions$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    join_chunks,
    split_chunks,
    is_last,
)
