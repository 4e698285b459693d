"""Pickles of objects whose class goes by another name than its own, as in `Impl = llm_strategy(model)(Interface)`.

An implemented class has the name of the class that was written. Where the decorator stands above the
class, the name leads to it, and pickle needs no help. Elsewhere it leads to the original: then a pickle
says under which other name the class is found, or how it is made.
"""

from __future__ import annotations

import importlib
import sys
import threading
import uuid
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary


class Recipe(NamedTuple):
    """How an implemented class is made: `decorate(original, options)`."""

    decorate: Callable[[Any, Any], Any]
    original: type
    options: Any


def remember(cls: type, recipe: Recipe) -> None:
    """Let the objects of a class pickle, and copy, by a recipe wherever they cannot by its name."""
    cls.__llm_recipe__ = recipe  # type: ignore[attr-defined]  # no attribute of classes in general
    cls.__reduce_ex__ = _reduce_ex  # type: ignore[assignment,method-assign]  # it goes on with what the class had


def is_implemented_class(cls: type) -> bool:
    """Whether a decorator made the class."""
    return "__llm_recipe__" in vars(cls)


def original_of(cls: type) -> type:
    """The class that was decorated to make an implemented one."""
    recipe: Recipe = cls.__llm_recipe__  # type: ignore[attr-defined]  # as above
    return recipe.original


def _reduce_ex(self: Any, protocol: Any) -> Any:
    kind = type(self)
    methods = [vars(base)["__reduce_ex__"] for base in kind.__mro__ if "__reduce_ex__" in vars(base)]
    reduced = next(method for method in methods if method is not _reduce_ex)(self, protocol)
    if isinstance(reduced, str) or reference(kind) is kind:
        return reduced
    function, args, *rest = reduced
    named = [reference(part) if part is kind else part for part in (function, *args)]
    return (_apply, tuple(named), *rest)


def reference(owner: Any) -> Any:
    """What pickles in the place of an object: itself, unless it is an implemented class without its name."""
    if not isinstance(owner, type) or not is_implemented_class(owner):
        return owner
    return owner if _named(owner.__module__, owner.__qualname__) is owner else _Reference(owner)


def _named(module: str, qualified_name: str) -> Any:
    found: Any = sys.modules.get(module)
    for name in qualified_name.split("."):
        found = getattr(found, name, None)
    return found


def _imported(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


class _Reference:
    """Stands for a class in a pickle, and becomes it when read."""

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def __reduce__(self) -> tuple[Any, ...]:
        recipe: Recipe = vars(self.cls)["__llm_recipe__"]
        module = sys.modules.get(self.cls.__module__)
        name = next((name for name, value in list(vars(module).items()) if value is self.cls), None) if module else None
        if name and not (self.cls.__module__ == "__main__" and _is_cloudpickle()):
            return _imported, (self.cls.__module__, name)
        return _remade, (_token(self.cls), recipe.decorate, reference(recipe.original), recipe.options)


def _is_cloudpickle() -> bool:
    """Whether what is pickling takes along what the program defines, for a process that runs another one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and "cloudpickle" not in frame.f_globals.get("__name__", ""):
        frame = frame.f_back
    return frame is not None


_made: WeakValueDictionary[str, type] = WeakValueDictionary()
_making = threading.Lock()


def _token(cls: type) -> str:
    """What tells one use of the decorator from another, in every process that reads a pickle."""
    with _making:
        token: str = vars(cls).get("__llm_token__") or uuid.uuid4().hex
        cls.__llm_token__ = token  # type: ignore[attr-defined]  # no attribute of classes in general
        _made[token] = cls
    return token


def _remade(token: str, decorate: Callable[[Any, Any], type], original: type, options: Any) -> type:
    """The class of a recipe: the same for all pickles that one class has gone into."""
    with _making:
        cls = _made.get(token)
        if cls is None:
            cls = _made[token] = decorate(original, options)
            cls.__llm_token__ = token  # type: ignore[attr-defined]  # no attribute of classes in general
    return cls


def _apply(function: Any, *args: Any) -> Any:
    """Call what an object's own `__reduce_ex__` names. When copying, references are still references."""
    function, *args = [part.cls if isinstance(part, _Reference) else part for part in (function, *args)]  # type: ignore[assignment]  # a list serves as well
    return function(*args)
