"""Which versions of libraries a cassette's prompts were rendered by, and when these are the cause of a miss."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from llm_strategy.values import JSON

FIELD = "rendered_by"
_OWN = "llm-strategy"


@cache
def own_version() -> str:
    """The version of this library."""
    try:
        return version(_OWN)
    except PackageNotFoundError:
        return "(not installed)"


def rendering() -> tuple[str, ...]:
    """What renders schemas here, as `pydantic 2.14.3`; nothing before it was needed."""
    pydantic = sys.modules.get("pydantic")
    return () if pydantic is None else (f"pydantic {pydantic.VERSION}",)


def rendered_by(header: Mapping[str, JSON]) -> tuple[str, ...]:
    """What the header of a cassette says has rendered its prompts."""
    names = header.get(FIELD, ())
    listed = [names] if isinstance(names, str) else names if isinstance(names, list | tuple) else []
    return tuple(name for name in listed if isinstance(name, str))


class Change(NamedTuple):
    """A library that has another version than when a cassette was recorded."""

    name: str
    now: str
    recorded: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.now} now, {' or '.join(self.recorded)} when it was recorded"

    @property
    def trial(self) -> str:
        """The command that brings the recorded version back."""
        return f"pip install {self.name}=={self.recorded[-1]}"


def changes(header: Mapping[str, JSON]) -> Iterator[Change]:
    """The libraries whose version now is not the only one that a header speaks of."""
    written = header.get("written_by")
    listed = [*rendered_by(header), *([written] if isinstance(written, str) else [])]
    for present in (*rendering(), f"{_OWN} {own_version()}"):
        name, _, now = present.partition(" ")
        others = [other for library, _, other in (text.partition(" ") for text in listed) if library == name]
        if recorded := tuple(other for other in others if other not in ("", now)):
            yield Change(name, now, recorded)


def suspected(header: Mapping[str, JSON], causes: Sequence[str]) -> list[Change]:
    """The libraries whose other version may be why a request is no longer the recorded one."""
    from llm_strategy.difference import NOTHING
    from llm_strategy.difference.conversations import AGAIN, INSTRUCTIONS
    from llm_strategy.difference.prompts import CLOSING
    from llm_strategy.difference.schemas import is_of_types

    # What is told of a reply that was no value comes from pydantic, in words of this library.
    of_types = AGAIN in causes or any(map(is_of_types, causes))
    of_prompts = of_types or not {NOTHING, CLOSING, INSTRUCTIONS}.isdisjoint(causes)
    return [change for change in changes(header) if (of_prompts if change.name == _OWN else of_types)]
