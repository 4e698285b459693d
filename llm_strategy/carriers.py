"""How a reply carries what JSON has no form for, as rules on pydantic's core schema of the return type.

Bytes travel as base64, unless a model of the user's says otherwise. The keys of a JSON object are text:
a key that is more than one word, such as a tuple, travels as its JSON text.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import PydanticCustomError, SchemaSerializer, SchemaValidator, to_jsonable_python

from llm_strategy import unions
from llm_strategy.set_order import in_order

Node = dict[str, Any]
T = TypeVar("T", SchemaValidator, SchemaSerializer)

# What in a core schema holds further schemas: one, a list, pairs with a label, or by name.
_INSIDE = frozenset(
    "schema items_schema keys_schema values_schema choices fields extras_schema extras_keys_schema lax_schema "
    "strict_schema json_schema python_schema steps definitions arguments_schema var_args_schema var_kwargs_schema "
    "return_schema".split()
)
_BASE64 = {"val_json_bytes": "base64", "ser_json_bytes": "base64"}
CONFIG: Any = {**_BASE64, "ser_json_inf_nan": "constants"}
"""The configuration around a type that brings none of its own."""


def rewritten(schema: Any, change: Callable[[Node, Node], Node]) -> Any:
    """A core schema with `change` applied to each schema in it, the innermost first.

    `change` is given a copy, whose inner schemas are changed already, and the schema as it was.
    """
    if isinstance(schema, list | tuple):
        return type(schema)(rewritten(item, change) for item in schema)
    if not isinstance(schema, dict):
        return schema
    typed = isinstance(schema.get("type"), str)
    node = {name: rewritten(item, change) if name in _INSIDE or not typed else item for name, item in schema.items()}
    if not typed:
        return node
    if "serialization" in node:
        # A description of its own kind, with schemas in it.
        node["serialization"] = rewritten({**node["serialization"], "type": None}, change)
        node["serialization"]["type"] = schema["serialization"]["type"]
    return change(node, schema)


def all_types(schema: Any) -> Iterator[Node]:
    """Every schema in a core schema."""
    pending = [schema]
    while pending:
        item = pending.pop()
        if isinstance(item, list | tuple):
            pending += item
        elif isinstance(item, dict):
            typed = isinstance(item.get("type"), str)
            if typed:
                yield item
            pending += [part for name, part in item.items() if name in _INSIDE or not typed]


def resolved(core: Any) -> Any:
    """A core schema in which keys, and members of unions that may need names, are no references.

    pydantic refers to a class that stands in a type twice, and what is decided here depends on what it is.
    """
    definitions = {node["ref"]: node for node in all_types(core) if "ref" in node}

    def meant(schema: Any) -> Any:
        if isinstance(schema, tuple):
            return (meant(schema[0]), *schema[1:])
        while schema["type"] == "definition-ref" and "serialization" not in schema:
            schema = {name: part for name, part in definitions[schema["schema_ref"]].items() if name != "ref"}
        return schema

    def meant_key(schema: Any) -> Any:
        schema = meant(schema)
        key = schema[0] if isinstance(schema, tuple) else schema
        if key["type"] == "nullable":
            return {**key, "schema": meant_key(key["schema"])}
        if key["type"] == "union":
            key = {**key, "choices": list(map(meant_key, key["choices"]))}
        return (key, *schema[1:]) if isinstance(schema, tuple) else key

    def change(node: Node) -> Node:
        if "keys_schema" in node:
            node["keys_schema"] = meant_key(node["keys_schema"])
        if node["type"] == "union":
            found = [(choice, meant(choice)) for choice in node["choices"]]
            node["choices"] = [real if unions.is_member(real) else choice for choice, real in found]
        return node

    return core if core["type"] != "definitions" else rewritten(core, lambda node, original: change(node))


def needs_carrying(node: Node) -> bool:
    """Whether pydantic by itself would not read back what it writes."""
    return (
        node["type"] in ("bytes", "call")
        or (node["type"] == "enum" and _has_odd_values(node))
        or (node["type"] == "union" and unions.needs_names(node))
        or _carries(node.get("keys_schema")) is not None
        or node.get("serialization_exclude", False)
        or ("serialization_alias" in node and _read_as(node) != node["serialization_alias"])
    )


def _read_as(node: Node) -> str | None:
    """The name under which a field is read, if it is not its own; of several the first that is no path."""
    read = node.get("validation_alias")
    if isinstance(read, list):
        paths = [read] if isinstance(read[0], str) else read
        read = next((path[0] for path in paths if len(path) == 1), None)
    return read


def _has_odd_values(node: Node) -> bool:
    """Whether an enum has members whose values, such as dates, are not what stands for them in JSON."""
    return any(not isinstance(member.value, str | int | float | None) for member in node["members"])


def _by_what_is_written(node: Node) -> Node:
    """The schema that finds an enum's member by what stands for its value in JSON."""
    cls, written = node["cls"], [(to_jsonable_python(member.value), member) for member in node["members"]]
    allowed = " or ".join(json.dumps(data) for data, _ in written)

    def find(value: Any) -> Any:
        for data, member in written:
            if member is value or (data == value and type(data) is type(value)):
                return member
        try:
            return cls(value)
        except ValueError:
            raise PydanticCustomError("enum", "Input should be {allowed}", {"allowed": allowed}) from None

    kept: Node = {name: node[name] for name in ("ref", "metadata", "serialization") if name in node}
    return {"type": "function-plain", "function": {"type": "no-info", "function": find}, **kept}


def _set_base64(node: Node) -> None:
    if "config" in node and not _BASE64.keys() & node["config"].keys():
        node["config"] = {**node["config"], **_BASE64}


def for_reading(node: Node, original: Node) -> Node:
    """The schema of a validator: with bytes in base64, keys as JSON text, and names in unions."""
    _set_base64(node)
    if _carries(original.get("keys_schema")) is not None:
        keys = node["keys_schema"]
        # A key that is no JSON may be meant as text; and pydantic checks some kinds of dict twice.
        choices = [{"type": "json", "schema": keys}, keys]
        node["keys_schema"] = {"type": "union", "mode": "left_to_right", "choices": choices}
    if node["type"] == "enum" and _has_odd_values(node):
        return _by_what_is_written(node)
    return unions.for_reading(node, original) if node["type"] == "union" else node


def for_writing(node: Node, original: Node) -> Node:
    """The schema of a serializer: what it writes, the validator reads."""
    _set_base64(node)
    if _carries(original.get("keys_schema")) is not None:
        node["keys_schema"] = {"type": "json", "schema": node["keys_schema"]}
    if "config" in node and "ser_json_inf_nan" not in node["config"]:
        node["config"] = {**node["config"], "ser_json_inf_nan": "constants"}
    node.pop("serialization_alias", None)
    alias = _read_as(node)
    if alias is not None:
        node["serialization_alias"] = alias
    node.pop("serialization_exclude", None)
    if node["type"] == "union":
        return unions.for_writing(node, original)
    parameters = node["arguments_schema"].get("arguments_schema") if node["type"] == "call" else None
    if isinstance(parameters, list) and isinstance(node["function"], type) and issubclass(node["function"], tuple):
        # A named tuple; pydantic forgets the types of its fields when it writes.
        tuple_schema = {"type": "tuple", "items_schema": [parameter["schema"] for parameter in parameters]}
        return tuple_schema | ({"ref": node["ref"]} if "ref" in node else {})
    return node


_TEXT = frozenset(
    "str int float bool decimal date time datetime timedelta uuid url multi-host-url bytes complex any definition-ref "
    "function-plain is-instance is-subclass callable json custom-error".split()
)
_MORE_THAN_TEXT = frozenset(
    "none tuple list set frozenset dict model dataclass typed-dict call named-tuple generator tagged-union".split()
)


def _carries(keys: Node | None) -> Literal["json", "mixed"] | None:
    """How keys of a type travel: as they are (None), as JSON text, or as JSON text where they are no other text."""
    if keys is None or keys["type"] in _TEXT:
        return None
    kind = keys["type"]
    if kind in _MORE_THAN_TEXT:
        return "json"
    if kind == "literal":
        words = [isinstance(value, str) for value in keys["expected"]]
        return None if all(words) else "mixed" if any(words) else "json"
    if kind in ("union", "nullable"):
        choices = keys["choices"] if kind == "union" else [keys["schema"]]
        ways = {_carries(choice[0] if isinstance(choice, tuple) else choice) for choice in choices}
        if kind == "union" and ways == {None} and len({_kind(choice) for choice in choices}) == 1:
            return None
        return "json" if ways == {"json"} else "mixed"
    inner = keys.get("schema") or keys.get("json_schema") or (keys.get("steps") or [None])[-1]
    return _carries(inner)


def _kind(choice: Any) -> str:
    return str((choice[0] if isinstance(choice, tuple) else choice)["type"])


class JSONSchema(GenerateJsonSchema):
    """pydantic's JSON schema, which also says how bytes and keys travel."""

    # A default that JSON has no form for is not told; leaving the value out gives it all the same.
    ignored_warning_kinds = GenerateJsonSchema.ignored_warning_kinds | {"non-serializable-default"}

    def generate(self, schema: Any, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        return super().generate(resolved(schema), mode)

    def bytes_schema(self, schema: Any) -> JsonSchemaValue:
        described = super().bytes_schema(schema)
        own: Mapping[str, Any] = self._config.config_dict
        if own.keys() & _BASE64.keys():
            return described
        described = {"type": "string", "contentEncoding": "base64"}
        # In characters: the shortest text has no padding, the longest has.
        if "min_length" in schema:
            described["minLength"] = -(-schema["min_length"] * 4 // 3)
        if "max_length" in schema:
            described["maxLength"] = -(-schema["max_length"] // 3) * 4
        return described

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if "default" in schema and "default" in described:
            described["default"] = in_order(schema["default"], described["default"], self.encode_default)
        return described

    def union_schema(self, schema: Any) -> JsonSchemaValue:
        return super().union_schema(unions.for_schema(schema))  # type: ignore[arg-type]  # a schema, as it was

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        described = super().dict_schema(schema)
        if _carries(schema.get("keys_schema")) == "json":
            keys = self.generate_inner(schema["keys_schema"])
            described["propertyNames"] = {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": keys,
            }
        return described


# Validators and serializers


def build(kind: type[T], schema: Any) -> T:
    """A validator or serializer of exactly this schema."""
    if "_use_prebuilt" in (kind.__text_signature__ or ""):
        return kind(schema, CONFIG, _use_prebuilt=False)
    with _hidden(schema):
        return kind(schema, CONFIG)


_HIDING = threading.Lock()


@contextmanager
def _hidden(schema: Node) -> Iterator[None]:
    """Let pydantic-core build what the schema says of classes, not take what each class has built for itself.

    From 2.11 on it would, and only later versions can be told not to. A class is passed over that says that
    it is incomplete, which concerns nobody but those who build schemas.
    """
    classes = {node["cls"] for node in all_types(schema) if node["type"] in ("model", "dataclass")}
    with _HIDING:
        complete = [cls for cls in classes if cls.__dict__.get("__pydantic_complete__") is True]
        try:
            for cls in complete:
                cls.__pydantic_complete__ = False
            yield
        finally:
            for cls in complete:
                cls.__pydantic_complete__ = True
