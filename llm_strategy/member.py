"""The members of a class that a model implements: methods, properties, static and class methods."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, MappingProxyType
from typing import Any

from llm_strategy.body import is_unimplemented
from llm_strategy.engine import Options
from llm_strategy.errors import PromptError
from llm_strategy.hyperparameters.kinds import FunctionHyperparameters
from llm_strategy.implementation import as_runnable, as_tool, implement
from llm_strategy.reconstruction import is_implemented_class, reference
from llm_strategy.signature import Binding
from llm_strategy.values import Request


def unimplemented(cls: type) -> Iterator[tuple[str, Any, FunctionType, Binding | None]]:
    """The members whose body is missing, inherited ones too: name, member, its function, what it is bound to.

    What pydantic leaves open for its users, such as `model_post_init`, is not asked of a model, and what was decorated
    on its own, such as a static method with a model of its own, has its body.
    """
    for name, member in inspect.getmembers_static(cls):
        function, binding = _unwrapped(member, by_class=_is_of_implemented_class(cls, name))
        if function is None or (name.startswith("__") and name.endswith("__") and name != "__call__"):
            continue
        if not function.__module__.startswith("pydantic.") and is_unimplemented(function):
            yield name, member, function, binding


def implemented(cls: type, options: Options) -> Iterator[tuple[str, Any]]:
    """The same members with a model for a body; those that no prompt can be made from say why when called."""
    for name, member, function, binding in unimplemented(cls):
        try:
            if isinstance(member, functools.cached_property) and inspect.iscoroutinefunction(function):
                raise PromptError(
                    f"{function.__qualname__} is asynchronous and cached, but what it returns can be awaited only "
                    "once: make it an `async def` method, or a property that is not cached"
                )
            filled = implement(function, options, binding=binding)
        except PromptError as error:
            filled = _refusing(function, str(error))
        yield name, _wrapped(name, member, filled, binding)


def _is_of_implemented_class(cls: type, name: str) -> bool:
    """Whether a member stands in a class that a decorator made, and was implemented by that."""
    home = next((base for base in cls.__mro__ if name in vars(base)), None)
    return home is not None and is_implemented_class(home)


def _unwrapped(member: Any, *, by_class: bool) -> tuple[FunctionType | None, Binding | None]:
    """The function inside a member as it was written, and what it is bound to."""
    binding: Binding | None = "instance"
    if isinstance(member, staticmethod | classmethod):
        binding, member = ("class" if isinstance(member, classmethod) else None), member.__func__
    elif isinstance(member, property):
        member = member.fget
    elif isinstance(member, functools.cached_property):
        member = member.func
    elif isinstance(member, StrategyMember):
        member = member.function
    if by_class and member:
        # What another class's decorator implemented is implemented anew, by the nearest model.
        member = inspect.unwrap(member, stop=lambda inner: not hasattr(inner, "__llm_prompt__"))
    elif hasattr(member, "__llm_prompt__"):
        member = None
    return (member if isinstance(member, FunctionType) else None), binding


def _wrapped(name: str, member: Any, function: FunctionType, binding: Binding | None) -> Any:
    if binding is None:
        return staticmethod(function)
    if isinstance(member, property):
        return StrategyProperty(function, member.fset, member.fdel, function.__doc__)
    if isinstance(member, functools.cached_property):
        return StrategyCachedProperty(function, name)
    return StrategyClassMethod(function) if binding == "class" else StrategyMember(function)


def _refusing(function: FunctionType, message: str) -> FunctionType:
    """A member that stays unimplemented, and says why when it is called."""

    @functools.wraps(function)
    def refuse(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        raise PromptError(message)

    refuse.__dict__.pop("__isabstractmethod__", None)
    refuse.as_runnable = refuse.as_tool = refuse  # type: ignore[attr-defined]  # as on implemented members
    refuse.request = refuse.parse = refuse.reply = refuse.with_options = refuse  # type: ignore[attr-defined]  # as on implemented members
    refuse.__llm_prompt__ = None  # type: ignore[attr-defined]  # so that a subclass's decorator looks again
    return refuse  # type: ignore[return-value]  # functools.wraps gives a plain function


class StrategyMember:
    """A method that a model implements. Bound, it is a function that has `request`."""

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: object, owner: type) -> Any:
        return self.function if instance is None else BoundMember(self.function, instance)


class StrategyClassMethod(classmethod):  # type: ignore[type-arg]  # it takes none when the program runs
    """A class method that a model implements; bound to the class as methods are to objects."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        function: Any = self.__func__
        return BoundMember(function, type(instance) if owner is None else owner)

    def __reduce__(self) -> tuple[Any, ...]:
        return StrategyClassMethod, (self.__func__,)


class _OfFunction:
    """What a member on its class shows of its function, all without any model."""

    def _function(self) -> Any:
        raise NotImplementedError

    @property
    def hyperparameters(self) -> type[FunctionHyperparameters]:
        """The pydantic class of what can be tuned."""
        kind: type[FunctionHyperparameters] = self._function().hyperparameters
        return kind

    @property
    def request(self) -> Callable[..., Request]:
        """Renders what would be asked for an object."""
        request: Callable[..., Request] = self._function().request
        return request

    @property
    def parse(self) -> Callable[[str], Any]:
        """Turns a reply's text into a value of the return type; raises ReplyError."""
        parse: Callable[[str], Any] = self._function().parse
        return parse

    @property
    def reply(self) -> Callable[[Any], str]:
        """The text of the reply that stands for a value."""
        reply: Callable[[Any], str] = self._function().reply
        return reply

    def as_runnable(self) -> Any:
        """From an object to the value, in chains of LangChain."""
        return as_runnable(self._function())


class BoundMember(_OfFunction, functools.partial[Any]):
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

    def __repr__(self) -> str:
        return f"<bound method {self.__qualname__} of {self.__self__!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        owner = reference(self.__self__)
        if self._options:
            return _with_options, (owner, self.__name__, dict(self._options))
        return getattr, (owner, self.__name__)

    @property
    def request(self) -> Callable[..., Request]:
        """Renders what would be asked, without any model."""
        return functools.partial(super().request, *self.args)

    def _function(self) -> Any:
        return self.func

    def as_runnable(self) -> Any:
        """The method of this object in chains of LangChain."""
        return as_runnable(self)

    def as_tool(self, name: str | None = None, description: str | None = None, **options: Any) -> Any:
        """The method of this object for agents of LangChain."""
        return as_tool(self, name, description, **options)

    def with_options(self, **options: Any) -> BoundMember:
        """The same method with another model, other retries or settings."""
        changed = BoundMember(self.__func__.with_options(**options), self.__self__)  # type: ignore[attr-defined]  # so is this
        changed._options = {**self._options, **options}
        return changed


def _with_options(owner: object, name: str, options: Mapping[str, Any]) -> BoundMember:
    member: BoundMember = getattr(owner, name).with_options(**options)
    return member


class StrategyProperty(_OfFunction, property):
    """A property that a model implements; `type(obj).prop.request(obj)` renders what would be asked."""

    asks_model = True

    def __reduce__(self) -> tuple[Any, ...]:
        return StrategyProperty, (self.fget, self.fset, self.fdel, self.__doc__)

    def _function(self) -> Any:
        return self.fget


class StrategyCachedProperty(_OfFunction, functools.cached_property[Any]):
    """A property that a model is asked for once per object; it has `request` as `StrategyProperty` has.

    Threads that read it at the same time may each ask, but all get the first answer.
    """

    asks_model = True

    def __init__(self, function: FunctionType, name: str) -> None:
        super().__init__(function)
        self.__set_name__(object, name)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        __tracebackhide__ = True
        if instance is None:
            return self
        try:
            values = instance.__dict__
        except AttributeError:
            raise TypeError(
                f"{type(instance).__name__} has no __dict__ in which {self.attrname!r} could be cached: make it a "
                "property, or leave out slots"
            ) from None
        if self.attrname not in values:
            return values.setdefault(self.attrname, self.func(instance))
        return values[self.attrname]

    def __reduce__(self) -> tuple[Any, ...]:
        # Up to 3.11 the base class has a lock.
        return StrategyCachedProperty, (self.func, self.attrname)

    def _function(self) -> Any:
        return self.func
