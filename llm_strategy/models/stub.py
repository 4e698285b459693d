"""A model that answers every request with the smallest value its schema allows."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.errors import ModelError
from llm_strategy.values import JSON, Request, Response

# The smallest text of each format that pydantic writes into a schema.
_FORMATS = {
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
    "time": "00:00:00",
    "duration": "P0D",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uuid1": "00000000-0000-1000-8000-000000000000",
    "uuid3": "00000000-0000-3000-8000-000000000000",
    "uuid4": "00000000-0000-4000-8000-000000000000",
    "uuid5": "00000000-0000-5000-8000-000000000000",
    "email": "a@example.com",
    "uri": "http://example.com",
    "ipv4": "0.0.0.0",
    "ipv6": "::",
    "path": ".",
    "regex": "",
}
_DEEPEST = 40


class StubModel:
    """Deterministic and free: for wiring code together before a model is chosen.

    Answers the smallest value that the output schema allows: the empty list, 0 or the nearest bound,
    the first of a choice, null where it may be. Raises ModelError for a schema that it cannot satisfy.
    """

    name = "stub:"
    settings = FrozenJSON()

    def __init__(self, *, recorded: bool = True) -> None:
        self.recorded = recorded

    def generate(self, request: Request) -> Response:
        """The smallest value that the schema of the request allows, as a reply."""
        schema = request.output_schema
        try:
            content = "" if schema is None else json.dumps(_smallest(schema, schema.get("$defs", {}), 0))
        except RecursionError:
            raise ModelError("the stub cannot satisfy this schema: it contains itself without end") from None
        return Response(content, model="stub")

    async def agenerate(self, request: Request) -> Response:
        """As `generate`."""
        return self.generate(request)


def _smallest(schema: Any, definitions: Mapping[str, JSON], depth: int) -> JSON:
    if depth > _DEEPEST:
        raise RecursionError
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        return _smallest(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth + 1)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return _choose(choices, definitions, depth)
    if "allOf" in schema:
        merged: dict[str, JSON] = {}
        for part in schema["allOf"]:
            merged |= part
        return _smallest(merged, definitions, depth + 1)
    kind = schema.get("type", "null")
    if kind == "object":
        properties, required = schema.get("properties", {}), schema.get("required", [])
        return {name: _smallest(properties.get(name, {}), definitions, depth + 1) for name in required}
    if kind == "array":
        items = list(schema.get("prefixItems", []))
        items += [schema.get("items", {})] * (schema.get("minItems", 0) - len(items))
        return [_smallest(item, definitions, depth + 1) for item in items]
    return _scalar(kind, schema)


def _choose(choices: list[JSON], definitions: Mapping[str, JSON], depth: int) -> JSON:
    """The alternative with the shortest text, among those that can be satisfied at all."""
    values, problems = [], []
    for choice in choices:
        try:
            values.append(_smallest(choice, definitions, depth + 1))
        except (RecursionError, ModelError) as problem:
            problems.append(problem)
    if not values:
        raise problems[-1]
    return min(values, key=lambda value: (value is not None, len(json.dumps(value))))


def _scalar(kind: str, schema: Mapping[str, JSON]) -> JSON:
    if kind == "string":
        if "pattern" in schema:
            raise ModelError(f"the stub cannot invent a text for the pattern {schema['pattern']!r}: use ScriptedModel")
        letter = "A" if schema.get("contentEncoding") == "base64" else "a"  # which is zero
        return _FORMATS.get(schema.get("format", ""), letter * schema.get("minLength", 0))
    if kind in ("integer", "number"):
        return _number(kind, schema)
    return {"boolean": False}.get(kind)


def _number(kind: str, schema: Mapping[str, JSON]) -> JSON:
    """Zero or the bound nearest to it, on the step that `multipleOf` asks for."""
    step = schema.get("multipleOf", 1)
    bounds = [schema[name] for name in _LOWEST | _HIGHEST if name in schema]
    tried = [0, *bounds]
    for bound in bounds:
        below = bound // step * step
        tried += [below - step, below, below + step]
    fitting = [value for value in tried if _fits(value, kind, schema)]
    if not fitting and len(bounds) > 1:
        between = (min(bounds) + max(bounds)) / 2
        fitting = [between] if _fits(between, kind, schema) else []
    if not fitting:
        raise ModelError(f"the stub found no number for the bounds {', '.join(map(str, bounds))}: use ScriptedModel")
    return min(fitting, key=abs)


_LOWEST = {"minimum": operator.ge, "exclusiveMinimum": operator.gt}
_HIGHEST = {"maximum": operator.le, "exclusiveMaximum": operator.lt}


def _fits(value: float, kind: str, schema: Mapping[str, JSON]) -> bool:
    step = schema.get("multipleOf", 1 if kind == "integer" else 0)
    in_bounds = all(fits(value, schema[name]) for name, fits in (_LOWEST | _HIGHEST).items() if name in schema)
    return in_bounds and (not step or value % step == 0)
