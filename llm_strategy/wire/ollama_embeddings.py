"""Ollama's embeddings, `/api/embed` and the older `/api/embeddings`: each text is a message, each vector a content."""

from __future__ import annotations

import re
from typing import Any

from llm_strategy.values import JSON, Message, Request
from llm_strategy.wire.fields import listed, mapping, number, said, text, usage, vector, vectors
from llm_strategy.wire.format import Answer, Format
from llm_strategy.wire.ollama import decode_settings, encode_settings, name_of, named


def decode_request(body: Any, _url: str = "") -> Request:
    """Raises ValueError where the body has nothing to be embedded."""
    body = mapping(body, "the body")
    given = body.get("input", body.get("prompt"))
    texts = [given] if isinstance(given, str) else listed(given, "the input")
    return Request(named(body), tuple(Message("user", str(one)) for one in texts), settings=decode_settings(body)[1])


def encode_request(request: Request) -> dict[str, JSON]:
    """The body of `/api/embed`."""
    request = request.sent()
    texts = [message.content for message in request.messages]
    return {"model": name_of(request), "input": texts, **encode_settings(request)}


def decode_response(body: Any) -> Answer:
    """Raises ValueError where the body holds no vectors."""
    body = mapping(body, "the body")
    embeddings = [body["embedding"]] if "embedding" in body else listed(body.get("embeddings"), "embeddings")
    if "id" in body or not ("model" in body or "embedding" in body):
        raise ValueError("the body is not one of Ollama's")
    counts = usage(number(body.get("prompt_eval_count")), None)
    return said([vector(listed(one, "a vector")) for one in embeddings], counts, "stop", text(body.get("model")))


def encode_response(answer: Answer) -> dict[str, JSON]:
    counts = {} if answer.usage is None else {"prompt_eval_count": answer.usage.input_tokens}
    return {"model": answer.model, "embeddings": vectors(answer), "total_duration": 1, **counts}


FORMAT = Format(
    "ollama_embeddings",
    re.compile(r"/api/(?:embed|embeddings)$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    is_common=True,
)
