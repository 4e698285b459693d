"""A function with a model for a body: the decorators' common ground."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from llm_strategy import engine
from llm_strategy.context import CallSite
from llm_strategy.engine import Options
from llm_strategy.hyperparameters.collection import entered
from llm_strategy.hyperparameters.kinds import FunctionHyperparameters
from llm_strategy.models import opening, resolve
from llm_strategy.overrides import NOT_GIVEN, Changes
from llm_strategy.prompt import Prompt, Rendered
from llm_strategy.rendering import refuse_while_writing
from llm_strategy.reply import parse
from llm_strategy.signature import Binding, Signature
from llm_strategy.tools import checked_turns, tools_of
from llm_strategy.tracebacks import short_traceback
from llm_strategy.tuning import PromptHyperparameters, kind_for, tuned
from llm_strategy.values import JSON, Request, Response

if TYPE_CHECKING:
    from llm_strategy.models.langchain.runnable import StrategyRunnable
    from llm_strategy.models.langchain.tool import StrategyTool

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class StrategyFunction(Protocol[P, R]):
    """A function that a model implements.

    All without any model: `request` renders what would be asked; `parse` turns a reply's text into a
    value of the return type, as a call does, and raises ReplyError; `reply` gives the text of the reply
    that stands for a value, and raises ValueError for what is no value of the return type. Of a stream
    the value is the list of its items, or the text. `with_options` gives the same function with another
    model, other retries, settings or tools; a setting that is None is not sent. `hyperparameters` is the pydantic
    class of what a block of `Hyperparameters` can tune.

    `as_runnable` gives the function for chains of LangChain, `as_tool` for its agents; `options` are those of
    LangChain's `StructuredTool`.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    @property
    def hyperparameters(self) -> type[FunctionHyperparameters]: ...
    @property
    def request(self) -> Callable[P, Request]: ...
    def parse(self, text: str, /) -> Any: ...
    def reply(self, value: Any, /) -> str: ...
    def with_options(
        self,
        *,
        model: Any = NOT_GIVEN,
        name: str | None = None,
        retries: int = NOT_GIVEN,
        strict_replies: bool = NOT_GIVEN,
        tools: Sequence[Callable[..., Any]] = NOT_GIVEN,
        max_turns: int = NOT_GIVEN,
        **settings: JSON,
    ) -> StrategyFunction[P, R]: ...
    def as_runnable(self) -> StrategyRunnable: ...
    def as_tool(self, name: str | None = None, description: str | None = None, **options: Any) -> StrategyTool: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


class _Prepared:
    """One call, bound and checked, before it is asked."""

    def __init__(self, prompt: Prompt, options: Options, owner: Any, arguments: dict[str, Any]) -> None:
        __tracebackhide__ = True
        self.prompt = prompt = prompt.resolved(arguments, owner)
        self.options = options.resolved()
        source, tools = self.options.source, self.options.described_tools if self.options.tools else ()
        self.rendered: Rendered = prompt.render(
            arguments, owner, source.name if source else None, self.options.settings, self.options.before, tools=tools
        )

    def drive(self, driver: Callable[..., Any]) -> Any:
        __tracebackhide__ = True
        if self.prompt.streamed is not None:
            # Here, because few functions return streams.
            from llm_strategy.stream import opening_steps

            return driver(opening_steps(self.prompt, self.rendered, self.options), self.options, CallSite())
        signature = self.prompt.signature
        steps = engine.value_steps(self.rendered.request, self.prompt.output, self.options)
        site = CallSite(signature.name, signature.file, signature.line, self.rendered.blocks, self.rendered.given)
        return driver(steps, self.options, site)


class _Implementation:
    """A function, and what it takes to let a model be its body.

    With `at_call` its first parameter takes the model at call time. What `with_options` makes of it has other
    `options` and shares its `prompt`.
    """

    def __init__(
        self,
        function: FunctionType,
        options: Options,
        binding: Binding | None,
        prompt: Prompt,
        *,
        kind: type[PromptHyperparameters],
        at_call: bool,
    ) -> None:
        self.function = function
        self.kind = kind
        self.options = options
        self.binding = binding
        self.prompt = prompt
        self.at_call = at_call
        changed = None if options.changes is None else options.changes.strict_replies
        self.strict = options.strict_replies if changed is None else changed

    def prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Prepared:
        __tracebackhide__ = True
        options, owner = self.options, None
        if self.binding is not None:
            refuse_while_writing()
            if not args:
                signature = self.prompt.signature
                raise TypeError(f"{signature.name}() missing a required argument: {signature.bound_name!r}")
            owner, args = args[0], args[1:]
        elif self.at_call:
            options, args, kwargs = _given(self.function, options, args, kwargs)
        arguments = self.prompt.signature.bind(args, kwargs)
        if entered:
            passed = self.prompt.signature.passed(args, kwargs)
            prompt, arguments, retries, again = tuned(self.kind, self.prompt, owner, arguments, passed)
            return _Prepared(prompt, replace(options, retries=retries, again=again), owner, arguments)
        return _Prepared(self.prompt, options, owner, arguments)

    def request(self, *args: Any, **kwargs: Any) -> Request:
        __tracebackhide__ = True
        with short_traceback:
            return self.prepare(args, kwargs).rendered.request

    def parse(self, text: str) -> Any:
        return parse(Response(text), self.prompt.output, strict=self.strict).value

    def reply(self, value: Any) -> str:
        return self.prompt.output.dump(value)

    def with_options(
        self,
        *,
        model: Any = NOT_GIVEN,
        name: str | None = None,
        retries: int = NOT_GIVEN,
        strict_replies: bool = NOT_GIVEN,
        tools: Sequence[Callable[..., Any]] = NOT_GIVEN,
        max_turns: int = NOT_GIVEN,
        **settings: JSON,
    ) -> FunctionType:
        """The same function with other options; raises TypeError or ValueError for wrong ones."""
        changes = Changes.of(model, name, retries, strict_replies, settings, max_turns=max_turns).with_tools(tools)
        before = self.options.changes
        options = replace(self.options, changes=changes if before is None else before.followed_by(changes))
        return _Implementation(
            self.function, options, self.binding, self.prompt, kind=self.kind, at_call=self.at_call
        ).as_function()

    def as_function(self) -> FunctionType:
        implemented: Any = self._coroutine_function() if self.prompt.signature.asynchronous else self._plain_function()
        # What was abstract is no longer.
        implemented.__dict__.pop("__isabstractmethod__", None)
        implemented.request = self.request
        implemented.parse = self.parse
        implemented.reply = self.reply
        implemented.with_options = self.with_options
        implemented.as_runnable = functools.partial(as_runnable, implemented)
        implemented.as_tool = functools.partial(as_tool, implemented)
        implemented.hyperparameters = self.kind
        implemented.__llm_prompt__ = self.prompt
        return cast(FunctionType, implemented)

    def _plain_function(self) -> Callable[..., Any]:
        prepare = self.prepare

        @functools.wraps(self.function)
        def implemented(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            with short_traceback:
                return prepare(args, kwargs).drive(engine.run).value

        return implemented

    def _coroutine_function(self) -> Callable[..., Any]:
        prepare = self.prepare

        @functools.wraps(self.function)
        async def implemented(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            with short_traceback:
                return (await prepare(args, kwargs).drive(engine.arun)).value

        return implemented


def implement(
    function: FunctionType, options: Options, *, binding: Binding | None = None, at_call: bool = False
) -> FunctionType:
    """The function with a model for a body.

    With `at_call`, its first parameter takes the model at call time. Raises PromptError where the function
    cannot be implemented.
    """
    if hasattr(function, "__llm_prompt__"):
        # Decorated before: the nearest decorator's model implements it.
        function = cast(FunctionType, inspect.unwrap(function))
    prompt = Prompt(Signature(function, binding=binding, hidden=1 if at_call else 0))
    kind = kind_for(function, prompt, options.retries)
    return _Implementation(function, options, binding, prompt, kind=kind, at_call=at_call).as_function()


def as_runnable(function: Callable[..., Any]) -> StrategyRunnable:
    """An implemented function, or a method of an object, for chains of LangChain."""
    from llm_strategy.models.langchain import loading

    return loading.as_runnable(function)


def as_tool(function: Callable[..., Any], *how: Any, **options: Any) -> StrategyTool:
    """An implemented function, or a method of an object, for agents of LangChain."""
    from llm_strategy.models.langchain import loading

    return loading.as_tool(function, *how, **options)


def _given(
    function: FunctionType, options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Options, tuple[Any, ...], dict[str, Any]]:
    """The model, or conversation, that a call brings along, and the rest of its arguments."""
    __tracebackhide__ = True
    first = next(iter(inspect.signature(function).parameters))
    if args:
        model, *rest = args
    elif first in kwargs:
        model, rest = kwargs[first], []
        kwargs = {name: value for name, value in kwargs.items() if name != first}
    else:
        raise TypeError(f"{function.__qualname__}() takes the model as its first argument, {first!r}; it is missing")
    source = None if model is None else resolve(model)
    return replace(options, source=source, before=opening(model)), tuple(rest), kwargs


class AtCall(Protocol):
    """A decorator for functions whose model is passed at call time, which keeps their types."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a static method can be called too, and stays one
        self, function: staticmethod[Concatenate[Any, P], R], /
    ) -> staticmethod[Concatenate[Any, P], R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> StrategyFunction[Concatenate[Any, P], R]: ...


def at_call(
    function: Any, tools: Any, max_turns: Any, implement: Callable[[FunctionType, Options], FunctionType]
) -> Any:
    """What a decorator gives for a function, or static method, whose model is passed at call time."""
    options = Options(tools=tools_of(tools), max_turns=checked_turns(max_turns))

    def decorate(function: Any) -> Any:
        if isinstance(function, staticmethod):
            return staticmethod(implement(plain_function(function.__func__), options))
        return implement(plain_function(function), options)

    return decorate if function is None else decorate(function)


def plain_function(thing: Any) -> FunctionType:
    """The function to implement; raises TypeError for what is none."""
    if not isinstance(thing, FunctionType):
        raise TypeError(f"{thing!r} is no function: decorate a `def`, an `async def` or a static method")
    return thing
