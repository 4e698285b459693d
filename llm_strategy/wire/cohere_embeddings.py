"""Cohere's embeddings, both versions: each text or image is a message, each vector a content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import JSON, BlobPart, Message, Part, Request, TextPart, UriPart
from llm_strategy.wire.chat_messages import from_data_url
from llm_strategy.wire.cohere_chat import decode_usage, named
from llm_strategy.wire.embeddings import VECTORS
from llm_strategy.wire.fields import listed, mapping, said, vector, vectors
from llm_strategy.wire.format import Answer, Format

_NO_SETTINGS = frozenset("model texts images inputs".split())


def decode_request(body: Any, _url: str = "") -> Request:
    """Raises ValueError where the body names no model or has nothing to be embedded."""
    body = mapping(body, "the body")
    messages = tuple(Message("user", list(parts)) for parts in _inputs(body))
    if not messages:
        raise ValueError("the body has nothing to be embedded")
    settings = FrozenJSON({name: value for name, value in body.items() if name not in _NO_SETTINGS})
    return Request(named(body), messages, settings=settings)


def _inputs(body: Mapping[str, Any]) -> Iterator[list[Part]]:
    for one in body.get("texts") or ():
        yield [TextPart(str(one))]
    for one in body.get("images") or ():
        yield [_image(str(one))]
    for one in body.get("inputs") or ():
        yield [_decode_part(part) for part in listed(mapping(one, "an input").get("content"), "content")]


def _decode_part(part: Any) -> Part:
    match part:
        case {"type": "text", "text": str(content)}:
            return TextPart(content)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return _image(url)
        case _:
            raise ValueError("a part is neither text nor image")


def _image(url: str) -> Part:
    return from_data_url("image", url) or UriPart("image", None, url)


def encode_request(request: Request) -> dict[str, JSON]:
    """The body of `/v2/embed` for texts."""
    request = request.sent()
    texts = [message.content for message in request.messages]
    return {"model": (request.model or "").partition(":")[2], "texts": texts, **request.settings}


def decode_response(body: Any) -> Answer:
    """The vectors of the first kind that are in the body; raises ValueError where it holds none."""
    found: list[Any]
    match body:
        case {"id": _, "embeddings": Mapping() as kinds}:
            found = next(filter(None, kinds.values()), [])
        case {"id": _, "embeddings": list(found)}:
            pass
        case _:
            raise ValueError("the body holds no embeddings")
    return said(map(_vector, found), decode_usage(body.get("meta")), "stop", None)


def _vector(one: Any) -> BlobPart:
    """Numbers; of the kind `base64` a text."""
    return BlobPart("embedding", VECTORS, one) if isinstance(one, str) else vector(listed(one, "a vector"))


def encode_response(answer: Answer) -> dict[str, JSON]:
    body: dict[str, JSON] = {"id": "answer-1", "embeddings": {"float": vectors(answer)}, "texts": []}
    if answer.usage is not None:
        body["meta"] = {"billed_units": {"input_tokens": answer.usage.input_tokens}}
    return body


FORMAT = Format(
    "cohere_embeddings",
    re.compile(r"/v[12]/embed$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    is_common=True,
)
