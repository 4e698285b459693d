"""`llm_strategy`: let a model implement a class's missing members, or a function."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import typing
from abc import update_abstractmethods
from collections.abc import Callable, Sequence
from types import FunctionType, new_class
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from llm_strategy.body import is_unimplemented
from llm_strategy.engine import Options
from llm_strategy.implementation import StrategyFunction, implement
from llm_strategy.member import implemented, unimplemented
from llm_strategy.models import is_model_class, opening, resolve
from llm_strategy.models.settings import normalized
from llm_strategy.overrides import MAX_TURNS, check_name, checked_flag, checked_retries
from llm_strategy.prompt_blocks import is_structured
from llm_strategy.reconstruction import Recipe, remember
from llm_strategy.tools import checked_turns, tools_of
from llm_strategy.values import JSON

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")


class Strategy(Protocol):
    """What `llm_strategy(model)` gives: a decorator for classes, functions and objects that keeps their types."""

    @overload
    def __call__(self, target: type[C], /) -> type[C]: ...  # type: ignore[overload-overlap]  # a class is called, too
    @overload
    def __call__(self, target: staticmethod[P, R], /) -> staticmethod[P, R]: ...  # type: ignore[overload-overlap]  # so is this
    @overload
    def __call__(self, target: Callable[P, R], /) -> StrategyFunction[P, R]: ...
    @overload
    def __call__(self, target: C, /) -> C: ...


@overload
def llm_strategy(target: type[C], /) -> type[C]: ...  # type: ignore[overload-overlap]  # a class is callable, too
@overload
def llm_strategy(target: staticmethod[P, R], /) -> staticmethod[P, R]: ...  # type: ignore[overload-overlap]  # so is this
@overload
def llm_strategy(
    model: Callable[[], Any] | None = None,
    *,
    name: str | None = None,
    retries: int = 2,
    strict_replies: bool = False,
    tools: Sequence[Callable[..., Any]] = (),
    max_turns: int = MAX_TURNS,
    **settings: JSON,
) -> Strategy: ...
@overload
def llm_strategy(target: Callable[P, R], /) -> StrategyFunction[P, R]: ...
@overload
def llm_strategy(
    model: Any,
    *,
    name: str | None = None,
    retries: int = 2,
    strict_replies: bool = False,
    tools: Sequence[Callable[..., Any]] = (),
    max_turns: int = MAX_TURNS,
    **settings: JSON,
) -> Strategy: ...
def llm_strategy(
    model: Any = None,
    *,
    name: str | None = None,
    retries: int = 2,
    strict_replies: bool = False,
    tools: Sequence[Callable[..., Any]] = (),
    max_turns: int = MAX_TURNS,
    **settings: JSON,
) -> Any:
    """Let a model implement what has no body: `@llm_strategy("openai:gpt-5-mini")`.

    On a class, its methods, properties and static methods whose body is `raise NotImplementedError`
    or `...`, inherited ones too; the rest is left alone, and the result is a subclass. On a
    function, `def` or `async def`. Name, signature, docstring, arguments and types become the
    prompt; the reply is validated as the return type.

    `model` is a string "provider:name" (nothing of a provider is imported before it is asked), an
    `openai` client with `name=`, a LangChain chat model or LLM, a function without arguments that
    makes one (not called in replay if `name="provider:name"` is given), any object with the `Model`
    protocol, or None for the one in LLM_STRATEGY_MODEL. `retries` is how often a reply that does not
    fit is sent back with what is wrong; `strict_replies` refuses replies that need repair. `tools` are
    functions with annotations and a docstring, which the model may call before it answers, in at most
    `max_turns` of its replies. `settings` have provider-neutral names: `temperature`, `max_tokens`, `seed`.

    Decorating raises PromptError, also a NotImplementedError, for a function that cannot be
    implemented: without docstring, return annotation or parameter annotations, or with a body. On a
    class such a member raises it when called. Calling raises TypeError for arguments of wrong types,
    ReplyError, ModelError, and CassetteMiss in replay.
    """
    checked_retries(retries)
    checked_flag(strict_replies)
    check_name(name, given=model is not None)
    if name is None and _is_written_bare(model):
        return _decorate(model, Options.of(None, settings))  # written as @llm_strategy, without a call
    source = None if model is None else resolve(model, name)
    given = tools_of(tools), checked_turns(max_turns)
    options = Options(source, normalized(settings), retries, strict_replies, opening(model), None, *given)

    def decorate(target: Any) -> Any:
        return _decorate(target, options)

    return decorate


def _is_written_bare(model: Any) -> bool:
    """Whether what stands in the place of the model is what a model is to implement: `@llm_strategy` alone."""
    if isinstance(model, staticmethod):
        model = model.__func__
    if isinstance(model, type):
        # A class that lacks nothing, and a class of models, is a mistake; not so an interface named like a model's.
        names = {name for name, *_ in unimplemented(model)}
        return bool(names & {"generate", "agenerate"} if is_model_class(model) else names)
    return isinstance(model, FunctionType) and is_unimplemented(model)


def _decorate(target: Any, options: Options) -> Any:
    if isinstance(target, type):
        return _implement_class(target, options)
    if isinstance(target, staticmethod):
        return staticmethod(implement(target.__func__, options))  # type: ignore[arg-type]  # a plain function
    if isinstance(target, FunctionType):
        return implement(target, options)
    if isinstance(target, property | classmethod | functools.cached_property):
        raise TypeError("decorate the class that has this member, not the member: the prompt shows the object too")
    kind = type(target)
    if hasattr(kind, "__dataclass_fields__") or next(unimplemented(kind), None):
        implemented_object = copy.copy(target)
        object.__setattr__(implemented_object, "__class__", _implement_class(kind, options))
        return implemented_object
    raise TypeError(
        f"{target!r} cannot be implemented: decorate a class, an object with methods without a body, a `def` or an "
        "`async def`"
    )


def _implement_class(cls: type, options: Options) -> type:
    """A subclass that is the class to everyone: same name, module, documentation; its members implemented."""
    if typing.is_typeddict(cls):
        raise TypeError(f"{cls.__qualname__} is a TypedDict, whose values are plain dicts: decorate a dataclass")
    # Subscripted with its own parameters, a generic class stays generic.
    parameters = getattr(cls, "__parameters__", ())
    base = cls[parameters] if parameters else cls  # type: ignore[index]  # a class with parameters is generic
    try:
        made = new_class(cls.__name__, (base,), {}, lambda namespace: namespace.update(_namespace(cls)))
    except TypeError as error:
        raise TypeError(
            f"{cls.__qualname__} cannot be implemented, since it cannot be subclassed without arguments: {error}"
        ) from error
    # Afterwards, because pydantic takes what stands in a class for its fields.
    for name, member in implemented(cls, options):
        setattr(made, name, member)
        _keep_out_of_repr(made, name)
    remember(made, Recipe(_implement_class, cls, options))
    return update_abstractmethods(made)


def _namespace(cls: type) -> dict[str, Any]:
    """What the subclass says of itself."""
    namespace: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    if cls.__dictoffset__ == 0:
        namespace["__slots__"] = ()
    if "__slots__" not in vars(cls) and not is_structured(cls) and _is_left_alone_by_bases(cls):
        # So that @dataclass or @attrs.define above the decorator finds the fields.
        annotations = inspect.get_annotations(cls)
        namespace |= {"__annotations__": annotations}
        namespace |= {name: value for name, value in vars(cls).items() if name in annotations}
    return namespace


def _is_left_alone_by_bases(cls: type) -> bool:
    """Whether no metaclass or base makes something of what stands in a class: a table of its columns, perhaps."""
    maker = next(base for base in cls.__mro__ if "__init_subclass__" in vars(base))
    return type(cls).__module__ in ("builtins", "abc", "typing") and maker in (object, Generic, Protocol)


def _keep_out_of_repr(cls: type, name: str) -> None:
    """A computed field of a pydantic model that is asked for stays in the dump, but no `repr` asks for it."""
    decorators = cls.__dict__.get("__pydantic_decorators__")
    if decorators is not None and name in decorators.computed_fields:
        computed = decorators.computed_fields[name]
        computed.info = dataclasses.replace(computed.info, repr=False)
        # Newer pydantics read it here.
        cls.__dict__.get("__pydantic_computed_fields__", {})[name] = computed.info
