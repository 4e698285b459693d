"""The formats that are known, and which of them a call has."""

from __future__ import annotations

from llm_strategy.wire import chat_completions, completions, embeddings, responses
from llm_strategy.wire.format import Format

FORMATS: tuple[Format, ...] = (
    chat_completions.FORMAT,
    responses.FORMAT,
    embeddings.FORMAT,
    completions.FORMAT,
)


def find(path: str) -> Format | None:
    """The format of what is posted to a path, on whichever host; None where it is not known."""
    return next((format for format in FORMATS if format.path.search(path)), None)
