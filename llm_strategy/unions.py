"""Members of a union that JSON does not tell apart: `str | date`, `list[int] | set[int]`.

JSON has one kind of text and one of arrays. Where a member would be read as another one before it, its values
are written as an object that names it, `{"$date": "2020-01-31"}`, and the JSON schema says so. After members that
only some texts are, as in `date | str`, only such texts are written with a name.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any, Literal, NamedTuple

from pydantic_core import PydanticSerializationUnexpectedValue, SchemaValidator

Node = dict[str, Any]
Naming = Literal["always", "sometimes", "never"]

# What is written as text: of some kinds is almost any text.
_NARROW = frozenset("date time datetime timedelta uuid url multi-host-url decimal".split())
_PLAIN = {"text": {"str", "path", "bytes"}, "number": {"int", "float", "decimal"}}
_WIDE = frozenset(["str", "path", "pattern", "bytes"])
_ANY_TEXT = frozenset(["str", "path"])
_URLS = frozenset(["url", "multi-host-url"])
_ARRAYS = frozenset("list tuple set frozenset".split())
_BYTES = {"val_json_bytes": "base64"}


class _Member(NamedTuple):
    """A member of a union: in which form of JSON it is written, its name, the class of its values."""

    form: Literal["text", "array", "number"]
    name: str
    cls: type | str
    enumeration: bool = False


class _Choice(NamedTuple):
    """A member: what stands for it in the union, and whether its values are written with a name.

    `before` are the members of the same form of JSON that stand before it.
    """

    given: Any
    member: _Member | None
    named: Naming
    before: tuple[Node, ...] = ()

    @property
    def schema(self) -> Node:
        return _schema(self.given)

    @property
    def name(self) -> str:
        assert self.member is not None
        return f"${self.member.name}"


def needs_names(node: Node) -> bool:
    """Whether pydantic would take a member of a union for another, in reading or in writing."""
    return any(choice.named != "never" or _is_greedy(choice) for choice in _choices(node, node))


def is_member(choice: Any) -> bool:
    """Whether a member of a union is of a kind that may need a name."""
    return _member(_schema(choice)) is not None


def for_reading(node: Node, original: Node) -> Node:
    """The union, which also takes the objects that name a member."""
    choices = list(_choices(node, original))
    objects = [_object(choice) for choice in choices if choice.named != "never"]
    # Without its name a member that needs one is still read, where no other fits.
    late = [_without_ref(choice.given) for choice in choices if choice.named == "always" and not _beats_all(choice)]
    plain = [choice.given for choice in choices if choice.named != "always"]
    return {**node, "choices": [*objects, *plain, *late]} if objects else node


def for_writing(node: Node, original: Node) -> Node:
    """The union, whose members are written with their names where they have to be."""
    choices = list(_choices(node, original))
    written = [_writing(choice) for choice in choices if choice.named != "never" or _is_greedy(choice)]
    plain = [choice.given for choice in choices if choice.named == "never" and not _is_greedy(choice)]
    return {**node, "choices": [*written, *plain]} if written else node


def for_schema(node: Node) -> Node:
    """The union as it is described."""
    choices = list(_choices(node, node))
    if all(choice.named != "always" for choice in choices):
        return node
    return {**node, "choices": [_described(choice) if choice.named == "always" else choice.given for choice in choices]}


def _choices(node: Node, original: Node) -> Iterator[_Choice]:
    """The members of a union, by what they were before anything was changed."""
    schemas = list(map(_schema, original["choices"]))
    members = list(map(_member, schemas))
    plain = {member.name for member in members if member} | {name for schema in schemas for name in _literals(schema)}
    for at, (given, member) in enumerate(zip(node["choices"], members, strict=True)):
        if member is None:
            yield _Choice(given, None, "never")
            continue
        alike = [(other, schemas[n]) for n, other in enumerate(members) if other and other.form == member.form]
        before = [pair for pair in alike if pair[1] in schemas[:at]]
        named = _naming(member, [other for other, _ in before], [other.name for other, _ in alike], plain)
        yield _Choice(given, member, named, tuple(schema for _, schema in before))


def _naming(member: _Member, before: list[_Member], alike: list[str], names: set[str]) -> Naming:
    """When a member is written with its name; `alike` are the names of all that have the same form."""
    if alike.count(member.name) > 1:
        return "never"
    if member.name == "pattern":
        # pydantic takes any text for it, wherever it stands.
        return "always" if len(alike) > 1 else "never"
    if member.enumeration and not _PLAIN[member.form].isdisjoint(names):
        # pydantic prefers the plain type, wherever it stands.
        return "always"
    if member.name in _URLS and not _ANY_TEXT.isdisjoint(alike):
        # pydantic takes the text for one that is no URL, wherever it stands.
        return "always"
    if any(other.form == "array" or other.name in _WIDE for other in before):
        return "always"
    return "sometimes" if before and member.form == "text" else "never"


def _literals(schema: Node) -> Iterator[str]:
    """The names of the plain types whose values a literal has."""
    values = schema["expected"] if schema["type"] == "literal" else []
    yield from (type(value).__name__ for value in values)


def _beats_all(choice: _Choice) -> bool:
    """Whether pydantic prefers this member for a text or array that another one takes, wherever it stands."""
    if choice.member is None:
        return False
    if choice.member.name == "uuid":
        return any(member and member.name in _ANY_TEXT for member in map(_member, choice.before))
    return choice.member.name in ("pattern", "list")


def _is_greedy(choice: _Choice) -> bool:
    """Whether pydantic would write anything as this member."""
    return choice.member is not None and choice.member.name in ("path", "pattern")


def _schema(choice: Any) -> Node:
    schema: Node = choice[0] if isinstance(choice, tuple) else choice
    return schema


def _without_ref(choice: Any) -> Any:
    schema = {name: value for name, value in _schema(choice).items() if name != "ref"}
    return (schema, choice[1]) if isinstance(choice, tuple) else schema


_CLASSES = {
    "uuid": "UUID",
    "decimal": "Decimal",
    "url": "_BaseUrl",
    "multi-host-url": "_BaseMultiHostUrl",
}


def _member(schema: Node) -> _Member | None:
    kind = schema["type"]
    if kind == "call" and isinstance(schema["function"], type):
        return _Member("array", schema["function"].__name__, schema["function"])
    if kind == "named-tuple":
        return _Member("array", schema["cls"].__name__, schema["cls"])
    if kind in _NARROW or kind in ("str", "bytes"):
        return _Member("text", kind, _CLASSES.get(kind) or kind)
    if kind in _ARRAYS:
        return _Member("array", kind, kind)
    if kind in ("int", "float"):
        return _Member("number", kind, kind)
    if kind == "enum":
        texts = [isinstance(member.value, str) for member in schema["members"]]
        return _Member("text" if all(texts) else "number", schema["cls"].__name__, schema["cls"], True)
    if kind == "lax-or-strict":
        cls = schema["strict_schema"].get("python_schema", {}).get("cls")
        return _Member("text", "path", cls) if isinstance(cls, type) and issubclass(cls, PurePath) else None
    if kind == "function-plain":
        written = schema.get("serialization", {}).get("function")
        return _Member("text", "pattern", "Pattern") if repr(written) == "operator.attrgetter('pattern')" else None
    if kind in ("function-after", "function-before", "function-wrap"):
        return _member(schema["schema"])
    return None


def _object(choice: _Choice) -> Node:
    """An object with the member's name and its value, read as the value."""
    keys = {"type": "literal", "expected": [choice.name]}
    inner = {"type": "dict", "keys_schema": keys, "values_schema": choice.schema, "min_length": 1, "max_length": 1}
    function = {"type": "no-info", "function": operator.itemgetter(choice.name)}
    return {"type": "function-after", "function": function, "schema": inner}


def _described(choice: _Choice) -> Node:
    field = {"type": "typed-dict-field", "schema": choice.schema, "required": True}
    return {"type": "typed-dict", "fields": {choice.name: field}, "extra_behavior": "forbid"}


def _writing(choice: _Choice) -> Node:
    """What writes the values of a member and nothing else, with the name where it has to be."""
    member, name = choice.member, choice.name
    taken = _taken_by(choice.before) if choice.named == "sometimes" else lambda written: choice.named == "always"

    def write(value: Any, serialize: Callable[[Any], Any]) -> Any:
        if not _is_value(value, member):
            raise PydanticSerializationUnexpectedValue(f"no {name}")
        written = serialize(value)
        return {name: written} if taken(written) else written

    return {"type": "any", "serialization": {"type": "function-wrap", "function": write, "schema": choice.schema}}


def _is_value(value: Any, member: _Member | None) -> bool:
    assert member is not None
    if isinstance(member.cls, type):
        return isinstance(value, member.cls)
    names = [base.__name__ for base in type(value).__mro__]
    return member.cls in names and not (member.cls == "date" and "datetime" in names)


def _taken_by(before: tuple[Node, ...]) -> Callable[[Any], bool]:
    """Whether a text would be read as one of the members that stand before."""
    validator = SchemaValidator({"type": "union", "choices": list(before)}, _BYTES)  # type: ignore[arg-type]  # it is one

    def taken(written: Any) -> bool:
        try:
            validator.validate_json(json.dumps(written), strict=True)
        except ValueError:
            return False
        return True

    return taken
