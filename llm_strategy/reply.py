"""From a model's reply to a value of the return type, or a ReplyError that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError

from llm_strategy.errors import ReplyError
from llm_strategy.rendering import type_text
from llm_strategy.schema import Output
from llm_strategy.values import Response

_TRIES = 200
"""Opening braces in a reply at which an object is looked for."""
SHOWN = 500
"""Characters of a reply that an error shows; the whole of it is the error's attribute."""


class Parsed(NamedTuple):
    """A reply's value, and what had to be repaired to get it, in words."""

    value: Any
    repairs: tuple[str, ...] = ()


def parse(response: Response, output: Output, *, strict: bool = False) -> Parsed:
    """The value in a response.

    Text around the JSON object is cut off, and said in `repairs`; with `strict` it is an error.
    Raises ReplyError.
    """
    __tracebackhide__ = True
    if response.finish_reason == "refusal":
        raise _error(response, output, "the model refused", [("", response.content.strip() or "no reason given")])
    text = response.content
    try:
        return Parsed(output.validate(text))
    except ValidationError as error:
        first = error
    if not strict:
        for candidate in _objects(text):
            try:
                return Parsed(output.validate(candidate), ("text around the JSON object",))
            except ValidationError as error:
                first = error
    raise _error(response, output, *_account(first, response)) from None


def _objects(text: str) -> Iterator[str]:
    """The JSON objects that stand in a text, in order; the whole text is none of them."""
    decoder = json.JSONDecoder(strict=False)
    at = text.find("{")
    # Each failure costs a look at all lines before it: garbage is given up on.
    for _ in range(_TRIES):
        if at < 0:
            return
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if '"return_value"' in text[at:end] and (at, end) != (0, len(text)):
                yield text[at:end]
        at = text.find("{", end)


def _account(error: ValidationError, response: Response) -> tuple[str, list[tuple[str, str]]]:
    if response.finish_reason == "length":
        return "the reply was cut off at the length limit (raise max_tokens)", _problems(error)
    if response.finish_reason == "content_filter":
        return "the provider's content filter stopped the reply", _problems(error)
    if not response.content.strip():
        return "the reply is empty", []
    return "the reply does not fit", _problems(error)


def _problems(error: ValidationError) -> list[tuple[str, str]]:
    return [
        (".".join(map(str, problem["loc"])), problem["msg"])
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _error(response: Response, output: Output, what: str, problems: list[tuple[str, str]]) -> ReplyError:
    expected = type_text(output.annotation)
    shown = response.content if len(response.content) <= SHOWN else f"{response.content[:SHOWN]} ..."
    lines = [f'{output.place}: {what}; expected {expected} as {{"return_value": ...}}']
    lines += [f"  {place}: {reason}" if place else f"  {reason}" for place, reason in problems]
    if response.finish_reason != "refusal" and shown.strip():
        lines.append(f"the reply was: {shown}")
    return ReplyError(
        "\n".join(lines),
        reply=response.content,
        problems=problems,
        expected=output.annotation,
        finish_reason=response.finish_reason,
    )


def complaint(error: ReplyError) -> str:
    """What to tell the model of a reply that was no value: a short account, without the reply itself."""
    lines = ["That reply cannot be used:"]
    lines += [f"- {place}: {reason}" if place else f"- {reason}" for place, reason in error.problems[:10]]
    if len(lines) == 1:
        lines.append(f"- {str(error).partition(': ')[2].partition(';')[0]}")
    return "\n".join([*lines, "Reply again, with the JSON object only."])
