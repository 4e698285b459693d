"""Models of LangChain: any chat model or LLM object, and any provider by its name."""

from __future__ import annotations

from llm_strategy.models.langchain.messages import from_langchain, to_langchain, to_messages
from llm_strategy.models.langchain.wrapper import LangChainModel, string_model

__all__ = ["LangChainModel", "from_langchain", "string_model", "to_langchain", "to_messages"]
