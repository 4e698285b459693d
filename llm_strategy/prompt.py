"""From a signature and arguments to a request: plain text as a person would write it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from llm_strategy.canonical import FrozenJSON
from llm_strategy.errors import PromptError
from llm_strategy.generics import bindings, check_variables, resolved, substituted, variables_in
from llm_strategy.hints import bound_of
from llm_strategy.marks import (
    At,
    Found,
    Mention,
    Walk,
    each,
    each_value,
    hidden,
    walk_fields,
    walk_of,
    walk_of_open,
    walks_of_fields,
)
from llm_strategy.prompt_blocks import (
    Block,
    heading,
    joined,
    one_line,
    paragraph,
    structured_types,
    type_blocks,
    type_descriptions,
)
from llm_strategy.prompt_parts import PLAIN, Parts, descriptions_in, with_descriptions
from llm_strategy.rendering import content_of, type_text, value_text
from llm_strategy.schema import Output, argument_check
from llm_strategy.signature import Parameter, Signature
from llm_strategy.streamed import PlainText, Streamed, streamed
from llm_strategy.values import Message, Request, TextPart

SYSTEM = Message(
    "system",
    "You implement Python functions that have no body. You are given the signature, the documentation and the "
    "arguments of one call. Work out what the call returns and reply with one JSON object whose property "
    '"return_value" holds it. Reply with that JSON object only.',
)

SYSTEM_FOR_TEXT = Message(
    "system",
    "You implement Python functions that have no body. You are given the signature, the documentation and the "
    "arguments of one call. Work out what the call returns, which is a text, and reply with that text only: no JSON, "
    "no quotation marks and no code fence around it, and no word about it.",
)


_MOST_RESOLVED = 256
"""Prompts of one generic function that are kept; more differ in their types than in anything else."""


class Rendered(NamedTuple):
    """A request, the blocks that its last message is made of, and what they were rendered from."""

    request: Request
    blocks: Sequence[Block]
    given: tuple[Signature, Any, Mapping[str, Any]]


class Prompt:
    """The prompt of one function: what stays the same is written once."""

    def __init__(self, signature: Signature, parts: Parts = PLAIN) -> None:
        self.signature = signature
        self.parts = parts
        self._heads: dict[type, tuple[Sequence[Block], str]] = {}
        self._resolved: dict[Any, Prompt] = {}
        self._worded: dict[Parts, Prompt] = {}
        self._descriptions: dict[type | None, Mapping[str, str]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # What is remembered is written anew where a pickle is read.
        return Prompt, (self.signature, self.parts)

    @cached_property
    def streamed(self) -> Streamed | None:
        """The stream that the function returns, if it returns one."""
        return self._stream_of(self.signature.returns)

    @cached_property
    def is_text(self) -> bool:
        """Whether the reply is text as it comes, and no JSON object."""
        # A type variable that stands for `str` in one call promises items, as in every other call.
        declared = self._stream_of(self.signature.declared)
        return declared is not None and declared.is_text

    def _stream_of(self, returns: Any) -> Streamed | None:
        return streamed(returns, self.signature.name, coroutine=self.signature.asynchronous)

    @cached_property
    def output(self) -> Output:
        """The form of the reply; that of a stream is a list of what it yields."""
        if self.is_text:
            return PlainText(self.signature.name)
        self._refuse_open_self()
        returns = self.signature.returns if self.streamed is None else list.__class_getitem__(self.streamed.item)
        return with_descriptions(Output(returns, self.signature.name), self.parts.descriptions, self._kinds(None))

    @cached_property
    def item(self) -> Output:
        """The form of what a stream yields."""
        assert self.streamed is not None
        return Output(self.streamed.item, self.signature.name)

    def _refuse_open_self(self) -> None:
        returns = self.signature.returns
        if typing.Self in self._variables and typing.Self in variables_in(returns):
            raise PromptError(
                f"{self.signature.place} returns {type_text(returns)}, and only a call tells which class Self is: "
                "name the class in the return annotation, or call the method"
            )

    @cached_property
    def _checks(self) -> list[tuple[Parameter, Callable[[Any], str | None]]]:
        return [(parameter, _check_of(_with_bounds(parameter.annotation))) for parameter in self.signature.parameters]

    @cached_property
    def _variables(self) -> list[Any]:
        return check_variables(self.signature)

    @property
    def is_generic(self) -> bool:
        """Whether its types are found out by each call."""
        return bool(self._variables)

    def resolved(self, arguments: Mapping[str, Any], owner: Any) -> Prompt:
        """The prompt with the types of one call in the place of type variables; itself where there are none.

        Raises TypeError for arguments of wrong types, or that disagree about a variable.
        """
        __tracebackhide__ = True
        if not self._variables:
            return self
        self.check(arguments)
        bound = bindings(self.signature, arguments, owner)
        key = tuple(bound.items())
        try:
            known = self._resolved.get(key)
        except TypeError:
            # A type with metadata that has no hash, such as Annotated[int, Field(gt=1)].
            return self._with_types(bound)
        if known is None:
            if len(self._resolved) >= _MOST_RESOLVED:
                self._resolved.clear()
            known = self._resolved[key] = self._with_types(bound)
        return known

    def worded(self, parts: Parts) -> Prompt:
        """The prompt with other words for its parts."""
        known = self._worded.get(parts)
        if known is None:
            if len(self._worded) >= _MOST_RESOLVED:
                self._worded.clear()
            known = self._worded[parts] = Prompt(self.signature.reworded(), parts)
        return known

    def _with_types(self, bound: Mapping[Any, Any]) -> Prompt:
        prompt = Prompt(resolved(self.signature, bound), self.parts)
        # They are checked already. What the arguments themselves have said needs no second look.
        vars(prompt).update(_checks=[], _variables=[])
        return prompt

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments of wrong types with a TypeError, before any model is asked."""
        __tracebackhide__ = True
        for parameter, problem_with in self._checks:
            value = arguments[parameter.name]
            values: Iterable[Any] = (value,)
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                values = value
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                values = value.values()
            for item in values:
                problem = problem_with(item)
                if problem is not None:
                    wanted, given = type_text(parameter.annotation), type_text(type(item))
                    # A bound is no part of a type's name.
                    fault = f"does not fit {wanted}" if given == wanted else f"must be {wanted}, not {given}"
                    raise TypeError(f"{self.signature.name}() argument {parameter.name!r} {fault}: {problem}")

    def render(
        self,
        arguments: Mapping[str, Any],
        owner: Any,
        model: str | None,
        settings: FrozenJSON,
        before: tuple[Message, ...] = (),
        *,
        tools: tuple[FrozenJSON, ...] = (),
    ) -> Rendered:
        """The request for one call. `owner` is the instance or class that a member is called on.

        Raises TypeError for arguments of wrong types, PromptError for those without a stable form.
        """
        __tracebackhide__ = True
        self.check(arguments)
        found = Found()
        head, beginning = self._head(owner)
        rest = [*self._arguments(arguments, owner, found), self._foot]
        text = (beginning + joined(rest)).rstrip("\n")
        # A conversation that has its own instructions keeps them.
        opening = before if before and before[0].role == "system" else (*self._system, *before)
        messages = (*opening, Message("user", (TextPart(text), *found.parts)))
        request = Request(model, messages, self.output.schema, tools, settings, found.volatile)
        return Rendered(request, [*head, *rest], (self.signature, owner, arguments))

    def _head(self, owner: Any) -> tuple[Sequence[Block], str]:
        """Signature, docstring and types, and their text; the same for all instances of a class."""
        kind = owner if isinstance(owner, type) else type(owner)
        head = self._heads.get(kind)
        if head is None:
            blocks = list(self._write_head(kind if self.signature.binding == "instance" else None))
            head = self._heads[kind] = blocks, joined(blocks)
        return head

    def _write_head(self, owner: type | None) -> Iterator[Block]:
        yield Block("the signature", self._definition())
        parts, told = self.parts, dict(self.parts.descriptions)
        yield from heading("the docstring", self.docstring)
        described = [
            (parameter.name, told.get(parameter.name, parameter.description)) for parameter in self.signature.parameters
        ]
        lines = [(name, one_line(text)) for name, text in described if text]
        if lines:
            yield from heading("the parameters", parts.parameters_heading)
            yield from paragraph(
                Block(f"the description of the parameter {name!r}", f"{name}: {text}") for name, text in lines
            )
        kinds = self._kinds(owner)
        if kinds:
            yield from heading("the types", parts.types_heading)
            for kind in kinds:
                yield from paragraph(type_blocks(kind, told))

    def _kinds(self, owner: type | None) -> list[type]:
        """The types that are described, the owner's first."""
        annotations = [parameter.annotation for parameter in self.signature.parameters]
        return list(structured_types([*([owner] if owner else []), *annotations]))

    @property
    def docstring(self) -> str:
        written = self.parts.docstring
        return (self.signature.docstring if written is None else written).strip("\n")

    @property
    def instructions(self) -> str:
        """The text of the system message."""
        return "".join(message.content for message in self._system)

    @property
    def result_heading(self) -> str:
        """The words that ask for the reply."""
        written = self.parts.result_heading
        return (TEXT_HEADING if self.is_text else RESULT_HEADING) if written is None else written

    @cached_property
    def _system(self) -> tuple[Message, ...]:
        written = self.parts.instructions
        if written is None:
            return (SYSTEM_FOR_TEXT if self.is_text else SYSTEM,)
        return (Message("system", written),) if written else ()

    def descriptions(self, owner: Any = None) -> Mapping[str, str]:
        """What is said about parameters, types, their fields and parts of the result, by place; "" where nothing is."""
        kind = owner if isinstance(owner, type) or owner is None else type(owner)
        found = self._descriptions.get(kind)
        if found is None:
            kinds = self._kinds(kind if self.signature.binding == "instance" else None)
            of_types = [described for each in kinds for described in type_descriptions(each)]
            of_parameters = [(parameter.name, parameter.description or "") for parameter in self.signature.parameters]
            found = dict([*of_parameters, *of_types, *descriptions_in(self.output, kinds)])
            self._descriptions[kind] = found
        return found

    def _definition(self) -> str:
        signature = self.signature
        written = [signature.bound_name] if signature.bound_name else []
        plain = inspect.Parameter
        kinds = [parameter.kind for parameter in signature.parameters]
        for at, parameter in enumerate(signature.parameters):
            if parameter.kind is plain.KEYWORD_ONLY and not {plain.KEYWORD_ONLY, plain.VAR_POSITIONAL} & set(
                kinds[:at]
            ):
                written.append("*")
            stars = "*" if parameter.kind is plain.VAR_POSITIONAL else "**" * (parameter.kind is plain.VAR_KEYWORD)
            written.append(f"{stars}{parameter.name}: {type_text(parameter.annotation)}")
            if parameter.kind is plain.POSITIONAL_ONLY and plain.POSITIONAL_ONLY not in kinds[at + 1 :]:
                written.append("/")
        keyword = "async def" if signature.asynchronous else "def"
        return f"{keyword} {signature.name}({', '.join(written)}) -> {type_text(signature.returns)}"

    def _arguments(self, arguments: Mapping[str, Any], owner: Any, found: Found) -> Iterator[Block]:
        bound = self.signature.binding == "instance"
        if not bound and not arguments:
            return
        yield from heading("the arguments", self.parts.arguments_heading)
        texts = []
        if bound:
            name = self.signature.bound_name or "self"
            content = content_of(owner)
            walks = walks_of_fields(type(owner))
            if walks:
                text = self._marked(name, content, lambda values, at: walk_fields(values, walks, at), found)
            else:
                text = self._argument(name, content)
            texts.append(Block(f"the fields of {name}", text))
        for name, walk in self._walks:
            value = arguments[name]
            text = self._argument(name, value) if walk is None else self._marked(name, value, walk, found)
            texts.append(Block(f"the argument {name!r}", text))
        yield from paragraph(texts)

    @cached_property
    def _walks(self) -> list[tuple[str, Walk | None]]:
        return [(parameter.name, _walk_of(parameter)) for parameter in self.signature.parameters]

    def _marked(self, name: str, value: Any, walk: Walk, found: Found) -> str:
        """An argument in which something is marked, as it stands in the key; `found` keeps what is sent."""
        try:
            pair = walk(value, At(found, name))
        except (PromptError, OSError) as error:
            raise type(error)(f"{self.signature.name}(): {error}") from error
        except RecursionError:
            raise PromptError(f"{self.signature.name}(): the argument {name!r} contains itself") from None
        text = self._argument(name, pair.kept)
        if pair.sent is not pair.kept and (sent := self._argument(name, pair.sent)) != text:
            found.volatile[text] = sent
        return text

    def _argument(self, name: str, value: Any) -> str:
        if type(value) is Mention:
            return f"{name} = {value}"
        try:
            return f"{name} = {value_text(value, name)}"
        except PromptError as error:
            raise PromptError(f"{self.signature.name}(): {error}") from None

    @cached_property
    def _foot(self) -> Block:
        if self.is_text:
            return Block("the form of the result", self.result_heading)
        return schema_block(self.output, self.result_heading)


def _walk_of(parameter: Parameter) -> Walk | None:
    walk = walk_of(parameter.annotation) or walk_of_open(parameter.annotation)
    if walk is not None and parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        walk = each(walk)
    elif walk is not None and parameter.kind is inspect.Parameter.VAR_KEYWORD:
        walk = each_value(walk)
    # The line of a volatile parameter says no more, however many arguments it takes.
    return hidden(walk) if parameter.volatile else walk


def _with_bounds(annotation: Any) -> Any:
    """With their bounds in the place of variables whose bound is a string, in which pydantic does not find a type."""
    variables = [
        name for name in variables_in(annotation) if isinstance(getattr(name, "__bound__", 0), typing.ForwardRef)
    ]
    return substituted(annotation, {name: bound_of(name) or Any for name in variables}) if variables else annotation


def _check_of(annotation: Any) -> Callable[[Any], str | None]:
    check = argument_check(annotation)
    if typing.get_origin(annotation) is not type:
        return check
    # `list[int]` and `int | None` are types to whoever passes one, though no classes.
    return lambda value: None if typing.get_origin(value) is not None else check(value)


RESULT_HEADING = "Reply with a JSON object that fits this JSON schema:"
TEXT_HEADING = "Reply with the text itself, as plain text."


def schema_block(output: Output, words: str = RESULT_HEADING) -> Block:
    """What a reply has to look like."""
    schema = value_text(dict(output.schema), "return_value")
    return Block("the schema of the result", f"{words}\n\n{schema}" if words else schema)
