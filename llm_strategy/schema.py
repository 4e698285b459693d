"""What pydantic knows of a type: how a reply becomes a value, its JSON schema, whether an argument fits."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import SchemaError, SchemaSerializer, SchemaValidator

from llm_strategy.canonical import FrozenJSON
from llm_strategy.carriers import (
    JSONSchema,
    Node,
    all_types,
    build,
    for_reading,
    for_writing,
    needs_carrying,
    resolved,
    rewritten,
)
from llm_strategy.errors import PromptError
from llm_strategy.exact import Exact, is_utf8
from llm_strategy.reconstruction import is_implemented_class, original_of
from llm_strategy.typed_dicts import accepted

IMPOSSIBLE = (
    *(PydanticUserError, PydanticSchemaGenerationError, PydanticUndefinedAnnotation, SchemaError),
    UnicodeDecodeError,  # an enum with bytes that are no text
)


class Output:
    """The form of a reply: a JSON object with the one property `return_value` of the given type.

    Raises PromptError where pydantic cannot validate the type; `place` names the function in it.
    """

    def __init__(self, annotation: Any, place: str) -> None:
        self.annotation = annotation
        self.place = place
        try:
            self.model = create_model("Reply", return_value=(accepted(annotation), ...))
            described = self.model.model_json_schema(schema_generator=JSONSchema)
            self.schema = FrozenJSON(without_titles(described, "Reply"))
            self.validate = self._validate()
        except IMPOSSIBLE as error:
            raise PromptError(
                f"{place}: no reply can be turned into its return type, because {reason_of(error)}: return plain data, "
                "a dataclass, a TypedDict or a pydantic model"
            ) from error

    @cached_property
    def _written(self) -> Any:
        """The core schema as pydantic made it."""
        return resolved(self.model.__pydantic_core_schema__)

    @cached_property
    def _core(self) -> Any:
        return _with_implemented_classes(self._written)

    @cached_property
    def _carrying(self) -> bool:
        return self._core is not self._written or any(map(needs_carrying, all_types(self._core)))

    @cached_property
    def _validator(self) -> Any:
        if not self._carrying:
            return self.model.__pydantic_validator__
        return build(SchemaValidator, rewritten(self._core, for_reading))

    @cached_property
    def _serializer(self) -> SchemaSerializer:
        return build(SchemaSerializer, rewritten(self._core, for_writing))

    @cached_property
    def _exact(self) -> Exact:
        return Exact(self._core)

    def _validate(self) -> Callable[..., Any]:
        """The function that gives the value in a reply's text, or raises pydantic's ValidationError.

        With `strict=True`, `"3"` is no int. What JSON has one form for, such as a date, is read from it all the same.
        """
        plain = self._validator.validate_json
        exact = self._exact
        exactly = exact.is_needed

        def validate(text: str, *, strict: bool = False) -> Any:
            if exactly(text):
                return exact.validate(text, strict=strict).return_value
            try:
                return plain(text, strict=strict).return_value
            except ValidationError:
                if not exact.has_surrogate(text):
                    raise
            return exact.validate(text, strict=strict).return_value

        return validate

    def dump(self, value: Any) -> str:
        """The text of the reply that stands for a value; reading it gives the value again.

        Raises ValueError for what is no value of the type.
        """
        data = self._serializer.to_python(
            self.model.model_construct(return_value=value), mode="json", by_alias=True, round_trip=True, warnings="none"
        )
        text = json.dumps(data, ensure_ascii=False)
        text = text if is_utf8(text) else json.dumps(data)
        try:
            self.validate(text, strict=False)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            at = ".".join(map(str, problem["loc"]))
            raise ValueError(
                f"{self.place}: {value!r} is no value of its return type: {at}: {problem['msg']}"
            ) from None
        return text


def _with_implemented_classes(core: Node) -> Node:
    """The schema with an implemented class in each place of the class that was decorated.

    A class whose fields speak of itself, as in `children: list["Tree"]`, is there by the name of both.
    """
    classes = {node["cls"] for node in all_types(core) if isinstance(node.get("cls"), type)}
    implemented = {original_of(cls): cls for cls in classes if is_implemented_class(cls)}
    if classes.isdisjoint(implemented):
        return core

    def replaced(node: Node, _original: Node) -> Node:
        return {**node, "cls": implemented[node["cls"]]} if node.get("cls") in implemented else node

    written: Node = rewritten(core, replaced)
    return written


def reason_of(error: Exception) -> str:
    # pydantic goes on with advice on configuring a model, which the user does not have.
    return str(error).splitlines()[0].partition(". Set `")[0].rstrip(".")


# Where a schema holds other schemas: by name, in a list, or directly.
_BY_NAME = ("properties", "$defs", "patternProperties", "dependentSchemas")


def without_titles(schema: Any, name: str) -> Any:
    """The schema without the titles that pydantic derives from names: they tell a model nothing."""
    if isinstance(schema, list):
        return [without_titles(item, "") for item in schema]
    if not isinstance(schema, dict):
        return schema
    derived = (name, name.replace("_", " ").title())
    kept = {}
    for keyword, value in schema.items():
        if keyword == "title" and (value in derived or name == ""):
            continue
        if keyword in _BY_NAME:
            kept[keyword] = {key: without_titles(item, key) for key, item in value.items()}
        elif keyword in ("default", "const", "enum", "examples", "example"):
            kept[keyword] = value
        else:
            kept[keyword] = without_titles(value, "")
    return kept


_ANYTHING_GOES = ConfigDict(arbitrary_types_allowed=True)


def argument_check(annotation: Any) -> Callable[[Any], str | None]:
    """A function that says what is wrong with a value as an argument of a type, or None.

    Strict: `"3"` is no int, a dict is no model. An int is a float, and instances of subclasses pass.
    """
    if annotation is Any:
        return lambda value: None
    try:
        adapter = TypeAdapter(annotation, config=None if _has_config(annotation) else _ANYTHING_GOES)
    except (PydanticUserError, PydanticSchemaGenerationError, PydanticUndefinedAnnotation, SchemaError, TypeError):
        # A type that pydantic has no schema for, such as a foreign generic: nothing to hold against a value.
        return lambda value: None
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)

    def check(value: Any) -> str | None:
        if is_model and not isinstance(value, BaseModel):
            # pydantic makes a model of a dict, even strictly.
            return f"Input should be an instance of {annotation.__name__}"
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError as error:
            if _implements(value, annotation) and not any(problem["loc"] for problem in error.errors()):
                return None
            return "; ".join(
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" if problem["loc"] else problem["msg"]
                for problem in error.errors(include_url=False, include_input=False)[:3]
            )
        return None

    return check


def _implements(value: Any, annotation: Any) -> bool:
    """Whether the type is an ABC that the value implements; pydantic knows only the built-in ones among them."""
    kind = typing.get_origin(annotation) or annotation
    return isinstance(kind, type) and inspect.isabstract(kind) and isinstance(value, kind)


def _has_config(annotation: Any) -> bool:
    """Whether the type brings a configuration of its own, which pydantic lets nothing override."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return (
        hasattr(annotation, "__dataclass_fields__")
        or hasattr(annotation, "__pydantic_config__")
        or (hasattr(annotation, "__total__") and hasattr(annotation, "__required_keys__"))
    )
