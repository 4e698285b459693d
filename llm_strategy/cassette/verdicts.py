"""What a new answer makes of an old one, told by what the program under test gets of them."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Literal, NamedTuple, Protocol, get_args

from llm_strategy.cassette.json_values import UNREADABLE, bools_agree, documents_in, equal, exact, is_document, written
from llm_strategy.cassette.recorded_schema import fits, lists, meant, wraps
from llm_strategy.cassette.substance import Substance, substance
from llm_strategy.errors import ReplyError
from llm_strategy.mending import decoded
from llm_strategy.reply import parse
from llm_strategy.schema import Output
from llm_strategy.streamed import PlainText
from llm_strategy.values import JSON, Response

Verdict = Literal["identical", "cosmetic", "same value", "value changed", "no longer parses"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""From the least to the most that a verdict says."""

_CUT = ("length", "content_filter")
_NOTHING = ("refusal", "error")
"""How an answer ends that is none."""


def verdict(old: Response, new: Response, *, output: Output | None = None, schema: JSON = None) -> Verdict:
    """What has become of an answer.

    `output` is the form of the reply, where the function is at hand; else `schema` is the one that the request has.
    """
    items = lists(schema if output is None else output.schema)
    was, now = (substance(response, items=items) for response in (old, new))
    found = [_thoughts(was, now), _beside(was.beside, now.beside)]
    if (was.text, was.end) != (now.text, now.end):
        found.append(_text(was, now, _reader(was, output, schema)))
    return max(found, key=VERDICTS.index)


def _thoughts(was: Substance, now: Substance) -> Verdict:
    return "identical" if was.thoughts == now.thoughts else "same value"


def _beside(was: JSON, now: JSON) -> Verdict:
    """Of what is said besides the text the order of keys is all that is left of its layout."""
    try:
        if json.dumps(was) == json.dumps(now):
            return "identical"
        if json.dumps(was, sort_keys=True) == json.dumps(now, sort_keys=True):
            return "cosmetic"
        return "same value" if equal(was, now) else "value changed"
    except UNREADABLE:
        return "value changed"


# What is said


class _Value(NamedTuple):
    """What a reply stands for."""

    value: Any


class _Reader(Protocol):
    """Reads the answers to a request."""

    def read(self, said: Substance, /) -> _Value | None:
        """The value of an answer; None for one that does not parse."""

    def same(self, old: Any, new: Any, /) -> bool:
        """Whether two values are equal."""


def _text(was: Substance, now: Substance, reader: _Reader | None) -> Verdict:
    if reader is None:
        return _plain(was, now)
    before, after = reader.read(was), reader.read(now)
    if before is None or after is None:
        if before is None and after is None and _plain(was, now) == "cosmetic":
            return "cosmetic"
        return "value changed" if before is None else "no longer parses"
    if was.text == now.text:
        return "identical"
    if _is_same_json(was.text, now.text):
        return "cosmetic"
    if not reader.same(before.value, after.value):
        return "value changed"
    return "cosmetic" if _is_same_json(was.text, now.text, keys_sorted=True) else "same value"


def _plain(was: Substance, now: Substance) -> Verdict:
    """Of answers that are texts as they are."""
    if now.end in _NOTHING and was.end not in _NOTHING:
        return "no longer parses"
    ends = [said.end if said.end in (*_CUT, *_NOTHING) else "" for said in (was, now)]
    if ends[0] != ends[1] or _without_blanks(was.text) != _without_blanks(now.text):
        return "value changed"
    return "identical" if was.text == now.text else "cosmetic"


_LINE_END = re.compile(r"[ \t]*(?:\r\n|\r|\n)")


def _without_blanks(text: str) -> str:
    """A text without blanks that nobody sees: at the ends of lines and around all."""
    return _LINE_END.sub("\n", text).strip(" \t\n\r\ufeff")


def _is_same_json(old: str, new: str, *, keys_sorted: bool = False) -> bool:
    """Whether two texts are the same JSON in two layouts."""
    with suppress(*UNREADABLE):
        was, now = written(old), written(new)
        # As text the order of keys counts.
        return bool(was == now) if keys_sorted else repr(was) == repr(now)
    return False


# How it is read


def _reader(was: Substance, output: Output | None, schema: JSON) -> _Reader | None:
    """How answers to a request are read; None where each is a text as it is."""
    if isinstance(output, PlainText):
        return None
    if output is not None:
        return _Typed(output)
    return None if schema is None and not is_document(was.text) else _Described(schema)


class _Typed:
    """Reads replies as the function does that asked for them.

    Of a type without equality, and of NaN, what is sent for a value is compared.
    """

    def __init__(self, output: Output) -> None:
        self._output = output

    def read(self, said: Substance) -> _Value | None:
        try:
            return _Value(parse(Response(said.text, finish_reason=said.end), self._output).value)
        except ReplyError:
            return None

    def same(self, old: Any, new: Any) -> bool:
        sent = self._sent(old), self._sent(new)
        try:
            if old == new:
                return None in sent or bools_agree(*sent)
            knows_equality = bool(old == self._output.validate(self._output.dump(old)))
        except Exception:  # noqa: BLE001  # whatever a type of the user's does when it is compared, as arrays do
            knows_equality = False
        return not knows_equality and type(old) is type(new) and None not in sent and equal(*sent)

    def _sent(self, value: Any) -> JSON:
        try:
            return decoded(self._output.dump(value))
        except Exception:  # noqa: BLE001  # a type that is read but cannot be written
            return None


class _Described:
    """Reads replies by the recorded schema, or as JSON where there is none."""

    def __init__(self, schema: JSON) -> None:
        self._schema = schema

    def read(self, said: Substance) -> _Value | None:
        if said.end in _NOTHING:
            return None
        for text, cut_off in documents_in(said.text, wrapped=wraps(self._schema)):
            if cut_off and said.end in _CUT:
                continue
            with suppress(*UNREADABLE):
                if fits(decoded(text), self._schema, len(text)):
                    return _Value(meant(exact(text), self._schema))
        return None

    def same(self, old: Any, new: Any) -> bool:
        try:
            return equal(old, new)
        except UNREADABLE:
            return False
