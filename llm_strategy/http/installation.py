"""Puts itself between HTTP clients and the network, once for all scopes that want it.

Methods are replaced that lie below every mock that answers in this process and above the network; which scope a call
belongs to, and what answers it, is decided for each call anew.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llm_strategy.http import guard
from llm_strategy.http.clients import TRANSLATORS, Patch

if TYPE_CHECKING:
    from llm_strategy.http.routing import Routes

_Method = Callable[..., Any]


class _Installation:
    """Patches the clients that are there when it is first wanted, and each of the others when it is imported.

    A method that a mock stands in for just now is left alone until it is wanted once more.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._users = 0
        self._finder = _Finder(self._patch)
        # Kept for good: a mock that outlives the last user puts back what it had found, and the next user finds that.
        self._ours: dict[tuple[Any, str], tuple[_Method, _Method]] = {}

    @cached_property
    def _routes(self) -> Routes:
        # Most child processes have no client to patch.
        from llm_strategy.http.routing import Routes

        return Routes()

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                sys.meta_path.insert(0, self._finder)
                guard.start()
            for name in TRANSLATORS:
                if name in sys.modules:
                    self._patch(sys.modules[name])

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            guard.stop()
            if self._finder in sys.meta_path:
                sys.meta_path.remove(self._finder)
            for (owner, attribute), (real, ours) in self._ours.items():
                if vars(owner).get(attribute) is ours:
                    setattr(owner, attribute, real)

    def _patch(self, module: ModuleType) -> None:
        with self._lock:
            if not self._users:
                return
            for patch in _patches(self._routes, module):
                self._put(patch)

    def _put(self, patch: Patch) -> None:
        place = patch.owner, patch.attribute
        standing = vars(patch.owner).get(patch.attribute)
        known = self._ours.get(place)
        if standing is None or (known is not None and standing is known[1]):
            return
        if known is not None and standing is known[0]:
            # A mock has come and gone, and put back what it had found.
            setattr(patch.owner, patch.attribute, known[1])
        elif _is_of_library(standing, patch.owner):
            ours = patch.make(standing)
            self._ours[place] = standing, ours
            setattr(patch.owner, patch.attribute, ours)

    def forget(self) -> None:
        """In a forked child: what another thread of the parent held is nobody's."""
        self._lock = threading.RLock()


def _patches(routes: Routes, module: ModuleType) -> Iterator[Patch]:
    translator = importlib.import_module(f"llm_strategy.http.clients.{TRANSLATORS[module.__name__]}")
    patches: Iterator[Patch] = translator.patches(routes, module)
    return patches


def _is_of_library(method: Any, owner: Any) -> bool:
    """Whether a method is what its class was written with: a mock comes from another package."""
    written_in: str = getattr(method, "__globals__", {}).get("__name__", "")
    home: str = owner.__module__
    return written_in.partition(".")[0] == home.partition(".")[0]


class _Finder(MetaPathFinder):
    """Finds nothing itself; tells when a client has been imported."""

    def __init__(self, imported: Callable[[ModuleType], None]) -> None:
        self._imported = imported
        self._asking = threading.local()

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002  # what is given to every finder
        target: ModuleType | None = None,  # noqa: ARG002  # likewise
    ) -> ModuleSpec | None:
        if name not in TRANSLATORS or getattr(self._asking, "now", False):
            return None
        self._asking.now = True
        try:
            spec = find_spec(name)
        finally:
            self._asking.now = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._imported)
        return spec


class _Loader(Loader):
    """Loads a module as its own loader does, and leaves that one in its place."""

    def __init__(self, real: Loader, imported: Callable[[ModuleType], None]) -> None:
        self._real = real
        self._imported = imported

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._real
        if module.__spec__ is not None:
            module.__spec__.loader = self._real
        self._real.exec_module(module)
        self._imported(module)


installation = _Installation()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=installation.forget)
