"""What a provider's HTTP format is made of; each module of a format has one as `FORMAT`, `registry` has them all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llm_strategy.values import JSON, Part, Request, Response


@dataclass(frozen=True, slots=True)
class Answer(Response):
    """A response with all that it says: text, reasoning and tool calls. `content` is the text of it."""

    parts: tuple[Part, ...] = ()


def _same(body: JSON) -> JSON:
    return body


def _nothing(_events: Iterable[JSON]) -> dict[str, JSON]:
    return {}


def _no_events(_body: Mapping[str, Any]) -> Iterable[JSON]:
    return ()


def _never(_event: JSON) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of model call is written over HTTP.

    `path` is searched for in the path of a URL. The functions are pure; those that decode raise ValueError, TypeError
    or AttributeError for what is not of this format. `decode_request` takes a body and the whole URL, where some
    providers name the model. `join` puts the events of a streamed answer, as an envelope holds them, together to the
    body that it would have had in one, and `split` does the opposite; `ends` says whether nothing of an answer follows
    an event. `rename_ids` gives ids that clients make, or send back, names by first appearance. `is_common` says that
    the path may be any web application's: there a call is one only if its body is of this format.
    """

    name: str
    path: re.Pattern[str]
    decode_request: Callable[[Any, str], Request]
    decode_response: Callable[[Any], Answer]
    encode_request: Callable[[Request], dict[str, JSON]]
    encode_response: Callable[[Answer], dict[str, JSON]]
    join: Callable[[Iterable[JSON]], Mapping[str, Any]] = _nothing
    split: Callable[[Mapping[str, Any]], Iterable[JSON]] = _no_events
    ends: Callable[[JSON], bool] = _never
    rename_ids: Callable[[JSON], JSON] = _same
    is_common: bool = False
