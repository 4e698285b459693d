"""The pieces of a streamed chat completion: put together to the body that it would have had in one, and made of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_strategy.values import JSON
from llm_strategy.wire.bodies import parse_text
from llm_strategy.wire.chat_messages import THOUGHTS, text_of

DONE: JSON = {"data": "[DONE]"}
_TEXTS = frozenset(("content", "refusal", *THOUGHTS))


class Assembly:
    """A chat completion of which not all chunks may be there yet."""

    def __init__(self) -> None:
        self._fields: dict[str, JSON] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: object) -> str:
        """Take a chunk in; returns the text that it adds to the first answer. What is no chunk is passed over."""
        if not isinstance(chunk, Mapping):
            return ""
        for name in ("model", "usage", "error"):
            if value := chunk.get(name):
                self._fields[name] = value
        # Groq says in a field of its own what a stream has used.
        if (own := chunk.get("x_groq")) and own.get("usage"):
            self._fields["usage"] = own["usage"]
        text = ""
        for part in chunk.get("choices") or ():
            if isinstance(part, Mapping) and "text" not in part:
                index = part.get("index") or 0
                added = self._choices.setdefault(index, _Choice()).add(part)
                text += "" if index else added
        return text

    @property
    def finish_reason(self) -> JSON:
        """Why the first answer ended, None while it has not."""
        return self._choices[0].finish_reason if 0 in self._choices else None

    @property
    def body(self) -> dict[str, Any]:
        """The completion, as far as it is there."""
        choices = [self._choices[index].body | {"index": index} for index in sorted(self._choices)]
        return {**self._fields, "choices": choices} if choices else dict(self._fields)


class _Choice:
    """One of the answers in a completion."""

    def __init__(self) -> None:
        self.finish_reason: JSON = None
        self._texts: dict[str, list[str]] = {"content": []}
        self._audio: dict[str, JSON] = {}
        self._calls: list[dict[str, Any]] = []

    def add(self, part: Mapping[str, Any]) -> str:
        self.finish_reason = part.get("finish_reason") or self.finish_reason
        delta = part.get("delta") or {}
        content = delta.get("content")
        if isinstance(content, list):
            # Mistral's models that reason stream lists of parts.
            thoughts = [text_of(piece["thinking"]) for piece in content if piece.get("type") == "thinking"]
            delta = {**delta, "content": text_of(content), "reasoning_content": "".join(thoughts)}
        for name in delta.keys() & _TEXTS:
            if isinstance(piece := delta[name], str):
                self._texts.setdefault(name, []).append(piece)
        for name, value in (delta.get("audio") or {}).items():
            self._audio[name] = self._audio.get(name, "") + value if name in ("data", "transcript") else value
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
        content = delta.get("content")
        return content if isinstance(content, str) else ""

    def _add_call(self, piece: Mapping[str, Any]) -> None:
        """A call comes in pieces with its index; some servers send each whole, all with the same index or none."""
        number, name = piece.get("index"), piece.get("id")
        known = next((call for call in reversed(self._calls) if number is not None and call["index"] == number), None)
        if known is None or (name and known["id"] not in ("", None, name)):
            known = {"index": number, "id": name, "type": "function", "function": {"name": "", "arguments": ""}}
            self._calls.append(known)
        known["id"] = known["id"] or name
        function = piece.get("function") or {}
        for field in ("name", "arguments"):
            known["function"][field] += function.get(field) or ""

    @property
    def body(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant"}
        message |= {name: "".join(texts) for name, texts in self._texts.items() if name == "content" or any(texts)}
        if self._audio:
            message["audio"] = self._audio
        if self._calls:
            message["tool_calls"] = [
                {name: value for name, value in call.items() if name != "index"} for call in self._calls
            ]
        return {"message": message, "finish_reason": self.finish_reason}


def data_of(event: JSON) -> JSON:
    """The data of an event in an envelope, as a value where it is JSON; None where it has none."""
    data = event.get("data") if isinstance(event, Mapping) else None
    return parse_text(data) if isinstance(data, str) else data


def join_chunks(events: Iterable[JSON]) -> dict[str, Any]:
    """The body of a chat completion from an envelope's events that brought it; what is no chunk is passed over."""
    assembly = Assembly()
    for event in events:
        assembly.add(data_of(event))
    return assembly.body


def is_last(event: JSON) -> bool:
    """Whether an event says that the stream is at its end."""
    return isinstance(event, Mapping) and event.get("data") == "[DONE]"


def split_chunks(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The events that bring a chat completion piece by piece."""
    common = {name: body[name] for name in ("id", "created", "model") if name in body}
    common["object"] = "chat.completion.chunk"
    for choice in body["choices"]:
        deltas = list(_deltas(choice["message"]))
        for number, delta in enumerate([{"role": "assistant"}, *deltas, {}]):
            reason = choice.get("finish_reason") if number > len(deltas) else None
            yield {"data": common | {"choices": [{"index": choice["index"], "delta": delta, "finish_reason": reason}]}}
    yield {"data": common | {"choices": [], "usage": body.get("usage")}}
    yield DONE


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, JSON]]:
    for name in (*THOUGHTS, "content", "refusal"):
        yield from ({name: piece} for piece in halves(message.get(name) or ""))
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        yield {"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]}
        for piece in halves(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def halves(text: str) -> list[str]:
    """A text in two pieces, none of them empty."""
    middle = (len(text) + 1) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]
