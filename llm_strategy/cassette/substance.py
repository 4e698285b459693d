"""What an answer says, without what differs each time it is asked for: ids, times, counts, how it was cut in pieces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llm_strategy.cassette.answers import reply_parts
from llm_strategy.items import ItemReader
from llm_strategy.readings import KEY
from llm_strategy.values import JSON, Message, Part, ReasoningPart, Response, TextPart
from llm_strategy.wire.contents import described
from llm_strategy.wire.envelope import HTTPResponse

_FRESH = frozenset(
    "created created_at created_time date duration eval_count eval_duration generation_time id latency load_duration "
    "prompt_eval_count prompt_eval_duration request_id response_id system_fingerprint timestamp timings took "
    "total_duration trace_id usage".split()
)
"""Fields of an answer in no known format that say nothing of what was asked."""


class Substance(NamedTuple):
    """The text of an answer, what it says besides (tool calls, pictures, vectors), its thoughts, why it ended."""

    text: str
    beside: JSON
    thoughts: str
    end: str


def substance(response: Response, *, items: bool = False) -> Substance:
    """What a response says; `items` are read one by one, so that of one that was closed only whole ones count."""
    parts = reply_parts(response)
    text, end = response.content, response.finish_reason
    if items and response.closed_early:
        text = f'{{"{KEY}": [{", ".join(ItemReader().feed(text))}]}}'
    thoughts = "\n".join(part.content for part in parts if isinstance(part, ReasoningPart))
    if isinstance(response, HTTPResponse) and not parts and end != "error":
        return Substance("", _body(response), "", end)
    texts = [part.content for part in parts if isinstance(part, TextPart)]
    others = [_without_id(part) for part in parts if not isinstance(part, TextPart | ReasoningPart)]
    # Of several choices the first is the text.
    return Substance(text, [*others, *(texts if len(texts) > 1 and "".join(texts) != text else ())], thoughts, end)


def _without_id(part: Part) -> JSON:
    said = Message("assistant", [part]).to_json()["parts"][0]
    return {name: value for name, value in said.items() if name != "id"}


def _body(response: HTTPResponse) -> JSON:
    """The body of an answer whose format nobody knows."""
    http = described(response.http)
    whole = [http["status"], http.get("body"), *http.get("events", ())]
    return [_lasting(item) for item in whole]


def _lasting(value: JSON) -> JSON:
    if not isinstance(value, Mapping):
        return value
    data = value.get("data")
    kept = {name: item for name, item in value.items() if name not in _FRESH}
    return {**kept, "data": _lasting(data)} if isinstance(data, Mapping) else kept
