"""The formats that are known, and which of them a call has."""

from __future__ import annotations

from functools import lru_cache

from llm_strategy.wire import (
    anthropic_messages,
    bedrock_converse,
    chat_completions,
    cohere_chat,
    cohere_chat_v1,
    cohere_embeddings,
    completions,
    embeddings,
    gemini,
    gemini_embeddings,
    ollama,
    ollama_embeddings,
    responses,
)
from llm_strategy.wire.format import Format

FORMATS: tuple[Format, ...] = (
    chat_completions.FORMAT,
    responses.FORMAT,
    embeddings.FORMAT,
    completions.FORMAT,
    anthropic_messages.FORMAT,
    gemini.FORMAT,
    gemini_embeddings.FORMAT,
    bedrock_converse.FORMAT,
    ollama.FORMAT,
    ollama.COMPLETIONS,
    ollama_embeddings.FORMAT,
    cohere_chat.FORMAT,
    cohere_chat_v1.FORMAT,
    cohere_embeddings.FORMAT,
)


@lru_cache(maxsize=1024)
def find(path: str) -> Format | None:
    """The format of what is posted to a path, on whichever host; None where it is not known."""
    return next((format for format in FORMATS if format.path.search(path)), None)
