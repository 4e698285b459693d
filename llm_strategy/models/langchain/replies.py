"""What LangChain objects answer -> responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llm_strategy.models.exchange import error_chain
from llm_strategy.models.langchain.messages import calls_of, text_of
from llm_strategy.values import Response, ToolCallPart, Usage
from llm_strategy.wire.chat_completions import decode, decode_usage

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import LLMResult

_FINISH_REASONS = {
    word: reason
    for reason, words in {
        "stop": "stop end_turn stop_sequence eos eos_token completed complete finish_reason_unspecified",
        "length": "length max_tokens max_output_tokens model_length model_context_window_exceeded",
        "content_filter": "content_filter content_filtered guardrail_intervened safety recitation prohibited_content",
        "tool_call": "tool_calls tool_call tool_use function_call",
        "refusal": "refusal",
    }.items()
    for word in words.split()
}


def from_message(message: AIMessage) -> Response:
    """The response in a chat model's message."""
    assembly = MessageAssembly()
    assembly.add(message)
    return assembly.response


class MessageAssembly:
    """A chat model's message, or that of which it has sent some chunks."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._about: dict[str, Any] = {}
        self._calls: list[ToolCallPart] = []
        self._begun_calls: Any = None
        self._usage: Usage | None = None

    def add(self, message: AIMessage) -> str:
        """Take a message or chunk in; returns the text that it adds."""
        text = text_of(message)
        self._texts.append(text)
        self._refusals.append(str(message.additional_kwargs.get("refusal") or _refusal_in(message.content) or ""))
        self._about |= message.response_metadata
        if getattr(message, "tool_call_chunks", None):
            # A call comes in pieces, which LangChain puts together.
            self._begun_calls = message if self._begun_calls is None else self._begun_calls + message
        else:
            self._calls += calls_of(message)
        if (tokens := message.usage_metadata) is not None and "input_tokens" in tokens:
            # Some say at the beginning what was sent, and at the end what was answered.
            before = self._usage or Usage(0, 0)
            counts = before.input_tokens or 0, before.output_tokens or 0
            self._usage = Usage(counts[0] + tokens["input_tokens"], counts[1] + tokens["output_tokens"])
        return text

    @property
    def response(self) -> Response:
        content, refusal = "".join(self._texts), "".join(self._refusals)
        reason = _finish_reason(self._about)
        calls = (*self._calls, *(() if self._begun_calls is None else calls_of(self._begun_calls)))
        if refusal and not content:
            content, reason = refusal, "refusal"
        elif reason == "stop" and calls:
            reason = "tool_call"
        return Response(content, self._usage, reason, _name(self._about), tool_calls=calls)


class TextAssembly:
    """A completion model's text, which says nothing but itself when it is streamed."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str) -> str:
        self._texts.append(text)
        return text

    @property
    def response(self) -> Response:
        return Response("".join(self._texts))


def _refusal_in(content: object) -> object:
    blocks = content if isinstance(content, list) else ()
    return next((block["refusal"] for block in blocks if isinstance(block, Mapping) and block.get("refusal")), None)


def _finish_reason(about: Mapping[str, Any]) -> str:
    """Why the model stopped, which every provider says in a place and a word of its own."""
    incomplete = about.get("incomplete_details")
    said = incomplete.get("reason") if isinstance(incomplete, Mapping) else None
    for place in ("finish_reason", "stop_reason", "done_reason", "stopReason"):
        said = said or about.get(place)
    word = str(said or "stop")
    return _FINISH_REASONS.get(word.lower(), word)


def _name(about: Mapping[str, Any]) -> str | None:
    name = about.get("model_name") or about.get("model")
    return name if isinstance(name, str) else None


def from_result(result: LLMResult) -> Response:
    """The response in a completion model's result."""
    generation = result.generations[0][0]
    about = result.llm_output or {}
    reason = _finish_reason(generation.generation_info or {})
    return Response(generation.text, decode_usage(about.get("token_usage") or None), reason, _name(about))


def from_error(error: BaseException) -> Response | None:
    """The response in the error that the openai package makes of a cut-off reply, None for other errors."""
    for cause in error_chain(error):
        completion: Any = getattr(cause, "completion", None)
        if hasattr(completion, "to_dict"):
            return decode(completion.to_dict(warnings=False))
    return None


def swallowed(error: BaseException) -> BaseException | None:
    """What LangChain took for a result: its `agenerate` knows of no BaseException that is no Exception."""
    lost = getattr(error, "obj", None) if isinstance(error, AttributeError) else None
    return lost if isinstance(lost, BaseException) and not isinstance(lost, Exception) else None
