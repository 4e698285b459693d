"""Requests as Markdown that people review: exact, and the same on every machine.

    ## `Shop.find` · `openai:gpt-5-mini`

    - `temperature`: `0.0`
    - output schema: in the text

    ### system

    ```text
    You implement Python functions ...
    ```

A section is a conversation; what a retry, or a tool's answer, adds to it stands below the line `CONTINUED`. A
conversation that was had several times stands there once, with their number.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from llm_strategy import Request
from pytest_llm_strategy.markdown import JSON, code, compact, json_block, plain, text_block

CONTINUED = "*The conversation goes on:*"
EMPTY = "No model was asked.\n"
ANY_MODEL = "any model"
ABOVE = "(above)"
"""What stands in a tool's JSON in the place of its description."""
IN_TEXT = "- output schema: in the text"
THE_BODY = "body"
"""The role of what an HTTP call says whose format is not known."""

_LONGEST_INLINE = 100
"""Characters of a setting that stands on one line."""
_LONGEST_PLACEHOLDER = 40
_DECLARED = re.compile(r"(?:async )?def ([^\s(]+)\(")
_UNREAD = re.compile(r"<blob ([0-9a-f]{64}), ([0-9]{1,15}) bytes>")
"""What a part holds where its content lies in a file beside the cassette."""


@dataclass
class _Conversation:
    """Requests of which each holds the messages of the one before, as text."""

    pieces: list[str]


def transcript(asked: Iterable[tuple[str | None, Request]]) -> str:
    """The transcript of requests in the order given, each with the name of the function that asked, if one did."""
    conversations: list[_Conversation] = []
    # What was said so far, as a hash, to the conversations that may go on from there.
    open_ended: dict[bytes, list[_Conversation]] = {}
    for function, request in asked:
        stored = request.stored
        head, messages = _head(function, request, stored)
        points = list(_points(head, messages))
        at = next((at for at in range(len(messages) - 1, 0, -1) if open_ended.get(points[at])), 0)
        if at:
            conversation = open_ended[points[at]].pop(0)
            conversation.pieces.append("".join([f"\n{CONTINUED}\n", *_messages(messages[at:])]))
        else:
            conversation = _Conversation(["".join(_opening(head, messages))])
            conversations.append(conversation)
        open_ended.setdefault(points[-1], []).append(conversation)
    counted = Counter("".join(found.pieces) for found in conversations)
    return "\n".join(_counted(text, times) for text, times in counted.items()) or EMPTY


def _head(function: str | None, request: Request, stored: dict[str, JSON]) -> tuple[dict[str, JSON], list[JSON]]:
    """What a request has beside its messages, and these; of a plain HTTP call, what its body says."""
    head = {name: value for name, value in stored.items() if name != "messages"}
    messages = stored["messages"]
    if getattr(request, "understood", request) is None:
        # No format is known for it: the request says all in one text.
        line, _, body = messages[0]["parts"][0]["content"].partition("\n\n")
        messages = [{"role": THE_BODY, "parts": [{"type": "body", "content": body}]}] if body else []
        return {**head, "function": line, "plain": True}, messages
    if function is None and "output_schema" in head:
        function = _declared(messages, head["output_schema"])
    return {**head, "function": function}, messages


def _declared(messages: list[JSON], schema: JSON) -> str | None:
    """The function whose prompt a request is: `function.request(...)` looks as the call does."""
    for message in messages:
        found = _DECLARED.match(message["parts"][0].get("content") or "") if message["parts"] else None
        if found is not None and schema == closing_json(message):
            return found[1]
    return None


def _points(head: Mapping[str, JSON], messages: list[JSON]) -> Iterator[bytes]:
    """A hash of what was said before each message, and after the last."""
    said = sha256(compact(head).encode("utf-8", "surrogatepass"))
    yield said.digest()
    for message in messages:
        said.update(compact(message).encode("utf-8", "surrogatepass"))
        yield said.digest()


def _counted(text: str, times: int) -> str:
    heading, end, rest = text.partition("\n")
    return f"{heading} ({times} times){end}{rest}" if times > 1 else text


def _opening(head: Mapping[str, JSON], messages: list[JSON]) -> Iterator[str]:
    names = [code(head["function"])] if head["function"] else []
    names += [code(head["model"])] if head["model"] else [] if head.get("plain") else [ANY_MODEL]
    yield f"## {' · '.join(names)}\n"
    schema = head.get("output_schema")
    in_text = schema is not None and any(schema == closing_json(message) for message in messages)
    settings = {name: compact(value) for name, value in sorted((head.get("settings") or {}).items())}
    long = [name for name, text in settings.items() if len(text) > _LONGEST_INLINE]
    if in_text or len(settings) > len(long):
        yield "\n"
    yield from (f"- {code(name)}: {code(text)}\n" for name, text in settings.items() if name not in long)
    if in_text:
        yield f"{IN_TEXT}\n"
    yield from _messages(messages)
    yield from (f"\n### the setting {code(name)}\n\n{json_block(head['settings'][name])}" for name in long)
    yield from map(_tool, head.get("tools") or ())
    if schema is not None and not in_text:
        yield f"\n### the output schema\n\n{json_block(schema)}"


def closing_json(message: JSON) -> JSON:
    """The JSON object that is the last paragraph of a message, as the schema is in prompts of decorated functions."""
    for part in message["parts"]:
        last = part["content"].rpartition("\n\n")[2] if part["type"] == "text" else ""
        try:
            if last.startswith("{"):
                return json.loads(last)
        except (ValueError, RecursionError):
            continue
    return None


def _tool(tool: JSON) -> str:
    """A tool; its description, which is part of the prompt, as text."""
    title = f"\n### the tool {code(_tool_name(tool))}\n\n"
    description = tool.get("description")
    if isinstance(description, str) and description:
        return f"{title}{text_block(description)}\n{json_block({**tool, 'description': ABOVE})}"
    return title + json_block(tool)


def _tool_name(tool: JSON) -> str:
    """The name of a tool, which stands in it or one level deeper; a provider's own tools may have a type only."""
    named = tool if "name" in tool else tool.get("function")
    name = named.get("name") if isinstance(named, Mapping) else tool.get("type")
    return str(name or next(iter(tool), "without a name"))


def _messages(messages: list[JSON]) -> Iterator[str]:
    for message in messages:
        yield f"\n### {plain(message['role'])}\n"
        yield from (f"\n{_part(part)}" for part in message["parts"])


def _part(part: Mapping[str, JSON]) -> str:
    match part["type"]:
        case "text":
            return text_block(part["content"])
        case "reasoning":
            return f"reasoning:\n\n{text_block(part['content'])}"
        case "body":
            return _value_block(_parsed(part["content"]))
        case "tool_call":
            which = f" ({code(part['id'])})" if part["id"] is not None else ""
            return f"calls {code(part['name'])}{which}:\n\n{_value_block(part['arguments'])}"
        case "tool_call_response":
            which = code(part["id"]) if part["id"] is not None else "the tool"
            return f"{which} answers:\n\n{_value_block(part['response'])}"
        case _:
            return f"attached: {', '.join(_attached(part))}\n"


def _value_block(value: JSON) -> str:
    return text_block(value) if isinstance(value, str) else json_block(value)


def _parsed(text: str) -> JSON:
    """The JSON that a body is, or its text."""
    try:
        return json.loads(text) if text.startswith(("{", "[")) else text
    except (ValueError, RecursionError):
        return text


def _attached(part: Mapping[str, JSON]) -> Iterator[str]:
    yield from (code(name) for name in (part["modality"], part["mime_type"]) if name)
    if part["type"] == "uri":
        yield f"at {code(part['uri'])}"
    elif part["type"] == "file":
        yield f"the file {code(part['file_id'])}"
    else:
        yield _content(part["content"])


def _content(content: str) -> str:
    """Binary content by its size and hash, whether it was read or not; a placeholder as it is."""
    unread = _UNREAD.fullmatch(content)
    if unread is not None:
        return f"{int(unread[2]):,} bytes, {_hash(unread[1])}"
    try:
        data = base64.b64decode(content, validate=True)
    except ValueError:
        if len(content) <= _LONGEST_PLACEHOLDER:
            return code(content)
        return f"{len(content):,} characters, {_hash(sha256(content.encode('utf-8', 'surrogatepass')).hexdigest())}"
    return f"{len(data):,} bytes, {_hash(sha256(data).hexdigest())}"


def _hash(digits: str) -> str:
    return f"SHA-256 {code(digits[:16])}"
