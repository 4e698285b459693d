"""Which names in two ordered mappings are the same, renamed, new or gone; which part of a JSON value differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from llm_strategy.canonical import canonical

V = TypeVar("V")


class Names(NamedTuple):
    """`renamed` maps old names to new ones."""

    renamed: dict[str, str]
    removed: list[str]
    added: list[str]


def match_names(old: Mapping[str, V], new: Mapping[str, V], *, by_position: bool = True) -> Names:
    """Compare the names of two mappings.

    A name that is gone and one that is new are the same thing renamed where both have equal values, or
    (unless `by_position` is off) where nothing else was added or removed and both stand at the same place.
    """
    removed = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    old_places, new_places = {name: at for at, name in enumerate(old)}, {name: at for at, name in enumerate(new)}
    renamed: dict[str, str] = {}
    for equal in (True, False):
        for name in [name for name in removed if name not in renamed]:
            for other in [other for other in added if other not in renamed.values()]:
                same_place = by_position and len(old) == len(new) and old_places[name] == new_places[other]
                if old[name] == new[other] if equal else same_place:
                    renamed[name] = other
                    break
    return Names(
        renamed,
        [name for name in removed if name not in renamed],
        [name for name in added if name not in renamed.values()],
    )


def parsed(text: str) -> Any:
    """A JSON text's value, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def same(old: Any, new: Any) -> bool:
    """Whether two JSON values are equal; 1, 1.0 and true are not."""
    return canonical(old) == canonical(new)


def path_to_difference(old: Any, new: Any) -> str:
    """The smallest part that holds all that differs, as `.address.lines[2]`; empty for the whole value."""
    path = ""
    while True:
        if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
            differing: list[Any] = [key for key in old if not same(old[key], new[key])]
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            differing = [at for at, item in enumerate(old) if not same(item, new[at])]
        else:
            return path
        if len(differing) != 1:
            return path
        step = differing[0]
        path += f".{step}" if str(step).isidentifier() else f"[{json.dumps(step, ensure_ascii=False)}]"
        old, new = old[step], new[step]
