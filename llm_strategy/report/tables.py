"""What many calls have in common, kept once: texts, and messages made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_strategy import blobs
from llm_strategy.transcript import laid_out
from llm_strategy.values import JSON

_IMAGES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}
"""What a browser shows and runs nothing of, and how its files begin. SVG is not among them: it may hold scripts."""

_LARGEST_IMAGE = 256 * 1024
"""Bytes; of larger ones, and when all together exceed the next figure, only size and hash are told."""
_ALL_IMAGES = 3 * 1024 * 1024


class Tables:
    """`texts` and `messages`, to which the calls refer by number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.messages: list[JSON] = []
        self._texts: dict[str, int] = {}
        self._messages: dict[tuple[Any, ...], int] = {}
        self._left_for_images = _ALL_IMAGES

    def text(self, text: str) -> int:
        number = self._texts.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number

    def message(self, message: Mapping[str, JSON]) -> int:
        parts = [self.part(part) for part in message["parts"]]
        known = (message["role"], *(part if isinstance(part, int) else tuple(part.items()) for part in parts))
        number = self._messages.setdefault(known, len(self.messages))
        if number == len(self.messages):
            self.messages.append({"role": message["role"], "parts": parts})
        return number

    def part(self, part: Mapping[str, JSON]) -> JSON:
        """A part with its texts by number; a plain text is nothing but its number."""
        match part["type"]:
            case "text":
                return self.text(part["content"])
            case "reasoning":
                return {"type": "reasoning", "text": self.text(part["content"])}
            case "tool_call":
                return {"type": "tool_call", "name": part["name"], "text": self._value(part["arguments"])}
            case "tool_call_response":
                return {"type": "tool_call_response", "text": self._value(part["response"])}
            case "blob":
                return self._blob(part)
            case _:
                # Content by its address, or by the name that the provider has given it.
                where = part.get("uri") or part.get("file_id") or ""
                return {"type": part["type"], "modality": part["modality"], "text": self.text(where)}

    def _value(self, value: JSON) -> int:
        return self.text(value if isinstance(value, str) else laid_out(value))

    def _blob(self, part: Mapping[str, JSON]) -> JSON:
        content = part["content"]
        told = f"{part['mime_type'] or part['modality']}, {blobs.summary(content)}"
        data = {"type": "blob", "modality": part["modality"], "text": self.text(told)}
        mime_type = part["mime_type"]
        if _is_image(mime_type, content) and (content in self._texts or len(content) <= self._left_for_images):
            self._left_for_images -= 0 if content in self._texts else len(content)
            return {**data, "mime_type": mime_type, "image": self.text(content)}
        return data


def _is_image(mime_type: JSON, content: str) -> bool:
    begins = _IMAGES.get(mime_type)
    if begins is None or len(content) > _LARGEST_IMAGE * 4 // 3 + 4:
        return False
    data = blobs.decoded(content)
    return data is not None and data.startswith(begins)
