"""`override`: another model, other settings or another patience for every call of a block."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from llm_strategy.canonical import FrozenJSON
from llm_strategy.models import ModelSource, opening, resolve
from llm_strategy.models.settings import normalized, without_value
from llm_strategy.stays import Block, Stay, Stays
from llm_strategy.tools import Tool, checked_turns, tools_of
from llm_strategy.values import JSON, Message

F = TypeVar("F", bound=Callable[..., Any])


class _NotGiven:
    """Tells an option that is not given from None, which is a value: the model that is configured."""

    def __repr__(self) -> str:
        return "<not given>"

    def __reduce__(self) -> str:
        # There is one only, in every process.
        return "NOT_GIVEN"


NOT_GIVEN: Any = _NotGiven()

MAX_TURNS = 10
"""Turns in which a model may call tools, where nothing else is said."""


@dataclass(frozen=True)
class Changes:
    """Options that stand in the place of others; what is not given stays as it is.

    `source` is None for the configured model. `without` names settings that are not sent at all. `tools` stand in the
    place of all others, `stand_ins` in that of the tools of their names.
    """

    source: ModelSource | None = NOT_GIVEN
    before: tuple[Message, ...] = ()
    settings: FrozenJSON = field(default_factory=FrozenJSON)
    without: frozenset[str] = frozenset()
    retries: int | None = None
    strict_replies: bool | None = None
    max_turns: int | None = None
    tools: tuple[Tool, ...] | None = None
    stand_ins: tuple[Tool, ...] = ()

    @classmethod
    def of(
        cls,
        model: Any,
        name: str | None,
        retries: int,
        strict_replies: bool,
        settings: dict[str, JSON],
        *,
        max_turns: int = NOT_GIVEN,
    ) -> Changes:
        """The options as a user gives them. Raises TypeError or ValueError for wrong ones."""
        given = model is not NOT_GIVEN and model is not None
        check_name(name, given=given)
        return cls(
            resolve(model, name) if given else model,
            opening(model) if given else (),
            normalized(settings),
            without_value(settings),
            None if retries is NOT_GIVEN else checked_retries(retries),
            None if strict_replies is NOT_GIVEN else checked_flag(strict_replies),
            None if max_turns is NOT_GIVEN else checked_turns(max_turns),
        )

    def followed_by(self, later: Changes) -> Changes:
        """Both in one; of two values for the same option the later one counts."""
        return Changes(
            self.source if later.source is NOT_GIVEN else later.source,
            later.before or self.before,
            later.put_into(self.settings),
            (self.without - later.settings.keys()) | later.without,
            self.retries if later.retries is None else later.retries,
            self.strict_replies if later.strict_replies is None else later.strict_replies,
            self.max_turns if later.max_turns is None else later.max_turns,
            self.tools if later.tools is None else later.tools,
            (*later.stand_ins, *self.stand_ins),
        )

    def with_tools(self, tools: Any) -> Changes:
        """With these tools in the place of all others. Raises TypeError or PromptError for what is none."""
        return self if tools is NOT_GIVEN else replace(self, tools=tools_of(tools))

    def with_stand_ins(self, tools: Any) -> Changes:
        """With these tools in the place of those of their names. Raises TypeError or PromptError for what is none."""
        return self if tools is NOT_GIVEN else replace(self, stand_ins=tools_of(tools))

    def tools_among(self, own: tuple[Tool, ...]) -> tuple[Tool, ...]:
        """The tools of a function that has its `own`."""
        tools = own if self.tools is None else self.tools
        if not self.stand_ins:
            return tools
        # Of several the innermost block's comes first.
        return tuple(next((other for other in self.stand_ins if other.name == tool.name), tool) for tool in tools)

    def put_into(self, settings: FrozenJSON) -> FrozenJSON:
        """Settings with these in their place."""
        changed = {name: value for name, value in settings.items() if name not in self.without}
        return FrozenJSON({**changed, **self.settings})


def check_name(name: str | None, *, given: bool) -> None:
    """Refuse the name of a model without a model, which would be the name of nothing."""
    if name is not None and not given:
        raise TypeError(f"name={name!r} belongs to a model: give both, as in model=client, name='gpt-5-mini'")


def checked_retries(retries: Any) -> int:
    """The number of retries; raises TypeError or ValueError for what is none."""
    if not isinstance(retries, int) or isinstance(retries, bool):
        raise TypeError(f"retries is a whole number, not {retries!r}")
    if retries < 0:
        raise ValueError(f"retries must be 0 or more, not {retries}")
    return retries


def checked_flag(flag: Any) -> bool:
    """The flag; raises TypeError for what is none."""
    if not isinstance(flag, bool):
        raise TypeError(f"strict_replies is True or False, not {flag!r}")
    return flag


_stays: Stays[Changes] = Stays("llm_strategy_override")

entered = _stays.entered
"""The blocks of this process that are open; nearly always none."""


def current_changes(own: Changes | None) -> Changes | None:
    """What changes the options of a call made here and now: its own changes, then those of the blocks around it."""
    found = _stays.current() if entered else None
    if found is None:
        return own
    return found.value if own is None else own.followed_by(found.value)


class override:  # noqa: N801  # a context manager and decorator that reads as a verb
    """Let every call in a block use another model, other settings or other `retries`.

    `with override(model=ScriptedModel([...])):`, around synchronous and asynchronous code alike, as a decorator of
    a function or of a fixture, or in a fixture's body. It wins over what a decorator, `with_options` or a caller
    says, and holds for functions that are given their model when called and for `ChatChain`s. Of nested blocks
    the innermost wins, option by option.

    `model` is given in any form that `llm_strategy` takes; None is the configured one. `settings` are added to
    those of the function; one that is None is not sent. The prompt stays the same: a `ChatChain` keeps its messages.
    Each of `tools` stands in for the tool of its name, wherever a function has one.

    Raises TypeError or ValueError for options that no call can have.
    """

    def __init__(
        self,
        *,
        model: Any = NOT_GIVEN,
        name: str | None = None,
        retries: int = NOT_GIVEN,
        strict_replies: bool = NOT_GIVEN,
        tools: Sequence[Callable[..., Any]] = NOT_GIVEN,
        max_turns: int = NOT_GIVEN,
        **settings: JSON,
    ) -> None:
        changes = Changes.of(model, name, retries, strict_replies, settings, max_turns=max_turns)
        self._changes = changes.with_stand_ins(tools)
        self._block: Block[Changes] = Block()

    def __enter__(self) -> None:
        outer = _stays.current() if entered else None
        changes = self._changes if outer is None else outer.value.followed_by(self._changes)
        self._block.enter(_stays, Stay(changes, outer))

    def __exit__(self, *error: object) -> None:
        self._block.leave(_stays)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__()

    def __call__(self, function: F) -> F:
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"override(...) decorates a function, not {function!r}; around a class, use it as a block")
        return _kind_of_wrapper(function)(function, self)  # type: ignore[no-any-return]  # the same kind of function


def _kind_of_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return _around_asynchronous_generator
    if inspect.iscoroutinefunction(function):
        return _around_coroutine
    return _around_generator if inspect.isgeneratorfunction(function) else _around_function


def _around_function(function: Callable[..., Any], block: override) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with block:
            return function(*args, **kwargs)

    return called


def _around_coroutine(function: Callable[..., Any], block: override) -> Callable[..., Any]:
    @functools.wraps(function)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        with block:
            return await function(*args, **kwargs)

    return awaited


def _around_generator(function: Callable[..., Any], block: override) -> Callable[..., Any]:
    @functools.wraps(function)
    def iterated(*args: Any, **kwargs: Any) -> Any:
        with block:
            return (yield from function(*args, **kwargs))

    return iterated


def _around_asynchronous_generator(function: Callable[..., Any], block: override) -> Callable[..., Any]:
    @functools.wraps(function)
    async def iterated(*args: Any, **kwargs: Any) -> Any:
        with block:
            async for item in function(*args, **kwargs):
                yield item

    return iterated
