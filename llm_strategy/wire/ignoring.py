"""Values of a request's body that do not matter to a project, by JSON paths such as `$.metadata.session_id`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from llm_strategy.values import JSON

IGNORED = "<ignored>"
_STEP = re.compile(r"\.([^.\[\]*\"'\s]+)|\[(\d+)\]|\[(\*)\]")

_Path = tuple[str | int | None, ...]
"""Names of fields, places in lists, None for every place."""


@lru_cache(maxsize=64)
def parse_path(text: str) -> _Path:
    """The steps of a path; raises ValueError, with what is allowed, for what is none."""
    steps: list[str | int | None] = []
    at = 1
    while at < len(text) and (found := _STEP.match(text, at)):
        name, number, _ = found.groups()
        steps.append(name or (int(number) if number else None))
        at = found.end()
    if not text.startswith("$") or at < len(text) or not steps:
        raise ValueError(
            f"{text!r} is no path into the body of a request. A path is `$` and one or more of: `.name` (a field), "
            "`[0]` (an item of a list), `[*]` (all items of a list), as in $.metadata.session_id or $.messages[*].name"
        )
    return tuple(steps)


def without_ignored(body: JSON, paths: Iterable[str]) -> JSON:
    """A body with `<ignored>` for each value that a path leads to. Raises ValueError for what is no path."""
    for path in paths:
        body = _replaced(body, parse_path(path))
    return body


def _replaced(value: JSON, path: _Path) -> JSON:
    if not path:
        return IGNORED
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        return {**value, step: _replaced(value[step], rest)} if isinstance(value, Mapping) and step in value else value
    if not isinstance(value, list):
        return value
    return [_replaced(item, rest) if step in (None, at) else item for at, item in enumerate(value)]
