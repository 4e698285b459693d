"""What a test did as trees of spans, as a trace has them: functions, attempts, model calls and tools."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_strategy import context, observers
from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.observers import Step
from llm_strategy.tracing.description import described
from llm_strategy.tracing.format import KINDS, Node, Trace, TraceError, trees
from llm_strategy.tracing.rows import rows
from llm_strategy.values import JSON, Request

_KEPT = ("kind", "name", "seconds", "error", "number")
"""What the report says of a step; all else stands with the calls."""


class Told:
    """What is kept of a step: neither the arguments of its function nor its result, which tests may see go."""

    def __init__(self, step: Step) -> None:
        self.id = step.id
        self.parent = step.parent and step.parent.id
        self.began = step.began
        self.data: dict[str, JSON] = {}
        self.request: Request | None = None

    def take(self, step: Step) -> None:
        self.data = {name: value for name, value in described(step, content=False).items() if name in _KEPT}
        if step.kind == "call":
            call = step.facts.get("call")
            self.request = call.request if call is not None else step.facts["request"]


class Gathering:
    """An observer that keeps with each scope what it is told of the steps in it."""

    def begun(self, step: Step) -> None:
        scope = context.current()
        while scope is not None and not isinstance(scope, CassetteScope):
            scope = scope.parent
        if scope is not None:
            told = step.marks[self] = Told(step)
            told.take(step)
            scope.steps.append(told)

    def entered(self, step: Step) -> None:
        pass

    def left(self, step: Step, token: Any) -> None:
        pass

    def ended(self, step: Step) -> None:
        told: Told | None = step.marks.get(self)
        if told is not None:
            told.take(step)


def gather() -> None:
    """Have the steps of this process kept; once is enough."""
    if not any(isinstance(observer, Gathering) for observer in observers.listening):
        observers.listening.append(Gathering())


def steps_of(scopes: Iterable[CassetteScope], places: Mapping[int, int]) -> list[dict[str, JSON]]:
    """The steps of a test in the order in which they began; `parent` is the place of the one around, if it is there.

    `places` says at which place in the list of calls that with a request stands, by its identity.
    """
    steps: list[Told] = sorted((told for scope in scopes for told in scope.steps), key=lambda told: told.began)
    at = {step.id: place for place, step in enumerate(steps)}
    found = []
    for step in steps:
        data = dict(step.data)
        if step.parent in at:
            data["parent"] = at[step.parent]
        if step.request is not None and id(step.request) in places:
            data["call"] = places[id(step.request)]
        found.append(data)
    return found


def is_step(made: Mapping[str, JSON]) -> bool:
    """Whether what `Report.of` has made is a step, and no call."""
    return "kind" in made


def tree(steps: Sequence[Mapping[str, JSON]], calls: Sequence[Mapping[str, JSON]]) -> list[dict[str, JSON]]:
    """The rows that a page shows of a test: each with its `depth`, and the place of its `call` or what the step is.

    A call that no step tells of, as that of a child process, stands at the end.
    """
    found: list[dict[str, JSON]] = []
    depths: dict[int, int] = {}
    for row in rows(_nodes(steps)):
        place = row.span.get("call")
        if place is None:
            found.append({"depth": row.depth, **{name: row.span[name] for name in _KEPT if name in row.span}})
        else:
            depths[place] = row.depth
            told = {"error": row.span["error"]} if row.span.get("error") and "miss" not in calls[place] else {}
            found.append({"depth": row.depth, "call": place, **told})
    return [*found, *({"depth": 0, "call": place} for place in range(len(calls)) if place not in depths)]


def _nodes(steps: Sequence[Mapping[str, JSON]]) -> list[Node]:
    spans = {str(at): {**step, "id": str(at), "parent": _name(step.get("parent"))} for at, step in enumerate(steps)}
    return trees(Trace(spans))


def _name(place: JSON) -> str | None:
    return None if place is None else str(place)


def trees_of_report(path: Path) -> list[tuple[str, list[Node]]] | None:
    """The trees of a report's data, test by test; None for another file. Raises OSError."""
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("format") != "llm-strategy report":
        return None
    try:
        return [(test["name"], _nodes(list(_complete(test)))) for test in data["tests"] if test["calls"]]
    except (AttributeError, LookupError, TypeError) as error:
        raise TraceError(f"{path} is no whole report: {error!r}") from None


def _complete(test: Mapping[str, JSON]) -> Iterator[dict[str, JSON]]:
    """The steps with what the report says of their calls; where it has none, the calls as steps."""
    calls = test["calls"]
    for step in test.get("steps") or _alone(calls):
        call = calls[step["call"]] if "call" in step else {}
        tokens = call.get("tokens") or [None, None]
        shared = ("seconds", "state", "repairs", "closed_early")
        known = {name: call[name] for name in shared if name in call}
        if step["kind"] in KINDS:
            yield {**known, **step, "input_tokens": tokens[0], "output_tokens": tokens[1]}


def _alone(calls: Sequence[Mapping[str, JSON]]) -> Iterator[dict[str, JSON]]:
    """Calls that are all that there is to tell, as steps."""
    place = 0
    for at, call in enumerate(calls):
        step = {"kind": "call", "name": call.get("model") or "a model", "call": at}
        if call.get("function"):
            yield {"kind": "function", "name": call["function"]}
            step["parent"] = place
            place += 1
        yield step
        place += 1
