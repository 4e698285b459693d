"""What differs between two prompts of a decorated function: each cause, and not what follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llm_strategy.difference.attachments import without_numbers
from llm_strategy.difference.names import Names, match_names, parsed, path_to_difference, same
from llm_strategy.difference.prompt_text import Definition, Described, Parameter, PromptText, TypeText, read_definition
from llm_strategy.difference.schemas import definition_name, rename_definitions, schema_causes
from llm_strategy.values import JSON

CLOSING = "the words of this library (asking for the reply)"


def prompt_causes(old: PromptText, new: PromptText, old_schema: JSON, new_schema: JSON) -> list[str]:
    """Short phrases that name what differs; the schemas are those of the results."""
    types = _renamed_types(old.types, new.types)
    old = _with_type_names(old, types)
    parameters = match_names(old.definition.parameters, new.definition.parameters)
    old = _with_parameter_names(old, parameters.renamed)
    definition = list(_definition_causes(old.definition, new.definition, parameters))
    if old.definition.name != new.definition.name and old.docstring != new.docstring and len(definition) > 1:
        return [f"another function: the nearest recording is of {old.definition.name}"]
    causes = [f"the type {name} is now {now}" for name, now in types.items()] + definition
    if old.docstring != new.docstring:
        causes.append(f"the docstring of {new.definition.name}")
    for name in _changed(old.descriptions, new.descriptions, parameters):
        causes.append(f"the description of the parameter {name!r} of {new.definition.name}")
    fields = FieldChanges()
    causes += fields.compare(old.types, new.types)
    if not causes:
        # A type comes and goes with what is declared to be of it.
        causes += _came_and_went("the type {}", match_names(old.types, new.types))
    causes += _argument_causes(old, new, parameters, fields)
    if old.definition.returns == new.definition.returns:
        old_schema = rename_definitions(old_schema, types)
        causes += schema_causes(old_schema, new_schema, fields.named, of=new.definition.name)
    if old.closing != new.closing and old.definition.returns == new.definition.returns:
        causes.append(CLOSING)
    return causes


def _changed(old: Mapping[str, str], new: Mapping[str, str], parameters: Names) -> list[str]:
    """The parameters whose texts differ; those that came or went with their parameter have no news."""
    return [
        name
        for name in {**old, **new}
        if old.get(name) != new.get(name) and name not in (*parameters.added, *parameters.removed)
    ]


def _came_and_went(what: str, names: Names) -> list[str]:
    removed = [f"{what.format(name)} was removed" for name in names.removed]
    return removed + [f"{what.format(name)} was added" for name in names.added]


def _replaced(text: str, names: Mapping[str, str]) -> str:
    any_name = "|".join(map(re.escape, names))
    return re.sub(rf"(?<![\w.])({any_name})(?!\w)", lambda match: names[match[0]], text) if names else text


def _renamed_types(old: Mapping[str, TypeText], new: Mapping[str, TypeText]) -> dict[str, str]:
    """Types that are the same but for their names."""

    def anonymous(types: Mapping[str, TypeText]) -> dict[str, TypeText]:
        return {name: _type_with_names(text, {name: "<itself>"}) for name, text in types.items()}

    return match_names(anonymous(old), anonymous(new), by_position=False).renamed


def _type_with_names(text: TypeText, names: Mapping[str, str]) -> TypeText:
    fields = {name: entry._replace(type=_replaced(entry.type, names)) for name, entry in text.fields.items()}
    return replace(text, fields=fields)


def _with_type_names(prompt: PromptText, names: Mapping[str, str]) -> PromptText:
    if not names:
        return prompt
    types = {names.get(name, name): _type_with_names(text, names) for name, text in prompt.types.items()}
    definition = read_definition(_replaced(prompt.definition.line, names))
    return replace(prompt, types=types, definition=definition or prompt.definition)


def _with_parameter_names(prompt: PromptText, names: Mapping[str, str]) -> PromptText:
    def renamed(texts: Mapping[str, str]) -> dict[str, str]:
        return {names.get(name, name): text for name, text in texts.items()}

    return replace(prompt, arguments=renamed(prompt.arguments), descriptions=renamed(prompt.descriptions))


def _definition_causes(old: Definition, new: Definition, parameters: Names) -> Iterator[str]:
    if old.name != new.name:
        yield f"the function {old.name} is now {new.name}"
    if old.asynchronous != new.asynchronous:
        yield f"{new.name} is now {'asynchronous' if new.asynchronous else 'synchronous'}"
    of = f" of {new.name}"
    yield from (f"the parameter {name!r}{of} is now {now!r}" for name, now in parameters.renamed.items())
    yield from _came_and_went("the parameter {!r}" + of, parameters)
    kept = {parameters.renamed.get(name, name): of for name, of in old.parameters.items()}
    for name, now in new.parameters.items():
        was = kept.get(name, now)
        if was.type != now.type:
            yield f"the type of the parameter {name!r}{of}: {was.type} -> {now.type}"
        if was.kind != now.kind:
            yield f"how the parameter {name!r}{of} is passed: {_passed(was)} -> {_passed(now)}"
    if not _same_order(kept, new.parameters):
        yield f"the order of the parameters{of}"
    if old.between != new.between and not (old.parameters and new.parameters):
        yield f"the parameters{of}"
    if old.returns != new.returns:
        yield f"the return type{of}: {old.returns} -> {new.returns}"


def _passed(parameter: Parameter) -> str:
    return {"": "by position or name", "*": "with *", "**": "with **"}.get(parameter.kind, "by name")


def _same_order(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return [name for name in old if name in new] == [name for name in new if name in old]


@dataclass
class FieldChanges:
    """What has changed about the fields of types, and so shows in every value of these types.

    `named` has the types and fields (as "Customer.key") that causes speak of.
    """

    named: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    incomparable: set[str] = field(default_factory=set)
    reordered: bool = False

    def compare(self, old: Mapping[str, TypeText], new: Mapping[str, TypeText]) -> Iterator[str]:
        """Phrases for the types that both prompts describe."""
        for name in [name for name in new if name in old]:
            yield from self._compare_type(name, old[name], new[name])

    def _compare_type(self, kind: str, old: TypeText, new: TypeText) -> Iterator[str]:
        short = definition_name(kind)
        if old != new:
            self.named.add(short)
        if old.description != new.description:
            yield f"the description of the type {kind}"
        if old.values != new.values:
            yield f"the values of the type {kind}"
        names = match_names(old.fields, new.fields)
        self.renamed |= names.renamed
        self.incomparable.update(names.removed, names.added)
        self.named.update(f"{short}.{name}" for name in (*names.removed, *names.added))
        for name, now in names.renamed.items():
            self.named |= {f"{short}.{name}", f"{short}.{now}"}
            yield f"the field {kind}.{name} is now {kind}.{now}"
        yield from _came_and_went(f"the field {kind}.{{}}", names)
        kept = {names.renamed.get(name, name): of for name, of in old.fields.items()}
        for name in [name for name in new.fields if name in kept and kept[name] != new.fields[name]]:
            self.named.add(f"{short}.{name}")
            yield from self._compare_field(f"{kind}.{name}", kept[name], new.fields[name])
        if not _same_order(kept, new.fields):
            self.reordered = True
            yield f"the order of the fields of {kind}"

    def _compare_field(self, place: str, old: Described, new: Described) -> Iterator[str]:
        if old.type != new.type:
            self.incomparable.add(place.rpartition(".")[2])
            yield f"the type of the field {place}: {old.type} -> {new.type}"
        if old.description != new.description:
            yield f"the description of the field {place}"

    def without(self, value: JSON, *, old: bool = False) -> JSON:
        """A value without what the changed fields explain."""
        if isinstance(value, list):
            return [self.without(item, old=old) for item in value]
        if not isinstance(value, dict):
            return value
        names = self.renamed if old else {}
        items = ((names.get(name, name), item) for name, item in value.items() if name not in self.incomparable)
        return {name: self.without(item, old=old) for name, item in items}


def argument(name: str, of: Definition) -> str:
    """What is said of an argument: methods of a class share the fields of what they are called on."""
    return f"the fields of {name} ({of.owner})" if name == of.bound else f"the argument {name!r} of {of.name}"


def _argument_causes(old: PromptText, new: PromptText, parameters: Names, fields: FieldChanges) -> Iterator[str]:
    for name in _changed(old.arguments, new.arguments, parameters):
        subject = argument(name, new.definition)
        if name not in old.arguments or name not in new.arguments:
            yield f"{subject} {'was removed' if name in old.arguments else 'was added'}"
            continue
        before, after = without_numbers(old.arguments[name]), without_numbers(new.arguments[name])
        cause = None if before == after else _value_cause(subject, before, after, fields)
        if cause:
            yield cause


def _value_cause(subject: str, old: str, new: str, fields: FieldChanges) -> str | None:
    """What differs between two texts of a value; None where changed fields explain it."""
    before, after = parsed(old), parsed(new)
    try:
        was, now = fields.without(before, old=True), fields.without(after)
        if not same(was, now):
            path = path_to_difference(was, now)
            inside = f"{subject[:-1]}{path})" if subject.endswith(")") else f"{subject} ({path})"
            return inside if path else subject
        unexplained = same(before, after) and not fields.reordered
    except RecursionError:
        return subject
    return f"the order of the keys in {subject}" if unexplained else None
