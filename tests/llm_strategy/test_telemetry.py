"""`tracing.instrument`: spans of OpenTelemetry, as the SDK gets them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from llm_strategy import (
    CassetteMiss,
    OpenAIModel,
    Response,
    ScriptedModel,
    StubModel,
    Usage,
    observers,
    tracing,
    use_cassette,
)
from tests.llm_strategy.loopback import Loopback, failure
from tests.llm_strategy.programs import run
from tests.llm_strategy.traced import aadd, add, aitems, forecast, items, retried

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Exported:
    """What an exporter has got so far."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self.memory.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> ReadableSpan:
        return next(span for span in self.spans if span.name == name)

    def attributes(self, name: str) -> dict[str, Any]:
        return dict(self.named(name).attributes or {})

    def tree(self) -> list[str]:
        """The names of the spans, each behind those around it."""
        by_id = {span.context.span_id: span for span in self.spans if span.context}
        found = []
        for span in self.spans:
            names, above = [span.name], span.parent
            while above is not None:
                names.append(by_id[above.span_id].name)
                above = by_id[above.span_id].parent
            found.append(" < ".join(names))
        return found


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exported]:
    monkeypatch.delenv(CAPTURE, raising=False)
    exported = Exported()
    tracing.instrument(exported.provider)
    yield exported
    tracing.uninstrument()
    assert not observers.listening


def test_a_call_has_the_names_of_the_conventions(exported: Exported) -> None:
    """Function, attempt and call are nested spans with the attributes that the GenAI conventions name, and no content."""
    reply = Response('{"return_value": 3}', Usage(12, 5), "stop", "m-2026")
    model = ScriptedModel([reply], name="mistralai:m")
    add.with_options(model=model, temperature=0, max_tokens=9, seed=1, stop=["END"])(1, 2)
    assert exported.tree() == [
        "invoke_workflow add",
        "attempt 1 < invoke_workflow add",
        "chat m < attempt 1 < invoke_workflow add",
    ]
    assert exported.named("chat m").kind is SpanKind.CLIENT
    assert exported.named("invoke_workflow add").kind is SpanKind.INTERNAL
    known = exported.attributes("chat m")
    assert len(known.pop("llm_strategy.key")) == 64
    assert known == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mistral_ai",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 1,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.model": "m-2026",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "llm_strategy.kind": "call",
        "llm_strategy.replayed": False,
        "llm_strategy.occurrence": 1,
    }
    function = exported.attributes("invoke_workflow add")
    assert function.pop("llm_strategy.place")
    assert function == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.agent.name": "add",
        "llm_strategy.kind": "function",
    }


def test_a_replayed_call_is_marked(exported: Exported, tmp_path: Path) -> None:
    """What a cassette answers says so, with key, occurrence and cassette."""
    function = add.with_options(model=StubModel())
    for _ in range(2):
        with use_cassette(tmp_path / "c.yaml", mode="new"):
            function(1, 2)
    asked, replayed = [dict(span.attributes or {}) for span in exported.spans if span.kind is SpanKind.CLIENT]
    assert [asked["llm_strategy.replayed"], replayed["llm_strategy.replayed"]] == [False, True]
    assert replayed["llm_strategy.key"] == function.request(1, 2).key
    assert replayed["llm_strategy.cassette"].endswith("c.yaml")


def test_a_retry_has_its_problem_and_no_word_of_the_reply(exported: Exported) -> None:
    """The refused attempt is an error with the type of its exception; without content its message is one line."""
    retried(1)
    first = exported.named("attempt 1")
    assert first.status.status_code is StatusCode.ERROR
    assert "the reply does not fit" in (first.status.description or "")
    assert exported.attributes("attempt 1")["error.type"] == "llm_strategy.errors.ReplyError"
    assert exported.named("attempt 2").status.status_code is StatusCode.UNSET
    assert exported.named("invoke_workflow retried").status.status_code is StatusCode.UNSET
    (event,) = first.events
    assert event.name == "exception"
    assert "three, I think" not in str(event.attributes)


def test_a_miss_and_a_server_that_fails_are_errors(exported: Exported, tmp_path: Path) -> None:
    """CassetteMiss and ModelError stand on call, attempt and function."""
    with use_cassette(tmp_path / "c.yaml", mode="replay"), pytest.raises(CassetteMiss):
        add.with_options(model=StubModel())(1, 2)
    assert {span.status.status_code for span in exported.spans} == {StatusCode.ERROR}
    assert exported.attributes("attempt 1")["error.type"] == "llm_strategy.errors.CassetteMiss"


def test_lone_surrogates_are_spelled_out(exported: Exported) -> None:
    """In names, attributes and errors: exporters cannot encode them, and drop all spans that they would have sent."""
    said = tracing.span("a \ud800", note="b \ud800")
    with pytest.raises(ValueError, match="c"), said:
        raise ValueError("c \ud800")
    (span,) = exported.spans
    assert span.name == r"a \ud800"
    assert exported.attributes(span.name)["note"] == r"b \ud800"
    assert span.status.description == r"c \ud800"
    assert dict(span.events[0].attributes or {})["exception.message"] == r"c \ud800"


def test_tools_are_spans_and_what_they_call_is_within(exported: Exported) -> None:
    """A tool is `execute_tool NAME` in the attempt; an error that the model is told is one of the tool alone."""
    forecast("q")
    tools = [span for span in exported.spans if span.name == "execute_tool weather"]
    assert [span.status.status_code for span in tools] == [StatusCode.UNSET, StatusCode.ERROR]
    assert "invoke_workflow add < execute_tool weather < attempt 1 < invoke_workflow forecast" in exported.tree()
    known = dict(tools[0].attributes or {})
    assert known["gen_ai.operation.name"] == "execute_tool"
    assert (known["gen_ai.tool.name"], known["gen_ai.tool.call.id"]) == ("weather", "Paris")
    assert "gen_ai.tool.call.arguments" not in known


def test_content_is_captured_when_asked_for_and_scrubbed(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `capture_content`, or the variable that all instrumentations read, messages stand in it, without secrets."""
    key = "sk-proj-" + "Ab3" * 16
    function = add.with_options(model=ScriptedModel(lambda request: '{"return_value": 3}', name="openai:m"))
    for value, wanted in (("true", True), ("SPAN_ONLY", True), ("EVENT_ONLY", False), ("NO_CONTENT", False)):
        monkeypatch.setenv(CAPTURE, value)
        exported.memory.clear()
        tracing.instrument(exported.provider)
        function(1, 2)
        assert ("gen_ai.input.messages" in exported.attributes("chat m")) is wanted
    exported.memory.clear()
    tracing.instrument(exported.provider, capture_content=True)
    with tracing.span("step", key=key):
        retried.with_options(model=ScriptedModel([key, '{"return_value": 3}'], name="openai:m"))(1)
    last = json.loads(str(dict(exported.spans[-1].attributes or {})["gen_ai.input.messages"]))
    assert [message["role"] for message in last] == ["system", "user", "assistant", "user"]
    said = json.loads(str(exported.attributes("chat m")["gen_ai.output.messages"]))
    assert said == [
        {"role": "assistant", "parts": [{"type": "text", "content": "<openai-key>"}], "finish_reason": "stop"}
    ]
    assert key not in str([(span.attributes, span.events, span.status.description) for span in exported.spans])


def test_spans_of_others_and_ours_nest(exported: Exported) -> None:
    """A span of the application is around ours, and one that a model opens is within the call."""
    tracer = trace.get_tracer("application", tracer_provider=exported.provider)

    def answer(request: Any) -> str:
        with tracer.start_as_current_span("POST"):
            return '{"return_value": 3}'

    with tracer.start_as_current_span("request"), tracing.span("own", count=2, listed=[1]):
        add.with_options(model=ScriptedModel(answer))(1, 2)
    assert exported.tree()[-1] == "POST < chat scripted < attempt 1 < invoke_workflow add < own < request"
    assert exported.attributes("own") == {"count": 2, "listed": "[1]", "llm_strategy.kind": "step"}


def test_streams_and_tasks_nest(exported: Exported) -> None:
    """What is called between two items is beside the stream, and concurrent tasks do not mix."""

    async def main() -> None:
        with tracing.span("loop"):
            await asyncio.gather(aadd(1, 2), aadd(3, 4))
            async for _ in aitems(1):
                await aadd(5, 6)
                break

    with tracing.span("outer"):
        for _ in items(1):
            add(1, 2)
            break
    asyncio.run(main())
    names = exported.tree()
    assert names.count("chat scripted < attempt 1 < invoke_workflow aadd < loop") == 3
    assert names.count("chat scripted < attempt 1 < invoke_workflow aitems < loop") == 1
    assert names.count("chat scripted < attempt 1 < invoke_workflow items < outer") == 1
    assert names.count("chat scripted < attempt 1 < invoke_workflow add < outer") == 1


def test_calls_that_a_program_makes_itself_are_spans_too(exported: Exported, tmp_path: Path) -> None:
    """An HTTP call in a `use_cassette` block is a chat by its format, and an error status is its error."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi."}]}
    with Loopback("Hello.", failure(400, "No")) as server, use_cassette(tmp_path / "c.yaml", mode="new", http=True):
        for _ in range(2):
            httpx2.post(f"{server.url}/chat/completions", json=body)
    good, bad = exported.spans
    assert (good.name, good.kind) == ("chat m", SpanKind.CLIENT)
    assert dict(good.attributes or {})["gen_ai.usage.input_tokens"] == 11
    assert bad.status.status_code is StatusCode.ERROR
    assert dict(bad.attributes or {})["error.type"] == "400"


def test_a_call_of_the_openai_model_is_one_span(exported: Exported, tmp_path: Path) -> None:
    """What a model of ours sends over HTTP is part of its call."""
    block = use_cassette(tmp_path / "c.yaml", mode="new", http=True)
    with Loopback('{"return_value": 3}') as server, block:
        import openai

        client = openai.OpenAI(base_url=server.url, api_key="unused")
        add.with_options(model=OpenAIModel("m", client=client))(1, 2)
    assert [span.kind for span in exported.spans].count(SpanKind.CLIENT) == 1
    assert exported.attributes("chat m")["gen_ai.provider.name"] == "openai"


def test_an_exporter_that_raises_hurts_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """A processor or exporter of the application may fail as it likes."""

    class Failing(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            raise OSError("gone")

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Failing()))
    tracing.instrument(provider)
    try:
        assert add(1, 2) == 3
    finally:
        tracing.uninstrument()


def test_spans_reach_a_collector(tmp_path: Path) -> None:
    """They go out by OTLP over HTTP, with the real exporter, to a server that reads them."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    got: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{server.server_port}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.instrument(provider)
    try:
        add(1, 2)
    finally:
        tracing.uninstrument()
        provider.shutdown()
        server.shutdown()
        server.server_close()
    names = [span.name for one in got for where in one.resource_spans for by in where.scope_spans for span in by.spans]
    assert names == ["chat scripted", "attempt 1", "invoke_workflow add"]


def test_without_opentelemetry_the_error_names_the_extra() -> None:
    """Where the package is missing, `instrument` raises ImportError with what to install."""
    done = run(
        "import sys; sys.modules['opentelemetry'] = None\nfrom llm_strategy import tracing\ntracing.instrument()"
    )
    assert "ImportError: OpenTelemetry is not installed" in done.stderr
    assert 'pip install "llm-strategy[otel]"' in done.stderr


def test_it_is_the_global_provider_by_default() -> None:
    """Without a provider nothing fails, and the application's own is used once it has set one."""
    tracing.instrument()
    tracing.instrument()
    try:
        assert len(observers.listening) == 1
        assert add(1, 2) == 3
    finally:
        tracing.uninstrument()
        tracing.uninstrument()
