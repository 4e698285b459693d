"""One text for one value: canonical JSON and its SHA-256, the same on every platform and Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NoReturn, Self

# ASCII only, so that lone surrogates have a form; keys sorted; floats in the shortest form that
# reads back equal, which CPython gives alike everywhere.
_encode = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode


def canonical(value: Any) -> str:
    """The canonical JSON text of a JSON value.

    Raises TypeError where the value holds what JSON has no form for.
    """
    if type(value) is FrozenJSON:
        return value.canonical
    if type(value) is dict and any(type(item) is FrozenJSON for item in value.values()):
        return "{" + ",".join(f"{_encode(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    return _encode(value)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON text, as 64 hex digits."""
    return digest_of_text(canonical(value))


def digest_of_text(text: str) -> str:
    """SHA-256 of a canonical JSON text, as 64 hex digits."""
    return sha256(text.encode("ascii")).hexdigest()


class FrozenJSON(dict[str, Any]):
    """A JSON object that does not change and remembers its canonical text."""

    __slots__ = ("_canonical",)
    _canonical: str

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        return value if isinstance(value, cls) else cls(value)

    @property
    def canonical(self) -> str:
        try:
            return self._canonical
        except AttributeError:
            object.__setattr__(self, "_canonical", _encode(self))
            return self._canonical

    def __hash__(self) -> int:  # type: ignore[override]  # dict says it has none; this one never changes
        return hash(self.canonical)

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("this JSON object is part of a request and cannot be changed; make a copy with dict(...)")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse
