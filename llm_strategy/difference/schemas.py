"""What differs between two JSON schemas of a result, in the words of the types that they describe."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from llm_strategy.difference.names import match_names, path_to_difference, same
from llm_strategy.values import JSON

IN_RESULT = " (in the result)"
_REFERENCE = "#/$defs/"
_TOLD_APART = ("description", "properties", "required", "enum")


_OF_TYPES = re.compile(
    r"the (?:schema of the result|(?:description|default|type|values|order) of the (?:type|field|result)"
    r"|type (?!of )|field |order of the fields)"
)


def is_of_types(cause: str) -> bool:
    """Whether a cause of `schema_causes` or `prompt_causes` is what a schema, or a type in a prompt, looks like."""
    return _OF_TYPES.match(cause) is not None or cause.endswith(IN_RESULT)


def definition_name(kind: str) -> str:
    """The name under which a schema defines a type: `Shop.Page[int]` is `Page_int_` there."""
    return re.sub(r"[^\w.-]", "_", re.sub(r"^(\w+\.)+", "", kind))


def rename_definitions(schema: JSON, names: Mapping[str, str]) -> JSON:
    """The schema with the definitions of renamed types under their new names."""
    changed = {definition_name(name): definition_name(now) for name, now in names.items()}

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {key: _follow(item, changed) if key == "$ref" else renamed(item) for key, item in value.items()}

    if not changed or not isinstance(schema, dict):
        return schema
    schema = renamed(schema)
    definitions = schema.get("$defs")
    if isinstance(definitions, dict):
        schema["$defs"] = {changed.get(name, name): of for name, of in definitions.items()}
    return schema


def _follow(reference: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(reference, str):
        return reference
    name = reference.removeprefix(_REFERENCE)
    return _REFERENCE + names[name] if name in names else reference


def schema_causes(old: JSON, new: JSON, named: Collection[str] = (), of: str = "") -> list[str]:
    """Short phrases for what differs, without the types and fields in `named`, as "Customer.key".

    `of` is the function whose result it is.
    """
    if same(old, new):
        return []
    result = f"the result of {of}" if of else "the result"
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [f"the schema of {result} was {'removed' if new is None else 'added'}"]
    names = match_names(_anonymous(_object(old, "$defs")), _anonymous(_object(new, "$defs")), by_position=False)
    old = rename_definitions(old, names.renamed)
    causes = [f"the type {name} is now {now}{IN_RESULT}" for name, now in names.renamed.items()]
    before, after = _object(old, "$defs"), _object(new, "$defs")
    for name in [name for name in after if name in before and not same(before[name], after[name])]:
        causes += _definition_causes(name, before[name], after[name], named)
    causes += _outer_causes(old, new, result)
    if not causes and not named:
        changed = ", ".join([*names.removed, *names.added])
        causes = [f"the schema of {result} ({changed})" if changed else f"the schema of {result}"]
    return causes


def _object(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    value = schema.get(keyword)
    return value if isinstance(value, dict) else {}


def _anonymous(definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions without their own names, to find one that has got another."""
    return {name: rename_definitions({"$defs": {}, "of": of}, {name: "<itself>"}) for name, of in definitions.items()}


def _definition_causes(kind: str, old: Any, new: Any, named: Collection[str]) -> Iterator[str]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        yield f"the schema of the result ({kind})"
        return
    if kind not in named and old.get("description") != new.get("description"):
        yield f"the description of the type {kind}{IN_RESULT}"
    if kind not in named and old.get("enum") != new.get("enum"):
        yield f"the values of the type {kind}{IN_RESULT}"
    before, after = _object(old, "properties"), _object(new, "properties")
    names = match_names(before, after)
    causes = [(now, f"the field {kind}.{name} is now {kind}.{now}") for name, now in names.renamed.items()]
    causes += [(name, f"the field {kind}.{name} was removed") for name in names.removed]
    causes += [(name, f"the field {kind}.{name} was added") for name in names.added]
    for name in [name for name in after if name in before]:
        optional = (name in (old.get("required") or ())) != (name in (new.get("required") or ()))
        if optional or not same(before[name], after[name]):
            causes.append((name, f"{_aspect(before[name], after[name])} of the field {kind}.{name}"))
    yield from (cause + IN_RESULT for name, cause in causes if f"{kind}.{name}" not in named)
    if not causes and kind not in named and not same(*({**of, **dict.fromkeys(_TOLD_APART)} for of in (old, new))):
        yield f"the schema of the result ({kind})"


def _aspect(old: Any, new: Any) -> str:
    """What differs about a field: its description, its default, or else its type."""
    if isinstance(old, dict) and isinstance(new, dict):
        for keyword, aspect in (("description", "the description"), ("default", "the default")):
            if same({**old, keyword: None}, {**new, keyword: None}):
                return aspect
    return "the type"


def _outer_causes(old: dict[str, Any], new: dict[str, Any], result: str) -> Iterator[str]:
    """What differs outside the definitions: in the type that is returned itself."""
    before, after = ({**schema, "$defs": None} for schema in (old, new))
    if same(before, after):
        return
    path = path_to_difference(before, after)
    inner = path.removeprefix(".properties").removeprefix(".return_value")
    results = [_object(schema, "properties").get("return_value") for schema in (before, after)]
    if inner in ("", ".description") and all(results) and _aspect(*results) == "the description":
        yield f"the description of {result}"
    else:
        yield f"the schema of {result} ({inner})" if inner else f"the schema of {result}"
