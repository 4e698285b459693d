"""How many tokens a call may take at most, as far as that can be told before it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from llm_strategy.values import BlobPart, FilePart, Part, Request, UriPart, Usage

FIRST_OUTPUT = 4_096
"""Output tokens of a call without `max_tokens`, as long as no answer of its function and model is known."""
SEEN_TIMES = 2
"""How many times the longest answer so far a further one may have, without `max_tokens`."""
LARGEST_IMAGE = 50_000
"""Input tokens of an image, a link or an uploaded file: some models count as many for large images."""
_AROUND = 64
"""Input tokens that a provider puts around a message."""


def largest_usage(request: Request, seen: int | None) -> Usage:
    """Tokens that a call takes at most; `seen` are those of the longest answer to its like, None where there was none.

    No tokenizer makes more tokens of a text than it has bytes in UTF-8.
    """
    request = request.sent()
    beside = {"output_schema": request.output_schema, "tools": request.tools, "settings": request.settings}
    parts = sum(map(_part_tokens, _parts(request)))
    sent = parts + _size(beside) + _AROUND * (len(request.messages) + 1)
    return Usage(sent, _output(request.settings, seen))


def _parts(request: Request) -> Iterator[Part]:
    for message in request.messages:
        yield from message.parts


def _part_tokens(part: Part) -> int:
    if isinstance(part, UriPart | FilePart):
        return LARGEST_IMAGE
    if isinstance(part, BlobPart):
        size = len(part.content) * 3 // 4
        return min(size, LARGEST_IMAGE) if part.modality == "image" else size
    return _size({name: getattr(part, name) for name in part.__dataclass_fields__ if name != "type"})


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, default=dict).encode("utf-8", "surrogatepass"))


def _output(settings: Mapping[str, Any], seen: int | None) -> int:
    limit = settings.get("max_tokens")
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
        tokens = limit
    else:
        tokens = FIRST_OUTPUT if seen is None else max(SEEN_TIMES * seen, 256)
    answers = settings.get("n")
    return tokens * (answers if isinstance(answers, int) and answers > 1 else 1)
