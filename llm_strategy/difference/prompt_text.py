"""The prompt of a decorated function, read back into its parts."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Parameter(NamedTuple):
    """`kind` is empty, "*", "**" or "keyword-only"."""

    type: str | None
    kind: str


@dataclass(frozen=True)
class Definition:
    """The line that begins with `def`. `parameters` is empty where `between`, their text, is no Python."""

    line: str
    asynchronous: bool
    name: str
    between: str
    parameters: Mapping[str, Parameter]
    returns: str

    @property
    def bound(self) -> str | None:
        """The name of the parameter that stands for the instance."""
        return next((name for name, parameter in self.parameters.items() if parameter.type is None), None)

    @property
    def owner(self) -> str:
        """The name of the class that a method belongs to."""
        return self.name.rpartition(".")[0] or self.name


class Described(NamedTuple):
    """A field's type and description."""

    type: str
    description: str


@dataclass(frozen=True)
class TypeText:
    """A type with fields or the values of an enumeration."""

    description: str
    fields: Mapping[str, Described]
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromptText:
    """The parts of a prompt. `closing` asks for the reply; its JSON schema, if it has one, comes after it."""

    definition: Definition
    docstring: str
    closing: str
    descriptions: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, TypeText] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)


_CLOSING = "Reply with "
_DEFINITION = re.compile(r"(async )?def (\S+?)\((.*)\) -> (.*)")
_ARGUMENT = re.compile(r"^([^\W\d]\w*) = ", re.MULTILINE)
_DESCRIPTION = re.compile(r"^([^\W\d]\w*): ", re.MULTILINE)
_TYPE = re.compile(r"(\S.*?):(?:  # (.*))?((?:\n  .*)*)")
_FIELD = re.compile(r"  (\w+): (.*?)(?:  # (.*))?")


def read(text: str) -> PromptText | None:
    """The parts of a decorated function's prompt; None for other texts, and where its parts cannot be told apart."""
    definition = read_definition(text.partition("\n")[0])
    paragraphs = text.split("\n\n")
    if definition is None or len(paragraphs) < 3:
        return None
    # A function that returns text has no schema.
    at = -2 if paragraphs[-1].startswith("{") else -1
    closing = paragraphs[at]
    if at == -1 and not closing.startswith(_CLOSING):
        return None
    # From the end: of all parts only the docstring can hold a blank line, and it comes first.
    rest = paragraphs[1:at]
    arguments = _pop(rest, "Arguments:", _ARGUMENT)
    if definition.parameters and not arguments:
        # Its headings are others: whoever tunes prompts may change them.
        return None
    types = _pop_types(rest)
    descriptions = _pop(rest, "Parameters:", _DESCRIPTION)
    return PromptText(definition, "\n\n".join(rest), closing, descriptions, types, arguments)


def _pop(paragraphs: list[str], heading: str, start: re.Pattern[str]) -> dict[str, str]:
    """Take a last paragraph that stands under a heading: what follows each name at the start of a line."""
    if paragraphs[-2:-1] != [heading]:
        return {}
    _, *pieces = start.split(paragraphs.pop())
    paragraphs.pop()
    return {name: text.removesuffix("\n") for name, text in zip(pieces[::2], pieces[1::2], strict=True)}


def _pop_types(paragraphs: list[str]) -> dict[str, TypeText]:
    """Take the last paragraphs that describe types, and their heading."""
    found = [_TYPE.fullmatch(paragraph) for paragraph in paragraphs]
    for at in range(len(paragraphs) - 1, 0, -1):
        if found[at] is None:
            break
        if paragraphs[at - 1] == "Types:":
            del paragraphs[at - 1 :]
            return {match[1]: _type(match) for match in found[at:] if match}
    return {}


def _type(match: re.Match[str]) -> TypeText:
    lines = [(line, _FIELD.fullmatch(line)) for line in match[3].split("\n") if line]
    fields = {line[1]: Described(line[2], line[3] or "") for _, line in lines if line}
    return TypeText(match[2] or "", fields, tuple(text for text, line in lines if not line))


def read_definition(line: str) -> Definition | None:
    """A line such as `def f(x: int) -> str`."""
    match = _DEFINITION.fullmatch(line)
    if match is None:
        return None
    asynchronous, name, between, returns = match.groups()
    return Definition(line, bool(asynchronous), name, between, _parameters(between), returns)


def _parameters(text: str) -> dict[str, Parameter]:
    try:
        function = ast.parse(f"def f({text}): ...").body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    if not isinstance(function, ast.FunctionDef):
        return {}
    of = function.args
    kinds: list[tuple[list[ast.arg], str]] = [
        ([*of.posonlyargs, *of.args], ""),
        ([of.vararg] if of.vararg else [], "*"),
        (of.kwonlyargs, "keyword-only"),
        ([of.kwarg] if of.kwarg else [], "**"),
    ]
    return {
        argument.arg: Parameter(ast.unparse(argument.annotation) if argument.annotation else None, kind)
        for arguments, kind in kinds
        for argument in arguments
    }
