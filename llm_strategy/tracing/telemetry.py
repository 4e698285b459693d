"""Steps as spans of OpenTelemetry, named as its semantic conventions for generative AI have it.

They are those of https://github.com/open-telemetry/semantic-conventions-genai, version 0.1.0. What they have no name
for begins with `llm_strategy.`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llm_strategy import observers
from llm_strategy.observers import Step
from llm_strategy.tracing.description import attributes, clean, told
from llm_strategy.values import JSON, Request
from llm_strategy.wire.envelope import HTTPRequest
from llm_strategy.wire.registry import find

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanKind, TracerProvider

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable that asks all instrumentations for what is said: `true`, or where it is to stand."""
_WITH_CONTENT = ("true", "1", "span_only", "span_and_event")

_PROVIDERS = {
    "azure_ai": "azure.ai.inference",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "google": "gcp.gen_ai",
    "google_anthropic_vertex": "gcp.vertex_ai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
"""The conventions' names of providers that are called otherwise here."""

_SETTINGS = {
    "frequency_penalty": float,
    "max_tokens": int,
    "presence_penalty": float,
    "seed": int,
    "temperature": float,
    "top_k": int,
    "top_p": float,
}

_installed: list[_Spans] = []


def instrument(tracer_provider: TracerProvider | None = None, *, capture_content: bool | None = None) -> None:
    """Let every decorated function, attempt, model call and tool be a span of OpenTelemetry, until `uninstrument`.

    `tracer_provider` is the global one unless it is given. What is said (arguments, messages, answers) is left out
    unless `capture_content` asks for it, or the environment: OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true.
    Secrets are left out in any case. Called again, it takes the place of the first. Raises ImportError where
    opentelemetry-api is not installed.
    """
    spans = _Spans(tracer_provider, _wants_content() if capture_content is None else capture_content)
    uninstrument()
    _installed.append(spans)
    observers.listening.append(spans)


def uninstrument() -> None:
    """No more spans; those that have begun end as they would have."""
    while _installed:
        observers.listening.remove(_installed.pop())


def _wants_content() -> bool:
    return os.environ.get(CAPTURE, "").strip().lower() in _WITH_CONTENT


class _Spans:
    """The observer that makes them."""

    def __init__(self, provider: TracerProvider | None, content: bool) -> None:
        try:
            from opentelemetry import context, trace
        except ImportError as error:
            raise ImportError(f'OpenTelemetry is not installed ({error}): pip install "llm-strategy[otel]"') from error
        self._trace = trace
        self._context = context
        self._tracer = trace.get_tracer("llm_strategy", tracer_provider=provider)
        self._content = content

    def begun(self, step: Step) -> None:
        # What stands on a span from its beginning is what samplers see.
        begins = {**dict(_beginning(step)), "llm_strategy.kind": step.kind}
        step.marks[self] = self._tracer.start_span(
            _name(step),
            context=self._around(step),
            kind=self._kind(step),
            attributes=begins,
            start_time=step.began,
        )

    def _around(self, step: Step) -> Any:
        """The context of a span: that of its parent, where spans of others cannot stand between the two."""
        if step.parent is None or step.parent is observers.current():
            return None
        span = step.parent.marks.get(self)
        return None if span is None else self._trace.set_span_in_context(span)

    def _kind(self, step: Step) -> SpanKind:
        kinds = self._trace.SpanKind
        return kinds.CLIENT if step.kind == "call" else kinds.INTERNAL

    def entered(self, step: Step) -> Any:
        span = step.marks.get(self)
        return None if span is None else self._context.attach(self._trace.set_span_in_context(span))

    def left(self, step: Step, token: Any) -> None:
        # Left in another context than entered it is not current, and there is nothing to leave.
        if token is not None and self._trace.get_current_span() is step.marks.get(self):
            self._context.detach(token)

    def ended(self, step: Step) -> None:
        span: Span | None = step.marks.get(self)
        if span is None:
            return
        if span.is_recording():
            span.update_name(_sendable(_name(step)))
            known = attributes(step, content=self._content)
            span.set_attributes({name: _sendable(value) for name, value in _known(step, known) if value is not None})
            self._note_error(span, step, known)
        span.end()

    def _note_error(self, span: Span, step: Step, known: Mapping[str, JSON]) -> None:
        status, error = known.get("status"), step.error
        if error is None and not (isinstance(status, int) and status >= 400):
            return
        name = str(status) if error is None else _type_name(error)
        message = f"the server answered {status}" if error is None else _sendable(told(error, content=self._content))
        span.set_attribute("error.type", name)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, message))
        if error is not None:
            span.add_event("exception", {"exception.type": name, "exception.message": message})


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# Names


def _name(step: Step) -> str:
    name: str = clean(step.name)
    match step.kind:
        case "function":
            return f"invoke_workflow {name}"
        case "tool":
            return f"execute_tool {name}"
        case "call":
            request = step.facts["request"]
            operation, model = _operation(request), _model(request)[1]
            return _place(request) if operation is None else f"{operation} {model}" if model else operation
        case _:
            return name


_OPERATIONS = {
    "completions": "text_completion",
    "gemini": "generate_content",
    "ollama_completions": "text_completion",
}


def _operation(request: Request) -> str | None:
    """What a call does, in the words of the conventions; None for HTTP calls that no format reads."""
    if not isinstance(request, HTTPRequest):
        return "chat"
    format = find(urlsplit(request.http["url"]).path) if request.understood is not None else None
    if format is None:
        return None
    return "embeddings" if "embed" in format.name else _OPERATIONS.get(format.name, "chat")


def _place(request: Request) -> str:
    assert isinstance(request, HTTPRequest)
    return clean(f"{request.http['method']} {urlsplit(request.http['url']).path}")  # type: ignore[no-any-return]  # of a text it is a text


def _model(request: Request) -> tuple[str | None, str | None]:
    """The provider and the model of a request."""
    if request.model is None:
        return None, None
    provider, colon, name = request.model.partition(":")
    return _PROVIDERS.get(provider, provider), clean(name if colon else provider)


# Attributes


def _beginning(step: Step) -> Iterator[tuple[str, Any]]:
    match step.kind:
        case "function":
            yield "gen_ai.operation.name", "invoke_workflow"
            yield "gen_ai.agent.name", clean(step.name)
        case "tool":
            yield "gen_ai.operation.name", "execute_tool"
            yield "gen_ai.tool.name", clean(step.name)
            yield "gen_ai.tool.type", "function"
        case "call":
            request = step.facts["request"]
            provider, model = _model(request)
            told_first = {"gen_ai.operation.name": _operation(request)}
            told_first |= {"gen_ai.provider.name": provider, "gen_ai.request.model": model}
            yield from ((name, value) for name, value in told_first.items() if value is not None)


def _known(step: Step, known: Mapping[str, JSON]) -> Iterator[tuple[str, Any]]:
    match step.kind:
        case "function":
            yield "llm_strategy.place", known.get("place")
            yield "llm_strategy.arguments", _text(known.get("arguments"))
            yield "llm_strategy.result", _text(known.get("result"))
        case "attempt":
            yield "llm_strategy.attempt", known["number"]
            yield "llm_strategy.repairs", known.get("repairs")
        case "tool":
            yield "gen_ai.tool.call.id", known.get("call_id")
            yield "gen_ai.tool.call.arguments", _text(known.get("arguments"))
            yield "gen_ai.tool.call.result", _text(known.get("result"))
        case "call":
            yield from _asked(step.facts["request"], known)
            yield from _answered(known)
        case _:
            for name, value in (known.get("attributes") or {}).items():
                yield name, value if isinstance(value, str | bool | int | float) else _text(value)


def _asked(request: Request, known: Mapping[str, JSON]) -> Iterator[tuple[str, Any]]:
    settings: Mapping[str, JSON] = known.get("settings", {})
    for name, kind in _SETTINGS.items():
        value = settings.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield f"gen_ai.request.{name}", kind(value)
    stops = settings.get("stop")
    if stops:
        yield "gen_ai.request.stop_sequences", [str(stop) for stop in ([stops] if isinstance(stops, str) else stops)]
    yield "gen_ai.output.type", "json" if request.output_schema is not None else None
    yield "gen_ai.input.messages", _text(known.get("messages"))
    yield "gen_ai.tool.definitions", _text(known.get("tools"))
    yield "llm_strategy.key", known["key"]


def _answered(known: Mapping[str, JSON]) -> Iterator[tuple[str, Any]]:
    reason = known.get("finish_reason")
    yield "gen_ai.response.finish_reasons", [reason] if reason else None
    yield "gen_ai.response.model", known.get("answered_by")
    yield "gen_ai.usage.input_tokens", known.get("input_tokens")
    yield "gen_ai.usage.output_tokens", known.get("output_tokens")
    yield "gen_ai.request.stream", True if known.get("pieces") else None
    yield "http.response.status_code", known.get("status")
    if "answer" in known:
        yield (
            "gen_ai.output.messages",
            _text([{"role": "assistant", "parts": known["answer"], "finish_reason": reason}]),
        )
    yield "llm_strategy.replayed", known.get("replayed", False) if "occurrence" in known else None
    yield "llm_strategy.occurrence", known.get("occurrence")
    yield "llm_strategy.cassette", known.get("cassette")


def _text(value: JSON) -> str | None:
    """A value as one attribute: what is no text is JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sendable(value: Any) -> Any:
    """A text without lone surrogates, for which an exporter would drop the span, and all that it sends with it."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
