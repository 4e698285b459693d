"""What was answered, for people."""

from __future__ import annotations

from llm_strategy.transcript import laid_out, message_text
from llm_strategy.values import JSON, Message, Part, Response, TextPart
from llm_strategy.wire.contents import described
from llm_strategy.wire.envelope import HTTPResponse

_SAID = ("content", "tool_calls")
"""The fields of a response that `reply_text` shows."""


def reply_parts(response: Response) -> tuple[Part, ...]:
    """The parts of what was said; none where only its text is known."""
    if isinstance(response, HTTPResponse):
        return response.parts
    text = (TextPart(response.content),) if response.content else ()
    return (*text, *response.tool_calls) if response.tool_calls else ()


def reply_text(response: Response) -> str:
    """All that was said, reasoning and calls of tools too; nothing where that is not known."""
    parts = reply_parts(response)
    told = all(isinstance(part, TextPart) for part in parts)
    return response.content if told else message_text(Message("assistant", parts))


def whole_reply(response: Response) -> str:
    """The same; where what was said is not known, the whole body, with binary content in a few words."""
    text = reply_text(response)
    if text or not isinstance(response, HTTPResponse):
        return text
    shown = described(response.http)
    body = shown.get("events", shown.get("body", ""))
    return body if isinstance(body, str) else laid_out(body)


def beside(response: Response) -> dict[str, JSON]:
    """What a response holds besides what was said; of a stream also in how many pieces that came."""
    if isinstance(response, HTTPResponse) and response.parts:
        # The body says it all once more, among ids and times that differ each time.
        data = {name: value for name, value in response.http.items() if name not in ("body", "layout", "events")}
        data |= {name: value for name, value in Response.to_json(response).items() if name not in _SAID}
        return {**data, "events": len(response.http["events"])} if "events" in response.http else data
    shown = described(response.http) if isinstance(response, HTTPResponse) else response.to_json()
    data = {name: value for name, value in shown.items() if name not in _SAID}
    if response.pieces:
        data["pieces"] = list(map(len, response.pieces))
    return data


def envelope(response: Response) -> dict[str, JSON]:
    """What an HTTP answer consists of, with a few words in place of large binary content; of others nothing."""
    return described(response.http) if isinstance(response, HTTPResponse) else {}
