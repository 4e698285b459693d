"""A function with a model for a body: the decorators' common ground."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from llm_strategy import engine
from llm_strategy.context import CallSite
from llm_strategy.engine import Options
from llm_strategy.models import opening, resolve
from llm_strategy.prompt import Prompt, Rendered
from llm_strategy.reply import parse
from llm_strategy.signature import Binding, Signature
from llm_strategy.values import Request, Response

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class StrategyFunction(Protocol[P, R]):
    """A function that a model implements.

    Both without any model: `request` renders what would be asked; `parse` turns a reply's text into a
    value of the return type, as a call does, and raises ReplyError.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    @property
    def request(self) -> Callable[P, Request]: ...
    def parse(self, text: str, /) -> Any: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


class _Prepared:
    """One call, bound and checked, before it is asked."""

    def __init__(self, prompt: Prompt, options: Options, owner: Any, arguments: dict[str, Any]) -> None:
        __tracebackhide__ = True
        self.prompt = prompt
        self.options = options.resolved()
        source = self.options.source
        self.rendered: Rendered = prompt.render(
            arguments, owner, source.name if source else None, self.options.settings, self.options.before
        )

    def drive(self, driver: Callable[..., Any]) -> Any:
        __tracebackhide__ = True
        signature = self.prompt.signature
        steps = engine.value_steps(self.rendered.request, self.prompt.output, self.options)
        site = CallSite(signature.name, signature.file, signature.line, self.rendered.blocks)
        return driver(steps, self.options, site)


def implement(function: FunctionType, options: Options | None, *, binding: Binding | None = None) -> FunctionType:
    """The function with a model for a body.

    Without `options`, its first parameter takes the model at call time. Raises PromptError where the
    function cannot be implemented.
    """
    if hasattr(function, "__llm_prompt__"):
        # Decorated before: the nearest decorator's model implements it.
        function = cast(FunctionType, inspect.unwrap(function))
    prompt = Prompt(Signature(function, binding=binding, hidden=0 if options else 1))

    def prepare(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Prepared:
        __tracebackhide__ = True
        chosen, owner = options, None
        if binding is not None:
            owner, *rest = args
            args = tuple(rest)
        elif chosen is None:
            chosen, args, kwargs = _given(function, args, kwargs)
        return _Prepared(prompt, cast(Options, chosen), owner, prompt.signature.bind(args, kwargs))

    implemented: Any
    if prompt.signature.asynchronous:

        @functools.wraps(function)
        async def implemented(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return (await prepare(args, kwargs).drive(engine.arun)).value
    else:

        @functools.wraps(function)
        def implemented(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return prepare(args, kwargs).drive(engine.run).value

    # What was abstract is no longer.
    implemented.__dict__.pop("__isabstractmethod__", None)
    implemented.request = lambda *args, **kwargs: prepare(args, kwargs).rendered.request
    strict = options is not None and options.strict_replies
    implemented.parse = lambda text: parse(Response(text), prompt.output, strict=strict).value
    implemented.__llm_prompt__ = prompt
    return cast(FunctionType, implemented)


def _given(
    function: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Options, tuple[Any, ...], dict[str, Any]]:
    """The model, or conversation, that a call brings along, and the rest of its arguments."""
    first = next(iter(inspect.signature(function).parameters))
    if args:
        model, *rest = args
    elif first in kwargs:
        model, rest = kwargs[first], []
        kwargs = {name: value for name, value in kwargs.items() if name != first}
    else:
        raise TypeError(f"{function.__qualname__}() takes the model as its first argument, {first!r}; it is missing")
    return Options(None if model is None else resolve(model), before=opening(model)), tuple(rest), kwargs


def plain_function(thing: Any) -> FunctionType:
    """The function to implement; raises TypeError for what is none."""
    if not isinstance(thing, FunctionType):
        raise TypeError(f"{thing!r} is no function: decorate a `def`, an `async def` or a static method")
    return thing
