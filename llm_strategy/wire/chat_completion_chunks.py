"""The pieces of a streamed chat completion, put together to the body that it would have had in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llm_strategy.values import JSON
from llm_strategy.wire.bodies import parse_text


class Assembly:
    """A chat completion of which not all chunks may be there yet."""

    def __init__(self) -> None:
        self.finish_reason: JSON = None
        self._fields: dict[str, JSON] = {}
        self._texts: dict[str, list[str]] = {"content": [], "refusal": []}
        self._tool_calls: list[JSON] = []
        self._has_choice = False

    def add(self, chunk: object) -> str:
        """Take a chunk in; returns the text that it adds to the content. What is no chunk is passed over."""
        if not isinstance(chunk, Mapping):
            return ""
        self._fields |= {name: chunk[name] for name in ("model", "usage", "error") if chunk.get(name)}
        text = ""
        for part in chunk.get("choices") or ():
            # Of several answers the first is the one that a response stands for.
            if isinstance(part, Mapping) and not part.get("index"):
                self._has_choice = True
                self.finish_reason = part.get("finish_reason") or self.finish_reason
                text += self._add_delta(part.get("delta") or {})
        return text

    def _add_delta(self, delta: Mapping[str, JSON]) -> str:
        for name, texts in self._texts.items():
            if isinstance(piece := delta.get(name), str):
                texts.append(piece)
        self._tool_calls += delta.get("tool_calls") or ()
        content = delta.get("content")
        return content if isinstance(content, str) else ""

    @property
    def body(self) -> dict[str, Any]:
        """The completion, as far as it is there."""
        if not self._has_choice:
            return dict(self._fields)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._texts["content"])}
        if self._texts["refusal"]:
            message["refusal"] = "".join(self._texts["refusal"])
        if self._tool_calls:
            message["tool_calls"] = self._tool_calls
        return {**self._fields, "choices": [{"message": message, "finish_reason": self.finish_reason}]}


def join_chunks(events: Iterable[JSON]) -> dict[str, Any]:
    """The body of a chat completion from an envelope's events that brought it; what is no chunk is passed over."""
    assembly = Assembly()
    for event in events:
        chunk = event.get("data") if isinstance(event, Mapping) else None
        assembly.add(parse_text(chunk) if isinstance(chunk, str) else chunk)
    return assembly.body
