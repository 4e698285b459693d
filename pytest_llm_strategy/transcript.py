"""Requests as Markdown that people review: exact, and the same on every machine.

    ## `Shop.find` · `openai:gpt-5-mini`

    - `temperature`: `0.0`
    - output schema: in the text

    ### system

    ```text
    You implement Python functions ...
    ```

A section is a conversation; what a retry adds to it stands below the line `CONTINUED`. What an editor, git
or the eye would lose is written as its code point, such as `<U+000D>` for a carriage return.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from llm_strategy import Request

JSON = Any
CONTINUED = "*The conversation goes on:*"
EMPTY = "No model was asked.\n"

# Controls, Unicode's line ends, marks that turn the direction of text, invisible characters, halves of
# pairs, blanks before a line's end; and the beginning of this notation itself.
_LOST = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff"
    r"\U000e0000-\U000e007f]|[ \t](?=\n|\Z)|<(?=U\+)"
)
_LOST_IN_CODE = re.compile(rf"{_LOST.pattern}|[`\n\t]")
_LONGEST_PLACEHOLDER = 40
_FENCE = re.compile(r"`{3,}")


def _named(match: re.Match[str]) -> str:
    return f"<U+{ord(match[0]):04X}>"


def _code(text: str) -> str:
    return f"`{_LOST_IN_CODE.sub(_named, text)}`"


def _fenced(text: str, language: str) -> str:
    """The text between fences that are longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n"


def _text_block(text: str) -> str:
    return _fenced(_LOST.sub(_named, text), "text")


def _json_block(value: JSON) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _fenced(_LOST.sub(lambda match: json.dumps(match[0])[1:-1], text), "json")


# Writing


@dataclass
class _Conversation:
    """Requests of which each holds the messages of the one before."""

    head: Mapping[str, JSON]
    messages: list[JSON]
    pieces: list[str]

    def leads_to(self, head: Mapping[str, JSON], messages: list[JSON]) -> bool:
        said = len(self.messages)
        return self.head == head and 0 < said < len(messages) and self.messages == messages[:said]


def transcript(asked: Iterable[tuple[str | None, Request]]) -> str:
    """The transcript of requests in the order given, each with the name of the function that asked, if one did."""
    conversations: list[_Conversation] = []
    for function, request in asked:
        head = {name: value for name, value in request.stored.items() if name != "messages"}
        head["function"] = function
        messages = request.stored["messages"]
        before = [found for found in conversations if found.leads_to(head, messages)]
        if before:
            longest = max(before, key=lambda found: len(found.messages))
            longest.pieces.append("".join([f"\n{CONTINUED}\n", *_messages(messages[len(longest.messages) :])]))
            longest.messages = messages
        else:
            conversations.append(_Conversation(head, messages, ["".join(_opening(head, messages))]))
    return "\n".join("".join(found.pieces) for found in conversations) or EMPTY


def _opening(head: Mapping[str, JSON], messages: list[JSON]) -> Iterator[str]:
    names = [_code(name) for name in (head["function"], head["model"]) if name]
    yield f"## {' · '.join(names) or 'a request for any model'}\n"
    schema = head.get("output_schema")
    in_text = schema is not None and any(_ends_with(message, schema) for message in messages)
    settings = sorted((head.get("settings") or {}).items())
    if settings or in_text:
        yield "\n"
    for name, value in settings:
        yield f"- {_code(name)}: {_code(json.dumps(value, ensure_ascii=False, sort_keys=True))}\n"
    if in_text:
        yield "- output schema: in the text\n"
    yield from _messages(messages)
    for tool in head.get("tools") or ():
        yield f"\n### the tool {_code(_tool_name(tool))}\n\n{_json_block(tool)}"
    if schema is not None and not in_text:
        yield f"\n### the output schema\n\n{_json_block(schema)}"


def _ends_with(message: JSON, schema: JSON) -> bool:
    """Whether this very schema is the last paragraph of a message, as in the prompts of decorated functions."""
    for part in message["parts"]:
        last = part["content"].rpartition("\n\n")[2] if part["type"] == "text" else ""
        try:
            if last.startswith("{") and json.loads(last) == schema:
                return True
        except (ValueError, RecursionError):
            continue
    return False


def _tool_name(tool: JSON) -> str:
    named = tool if "name" in tool else tool.get("function")
    return str(named["name"]) if isinstance(named, dict) and "name" in named else "without a name"


def _messages(messages: list[JSON]) -> Iterator[str]:
    for message in messages:
        yield f"\n### {_LOST_IN_CODE.sub(_named, message['role'])}\n"
        for part in message["parts"]:
            yield f"\n{_part(part)}"


def _part(part: Mapping[str, JSON]) -> str:
    if part["type"] == "text":
        return _text_block(part["content"])
    if part["type"] == "reasoning":
        return f"reasoning:\n\n{_text_block(part['content'])}"
    if part["type"] == "blob":
        names = [_code(name) for name in (part["modality"], part["mime_type"]) if name]
        return f"blob: {', '.join([*names, _content(part['content'])])}\n"
    shown = {name: value for name, value in part.items() if name != "type" and value is not None}
    return f"{part['type'].replace('_', ' ')}:\n\n{_json_block(shown)}"


def _content(content: str) -> str:
    """Binary content by its size and hash; a placeholder as it is."""
    try:
        data = base64.b64decode(content, validate=True)
    except ValueError:
        return _code(content) if len(content) <= _LONGEST_PLACEHOLDER else f"{len(content):,} characters"
    return f"{len(data):,} bytes, SHA-256 `{sha256(data).hexdigest()[:16]}`"


# Comparing


def alike(one: str, other: str) -> bool:
    """Whether two transcripts hold the same requests, in whatever order they were asked."""
    return one == other or _requests(one) == _requests(other)


def in_order_of(text: str, other: str) -> str:
    """The transcript `text` with its sections in the order of those in `other`, as far as both have them."""
    first, *own = _split(text, "## ")
    _, *others = _split(other, "## ")
    common = Counter(own) & Counter(others)
    left = common.copy()
    fresh = [section for section in own if not _take(left, section)]
    ordered = []
    for section in others:
        if _take(common, section):
            ordered.append(section)
        elif fresh:
            ordered.append(fresh.pop(0))
    return "\n\n".join([*([first] if first else []), *ordered, *fresh]) + "\n"


def _take(counted: Counter[str], section: str) -> bool:
    if not counted[section]:
        return False
    counted[section] -= 1
    return True


def _requests(text: str) -> Counter[tuple[str, ...]]:
    """Each request as its blocks, whether it stands alone or goes on with a conversation."""
    first, *sections = _split(text, "## ")
    found: Counter[tuple[str, ...]] = Counter([(first,)])
    for section in sections:
        opening, *later = _split(section, CONTINUED)
        head, *blocks = _split(opening, "### ")
        about = [head, *(block for block in blocks if block.startswith("### the "))]
        said = [block for block in blocks if not block.startswith("### the ")]
        found[*about, *said] += 1
        for piece in later:
            said += _split(piece, "### ")[1:]
            found[*about, *said] += 1
    return found


def _split(text: str, mark: str) -> list[str]:
    """What stands before the first line that begins with `mark`, then what each of them begins.

    Lines between fences begin nothing.
    """
    pieces: list[list[str]] = [[]]
    fence = None
    for line in text.split("\n"):
        if fence is not None:
            fence = None if line == fence else fence
        elif found := _FENCE.match(line):
            fence = found[0]
        elif line.startswith(mark):
            pieces.append([])
        pieces[-1].append(line)
    return ["\n".join(piece).rstrip("\n") for piece in pieces]
