"""A reply against the schema that was recorded with it, where the type itself is not at hand.

It is validated with `jsonschema`, where that is installed (the extra `test` has it). A cassette may come from anywhere:
nothing that its schema refers to is fetched, and its patterns, which may take for ever, are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.readings import KEY
from llm_strategy.values import JSON

_LONGEST = 1_000_000
"""Characters of a reply that is validated."""
_DEEPEST = 100
_MOST_FOLLOWED = 20_000
"""References that are followed: each may lead to two, which lead to two each."""


def wraps(schema: JSON) -> bool:
    """Whether it is the schema of a decorated function: of an object with the value as its property."""
    return KEY in _properties(schema)


def lists(schema: JSON) -> bool:
    """Whether the value is a list, whose items may be read one by one."""
    value = _properties(schema).get(KEY)
    return isinstance(value, Mapping) and value.get("type") == "array"


def _properties(schema: JSON) -> Mapping[str, JSON]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return properties if isinstance(properties, Mapping) else {}


def fits(value: JSON, schema: JSON, length: int) -> bool:
    """Whether a value of so many characters is one of the schema; also where nobody can tell."""
    if not isinstance(schema, Mapping) or length > _LONGEST:
        return True
    try:
        return _check(FrozenJSON.of(schema))(value)
    except Exception:  # noqa: BLE001  # without jsonschema, or with a schema that is none: nobody can tell
        return True


@lru_cache(maxsize=64)
def _check(schema: FrozenJSON) -> Callable[[Any], bool]:
    import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
    import referencing

    plain = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    left = 0

    def follow(*given: Any) -> Iterator[Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise RecursionError
        yield from plain.VALIDATORS["$ref"](*given) or ()

    passed_by = dict.fromkeys(("pattern", "patternProperties", "$dynamicRef", "$recursiveRef"), _nothing)
    kind = jsonschema.validators.extend(plain, {**passed_by, "$ref": follow})
    validator = kind(schema, registry=referencing.Registry())

    def check(value: Any) -> bool:
        nonlocal left
        left = _MOST_FOLLOWED
        return bool(validator.is_valid(value))

    return check


def _nothing(*_given: object) -> Iterator[Any]:
    return iter(())


def meant(value: Any, schema: JSON) -> Any:
    """The value as its schema means it: with defaults written out, and one spelling for each time."""
    return _meant(value, schema, schema, _DEEPEST) if isinstance(schema, Mapping) else value


def _meant(value: Any, schema: JSON, root: Mapping[str, JSON], left: int) -> Any:
    schema = _resolved(schema, root, value)
    if not isinstance(schema, Mapping) or not left:
        return value
    if isinstance(value, str):
        return _instant(value, schema.get("format"))
    if isinstance(value, list):
        return [_meant(item, schema.get("items"), root, left - 1) for item in value]
    if not isinstance(value, dict):
        return value
    known = _properties(schema)
    defaults = {
        name: form["default"] for name, form in known.items() if isinstance(form, Mapping) and "default" in form
    }
    others = schema.get("additionalProperties")
    return {name: _meant(item, known.get(name, others), root, left - 1) for name, item in {**defaults, **value}.items()}


_KINDS: Mapping[str, type] = {"object": dict, "array": list, "string": str}


def _resolved(schema: JSON, root: Mapping[str, JSON], value: Any) -> JSON:
    """What a schema refers to; of several the only one that a value of this kind can be meant by."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, Mapping):
            return None
        several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if isinstance(schema.get("$ref"), str):
            schema = _referred(schema["$ref"], root)
        elif isinstance(several, list):
            fitting = [item for item in several if _may_be(item, root, value)]
            schema = fitting[0] if len(fitting) == 1 else None
        else:
            return schema
    return None


def _may_be(schema: JSON, root: Mapping[str, JSON], value: Any) -> bool:
    if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        schema = _referred(schema["$ref"], root)
    kind = _KINDS.get(str(schema.get("type"))) if isinstance(schema, Mapping) else None
    return kind is not None and isinstance(value, kind)


def _referred(reference: str, root: Mapping[str, JSON]) -> JSON:
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _instant(text: str, kind: JSON) -> Any:
    """A text, or the time that it stands for where it says from where on it is counted."""
    read = {"date-time": datetime.fromisoformat, "time": time.fromisoformat}.get(str(kind))
    try:
        found = read(text) if read else text
    except ValueError:
        return text
    return found.astimezone(UTC) if isinstance(found, datetime) and found.tzinfo else found
