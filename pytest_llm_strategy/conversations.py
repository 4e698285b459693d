"""Transcripts read back: which requests they hold, to compare them whatever their order."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from llm_strategy import Request
from pytest_llm_strategy.markdown import JSON, blocks, codes, split
from pytest_llm_strategy.transcript import ABOVE, ANY_MODEL, CONTINUED, EMPTY, IN_TEXT, closing_json

_TIMES = re.compile(r" \(([1-9][0-9]{0,8}) times\)\Z")
_SETTING = re.compile(r"- (`[^`]*`): (`[^`]*`)")
_ABOUT = "### the "


@dataclass(frozen=True)
class Conversation:
    """A section: what its requests have in common, and the messages that each of them adds. All is text.

    `times` says how often the whole was had; `heading` is without that.
    """

    heading: str
    about: tuple[str, ...]
    pieces: tuple[tuple[str, ...], ...]
    times: int = 1

    @cached_property
    def text(self) -> str:
        """The section as it stands in a transcript of this one conversation."""
        first, *later = ["\n\n".join(piece) for piece in self.pieces]
        opening = "\n\n".join(part for part in (self.heading, first, *self.about) if part)
        return "\n\n".join([opening, *(f"{CONTINUED}\n\n{piece}" for piece in later)])

    @property
    def function(self) -> str | None:
        """The name of the function that asked; method and path of a plain HTTP call; None for other calls."""
        title = self.heading.partition("\n")[0]
        names = codes(title)
        return names[0] if names and (len(names) > 1 or title.endswith(ANY_MODEL) or " " in names[0]) else None

    @property
    def calls(self) -> int:
        return self.times * len(self.pieces)

    def upto(self, pieces: int | None) -> Conversation:
        """The first of its requests; all of them for None."""
        return Conversation(self.heading, self.about, self.pieces[:pieces], self.times)

    def requests(self) -> Iterator[bytes]:
        """A hash of each request, with all that was said before."""
        said = sha256("\0".join([self.heading, *self.about]).encode())
        for piece in self.pieces:
            for message in piece:
                said.update(b"\0\0" + message.encode())
            yield said.digest()

    def request(self) -> Request:
        """The last of the requests, as far as the transcript says it: of binary content it knows size and hash."""
        heading, *lines = self.heading.split("\n")
        names = codes(heading)
        has_model = names and not heading.endswith(ANY_MODEL) and names[-1:] != [self.function]
        data: dict[str, Any] = {"model": names[-1] if has_model else None, "settings": {}, "tools": []}
        data["messages"] = [_message(text) for piece in self.pieces for text in piece]
        for setting in filter(None, map(_SETTING.fullmatch, lines)):
            data["settings"][codes(setting[1])[0]] = _json(codes(setting[2])[0])
        for title, found in (_titled(text) for text in self.about):
            _add(data, title, found)
        if IN_TEXT in lines:
            schemas = (closing_json(message) for message in data["messages"])
            data["output_schema"] = next((schema for schema in schemas if schema is not None), None)
        return Request.from_json(data)


def read(text: str) -> list[Conversation]:
    """The conversations of a transcript; text that is none is one without messages."""
    if text.strip() == EMPTY.strip():
        return []
    first, *sections = split(text, "## ")
    return ([Conversation(first, (), ((),))] if first else []) + list(map(_conversation, sections))


def _conversation(section: str) -> Conversation:
    opening, *later = split(section, CONTINUED)
    head, *parts = split(opening, "### ")
    title, _, lines = head.partition("\n")
    times = _TIMES.search(title)
    heading = f"{_TIMES.sub('', title)}\n{lines}".rstrip("\n")
    about = tuple(part for part in parts if part.startswith(_ABOUT))
    said = tuple(part for part in parts if not part.startswith(_ABOUT))
    pieces = [tuple(split(piece, "### ")[1:]) for piece in later]
    return Conversation(heading, about, (said, *pieces), int(times[1]) if times else 1)


def count_requests(text: str) -> Counter[bytes]:
    """How often a transcript has each request, whether it stands alone or goes on with a conversation."""
    found: Counter[bytes] = Counter()
    for conversation in read(text):
        for request in conversation.requests():
            found[request] += conversation.times
    return found


def alike(one: str, other: str) -> bool:
    """Whether two transcripts hold the same requests, in whatever order they were asked."""
    return one == other or count_requests(one) == count_requests(other)


def holds(whole: str, part: str) -> bool:
    """Whether a transcript has all requests of another."""
    return count_requests(part) <= count_requests(whole)


# The request in a conversation


def _titled(text: str) -> tuple[str, list[tuple[str, JSON]]]:
    title, _, rest = text.partition("\n")
    return title.removeprefix("### "), blocks(rest)


def _json(text: str) -> JSON:
    return blocks(f"```json\n{text}\n```")[0][1]


def _add(data: dict[str, Any], title: str, found: list[tuple[str, JSON]]) -> None:
    """Add a tool, a long setting or the output schema."""
    values = [value for _, value in found if value is not None]
    if not values:
        return
    if title.startswith("the tool") and isinstance(values[-1], dict):
        tool = values[-1]
        data["tools"].append({**tool, "description": values[0]} if tool.get("description") == ABOVE else tool)
    elif title.startswith("the setting"):
        data["settings"][codes(title)[0]] = values[0]
    elif title == "the output schema":
        data["output_schema"] = values[0]


def _message(text: str) -> JSON:
    role, found = _titled(text)
    return {"role": role, "parts": [_part(lead, value) for lead, value in found]}


def _part(lead: str, value: JSON) -> JSON:
    name, which = [*codes(lead), None, None][:2]
    if lead.startswith("attached: "):
        return {"type": "blob", "modality": name or "", "content": lead}
    if lead.startswith("calls "):
        return {"type": "tool_call", "name": name or "", "id": which, "arguments": value}
    if lead.endswith(" answers:"):
        return {"type": "tool_call_response", "id": name, "response": value}
    if value is None:
        # Written by hand; else it would count for nothing.
        return {"type": "text", "content": lead}
    if not isinstance(value, str):
        value = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    return {"type": "reasoning" if lead == "reasoning:" else "text", "content": value}
