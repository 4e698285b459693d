"""Faults put into recorded calls, to see what a program does when a model lets it down."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.context import Ask, Turn
from llm_strategy.errors import LLMStrategyError, ModelError, ReplyError
from llm_strategy.log import Call
from llm_strategy.models.exchange import model_error
from llm_strategy.values import JSON, Message, Request, Response
from llm_strategy.wire.envelope import HTTPRequest


@dataclass(frozen=True)
class Fault:
    """What goes wrong in one call of a test, whose other calls are replayed.

    `kind` is "malformed" (the reply is no JSON), "wrong_type" (JSON that the return type does not
    allow), "refusal", "cut_off" (at the length limit), "rate_limit" or "timeout"; `call` is which of
    the test's calls has it, from 1. Raises ValueError for another kind or number.
    """

    kind: str
    call: int = 1

    KINDS: ClassVar[tuple[str, ...]] = ("malformed", "wrong_type", "refusal", "cut_off", "rate_limit", "timeout")

    def __post_init__(self) -> None:
        if self.kind not in self.KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; the faults are {', '.join(self.KINDS)}")
        if type(self.call) is not int or self.call < 1:
            raise ValueError(f"calls are numbered from 1, not {self.call!r}")

    @property
    def error(self) -> type[LLMStrategyError]:
        """What the function raises that makes the call: ReplyError, or ModelError where no reply came."""
        return ModelError if self.kind in _FAILURES else ReplyError

    def fits(self, request: Request) -> bool:
        """Whether a call can have it: no HTTP call, whose client would have to be deceived; and only a reply that has
        a form can be of a wrong one.
        """
        if isinstance(request, HTTPRequest):
            return False
        if self.kind in _FAILURES:
            return True
        if request.output_schema is None:
            return False
        return self.kind != "wrong_type" or _wrong_reply(request.output_schema) is not None


class RateLimitError(Exception):
    """What a provider's client raises for an answer with the status 429."""

    status_code = 429


_FAILURES: Mapping[str, Exception] = {
    "rate_limit": RateLimitError("Rate limit reached: this fault was put in by a test"),
    "timeout": TimeoutError("Request timed out: this fault was put in by a test"),
}


class FaultScope(CassetteScope):
    """Replays, but for one call.

    A reply that is at fault is sent again to each of the engine's own retries, which go on with the
    same conversation. The program's own second try of the same request gets the recorded answer.
    """

    def __init__(self, *args: Any, fault: Fault, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.fault = fault
        self.asked = 0
        self._struck: Request | None = None
        self._numbering = threading.Lock()

    @property
    def struck(self) -> bool:
        """Whether the program has made the call that has the fault."""
        return self.asked >= self.fault.call

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about a call behind the fault, which recording may never meet."""
        if self.asked <= self.fault.call:
            return ()
        cause = f"the {self.fault.kind} in call {self.fault.call}"
        cure = "let the test put a ScriptedModel into what the code falls back to"
        return (f"If only {cause} leads to this call, no run records it: {cure}",)

    def enter(self, ask: Ask) -> Turn:
        __tracebackhide__ = True
        if ask.source is not None and not ask.source.recorded:
            return super().enter(ask)
        if self._is_retry(ask.request):
            return self._answer(ask, self.calls.next_occurrence(ask.request.key))
        with self._numbering:
            self.asked += 1
            strikes = self.asked == self.fault.call and not isinstance(ask.request, HTTPRequest)
        return self._strike(ask) if strikes else super().enter(ask)

    def _is_retry(self, request: Request) -> bool:
        """Whether the request goes on after the faulty reply."""
        if self._struck is None:
            return False
        said = self._struck.messages, Message("assistant", self._reply.content)
        return request.messages[: len(said[0]) + 1] == (*said[0], said[1])

    def _strike(self, ask: Ask) -> Turn:
        __tracebackhide__ = True
        ask = self._with_model(ask)
        key = ask.request.key
        occurrence = self.calls.next_occurrence(key)
        recorded = self._find(key, occurrence)
        if recorded is None:
            # As without a fault: a prompt that has changed is not found out by half of the variants only.
            self.miss(ask, occurrence)
        # The recording stays for who asks again.
        self.calls.give_back(key)
        failure = _FAILURES.get(self.fault.kind)
        if failure is not None:
            raise model_error(str(ask.request.model), failure) from failure
        assert recorded is not None
        self._reply = _faulty(self.fault.kind, ask.request, recorded.response)
        return self._answer(ask, occurrence)

    def _answer(self, ask: Ask, occurrence: int) -> Turn:
        self._struck = ask.request
        turn = Turn(self._places(), ask, occurrence)
        request = ask.request
        # Not replayed: who reads its error need not be told to record afresh.
        turn.finish(Call(request.key, occurrence, ask.site.function, request, self._reply))
        return turn


def _faulty(kind: str, request: Request, recorded: Response) -> Response:
    """The recorded response with a fault in it."""
    if kind == "refusal":
        said = "I'm sorry, but I can't help with that."
        return replace(recorded, content=said, finish_reason="refusal", tool_calls=())
    if kind == "cut_off":
        return replace(recorded, content=_cut(recorded.content), finish_reason="length", tool_calls=())
    wrong = _wrong_reply(request.output_schema or {}) if kind == "wrong_type" else None
    return replace(recorded, content=wrong or _MALFORMED, finish_reason="stop", tool_calls=())


_MALFORMED = "<html><body><h1>502 Bad Gateway</h1></body></html>"
"""No JSON, and nothing that could be taken for any: what a proxy sends in place of an answer."""


def _cut(text: str) -> str:
    """Half of a reply, or less: inside its value, the part that came might do as a shorter value."""
    name = text.find("return_value")
    middle = len(text) // 2
    return text[:middle] if name < 0 else text[: min(middle, name + len("return"))]


# Values of wrong types

_SAMPLES: Mapping[str, JSON] = {
    "object": {"unexpected": ["object"]},
    "array": [["unexpected array"]],
    "string": "an unexpected text",
    "number": 0.5,
}
"""Of each JSON type a value that nothing is converted from, the least convertible first."""


def _wrong_reply(schema: Mapping[str, JSON]) -> str | None:
    """A reply whose value is of a JSON type that the schema does not allow; None where it allows all of them."""
    value = schema.get("properties", {}).get("return_value", {})
    allowed = _types(value, schema.get("$defs", {}), ())
    for name, sample in _SAMPLES.items():
        if name not in allowed:
            return json.dumps({"return_value": sample})
    return None


def _types(schema: JSON, defs: Mapping[str, JSON], seen: tuple[str, ...]) -> set[str]:
    """The JSON types that a schema allows, as far as its own words tell."""
    if not isinstance(schema, Mapping):
        return set(_SAMPLES)
    reference = schema.get("$ref")
    if reference is not None:
        name = str(reference).rpartition("/")[2]
        return set() if name in seen else _types(defs.get(name), defs, (*seen, name))
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return set().union(*(_types(member, defs, seen) for member in schema[union]))
    if "allOf" in schema:
        return set(_SAMPLES).intersection(*(_types(member, defs, seen) for member in schema["allOf"]))
    kinds = schema.get("type")
    if kinds is None and ("enum" in schema or "const" in schema):
        return {_type_of(value) for value in schema.get("enum", [schema.get("const")])}
    if kinds is None:
        return set(_SAMPLES)
    return {"number" if kind == "integer" else kind for kind in ([kinds] if isinstance(kinds, str) else kinds)}


def _type_of(value: JSON) -> str:
    if isinstance(value, str):
        return "string"
    if isinstance(value, Mapping):
        return "object"
    return "array" if isinstance(value, list) else "number"
