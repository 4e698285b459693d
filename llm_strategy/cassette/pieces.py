"""Scrubbing an answer that came in pieces: what must not be written may reach over several of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from os.path import commonprefix

from llm_strategy.redaction import each_text
from llm_strategy.values import JSON

_Path = tuple[str | int, ...]


def scrubbed_pieces(pieces: Sequence[str], content: str) -> list[str]:
    """The pieces of a text of which `content` may be written; where a text was changed, one piece is all of it.

    What is replaced may reach over several pieces, or look like something else in one: what lies between
    the first change and the last is one piece. The others in between are empty.
    """
    whole = "".join(pieces)
    if content == whole:
        return list(pieces)
    before = len(commonprefix([whole, content]))
    rest = whole[before:], content[before:]
    after = len(commonprefix([text[::-1] for text in rest]))
    ends = [0, *accumulate(map(len, pieces))]
    first = bisect_right(ends[1:], before)
    last = bisect_left(ends, len(whole) - after)
    middle = content[ends[first] : len(content) - (len(whole) - ends[last])]
    return [*pieces[:first], middle, *[""] * (last - first - 1), *pieces[last:]]


def scrubbed_events(events: Sequence[JSON], change: Callable[[str], str]) -> list[JSON]:
    """Server-sent events of which each text is fit to be written, and so are the texts that they carry bit by bit.

    A provider sends the next bit of a text at the same place of an event. These texts come first: half a secret may
    be taken for a whole one, and the other half would stay.
    """
    texts: dict[_Path, dict[int, str]] = {}
    for number, event in enumerate(events):
        for path, text in _texts(event, ()):
            texts.setdefault(path, {})[number] = text
    changed: dict[int, dict[_Path, str]] = {}
    for path, found in texts.items():
        whole = "".join(found.values())
        scrubbed = change(whole) if len(found) > 1 else whole
        if scrubbed != whole:
            for number, piece in zip(found, scrubbed_pieces(list(found.values()), scrubbed), strict=True):
                changed.setdefault(number, {})[path] = piece
    joined = [_with_texts(event, (), changed[at]) if at in changed else event for at, event in enumerate(events)]
    scrubbed_one_by_one: list[JSON] = each_text(joined, change)
    return scrubbed_one_by_one


def _texts(value: JSON, path: _Path) -> Iterator[tuple[_Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _texts(item, (*path, at))


def _with_texts(value: JSON, path: _Path, texts: dict[_Path, str]) -> JSON:
    if isinstance(value, str):
        return texts.get(path, value)
    if isinstance(value, dict):
        return {key: _with_texts(item, (*path, key), texts) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts(item, (*path, at), texts) for at, item in enumerate(value)]
    return value
