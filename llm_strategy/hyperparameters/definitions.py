"""`Hyperparameter("name") @ default`: a hyperparameter that a tracked function names as it runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, overload

from pydantic import Field
from pydantic.fields import FieldInfo

from llm_strategy.hyperparameters.collection import Hyperparameters, value_named
from llm_strategy.hyperparameters.tracking import Running, running

T = TypeVar("T")

_NOT_GIVEN: Any = object()

_RENAMED = {"min_items": "min_length", "max_items": "max_length", "regex": "pattern"}
"""What pydantic's first version called them."""


@dataclass(frozen=True)
class Definition:
    """A hyperparameter that waits for its default: `definition @ default` is its value."""

    call: Running | None
    name: str
    type: Any
    field: FieldInfo

    def __matmul__(self, default: T) -> T:
        if self.call is None:
            return default
        kind: Any = (Any if default is None else type(default)) if self.type is _NOT_GIVEN else self.type
        value: T = value_named(self.call.kind, self.name, Annotated[kind, self.field], default)
        return value


@overload
def Hyperparameter(
    name: str | None, default: T, *, description: str | None = None, explicit_type: Any = ..., **constraints: Any
) -> T: ...
@overload
def Hyperparameter(
    name: str | None = None,
    *,
    default_factory: Callable[[], T],
    description: str | None = None,
    explicit_type: Any = ...,
    **constraints: Any,
) -> T: ...
@overload
def Hyperparameter(
    name: str | None = None, *, description: str | None = None, explicit_type: Any = ..., **constraints: Any
) -> Definition: ...
def Hyperparameter(  # noqa: N802  # it stands where a class would, and is spelled like one
    name: str | None = None,
    default: Any = _NOT_GIVEN,
    *,
    description: str | None = None,
    explicit_type: Any = _NOT_GIVEN,
    default_factory: Callable[[], Any] | None = None,
    **constraints: Any,
) -> Any:
    """A hyperparameter of the tracked function that runs: `Hyperparameter("style") @ "plain"`.

    Its value is the default, or what the blocks around the call say. Without a name it goes by `hparam0`, `hparam1`,
    ... in the order of use. `explicit_type` is its type where that is not the default's; `constraints` are those of
    pydantic's `Field`. Outside of a tracked function in a block it is the default, with a UserWarning.
    """
    call = running.get()
    if call is None:
        shown = name or ("" if default is _NOT_GIVEN else repr(default))
        message = f"the hyperparameter {shown} is used outside of a tracked function in a block of hyperparameters"
        warnings.warn(message.replace("  ", " "), UserWarning, stacklevel=2)
    elif name is None:
        name = f"hparam{call.unnamed}"
        call.unnamed += 1
    given = {_RENAMED.get(keyword, keyword): value for keyword, value in constraints.items()}
    definition = Definition(call, name or "", explicit_type, Field(description=description, **given))
    if default is _NOT_GIVEN and default_factory is not None:
        default = default_factory()
    return definition if default is _NOT_GIVEN else definition @ default


@dataclass
class HyperparametersScope:
    """A block that can be entered again: `with scope():` holds what `hyperparameters` says by then."""

    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)

    @contextmanager
    def __call__(self) -> Iterator[HyperparametersScope]:
        with self.hyperparameters:
            yield self


@contextmanager
def hyperparameters_scope(hyperparameters: Any = None) -> Iterator[HyperparametersScope]:
    """`with hyperparameters_scope() as scope:` opens a block; `scope.hyperparameters` are its `Hyperparameters`."""
    scope = HyperparametersScope(Hyperparameters(hyperparameters))
    with scope():
        yield scope
