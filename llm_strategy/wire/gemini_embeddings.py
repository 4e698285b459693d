"""Google's embeddings by Gemini: each content is a message, each vector a content of the answer."""

from __future__ import annotations

import re
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import JSON, Request, TextPart
from llm_strategy.wire.fields import listed, mapping, said, vector, vectors
from llm_strategy.wire.format import Answer, Format
from llm_strategy.wire.gemini import camel, decode_content, model


def decode_request(body: Any, url: str = "") -> Request:
    """Raises ValueError where the body has nothing to be embedded. The settings are those of the first content."""
    body = mapping(body, "the body")
    requests = [camel(mapping(one, "a request")) for one in listed(body.get("requests", [body]), "requests")]
    settings = {name: value for name, value in requests[0].items() if name not in ("content", "model")}
    contents = tuple(decode_content(mapping(one.get("content"), "a content")) for one in requests)
    return Request(model(url), contents, settings=FrozenJSON(settings))


def encode_request(request: Request) -> dict[str, JSON]:
    """The body of `:batchEmbedContents`."""
    request = request.sent()
    name = f"models/{(request.model or '').partition(':')[2]}"
    requests = [
        {
            "model": name,
            "content": {"parts": [{"text": part.content} for part in message.parts if isinstance(part, TextPart)]},
            **request.settings,
        }
        for message in request.messages
    ]
    return {"requests": requests}


def decode_response(body: Any) -> Answer:
    """Raises ValueError where the body holds no vectors."""
    body = mapping(body, "the body")
    embeddings = [body["embedding"]] if "embedding" in body else listed(body.get("embeddings"), "embeddings")
    found = [listed(mapping(one, "an embedding").get("values"), "values") for one in embeddings]
    return said(map(vector, found), None, "stop", None)


def encode_response(answer: Answer) -> dict[str, JSON]:
    return {"embeddings": [{"values": values} for values in vectors(answer)]}


FORMAT = Format(
    "gemini_embeddings",
    re.compile(r":(?:embedContent|batchEmbedContents)$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
