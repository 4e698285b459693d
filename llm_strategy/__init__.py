"""Typed Python functions whose body is a model, recorded and replayed like any other test data.

    @llm_strategy("openai:gpt-5-mini")
    def translate(text: str, language: str) -> str:
        \"\"\"Translate the text.\"\"\"
        raise NotImplementedError

Names are loaded when first used: a test run that makes no call pays for none of this.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_strategy.block import call_log as call_log
    from llm_strategy.block import use_cassette as use_cassette
    from llm_strategy.cassette.faults import Fault as Fault
    from llm_strategy.cassette.recordings import Cassette as Cassette
    from llm_strategy.chat import ChatChain as ChatChain
    from llm_strategy.chat_tree import ChatTree as ChatTree
    from llm_strategy.chat_tree import get_tracked_chats as get_tracked_chats
    from llm_strategy.content import Blob as Blob
    from llm_strategy.content import Media as Media
    from llm_strategy.errors import CassetteError as CassetteError
    from llm_strategy.errors import CassetteMiss as CassetteMiss
    from llm_strategy.errors import ChangingPromptWarning as ChangingPromptWarning
    from llm_strategy.errors import LLMStrategyError as LLMStrategyError
    from llm_strategy.errors import ModelError as ModelError
    from llm_strategy.errors import PromptError as PromptError
    from llm_strategy.errors import ReplyError as ReplyError
    from llm_strategy.errors import SecretFound as SecretFound
    from llm_strategy.explicit_function import llm_explicit_function as llm_explicit_function
    from llm_strategy.function import llm_function as llm_function
    from llm_strategy.hyperparameters.collection import Hyperparameters as Hyperparameters
    from llm_strategy.hyperparameters.definitions import Hyperparameter as Hyperparameter
    from llm_strategy.hyperparameters.definitions import hyperparameters_scope as hyperparameters_scope
    from llm_strategy.hyperparameters.tracking import track_hyperparameters as track_hyperparameters
    from llm_strategy.log import Call as Call
    from llm_strategy.models import Model as Model
    from llm_strategy.models.langchain import LangChainModel as LangChainModel
    from llm_strategy.models.openai import OpenAIModel as OpenAIModel
    from llm_strategy.models.scripted import ScriptedModel as ScriptedModel
    from llm_strategy.models.stub import StubModel as StubModel
    from llm_strategy.overrides import override as override
    from llm_strategy.report import Report as Report
    from llm_strategy.session import Session as Session
    from llm_strategy.signature import Volatile as Volatile
    from llm_strategy.strategy import llm_strategy as llm_strategy
    from llm_strategy.values import Message as Message
    from llm_strategy.values import Request as Request
    from llm_strategy.values import Response as Response
    from llm_strategy.values import ToolCallPart as ToolCallPart
    from llm_strategy.values import Usage as Usage

__version__ = "3.0.0a1"

_HOMES = {
    "Blob": "content",
    "Call": "log",
    "Cassette": "cassette.recordings",
    "CassetteError": "errors",
    "CassetteMiss": "errors",
    "ChangingPromptWarning": "errors",
    "ChatChain": "chat",
    "ChatTree": "chat_tree",
    "Fault": "cassette.faults",
    "Hyperparameter": "hyperparameters.definitions",
    "Hyperparameters": "hyperparameters.collection",
    "LLMStrategyError": "errors",
    "LangChainModel": "models.langchain",
    "Media": "content",
    "Message": "values",
    "Model": "models",
    "ModelError": "errors",
    "OpenAIModel": "models.openai",
    "PromptError": "errors",
    "ReplyError": "errors",
    "Report": "report",
    "Request": "values",
    "Response": "values",
    "ScriptedModel": "models.scripted",
    "SecretFound": "errors",
    "Session": "session",
    "StubModel": "models.stub",
    "ToolCallPart": "values",
    "Usage": "values",
    "Volatile": "signature",
    "call_log": "block",
    "get_tracked_chats": "chat_tree",
    "hyperparameters_scope": "hyperparameters.definitions",
    "llm_explicit_function": "explicit_function",
    "llm_function": "function",
    "llm_strategy": "strategy",
    "override": "overrides",
    "track_hyperparameters": "hyperparameters.tracking",
    "use_cassette": "block",
}
__all__ = [
    "Blob",
    "Call",
    "Cassette",
    "CassetteError",
    "CassetteMiss",
    "ChangingPromptWarning",
    "ChatChain",
    "ChatTree",
    "Fault",
    "Hyperparameter",
    "Hyperparameters",
    "LLMStrategyError",
    "LangChainModel",
    "Media",
    "Message",
    "Model",
    "ModelError",
    "OpenAIModel",
    "PromptError",
    "ReplyError",
    "Report",
    "Request",
    "Response",
    "ScriptedModel",
    "SecretFound",
    "Session",
    "StubModel",
    "ToolCallPart",
    "Usage",
    "Volatile",
    "call_log",
    "get_tracked_chats",
    "hyperparameters_scope",
    "llm_explicit_function",
    "llm_function",
    "llm_strategy",
    "override",
    "track_hyperparameters",
    "use_cassette",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Departed:
    """Asked last of all finders: an import that worked with version 2.2 is told what to write now."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> None:
        if name.startswith(("llm_strategy.", "llm_hyperparameters")):
            from llm_strategy.departed import refuse

            refuse(name)


sys.meta_path.append(_Departed())
