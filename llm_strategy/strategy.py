"""`llm_strategy`: let a model implement a class's missing members, or a function."""

from __future__ import annotations

import copy
import functools
import inspect
from abc import update_abstractmethods
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, MappingProxyType, new_class
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from llm_strategy.body import is_unimplemented
from llm_strategy.engine import Options
from llm_strategy.errors import PromptError
from llm_strategy.implementation import StrategyFunction, implement
from llm_strategy.models import opening, resolve
from llm_strategy.models.settings import normalized
from llm_strategy.signature import Binding
from llm_strategy.values import JSON, Request

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")


class Strategy(Protocol):
    """What `llm_strategy(model)` gives: a decorator for classes and functions that keeps their types."""

    @overload
    def __call__(self, target: type[C], /) -> type[C]: ...  # type: ignore[overload-overlap]  # a class is called, too
    @overload
    def __call__(self, target: staticmethod[P, R], /) -> staticmethod[P, R]: ...  # type: ignore[overload-overlap]  # so is this
    @overload
    def __call__(self, target: Callable[P, R], /) -> StrategyFunction[P, R]: ...


def llm_strategy(
    model: Any = None, *, name: str | None = None, retries: int = 2, strict_replies: bool = False, **settings: JSON
) -> Strategy:
    """Let a model implement what has no body: `@llm_strategy("openai:gpt-5-mini")`.

    On a class, its methods, properties and static methods whose body is `raise NotImplementedError`
    or `...`, inherited ones too; the rest is left alone, and the result is a subclass. On a
    function, `def` or `async def`. Name, signature, docstring, arguments and types become the
    prompt; the reply is validated as the return type.

    `model` is a string "provider:name" (nothing of a provider is imported before it is asked), an
    `openai` client with `name=`, a LangChain chat model or LLM, a function without arguments that
    makes one (not called in replay if `name="provider:name"` is given), any object with the `Model`
    protocol, or None for the one in LLM_STRATEGY_MODEL. `retries` is how often a reply that does not
    fit is sent back with what is wrong; `strict_replies` refuses replies that need repair. `settings`
    have provider-neutral names: `temperature`, `max_tokens`, `seed`.

    Decorating raises PromptError, also a NotImplementedError, for a function that cannot be
    implemented: without docstring, return annotation or parameter annotations, or with a body. On a
    class such a member raises it when called. Calling raises TypeError for arguments of wrong types,
    ReplyError, ModelError, and CassetteMiss in replay.
    """
    if retries < 0:
        raise ValueError(f"retries must be 0 or more, not {retries}")
    if isinstance(model, FunctionType) and name is None and is_unimplemented(model):
        return _decorate(model, Options())  # type: ignore[no-any-return]  # written as @llm_strategy, without a call
    source = None if model is None else resolve(model, name)
    options = Options(source, normalized(settings), retries, strict_replies, opening(model))

    def decorate(target: Any) -> Any:
        return _decorate(target, options)

    return decorate


def _decorate(target: Any, options: Options) -> Any:
    if isinstance(target, type):
        return _implement_class(target, options)
    if isinstance(target, staticmethod):
        return staticmethod(implement(target.__func__, options))  # type: ignore[arg-type]  # a plain function
    if isinstance(target, FunctionType):
        return implement(target, options)
    if isinstance(target, property | classmethod):
        raise TypeError("decorate the class that has this member, not the member: the prompt shows the object too")
    if hasattr(type(target), "__dataclass_fields__"):
        implemented = copy.copy(target)
        object.__setattr__(implemented, "__class__", _implement_class(type(target), options))
        return implemented
    raise TypeError(f"{target!r} cannot be implemented: decorate a class, a `def` or an `async def`")


def _implement_class(cls: type, options: Options) -> type:
    """A subclass that is the class to everyone: same name, module, documentation; its members implemented."""
    # Subscripted with its own parameters, a generic class stays generic.
    parameters = getattr(cls, "__parameters__", ())
    base = cls[parameters] if parameters else cls  # type: ignore[index]  # a class with parameters is generic

    def fill(namespace: dict[str, Any]) -> None:
        namespace |= {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        if cls.__dictoffset__ == 0:
            namespace["__slots__"] = ()

    implemented = new_class(cls.__name__, (base,), {}, fill)
    # Afterwards, because pydantic takes what stands in a class for its fields.
    for name, member in _members(cls, options):
        setattr(implemented, name, member)
    return update_abstractmethods(implemented)


def _members(cls: type, options: Options) -> Iterator[tuple[str, Any]]:
    for name, member in inspect.getmembers_static(cls):
        function, binding = _unwrapped(member)
        if function is None or (name.startswith("__") and name.endswith("__")) or not is_unimplemented(function):
            continue
        try:
            implemented = implement(function, options, binding=binding)
        except PromptError as error:
            implemented = _refusing(function, str(error))
        yield name, _wrapped(member, implemented, binding)


def _unwrapped(member: Any) -> tuple[FunctionType | None, Binding | None]:
    """The function inside a member as it was written, and what it is bound to."""
    binding: Binding | None = "instance"
    if isinstance(member, staticmethod | classmethod):
        binding, member = ("class" if isinstance(member, classmethod) else None), member.__func__
    elif isinstance(member, property):
        member = member.fget
    elif isinstance(member, functools.cached_property):
        member = member.func
    elif isinstance(member, StrategyMember):
        binding, member = member.binding, member.function
    # What another decorator of ours implemented is implemented anew, by the nearest model.
    member = inspect.unwrap(member, stop=lambda inner: not hasattr(inner, "__llm_prompt__")) if member else None
    return (member if isinstance(member, FunctionType) else None), binding


def _wrapped(member: Any, function: FunctionType, binding: Binding | None) -> Any:
    if binding is None:
        return staticmethod(function)
    if isinstance(member, property):
        return StrategyProperty(function, member.fset, member.fdel, function.__doc__)
    if isinstance(member, functools.cached_property):
        cached = functools.cached_property(function)
        cached.__set_name__(object, function.__name__)
        return cached
    return StrategyMember(function, binding)


def _refusing(function: FunctionType, message: str) -> FunctionType:
    """A member that stays unimplemented, and says why when it is called."""

    @functools.wraps(function)
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise PromptError(message)

    refuse.__dict__.pop("__isabstractmethod__", None)
    refuse.request = refuse.parse = refuse.reply = refuse.with_options = refuse  # type: ignore[attr-defined]  # as on implemented members
    refuse.__llm_prompt__ = None  # type: ignore[attr-defined]  # so that a subclass's decorator looks again
    return refuse  # type: ignore[return-value]  # functools.wraps gives a plain function


class StrategyMember:
    """A method that a model implements. Bound, it is a function that has `request`."""

    def __init__(self, function: FunctionType, binding: Binding) -> None:
        self.function = function
        self.binding = binding
        self.__doc__ = function.__doc__

    def __get__(self, instance: object, owner: type) -> Any:
        if self.binding == "class":
            return BoundMember(self.function, owner)
        return self.function if instance is None else BoundMember(self.function, instance)


class BoundMember(functools.partial[Any]):
    """A method of one object. A partial, so that it pickles, and what is a coroutine function stays one."""

    _options: Mapping[str, Any] = MappingProxyType({})
    """Those of `with_options`."""

    def __init__(self, function: FunctionType, owner: Any) -> None:
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__func__ = function
        self.__self__ = owner

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundMember):
            return NotImplemented
        return self.__self__ is other.__self__ and self.__func__ is other.__func__

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.__func__))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._options:
            return _with_options, (self.__self__, self.__name__, dict(self._options))
        return getattr, (self.__self__, self.__name__)

    @property
    def request(self) -> Callable[..., Request]:
        """Renders what would be asked, without any model."""
        return functools.partial(self.func.request, *self.args)  # type: ignore[attr-defined]  # set by implement()

    @property
    def parse(self) -> Callable[[str], Any]:
        """Turns a reply's text into a value of the return type; raises ReplyError."""
        return self.func.parse  # type: ignore[attr-defined, no-any-return]  # set by implement()

    @property
    def reply(self) -> Callable[[Any], str]:
        """The text of the reply that stands for a value."""
        return self.func.reply  # type: ignore[attr-defined, no-any-return]  # set by implement()

    def with_options(self, **options: Any) -> BoundMember:
        """The same method with another model, other retries or settings."""
        changed = BoundMember(self.__func__.with_options(**options), self.__self__)  # type: ignore[attr-defined]  # so is this
        changed._options = {**self._options, **options}
        return changed


def _with_options(owner: object, name: str, options: Mapping[str, Any]) -> BoundMember:
    member: BoundMember = getattr(owner, name).with_options(**options)
    return member


class StrategyProperty(property):
    """A property that a model implements; `type(obj).prop.request(obj)` renders what would be asked."""

    @property
    def request(self) -> Callable[..., Request]:
        request: Callable[..., Request] = self.fget.request  # type: ignore[union-attr]  # set by implement()
        return request
