"""`track_hyperparameters`: a function whose parameters `_x` take their values from the blocks around a call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from contextvars import ContextVar, Token
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from pydantic import ConfigDict
from pydantic.fields import FieldInfo

from llm_strategy.body import is_unimplemented
from llm_strategy.hyperparameters.collection import entered, values_for
from llm_strategy.hyperparameters.kinds import FunctionHyperparameters, kind_of

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
S = TypeVar("S")


class TrackedFunction(Protocol[P, R]):
    """A function that can be tuned. `hyperparameters` is the pydantic class with a field for each of them."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    @property
    def hyperparameters(self) -> type[FunctionHyperparameters]: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __get__(self, instance: None, owner: type, /) -> TrackedFunction[P, R]: ...
    @overload
    def __get__(self: TrackedFunction[Concatenate[S, Q], R], instance: S, owner: type, /) -> TrackedFunction[Q, R]: ...


@overload
def track_hyperparameters(function: staticmethod[P, R], /) -> staticmethod[P, R]: ...  # type: ignore[overload-overlap]  # it can be called too, and stays one
@overload
def track_hyperparameters(function: Callable[P, R], /) -> TrackedFunction[P, R]: ...
def track_hyperparameters(function: Any, /) -> Any:
    """Let the parameters of a function whose names begin with `_` be hyperparameters.

    Each has a type and a default, `_style: str = "plain"` or `_count: int = Field(3, ge=1)`. A call that does not
    pass one takes it from the `Hyperparameters` around it. The function may be any `def` or `async def`, a generator
    too, on its own or in a class. What a model implements is tracked without this.

    Raises TypeError for a hyperparameter without type or default.
    """
    if isinstance(function, staticmethod | classmethod):
        return type(function)(track_hyperparameters(function.__func__))
    if isinstance(getattr(function, "hyperparameters", None), type(FunctionHyperparameters)):
        return function  # tracked already
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        raise TypeError(
            f"{function!r} cannot be tracked, for hyperparameters go by the name of a function: decorate a `def` or an "
            "`async def`, below @property and before functools.partial"
        )
    signature = inspect.signature(function)
    base = _Open if _names_some(function) else FunctionHyperparameters
    kind = kind_of(function, signature.parameters.values(), base=base)
    # One without a body is implemented by the decorator of its class, or by the next one.
    return function if is_unimplemented(function) else _Tracked(function, signature, kind).as_function()


class _Open(FunctionHyperparameters):
    """Of a function that names hyperparameters as it runs: what is given for it may be named later."""

    model_config = ConfigDict(extra="allow")


def _names_some(function: FunctionType) -> bool:
    """Whether a function may use `Hyperparameter`: where it declares none, those that it calls may."""
    return "Hyperparameter" in function.__code__.co_names or not any(
        name.startswith("_") for name in inspect.signature(function).parameters
    )


class _Tracked:
    """A function, and what its calls have to look for."""

    def __init__(self, function: FunctionType, signature: inspect.Signature, kind: type[FunctionHyperparameters]):
        self.function = function
        self.signature = signature
        self.kind = kind
        parameters = [signature.parameters[name] for name in kind.__own_parameters__.values()]
        # A default that is written as `Field(...)` is none that a call can take.
        self.always = any(isinstance(parameter.default, FieldInfo) for parameter in parameters)
        self.read = _reader_of(function)

    def as_function(self) -> Any:
        # What these refer to is in methods: cloudpickle copies what a function of the program itself refers to.
        call, await_call = self._call, self._await_call

        def tracked(*args: Any, **kwargs: Any) -> Any:
            return call(args, kwargs)

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await await_call(args, kwargs)

        made: Any = functools.wraps(self.function)(awaited if inspect.iscoroutinefunction(self.function) else tracked)
        made.hyperparameters = self.kind
        return made

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call, with the hyperparameters that it does not pass."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError:
            # The call says so in Python's own words.
            return args, kwargs
        names = self.kind.__own_parameters__
        passed = [field for field, name in names.items() if name in bound.arguments]
        values = values_for(self.kind, passed)
        bound.arguments |= {name: values[field] for field, name in names.items() if field in values}
        bound.apply_defaults()
        return bound.args, bound.kwargs

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not entered and not self.always:
            return self.function(*args, **kwargs)
        args, kwargs = self.bind(args, kwargs)
        call = Running(self.kind)
        with call:
            result = self.function(*args, **kwargs)
        return self.read(result, call) if self.read else result

    async def _await_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not entered and not self.always:
            return await self.function(*args, **kwargs)
        args, kwargs = self.bind(args, kwargs)
        with Running(self.kind):
            return await self.function(*args, **kwargs)


class Running:
    """A stretch of time in which the body of a tracked function runs; a generator's has many.

    `unnamed` counts the hyperparameters that this call has used without a name.
    """

    def __init__(self, kind: type[FunctionHyperparameters]) -> None:
        self.kind = kind
        self.unnamed = 0
        self._tokens: list[Token[Running | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(running.set(self if entered else None))

    def __exit__(self, *error: object) -> None:
        with suppress(ValueError):
            # What nobody awaits any more is ended in another context than it began in.
            running.reset(self._tokens.pop())


running: ContextVar[Running | None] = ContextVar("llm_strategy_tracked", default=None)
"""The call of a tracked function that is running here, if it is in a block."""


def _reader_of(function: FunctionType) -> Callable[[Any, Running], Any] | None:
    """What reads the generator that a function makes; None for other functions."""
    if inspect.isasyncgenfunction(function):
        return _asynchronous_steps
    return _steps if inspect.isgeneratorfunction(function) else None


def _steps(generator: Generator[Any, Any, Any], call: Running) -> Generator[Any, Any, Any]:
    """A generator whose body runs as part of a call, and nothing else does between its steps."""
    step, sent = generator.send, None
    try:
        while True:
            try:
                with call:
                    item = step(sent)
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield item
                step = generator.send
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  # whatever is thrown in is the body's to handle
                step, sent = generator.throw, error
    finally:
        with call:
            generator.close()


async def _asynchronous_steps(generator: AsyncGenerator[Any, Any], call: Running) -> AsyncGenerator[Any, Any]:
    step, sent = generator.asend, None
    try:
        while True:
            try:
                with call:
                    item = await step(sent)
            except StopAsyncIteration:
                return
            try:
                sent = yield item
                step = generator.asend
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  # as above
                step, sent = generator.athrow, error
    finally:
        with call:
            await generator.aclose()
