"""hypothesis strategies for what models return: values of a type, and the replies that carry them.

Each takes a type, or a function that a model implements, whose return type is meant:

    @given(replies(translate))
    def test_translate(pair): ...

    def test_round_trip():
        assert_round_trip(CustomerDatabase.find_customer_key)

Importing this module needs hypothesis.
"""

from __future__ import annotations

import functools
import json
import operator
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from types import FunctionType, MethodType
from typing import Any, NoReturn

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError

from llm_strategy import ReplyError, llm_strategy

try:
    from hypothesis import HealthCheck, Phase, given, reject, settings
    from hypothesis import strategies as st
    from hypothesis.errors import FailedHealthCheck, InvalidArgument, ResolutionFailed, Unsatisfiable
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'pytest_llm_strategy.strategies needs hypothesis: pip install "llm-strategy[test]"', name=error.name
    ) from None

from pytest_llm_strategy.type_values import strategy_of

# Public


def values(x: Any) -> st.SearchStrategy[Any]:
    """Values that the type, or the function's return type, allows.

    Raises TypeError for a type that hypothesis has no strategy for, and says how to register one;
    PromptError for one that no reply can be turned into.
    """
    return _Subject(x).values()


def replies(x: Any, *, noise: bool = True) -> st.SearchStrategy[tuple[str, Any]]:
    """Pairs of a reply's text and the value that it stands for.

    Some replies have text around the JSON object, or fences, which is accepted; `noise=False` leaves
    that out, for functions with `strict_replies=True`. Raises as `values` does.
    """
    subject = _Subject(x)

    def written(value: Any, layout: Mapping[str, Any], around: tuple[str, str]) -> tuple[str, Any]:
        return around[0] + json.dumps(subject.reply(value), **layout) + around[1], value

    around = st.sampled_from(_AROUND) if noise else st.sampled_from(_BLANKS)
    return st.builds(written, subject.values(), st.sampled_from(_LAYOUTS), around)


def malformed_replies(x: Any) -> st.SearchStrategy[str]:
    """Texts that a model may send instead of a reply: cut off, garbled, of another type, no JSON at all.

    Parsing one gives a value or ReplyError, never another exception. Raises as `values` does.
    """
    texts = replies(x).map(lambda pair: pair[0])
    others: st.SearchStrategy[Any] = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )
    return st.one_of(
        st.builds(_cut, texts, st.floats(0, 1)),
        st.builds(_garbled, texts, st.floats(0, 1), st.text(max_size=3), st.integers(0, 3)),
        others.map(lambda value: json.dumps({"return_value": value})),
        others.map(json.dumps),
        st.text(st.characters(), max_size=50),
        st.text(st.sampled_from('{}[]",:\\ue0-9tfn \n`'), max_size=50),
        st.builds(operator.mul, st.sampled_from(["[", '{"return_value":']), st.integers(0, 1500)),
        st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
    )


def assert_round_trip(x: Any, max_examples: int = 100) -> None:
    """Assert that every value comes back from its reply equal and of the same class.

    Tries the same `max_examples` values at every run. The AssertionError shows the simplest value
    that is lost, its reply, and what came back. Raises TypeError and PromptError as `values` does.
    """
    __tracebackhide__ = True
    subject = _Subject(x)

    @settings(
        max_examples=max_examples,
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        # That few values are found is the one finding that concerns the caller.
        suppress_health_check=[check for check in HealthCheck if check is not HealthCheck.filter_too_much],
    )
    @given(subject.values())
    def every_value_comes_back(value: Any) -> None:
        subject.check(value)

    try:
        every_value_comes_back()
    except _Lost as lost:
        raise AssertionError(str(lost)) from None
    except (FailedHealthCheck, Unsatisfiable):
        subject.refuse("hypothesis finds hardly any value that pydantic accepts")


# Replies

_LAYOUTS = ({"ensure_ascii": False}, {"ensure_ascii": True}, {"indent": 2}, {"separators": (",", ":")})
_BLANKS = (("", ""), ("\n", ""), ("", "\n"), (" \r\n\t", "  "))
_AROUND = (
    *_BLANKS,
    ("```json\n", "\n```"),
    ("```\n", "\n```\n"),
    ("Here it is:\n\n", ""),
    ("Sure! With {braces} and [brackets]: ", " {That} is all."),
    ("", "\n\nI hope this helps."),
)


def _cut(text: str, where: float) -> str:
    return text[: int(where * len(text))]


def _garbled(text: str, where: float, inserted: str, dropped: int) -> str:
    at = int(where * len(text))
    return text[:at] + inserted + text[at + dropped :]


class _Lost(AssertionError):
    """A value did not come back."""


class _Subject:
    """A type, or a function's return type, with the library's own parser for it."""

    def __init__(self, x: Any) -> None:
        function = _function_in(x) or _function_for(x)
        self.annotation = typing.get_type_hints(_written(function), include_extras=True)["return"]
        self.name = _name(self.annotation)
        self.parse: Callable[[str], Any] = function.parse  # type: ignore[attr-defined]  # decorated functions have it
        with suppress(ReplyError):
            # An impossible type raises PromptError instead, which says why it is one.
            self.parse("")
        self.adapter: TypeAdapter[Any] = TypeAdapter(self.annotation)

    def values(self) -> st.SearchStrategy[Any]:
        try:
            strategy = strategy_of(self.annotation)
            strategy.validate()
        except (InvalidArgument, ResolutionFailed) as error:
            self.refuse(str(error))
        return _accepted(strategy, self.adapter)

    def refuse(self, reason: str) -> NoReturn:
        raise TypeError(
            f"no values of {self.name}: {reason}. Register a strategy for the type at fault: "
            "hypothesis.strategies.register_type_strategy(Type, strategy)"
        ) from None

    def reply(self, value: Any) -> dict[str, Any]:
        """The JSON value of the reply that carries a value."""
        try:
            data = self.adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings="none")
        except (PydanticSerializationError, ValueError) as error:
            self.refuse(f"{value!r} cannot be written as JSON, {error}")
        return {"return_value": data}

    def check(self, value: Any) -> None:
        text = json.dumps(self.reply(value), ensure_ascii=False)
        try:
            back = self.parse(text)
        except ReplyError as error:
            came = f"{type(error).__name__}: {error}"
        else:
            if same(value, back):
                return
            came = _shown(back)
        raise _Lost(
            f"a value of {self.name} is lost on its way through a reply\n"
            f"value:     {_shown(value)}\nreply:     {text}\ncame back: {came}"
        )


def _shown(value: Any) -> str:
    return f"{value!r} ({type(value).__qualname__})"


@st.composite
def _accepted(draw: st.DrawFn, strategy: st.SearchStrategy[Any], adapter: TypeAdapter[Any]) -> Any:
    """Values that pydantic allows too, and that JSON can hold: several keys NaN would be one."""
    try:
        value = draw(strategy)
        adapter.validate_python(value)
    except (ValueError, ArithmeticError):
        reject()
    if any(isinstance(part, Mapping) and any(key != key for key in part) for part in _all_parts(value)):
        reject()
    return value


# Functions and types


def _function_in(x: Any) -> FunctionType | None:
    """The function that a model implements, out of what a class or an object shows of it; None for a type."""
    if isinstance(x, property):
        return _function_in(x.fget)
    if isinstance(x, functools.partial | functools.cached_property):
        return _function_in(x.func)
    if isinstance(x, staticmethod | classmethod | MethodType):
        return _function_in(x.__func__)
    if isinstance(x, FunctionType) and not hasattr(x, "parse"):
        raise TypeError(f"{x.__qualname__} is no function that a model implements: decorate it, or give a type")
    return x if isinstance(x, FunctionType) else None


def _function_for(annotation: Any) -> FunctionType:
    """A function that returns the type, for the sake of its parser."""

    def value() -> Any:
        """A value of the type."""
        raise NotImplementedError

    value.__qualname__ = _name(annotation)
    value.__annotations__ = {"return": annotation}
    decorated: Any = llm_strategy()(value)
    return decorated  # type: ignore[no-any-return]  # a function, as it was


def _name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _written(function: FunctionType) -> Any:
    return function.__wrapped__  # type: ignore[attr-defined]  # decorated functions have it


# Equal


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same classes, in every part; NaN is like NaN."""
    parts, others = _parts(one), _parts(other)
    if type(one) is not type(other) or len(parts) != len(others):
        return False
    if isinstance(one, Mapping | set | frozenset):
        return all(any(same(part, found) for found in others) for part in parts)
    if parts:
        return all(map(same, parts, others))
    return bool(one == other or (one != one and other != other))


def _parts(value: Any) -> list[Any]:
    """What a value is made of; nothing for one that is a whole."""
    if isinstance(value, BaseModel):
        return [value.__dict__]
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, Mapping):
        return list(value.items())
    return list(value) if isinstance(value, list | tuple | set | frozenset) else []


def _all_parts(value: Any) -> Iterator[Any]:
    yield value
    for part in _parts(value):
        yield from _all_parts(part)
