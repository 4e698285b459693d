"""Reading a response in the form in which nearly all of them are written, in a fifth of the time of a YAML parser.

It may err: the digest beside the response tells.
"""

from __future__ import annotations

import re

from llm_strategy.values import JSON

_FORM = re.compile(
    rb"response:\n"
    # a block whose first line sets the indentation
    rb"  content: \|(-?)\n(    [^ \t\r\n].*+\n(?:    .*+\n|\n)*+)"
    rb'  finish_reason: "([a-z_]+)"\n'
    rb'(?:  model: "([^"\\\r\n]+)"\n)?'
    rb"(?:  usage:\n    input_tokens: ([0-9]{1,15}|null)\n    output_tokens: ([0-9]{1,15}|null)\n)?"
)
_LONGEST = 1 << 20
"""Bytes; what is longer is left to the reader that knows all limits."""


def read_response(data: bytes) -> dict[str, JSON] | None:
    """The value of the field `response` from its lines in a document; None where they have another form."""
    found = _FORM.fullmatch(data) if len(data) <= _LONGEST else None
    if found is None:
        return None
    chomped, block, finish_reason, model, input_tokens, output_tokens = found.groups()
    try:
        content = block.decode()[4:].replace("\n    ", "\n")
        response: dict[str, JSON] = {"content": content[:-1] if chomped else content}
        response["finish_reason"] = finish_reason.decode()
        if model is not None:
            response["model"] = model.decode()
    except UnicodeDecodeError:
        return None
    if input_tokens is not None:
        response["usage"] = {"input_tokens": _count(input_tokens), "output_tokens": _count(output_tokens)}
    return response


def _count(tokens: bytes) -> int | None:
    return None if tokens == b"null" else int(tokens)
