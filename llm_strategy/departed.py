"""Where the names of version 2.2 have gone: what an import of one of them is told."""

from __future__ import annotations

GUIDE = "https://github.com/blackhc/llm-strategy/blob/main/docs/how-to/migrate-from-2.2.md"

_NOW = {
    "llm_strategy.llm_dataclass": "write llm_strategy(model)(cls), or @llm_strategy(model) above the class",
    "llm_strategy.llm_strategy": "write: from llm_strategy import llm_strategy",
    "llm_strategy.llm_function": "write: from llm_strategy import llm_function, llm_explicit_function. "
    "What LLMFunction and its prompt told about a call is in function.request(...)",
    "llm_strategy.chat_chain": "write: from llm_strategy import ChatChain",
    "llm_strategy.cached_chat_model": "record calls into a cassette: pytest --llm-record, or use_cassette",
    "llm_strategy.testing": "write: from llm_strategy import ScriptedModel, or record answers: pytest --llm-record",
    "llm_hyperparameters": "write: from llm_strategy import track_hyperparameters, Hyperparameters, Hyperparameter, "
    "hyperparameters_scope, ChatTree, get_tracked_chats",
}


def refuse(name: str) -> None:
    """Raise where a module or name of 2.2 is asked for. Who misspells a name of today is told what Python tells."""
    if name in _NOW:
        raise ModuleNotFoundError(f"{name} was part of llm-strategy 2.2. Now {_NOW[name]}\n{GUIDE}")
