"""A program's own steps, among those that are told of anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from llm_strategy import observers
from llm_strategy.observers import NOTHING, Nothing, Step
from llm_strategy.tracing.decoration import decorated

F = TypeVar("F", bound=Callable[..., Any])


class span:  # noqa: N801  # a context manager and decorator, as `trace`
    """A step of the program's own in every trace: what is called in the block stands below it.

    `with span("improve", round=3) as improving:`, or as a decorator of a function or coroutine function. Attributes are
    any values. Where nobody listens it costs next to nothing.
    """

    def __init__(self, name: str, **attributes: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a span has a name, as in span('improve'), not {name!r}")
        self._name = name
        self._attributes = attributes
        self._step: Step | Nothing = NOTHING

    def __enter__(self) -> Self:
        if self._step is not NOTHING:
            raise RuntimeError("this span was entered before: make a new one for each block")
        if observers.listening:
            self._step = observers.step("step", self._name)
            self._step.set(**self._attributes)
            self._step.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._step.__exit__(*error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__(*error)

    def __call__(self, function: F) -> F:
        return decorated(function, lambda: span(self._name, **self._attributes), "span")

    def set(self, **attributes: Any) -> None:
        """Say more of the step, at any time while it lasts."""
        self._step.set(**attributes)

    def rename(self, name: str) -> None:
        """Give the step another name, which its end is told with."""
        self._step.rename(name)


class Here:
    """The program's own step that the code which asks for it runs in; nothing happens where it runs in none."""

    def __init__(self, step: Step | None) -> None:
        self._step = step

    def set(self, **attributes: Any) -> None:
        if self._step is not None:
            self._step.set(**attributes)

    def rename(self, name: str) -> None:
        if self._step is not None:
            self._step.rename(name)


def current_span() -> Here:
    """The innermost `span` that runs here, to `set` attributes of it or `rename` it from within."""
    step = observers.current() if observers.listening else None
    while step is not None and step.kind != "step":
        step = step.parent
    return Here(step)
