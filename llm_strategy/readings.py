"""The ways in which a reply can be read that is not just the JSON object that was asked for, the most exact first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from llm_strategy.mending import Found, decoded, found_in

KEY = "return_value"
CUT_OFF = "cut off"
"""How the repair of a truncated reply begins."""
_NO_WRAPPER = f"`{KEY}` missing"
_LAYERS = 3
"""How often a reply may be encoded into itself."""


class Reading(NamedTuple):
    """A reply's text as it should have been, and what had to be repaired for it, in words.

    `bare` is the object that was sent without the property around it, if it was one.
    """

    text: str
    repairs: tuple[str, ...] = ()
    bare: dict[str, Any] | None = None

    @property
    def cut_off(self) -> bool:
        return any(repair.startswith(CUT_OFF) for repair in self.repairs)


def readings_of(text: str, layer: int = 0) -> Iterator[Reading]:
    """Every way to read a reply that is not right as it stands."""
    answer, noted = without_reasoning(text)
    body, fence = unfenced(answer)
    try:
        value = decoded(body)
    except ValueError:
        pass
    else:
        for reading in _of_value(body, value, layer):
            yield reading._replace(repairs=(*noted, *fence, *reading.repairs))
        if isinstance(value, dict):
            return
    for reading in _of_parts(answer):
        yield reading._replace(repairs=(*noted, *reading.repairs))


_REASONING = re.compile(r"\s*<(think|thinking|reasoning)>", re.IGNORECASE)
_REASONING_END = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)


def without_reasoning(text: str) -> tuple[str, tuple[str, ...]]:
    """A text without byte order mark and without the reasoning that some models write first; and what was removed."""
    at = len(text) - len(text.lstrip("\ufeff"))
    noted = ["byte order mark"] if at else []
    begun = at
    while opening := _REASONING.match(text, at):
        end = text.find(f"</{opening[1]}>", opening.end())
        at = len(text) if end < 0 else end + len(f"</{opening[1]}>")
    if at == begun:
        # Some servers cut off the opening tag, which stands in the prompt.
        ends = _REASONING_END.search(text, at)
        if ends and not _inside_string(text, at, ends.start()):
            at = ends.end()
    if at != begun:
        noted.append("reasoning block")
    return text[at:], tuple(noted)


def _inside_string(text: str, start: int, at: int) -> bool:
    """Whether a place is inside one of the JSON objects of a text."""
    return any(found.start < at < found.end for found in found_in(text, start))


def unfenced(text: str) -> tuple[str, tuple[str, ...]]:
    """What is inside a code fence that is the whole text."""
    body = text.strip()
    for fence in ("```", "~~~"):
        if body.startswith(fence) and body.endswith(fence) and len(body) > 2 * len(fence):
            inner = body[len(fence) : -len(fence)]
            tag, newline, rest = inner.partition("\n")
            if newline and re.fullmatch(r"[\w+-]*\s*", tag):
                return rest.strip(), ("code fence",)
    return body, ()


def _of_value(text: str, value: Any, layer: int) -> Iterator[Reading]:
    """Readings of a text that is JSON, but maybe not the object that was asked for."""
    if isinstance(value, dict) and KEY in value:
        yield Reading(text)
        yield from _unwrapped(value)
        return
    if isinstance(value, str) and layer < _LAYERS and value.lstrip("\ufeff \t\r\n")[:1] in ("{", "[", '"'):
        for reading in readings_of(value, layer + 1):
            yield reading._replace(repairs=("JSON inside a string", *reading.repairs))
    yield _wrapped(text, value)


def _wrapped(text: str, value: Any, repairs: Sequence[str] = ()) -> Reading:
    bare = value if isinstance(value, dict) else None
    return Reading(f'{{"{KEY}": {text}}}', (*repairs, _NO_WRAPPER), bare)


def _unwrapped(value: dict[str, Any]) -> Iterator[Reading]:
    """Readings of an object whose value was encoded or wrapped once more."""
    inner = value[KEY]
    if isinstance(inner, dict) and inner.keys() == {KEY}:
        yield Reading(json.dumps(inner), (f"`{KEY}` twice",))
    if not isinstance(inner, str) or inner.lstrip()[:1] not in ("{", "["):
        return
    for found in found_in(inner, openings="{["):
        if not found.json or inner[: found.start].strip() or inner[found.end :].strip():
            return
        repairs = (f"JSON inside a string in `{KEY}`", *found.repairs)
        if isinstance(found.value, dict) and KEY in found.value:
            yield Reading(found.json, repairs)
        else:
            yield Reading(f'{{"{KEY}": {found.json}}}', repairs)
        return


def _of_parts(text: str) -> Iterator[Reading]:
    """Readings of the objects, and else the arrays, that stand in a text."""
    asked_for = [part for part in found_in(text, mend=False) if KEY in part.value]
    found = [part for part in found_in(text, openings="{[") if part.json]
    found = [*asked_for, *(part for part in found if not any(map(part.overlaps, asked_for)))]
    found.sort(key=lambda part: part.start)
    surroundings = _Surroundings(text, found)
    # The exact ones first: what had to be mended could be what they were explained with.
    usable = sorted(found, key=lambda part: bool(part.repairs))
    asked_for += [part for part in usable if part.repairs and isinstance(part.value, dict) and KEY in part.value]
    for part in asked_for:
        repairs = (*surroundings.of(part), *part.repairs)
        yield Reading(part.json, repairs)
        for reading in _unwrapped(part.value):
            yield reading._replace(repairs=(*repairs, *reading.repairs))
    if asked_for:
        return
    for part in usable:
        # Of several arrays nobody knows which is meant.
        if part.value and (isinstance(part.value, dict) or len(usable) == 1):
            yield _wrapped(part.json, part.value, (*surroundings.of(part), *part.repairs))


_FENCE_BEFORE = re.compile(r"(?:```|~~~)[\w+-]{0,30}\s{0,100}\Z")
_FENCE_AFTER = re.compile(r"\s{0,100}(?:```|~~~)")


class _Surroundings:
    """What stands beside the objects and arrays of a text."""

    def __init__(self, text: str, parts: Sequence[Found]) -> None:
        self.text = text
        self.starts = {part.start for part in parts if isinstance(part.value, dict)}
        places = [0, *(place for part in parts for place in (part.start, part.end)), len(text)]
        between = [text[start:end] for start, end in zip(places[::2], places[1::2], strict=True)]
        self.words = any(map(_is_more_than_fences, between))

    def of(self, part: Found) -> Iterator[str]:
        """What stands beside one of them, in words."""
        if _FENCE_BEFORE.search(self.text[max(0, part.start - 140) : part.start]):
            yield "code fence"
        if self.starts - {part.start}:
            yield "another JSON object"
        if self.words or (part.start not in self.starts and isinstance(part.value, dict)):
            yield "text around the JSON object" if isinstance(part.value, dict) else "text around the JSON array"


def _is_more_than_fences(text: str) -> bool:
    closing = _FENCE_AFTER.match(text)
    rest = text[closing.end() :] if closing else text
    return bool(rest[:-140].strip() or _FENCE_BEFORE.sub("", rest[-140:]).strip())
