"""OpenAI's Embeddings format: texts, and the vectors that stand for them."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import JSON, BlobPart, Request, Usage
from llm_strategy.wire.chat_completions import decode_usage, named_model
from llm_strategy.wire.completions import decode_texts, encode_texts
from llm_strategy.wire.format import Answer, Format

VECTORS = "application/octet-stream"
_NO_SETTINGS = frozenset("model input".split())


def decode_request(body: Any, url: str = "") -> Request:
    """The request in a body of `POST /embeddings`; raises ValueError where it is none."""
    if not isinstance(body, Mapping) or "input" not in body:
        raise ValueError("the body has no input")
    settings = {name: value for name, value in body.items() if name not in _NO_SETTINGS}
    return Request(named_model(body, url), (decode_texts(body["input"]),), settings=FrozenJSON(settings))


def encode_request(request: Request) -> dict[str, JSON]:
    """The body for a request, whose texts become its input; raises ValueError for anything else in it."""
    model = request.model or ""
    return {"model": model.partition(":")[2] or model, "input": encode_texts(request), **request.settings}


def decode_response(body: Any) -> Answer:
    """The vectors, each as binary content of 32-bit numbers, little-endian; raises ValueError where there are none."""
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, list) or not data:
        raise ValueError("the body has no data")
    parts = tuple(BlobPart("embedding", VECTORS, _packed(item["embedding"])) for item in data)
    model = body.get("model")
    usage = decode_usage(body.get("usage"))
    return Answer("", usage, model=model if isinstance(model, str) else None, parts=parts)


def _packed(vector: Any) -> str:
    """A vector as the servers that are asked for base64 send it."""
    if isinstance(vector, str):
        return vector
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
    except (struct.error, OverflowError) as error:
        raise ValueError(f"an embedding is no list of numbers: {error}") from None


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The body that brings the vectors of an answer in base64, as OpenAI's own client wants them."""
    vectors = [part.content for part in answer.parts if isinstance(part, BlobPart)]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": answer.model, "usage": _encode_usage(answer.usage)}


def _encode_usage(usage: Usage | None) -> JSON:
    if usage is None:
        return None
    counts = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return counts if usage.output_tokens is None else {**counts, "completion_tokens": usage.output_tokens}


FORMAT = Format(
    "embeddings",
    re.compile(r"(?:^|/v\d\w*|/deployments/[^/]+|/openai|/inference)/embeddings$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
