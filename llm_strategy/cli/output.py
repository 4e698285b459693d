"""What a command prints, without secrets: a cassette may be older than the rules, or edited by hand."""

from __future__ import annotations

from typing import Any, TextIO

from llm_strategy.redaction import conceal


class Concealing:
    """A stream that leaves out secrets of whatever is printed, and keeps the names of folders."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(conceal(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
