"""What a server is told about the form of a reply: JSON schemas as OpenAI's strict mode takes them.

The rules and limits are those of https://developers.openai.com/api/docs/guides/structured-outputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from llm_strategy.values import JSON

Structured = Literal["strict", "json_object", "none"]
"""How much of a reply's form a server is told: the schema where possible, that it is JSON, nothing."""

_NAME = "reply"

# Words about a schema, or for other readers of it; a reply that fits without them fits with them.
_ANNOTATIONS = frozenset(
    "title default examples deprecated readOnly writeOnly discriminator $comment $schema $id id "
    "contentEncoding contentMediaType contentSchema".split()
)
# Bounds that strict mode refuses. The prompt states them and the reply's type checks them, so that
# leaving them out costs a repair at worst, where giving up the schema would cost its whole shape.
_UNENFORCED = frozenset("minLength maxLength uniqueItems minProperties maxProperties".split())
_ENFORCED = frozenset(
    "description enum const pattern format multipleOf minimum maximum exclusiveMinimum exclusiveMaximum "
    "minItems maxItems".split()
)
_SHAPE = frozenset("type properties required additionalProperties items prefixItems".split())
_FORMATS = frozenset("date-time time date duration email hostname ipv4 ipv6 uuid".split())
# Lookaround, back references and the anchors and classes of Python's dialect are no part of the
# regular languages that a sampler can follow.
_BEYOND_REGULAR = re.compile(r"\(\?(?!:)|\\[1-9AbBGkKpPzZ]")
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}

_MOST_PROPERTIES = 5_000
_DEEPEST = 10
_MOST_CHARACTERS = 120_000
_MOST_CHOICES = 1_000
_MANY_CHOICES = 250
_MOST_CHARACTERS_OF_MANY = 15_000


class _Inexpressible(Exception):
    """The schema allows what strict mode has no words for."""


def response_formats(schema: Mapping[str, JSON] | None) -> tuple[JSON, ...]:
    """Every `response_format` that helps a model to fit the schema, the strongest first; None means leave it out."""
    if schema is None:
        return (None,)
    strict = strict_schema(schema)
    formats: list[JSON] = [None]
    # JSON mode answers with an object, whatever is asked for.
    if _root(schema).get("type") == "object":
        formats.insert(0, {"type": "json_object"})
    if strict is not None:
        named = {"name": _NAME, "strict": True, "schema": strict}
        formats.insert(0, {"type": "json_schema", "json_schema": named})
    return tuple(formats)


def response_format(schema: Mapping[str, JSON] | None, structured: Structured) -> JSON:
    """The `response_format` that says as much as `structured` allows, or None to leave it out."""
    formats = response_formats(schema)
    if structured == "strict":
        return formats[0]
    wanted = {"type": "json_object"} if structured == "json_object" else None
    return wanted if wanted in formats else None


def strict_schema(schema: Mapping[str, JSON]) -> dict[str, JSON] | None:
    """The schema as OpenAI's strict mode takes it, or None where it cannot be said there.

    What fits the result fits `schema`, bounds apart that strict mode refuses (`minLength`,
    `uniqueItems`, a pattern with lookaround ...). Every property becomes required, an object is
    closed. None comes back for open maps, anything-goes values, tuples of different types, a root
    that is no object, and schemas beyond the documented sizes.
    """
    definitions = schema.get("$defs", {})
    try:
        strict = _convert(_root(schema))
        if strict.get("type") != "object":
            return None
        used: dict[str, JSON] = {}
        pending = list(_references(strict))
        while pending:
            name = pending.pop()
            if name not in used:
                used[name] = _convert(definitions.get(name))
                pending.extend(_references(used[name]))
    except _Inexpressible:
        return None
    if used:
        strict["$defs"] = {name: used[name] for name in definitions if name in used}
    return strict if _within_limits(strict) else None


def _root(schema: Mapping[str, JSON]) -> dict[str, JSON]:
    """The root without its definitions; where it only points to one of them, that one."""
    root = {keyword: value for keyword, value in schema.items() if keyword != "$defs"}
    seen: set[str] = set()
    while isinstance(reference := root.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        target = schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"))
        if not isinstance(target, Mapping):
            break
        root = dict(target)
    return root


def _convert(schema: JSON) -> dict[str, JSON]:
    if not isinstance(schema, Mapping):
        raise _Inexpressible
    rest = {word: value for word, value in schema.items() if not _negligible(word)}
    if "allOf" in rest:
        rest = _merge_only(rest)
    if "$ref" in rest:
        return _reference(rest)
    if "oneOf" in rest:
        # The alternatives of a union are told apart by the type, which takes the first that fits.
        rest["anyOf"] = rest.pop("oneOf") + rest.get("anyOf", [])
    if "anyOf" in rest:
        return _union(rest)
    return _typed(rest)


def _negligible(keyword: str) -> bool:
    return keyword in _ANNOTATIONS or keyword in _UNENFORCED or keyword.startswith("x-")


def _merge_only(rest: dict[str, JSON]) -> dict[str, JSON]:
    parts = rest.pop("allOf")
    if len(parts) != 1 or not isinstance(parts[0], Mapping) or rest.keys() - {"description"}:
        raise _Inexpressible
    return {word: value for word, value in parts[0].items() if not _negligible(word)} | rest


def _reference(rest: dict[str, JSON]) -> dict[str, JSON]:
    reference = rest["$ref"]
    # Strict mode allows no word beside a reference; a description may go, a constraint may not.
    if rest.keys() - {"$ref", "description"} or not (reference == "#" or reference.startswith("#/$defs/")):
        raise _Inexpressible
    return {"$ref": reference}


def _union(rest: dict[str, JSON]) -> dict[str, JSON]:
    if rest.keys() - {"anyOf", "description"}:
        raise _Inexpressible
    rest["anyOf"] = [_convert(choice) for choice in rest["anyOf"]]
    return rest


def _typed(rest: dict[str, JSON]) -> dict[str, JSON]:
    if rest.keys() - _ENFORCED - _SHAPE:
        raise _Inexpressible
    kind = rest.get("type") or _type_of_choices(rest)
    kinds = [kind] if isinstance(kind, str) else kind
    converted: dict[str, JSON] = {"type": kind}
    converted |= {word: rest[word] for word in rest if word in _ENFORCED and _enforceable(word, rest[word])}
    if "object" in kinds:
        converted |= _object(rest)
    if "array" in kinds:
        converted |= _array(rest)
    return converted


def _enforceable(keyword: str, value: JSON) -> bool:
    if keyword == "pattern":
        return not _BEYOND_REGULAR.search(value)
    return keyword != "format" or value in _FORMATS


def _type_of_choices(rest: dict[str, JSON]) -> str | list[str]:
    choices = rest.get("enum", [rest["const"]] if "const" in rest else [])
    kinds = list(dict.fromkeys(_TYPES.get(type(choice)) for choice in choices))
    if not kinds or None in kinds:
        raise _Inexpressible
    found = [kind for kind in kinds if kind is not None]
    return found[0] if len(found) == 1 else found


def _object(rest: dict[str, JSON]) -> dict[str, JSON]:
    properties = rest.get("properties")
    if properties is None or rest.get("additionalProperties", False) is not False:
        raise _Inexpressible
    if set(rest.get("required", ())) - properties.keys():
        raise _Inexpressible
    return {
        "properties": {name: _convert(value) for name, value in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(rest: dict[str, JSON]) -> dict[str, JSON]:
    places = rest.get("prefixItems")
    if not places:
        return {"items": _convert(rest.get("items"))}
    # Strict mode knows no places in an array: a tuple is a list of fixed length, if all are of one type.
    first, *others = [_convert(place) for place in places]
    closed = rest.get("items") is False or rest.get("maxItems") == len(places)
    if not closed or any(other != first for other in others):
        raise _Inexpressible
    return {"items": first, "minItems": len(places), "maxItems": len(places)}


def _children(schema: Mapping[str, JSON]) -> Iterator[dict[str, JSON]]:
    """The schemas directly inside a strict one, its definitions apart."""
    yield from schema.get("properties", {}).values()
    yield from schema.get("anyOf", ())
    if "items" in schema:
        yield schema["items"]


def _all(schema: Mapping[str, JSON]) -> Iterator[Mapping[str, JSON]]:
    yield schema
    for child in _children(schema):
        yield from _all(child)


def _references(schema: Mapping[str, JSON]) -> Iterator[str]:
    for part in _all(schema):
        if part.get("$ref", "#") != "#":
            yield part["$ref"].removeprefix("#/$defs/")


def _within_limits(schema: Mapping[str, JSON]) -> bool:
    definitions = schema.get("$defs", {})
    parts = [part for root in (schema, *definitions.values()) for part in _all(root)]
    names = [name for part in parts for name in part.get("properties", ())]
    choices = [part["enum"] for part in parts if "enum" in part]
    constants = [part["const"] for part in parts if "const" in part]
    characters = _length(names) + _length(list(definitions)) + _length(constants) + sum(map(_length, choices))
    return (
        len(names) <= _MOST_PROPERTIES
        and characters <= _MOST_CHARACTERS
        and sum(map(len, choices)) <= _MOST_CHOICES
        and all(len(values) <= _MANY_CHOICES or _length(values) <= _MOST_CHARACTERS_OF_MANY for values in choices)
        and _depth(schema, definitions, {}) <= _DEEPEST
    )


def _length(values: Sequence[Any]) -> int:
    return sum(len(value) for value in values if isinstance(value, str))


def _depth(schema: Mapping[str, JSON], definitions: Mapping[str, JSON], known: dict[str, int]) -> int:
    """How deep objects and arrays lie in each other; what is inside itself counts once."""
    reference = schema.get("$ref")
    if reference is None:
        level = 1 if "properties" in schema or "items" in schema else 0
        return level + max((_depth(child, definitions, known) for child in _children(schema)), default=0)
    if reference == "#":
        return 0
    if reference not in known:
        known[reference] = 0
        known[reference] = _depth(definitions[reference.removeprefix("#/$defs/")], definitions, known)
    return known[reference]
