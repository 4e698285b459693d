"""Tests of one module whose names differ in upper and lower case only: some file systems give them one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pytest


def has_greater_twin(item: pytest.Item) -> bool:
    """Whether another name of the module, or of the class, keeps the plain name that this test would have.

    That is the one in smaller letters: it is what tests are called. So a name changes only where it has to, when a twin
    comes along that has the better right to it.
    """
    namespace: Any = getattr(item, "module", None)
    for name in item.nodeid.partition("::")[2].partition("[")[0].split("::"):
        if namespace is None:
            return False
        if any(other > name for other in _by_small_letters(namespace).get(name.lower(), ())):
            return True
        namespace = getattr(namespace, name, None)
    return False


@lru_cache(maxsize=64)
def _by_small_letters(namespace: Any) -> Mapping[str, Sequence[str]]:
    """The names in a module or class that are not the same in small letters as any other, by that form."""
    found: dict[str, list[str]] = {}
    for name in dir(namespace):
        found.setdefault(name.lower(), []).append(name)
    return {small: names for small, names in found.items() if len(names) > 1}
