"""What can be tuned of a function that a model implements: its parameters `_x`, and the words of its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import FunctionType
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from llm_strategy.hyperparameters.collection import values_for
from llm_strategy.hyperparameters.kinds import FunctionHyperparameters, kind_of
from llm_strategy.prompt import Prompt
from llm_strategy.prompt_parts import PLAIN, Parts
from llm_strategy.reply import AGAIN, Again

_PARTS = [part.name for part in fields(Parts)]


class PromptHyperparameters(FunctionHyperparameters):
    """Of a function that a model implements. Its defaults are found when they are first needed, as prompts are."""

    __prompt__: ClassVar[Prompt]
    __retries__: ClassVar[int]

    docstring: str = Field(default_factory=str, description="what the function does")
    instructions: str = Field(default_factory=str, description="the system message, alike for all functions")
    parameters_heading: str = Field(PLAIN.parameters_heading, description="stands above the words on parameters")
    types_heading: str = Field(PLAIN.types_heading, description="stands above the types of the arguments")
    arguments_heading: str = Field(PLAIN.arguments_heading, description="stands above the arguments")
    result_heading: str = Field(default_factory=str, description="asks for the result, above its JSON schema")
    retry_heading: str = Field(AGAIN.heading, description="stands above what is wrong with a reply")
    retry_request: str = Field(AGAIN.request, description="asks for another reply, below what is wrong")
    retries: int = Field(default_factory=int, ge=0, description="how often a reply that does not fit is sent back")
    descriptions: dict[str, str] = Field(
        default_factory=dict, description="what is said of parameters, types, fields and the result, by place"
    )

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        kind = type(self)
        for name in _FOUND.difference(self.model_fields_set, kind.__own_parameters__):
            self.__dict__[name] = kind.__retries__ if name == "retries" else getattr(kind.__prompt__, name)
        if "descriptions" not in {*self.model_fields_set, *kind.__own_parameters__}:
            self.__dict__["descriptions"] = dict(kind.__prompt__.descriptions())


_FOUND = frozenset({"docstring", "instructions", "result_heading", "retries"})


class Tuned(NamedTuple):
    """One call, as the blocks around it want it."""

    prompt: Prompt
    arguments: dict[str, Any]
    retries: int
    again: Again


def kind_for(function: FunctionType, prompt: Prompt, retries: int) -> type[PromptHyperparameters]:
    """The class for a function."""
    kind = kind_of(function, prompt.signature.written, base=PromptHyperparameters, strict=False)
    kind.__prompt__, kind.__retries__ = prompt, retries
    return kind


def tuned(
    kind: type[PromptHyperparameters], prompt: Prompt, owner: Any, arguments: dict[str, Any], passed: Any
) -> Tuned:
    """The prompt and the arguments of a call as the blocks around it want them.

    Raises TypeError for values that do not fit the function.
    """
    __tracebackhide__ = True
    own = kind.__own_parameters__
    known = prompt.resolved(arguments, owner).descriptions(owner)
    fields_passed = [field for field, name in own.items() if name in passed]
    values = values_for(kind, fields_passed, {"descriptions": dict(known)})
    arguments = arguments | {name: values[field] for field, name in own.items() if field in values}
    words = {name: value for name, value in values.items() if name not in own}
    told: Mapping[str, str] = words.get("descriptions", {})
    _refuse_unknown(kind, prompt, known, told)
    changed = tuple((place, text) for place, text in told.items() if known.get(place, text) != text)
    parts = Parts(
        **{name: words[name] for name in _PARTS if name in words and name != "descriptions"}, descriptions=changed
    )
    again = Again(words.get("retry_heading", AGAIN.heading), words.get("retry_request", AGAIN.request))
    return Tuned(_in_words(prompt, parts), arguments, words.get("retries", kind.__retries__), again)


def _in_words(prompt: Prompt, parts: Parts) -> Prompt:
    plain = Parts(prompt.docstring, prompt.instructions, result_heading=prompt.result_heading)
    return prompt if parts == plain else prompt.worded(parts)


def _refuse_unknown(
    kind: type[FunctionHyperparameters], prompt: Prompt, known: Mapping[str, str], told: Mapping[str, str]
) -> None:
    """Refuse a description of what the prompt does not speak of."""
    __tracebackhide__ = True
    unknown = next((place for place in told if place not in known), None)
    # Another call of a generic function, or the same method of another class, may speak of it.
    if unknown is not None and not prompt.is_generic and prompt.signature.binding != "instance":
        raise TypeError(
            f"{kind.__function__.place}: its hyperparameters describe {unknown!r}, of which its prompt does not speak; "
            f"there are {', '.join(known) or 'no places to describe'}"
        )
