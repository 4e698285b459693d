"""Return types that stand for a stream: `Iterator[City]`, `AsyncIterator[str]` and their kin."""

from __future__ import annotations

import collections.abc
import typing
from typing import Any, NamedTuple

from llm_strategy.errors import PromptError
from llm_strategy.rendering import type_text
from llm_strategy.schema import Output

_SYNCHRONOUS = (collections.abc.Iterator, collections.abc.Iterable, collections.abc.Generator)
_ASYNCHRONOUS = (collections.abc.AsyncIterator, collections.abc.AsyncIterable, collections.abc.AsyncGenerator)
_NOTHING = (None, type(None), Any)


class Streamed(NamedTuple):
    """What a stream yields, and whether it is read with `async for`."""

    item: Any
    asynchronous: bool

    @property
    def is_text(self) -> bool:
        """Whether the stream yields the text of the reply as it comes."""
        return self.item is str


class PlainText(Output):
    """The form of a reply that is a text as it is, without any schema."""

    def __init__(self, place: str) -> None:
        self.annotation = str
        self.place = place
        self.schema = None  # type: ignore[assignment]  # a request has none, too

    def validate(self, text: str, **_how: Any) -> str:
        return text

    def dump(self, value: Any) -> str:
        return value if isinstance(value, str) else "".join(value)


def streamed(annotation: Any, place: str, *, coroutine: bool) -> Streamed | None:
    """The stream that a return annotation stands for; None where it is no stream.

    Raises PromptError, which names the function `place`, for a stream that no model can give.
    """
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = annotation.__origin__
    kind, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if kind not in (*_SYNCHRONOUS, *_ASYNCHRONOUS):
        return None
    if any(argument not in _NOTHING for argument in arguments[1:]):
        raise PromptError(
            f"{place}: {type_text(annotation)} takes or returns something besides what it yields, which a model "
            f"cannot: write {kind.__name__.replace('Generator', 'Iterator')}[{type_text(arguments[0])}]"
        )
    if coroutine and kind in _SYNCHRONOUS:
        raise PromptError(
            f"{place}: an `async def` that returns {type_text(annotation)} would hold up the event loop while it is "
            f"read: return Async{type_text(annotation)}"
        )
    return Streamed(arguments[0] if arguments else Any, kind in _ASYNCHRONOUS)
