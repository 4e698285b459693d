"""Values that are marked by their annotations, in arguments and in their fields: content, and what is volatile.

What to do with a value is worked out once for each annotation. Where nothing in it is marked, which is nearly
always, that is nothing.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, RootModel

from llm_strategy.content import Attachment, Blob, Media, attachment
from llm_strategy.errors import PromptError
from llm_strategy.hints import bare, has_fields, hints_of, with_types
from llm_strategy.rendering import field_names, for_each_type
from llm_strategy.signature import VolatileMarker
from llm_strategy.values import BlobPart, Part, UriPart

VOLATILE = "<volatile>"


class Mention(str):
    """What stands in a prompt for a value that is marked."""

    __slots__ = ()


class Pair(NamedTuple):
    """A value as it stands in the key, and as it is sent."""

    kept: Any
    sent: Any


class Found:
    """What the marked values of one call bring along.

    `parts` follow the prompt in its message. `volatile` maps texts, and contents of parts, to what is sent in
    their place.
    """

    __slots__ = ("parts", "volatile")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.volatile: dict[str, str] = {}

    def attach(self, attached: Attachment, *, volatile: bool) -> Mention:
        number = len(self.parts) + 1
        part = attached.part
        if volatile:
            placeholder = f"<volatile file {number}>"
            if isinstance(part, BlobPart):
                self.volatile[placeholder], part = part.content, dataclasses.replace(part, content=placeholder)
            elif isinstance(part, UriPart):
                self.volatile[placeholder], part = part.uri, dataclasses.replace(part, uri=placeholder)
        self.parts.append(part)
        return Mention(attached.mention(number, named=not volatile))


class At(NamedTuple):
    """Where a walk is: the place in words such as `order.items[2]`, and whether what stands there is volatile."""

    found: Found
    place: str
    volatile: bool = False

    def below(self, step: str) -> At:
        return self._replace(place=self.place + step)


Walk = Callable[[Any, At], Pair]


def walk_of(annotation: Any) -> Walk | None:
    """How to find the marked values in one of this type; None where there are none."""
    return _walk(annotation) if _is_marked(annotation) else None


def walk_of_open(annotation: Any) -> Walk | None:
    """The same for a type that does not say what its objects are made of; their own classes do."""
    is_class = isinstance(annotation, type)
    is_open = is_class and (inspect.isabstract(annotation) or getattr(annotation, "_is_protocol", False))
    return _open if is_open or annotation in (Any, object) or isinstance(annotation, TypeVar) else None


def _open(value: Any, at: At) -> Pair:
    return _content(Media())(value, at) if isinstance(value, Blob) else _Fields(object, ())(value, at)


def walk_fields(values: Mapping[str, Any], walks: Mapping[str, Walk], at: At) -> Pair:
    """Values of fields, by name."""
    pairs = {name: walk(values[name], at.below(f".{name}")) for name, walk in walks.items() if name in values}
    return _named(values, pairs)


def hidden(walk: Walk | None) -> Walk:
    """The whole value is volatile; content in it is sent all the same."""

    def hide(value: Any, at: At) -> Pair:
        sent = value if walk is None else walk(value, at._replace(volatile=True)).sent
        return Pair(Mention(VOLATILE), sent)

    return hide


def each(walk: Walk) -> Walk:
    """Of a list or another sequence."""

    def walk_items(value: Any, at: At) -> Pair:
        if isinstance(value, set | frozenset):
            raise PromptError(f"{at.place} is a set, in which marked values have no fixed order: use a list")
        if isinstance(value, str | bytes) or not isinstance(value, Collection):
            return Pair(value, value)
        return _listed([walk(item, at.below(f"[{number}]")) for number, item in enumerate(value)])

    return walk_items


def _listed(pairs: list[Pair]) -> Pair:
    kept = [pair.kept for pair in pairs]
    # The same object, where nothing is volatile: it is then written once.
    return Pair(kept, kept if all(pair.kept is pair.sent for pair in pairs) else [pair.sent for pair in pairs])


def _named(values: Mapping[Any, Any], pairs: Mapping[Any, Pair]) -> Pair:
    kept = {**values, **{name: pair.kept for name, pair in pairs.items()}}
    if all(pair.kept is pair.sent for pair in pairs.values()):
        return Pair(kept, kept)
    return Pair(kept, {**values, **{name: pair.sent for name, pair in pairs.items()}})


def each_value(walk: Walk) -> Walk:
    """Of a mapping."""

    def walk_values(value: Any, at: At) -> Pair:
        if not isinstance(value, Mapping):
            return Pair(value, value)
        return _named({}, {key: walk(item, at.below(f"[{key!r}]")) for key, item in value.items()})

    return walk_values


# Annotations


def _is_marked(annotation: Any) -> bool:
    # With the objects themselves, so that none has the number of one that is gone.
    seen: dict[int, Any] = {}
    queue = [annotation]
    while queue:
        item = bare(queue.pop())
        if id(item) in seen:
            continue
        seen[id(item)] = item
        if isinstance(item, Media | VolatileMarker) or item is Media or item is Blob:
            return True
        # Of a list of types, as `Callable` has it, there are no values.
        queue.extend(arg for arg in typing.get_args(item) if not isinstance(arg, list))
        kind = typing.get_origin(item) or item
        if isinstance(kind, type) and has_fields(kind):
            queue.extend(hints_of(kind).values())
    return False


def _walk(annotation: Any) -> Walk:
    """For an annotation in which something is marked."""
    if hasattr(annotation, "__value__"):
        # An alias may speak of itself.
        return _Later(annotation)
    annotation = bare(annotation)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _annotated(args[0], args[1:])
    if origin in (typing.Union, types.UnionType):
        return _one_of(args)
    kind = origin or annotation
    if kind is Blob:
        return _content(Media())
    if not isinstance(kind, type):
        return _nothing
    if hasattr(kind, "__required_keys__"):
        return _typed_dict(kind)
    if has_fields(kind):
        return _Fields(kind, args)
    if issubclass(kind, tuple) and args and args[-1] is not Ellipsis:
        return _positions([walk_of(arg) or _nothing for arg in args])
    if issubclass(kind, Mapping):
        return each_value(walk_of(args[-1]) or _nothing) if args else _nothing
    walk = walk_of(args[0]) if args else None
    return _nothing if walk is None else each(walk)


class _Later:
    """The walk of an alias, made when it is taken for the first time."""

    def __init__(self, alias: Any) -> None:
        self._alias = alias

    @cached_property
    def _walk(self) -> Walk:
        return _walk(self._alias.__value__)

    def __call__(self, value: Any, at: At) -> Pair:
        return self._walk(value, at)


def _nothing(value: Any, at: At) -> Pair:  # noqa: ARG001  # a walk takes two
    return Pair(value, value)


def _annotated(annotation: Any, metadata: tuple[Any, ...]) -> Walk:
    # Written without parentheses, it is meant all the same.
    marks = [Media() if item is Media else item for item in metadata]
    media = next((item for item in marks if isinstance(item, Media)), None)
    walk = walk_of(annotation) if media is None else _content(media)
    if any(isinstance(item, VolatileMarker) for item in metadata):
        return hidden(walk)
    return walk or _nothing


def _content(media: Media) -> Walk:
    def attach(value: Any, at: At) -> Pair:
        attached = attachment(value, media, at.place)
        mention = None if attached is None else at.found.attach(attached, volatile=at.volatile)
        return Pair(mention, mention)

    return attach


def _one_of(annotations: tuple[Any, ...]) -> Walk:
    choices = [(annotation, walk_of(annotation) or _nothing) for annotation in annotations]

    def walk_one(value: Any, at: At) -> Pair:
        walk = next((walk for annotation, walk in choices if _fits(value, annotation)), _nothing)
        return walk(value, at)

    return walk_one


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value, which has been checked, is meant by this member of a union."""
    annotation = bare(annotation)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _fits(value, args[0])
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is typing.Literal:
        return value in args
    kind = origin or annotation
    if not isinstance(kind, type):
        return value is None if annotation is None else annotation is Any
    if hasattr(kind, "__required_keys__"):
        return isinstance(value, dict)
    return isinstance(value, kind)


def _positions(walks: list[Walk]) -> Walk:
    def walk_positions(value: Any, at: At) -> Pair:
        if not isinstance(value, tuple):
            return Pair(value, value)
        pairs = [
            walk(item, at.below(f"[{number}]")) for number, (walk, item) in enumerate(zip(walks, value, strict=False))
        ]
        return _listed(pairs)

    return walk_positions


# Objects with fields


class _Fields:
    """The walk of objects of a class; made when it is taken for the first time, since a class may speak of itself."""

    def __init__(self, kind: type, args: tuple[Any, ...]) -> None:
        self._kind = kind
        self._args = args

    @cached_property
    def _walks(self) -> Mapping[str, Walk]:
        if not self._args:
            return walks_of_fields(self._kind)
        # A class with parameters, whose objects do not know what stands for them.
        types_of = dict(zip(getattr(self._kind, "__parameters__", ()), self._args, strict=False))
        hints = {name: with_types(hint, types_of) for name, hint in hints_of(self._kind).items()}
        return {name: walk for name, hint in hints.items() if (walk := walk_of(hint)) is not None}

    def __call__(self, value: Any, at: At) -> Pair:
        kind = type(value)
        if not has_fields(kind):
            return Pair(value, value)
        # An object of a subclass may have more.
        walks = {**walks_of_fields(kind), **self._walks} if self._walks else walks_of_fields(kind)
        return _walk_object(value, walks, at) if walks else Pair(value, value)


def _typed_dict(kind: type) -> Walk:
    def walk_items(value: Any, at: At) -> Pair:
        return walk_fields(value, walks_of_fields(kind), at) if isinstance(value, dict) else Pair(value, value)

    return walk_items


def _walk_object(value: Any, walks: Mapping[str, Walk], at: At) -> Pair:
    kind = type(value)
    if isinstance(value, tuple):
        return _positions([walks.get(name, _nothing) for name in getattr(kind, "_fields", ())])(value, at)
    if not isinstance(value, BaseModel):
        return walk_fields({name: getattr(value, name) for name in field_names(kind)}, walks, at)
    if isinstance(value, RootModel):
        return walks["root"](value.root, at)
    dumped = value.model_dump()
    walks = {name: walk for name, walk in walks.items() if name in kind.model_fields}
    pair = walk_fields({name: getattr(value, name) for name in walks}, walks, at)
    names = {name: name if name in dumped else _alias(kind, name) for name in walks}
    return Pair(*({**dumped, **{names[name]: side[name] for name in walks if names[name] in dumped}} for side in pair))


def _alias(kind: Any, name: str) -> str:
    return str(kind.model_fields[name].serialization_alias)


@for_each_type
def walks_of_fields(kind: type[Any]) -> Mapping[str, Walk]:
    """How to find the marked values in the fields of a class, without those in which nothing is marked."""
    return {name: walk for name, hint in hints_of(kind).items() if (walk := walk_of(hint)) is not None}
