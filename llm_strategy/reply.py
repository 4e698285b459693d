"""From a model's reply to a value of the return type, or a ReplyError that says what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from llm_strategy.errors import ReplyError
from llm_strategy.readings import Reading, readings_of, without_reasoning
from llm_strategy.redaction import scrub_reply
from llm_strategy.rendering import type_text
from llm_strategy.schema import Output
from llm_strategy.values import Response

SHOWN = 500
"""Characters of a reply that an error shows, at its beginning and its end; the whole is the error's attribute."""
LISTED = 10
"""Problems that an error lists; all of them are the error's attribute."""

Problems = Sequence[tuple[str, str]]


class Parsed(NamedTuple):
    """A reply's value, and what had to be repaired to get it, in words."""

    value: Any
    repairs: tuple[str, ...] = ()


def parse(response: Response, output: Output, *, strict: bool = False) -> Parsed:
    """The value in a response.

    A reply that is not just the JSON object is mended where its meaning is plain, and `repairs` says
    how; with `strict` that is an error. Raises ReplyError.
    """
    __tracebackhide__ = True
    if response.finish_reason == "refusal":
        raise _error(response, output, "the model refused", [("", response.content.strip() or "no reason given")])
    try:
        return Parsed(output.validate(response.content, strict=True))
    except ValidationError as error:
        failure = error
    except Exception as error:  # noqa: BLE001  # from a validator of the user's: whatever it is, the reply does not fit
        return _mended(response, output, error, strict)
    return _mended(response, output, failure, strict)


def _mended(response: Response, output: Output, error: Exception, strict: bool) -> Parsed:
    """The value in a response that is not right as it stands, or the reason why there is none."""
    __tracebackhide__ = True
    search = _Search(output, response.content, error)
    parsed = search.run(cut_off=response.finish_reason not in ("length", "content_filter"))
    if parsed is None:
        raise _error(response, output, *_account(search.failure, response)) from search.cause
    if strict and parsed.repairs:
        needed = [("", f"strict_replies allows no repair: {repair}") for repair in parsed.repairs]
        raise _error(response, output, "the reply does not fit as it stands", needed, parsed.repairs)
    return parsed


class _Search:
    """Looks for the first reading of a reply that is a value, and keeps the failure that says most."""

    def __init__(self, output: Output, text: str, error: Exception) -> None:
        self.output = output
        self.text = text
        self.failure: Exception = error
        self.telling = 0

    @property
    def cause(self) -> Exception | None:
        """A user's validator that failed in a way of its own is worth a traceback."""
        return None if isinstance(self.failure, ValidationError) else self.failure

    def run(self, *, cut_off: bool) -> Parsed | None:
        """The value of the first reading that has one; `cut_off` says whether the end of the text may be missing."""
        if not _is_no_json(self.failure):
            parsed = self._try(Reading(self.text), 1)
            if parsed:
                return parsed
        for reading in readings_of(self.text):
            if reading.cut_off and not cut_off:
                continue
            parsed = self._try(reading, 3 if not reading.bare else 2)
            if parsed and self._answers(reading, parsed.value):
                return parsed
        return None

    def _try(self, reading: Reading, telling: int) -> Parsed | None:
        try:
            return Parsed(self.output.validate(reading.text, strict=True), reading.repairs)
        except Exception as error:  # noqa: BLE001  # as in `parse`
            strict_error = error
        try:
            value = self.output.validate(reading.text, strict=False)
        except Exception as error:  # noqa: BLE001  # as in `parse`
            if telling > self.telling and not (reading.bare and _is_other(error)):
                self.failure, self.telling = error, telling
            return None
        return Parsed(value, (*reading.repairs, *_coercions(self.output, reading.text, strict_error, value)))

    def _answers(self, reading: Reading, value: Any) -> bool:
        """Whether an object without the wrapper is about the value: a type of defaults only fits any object."""
        if not reading.bare or (isinstance(value, Mapping) and len(value) == len(reading.bare)):
            return True
        try:
            data = json.loads(self.output.dump(value))["return_value"]
        except Exception:  # noqa: BLE001  # a type that is read but cannot be written
            return True
        return not isinstance(data, dict) or not reading.bare.keys().isdisjoint(data)


def _is_no_json(error: Exception) -> bool:
    if not isinstance(error, ValidationError) or error.error_count() > 1:
        return False
    return error.errors(include_url=False)[0]["type"] == "json_invalid"


def _is_other(error: Exception) -> bool:
    """Whether an object is of another kind altogether, so that nothing in it is worth a complaint."""
    return not isinstance(error, ValidationError) or any(len(problem["loc"]) < 2 for problem in error.errors())


# Values of other types than were asked for


def _coercions(output: Output, text: str, error: Exception, value: Any) -> Iterator[str]:
    """What was read as another type than it was sent as, in words."""
    if not isinstance(error, ValidationError):
        return
    expected = _strict_problems_of(output, value)
    try:
        sent = json.loads(text)["return_value"]
    except (ValueError, LookupError, RecursionError):
        sent = None  # more than the standard library reads
    told = set()
    for problem in error.errors(include_url=False, include_context=False):
        place = _place(sent, problem["loc"][1:])
        if (problem["loc"], problem["type"]) in expected or place in told:
            continue
        told.add(place)
        name = _type_at(value, place) or problem["type"].partition("_")[0]
        yield f"{'.'.join(map(str, place)) + ': ' if place else ''}{_short(problem['input'])} read as {name}"


def _strict_problems_of(output: Output, value: Any) -> set[tuple[Any, str]]:
    """What is wrong, strictly, with the very text that stands for the value: then the type asks for no better."""
    try:
        output.validate(output.dump(value), strict=True)
    except ValidationError as error:
        return {(problem["loc"], problem["type"]) for problem in error.errors(include_url=False)}
    except Exception:  # noqa: BLE001  # a type that is read but cannot be written
        return set()
    return set()


def _place(sent: Any, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The part of what was sent that a location of pydantic's speaks of; it also names members of unions."""
    place: list[int | str] = []
    for step in location:
        known = step in sent if isinstance(sent, dict) else isinstance(sent, list) and step in range(len(sent))
        if known:
            sent = sent[step]
            place.append(step)
    return tuple(place)


def _type_at(value: Any, place: tuple[int | str, ...]) -> str | None:
    """The type of a part of a value, if it can be reached by the same way."""
    for step in place:
        if isinstance(value, Mapping | list | tuple) and not isinstance(step, str):
            value = value[step] if not isinstance(value, Mapping) and step < len(value) else None
        elif isinstance(value, Mapping):
            value = value.get(step)
        else:
            value = getattr(value, str(step), None)
        if value is None:
            return None
    return type_text(type(value))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:36]} ..."


# Errors

_REFUSALS = re.compile(
    r"\W*(?:(?:i.?m|i am) (?:very |so |really )?(?:sorry|unable|not able)|sorry|i (?:can.?t|cannot|can not|won.?t)\b"
    r"|i (?:must|have to) (?:decline|refuse)|as an ai\b|unfortunately,? i)",
    re.IGNORECASE,
)


def _account(error: Exception, response: Response) -> tuple[str, Problems]:
    text = response.content
    if response.finish_reason == "length":
        return "the reply was cut off at the length limit (raise max_tokens)", _problems(error)
    if response.finish_reason == "content_filter":
        return "the provider's content filter stopped the reply", _problems(error)
    if not text.strip("\ufeff \t\r\n"):
        return "the reply is empty", []
    if _is_no_json(error):
        answer, _ = without_reasoning(text)
        if not answer.strip():
            return "the reply is only a reasoning block, without an answer", []
        if _REFUSALS.match(answer):
            return "the reply reads like a refusal, not like JSON", _problems(error)
    return "the reply does not fit", _problems(error)


def _problems(error: Exception) -> Problems:
    if not isinstance(error, ValidationError):
        return [("", f"{type(error).__name__} in a validator: {error}")]
    return [
        (".".join(map(str, problem["loc"])), problem["msg"])
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _error(
    response: Response, output: Output, what: str, problems: Problems, repairs: tuple[str, ...] = ()
) -> ReplyError:
    expected = type_text(output.annotation)
    lines = [f'{output.place}: {what}; expected {expected} as {{"return_value": ...}}']
    lines += [f"  {place}: {reason}" if place else f"  {reason}" for place, reason in problems[:LISTED]]
    if len(problems) > LISTED:
        lines.append(f"  ... and {len(problems) - LISTED} more")
    if response.finish_reason != "refusal" and response.content.strip():
        lines.append(f"the reply was: {_excerpt(scrub_reply(response.content))}")
    return ReplyError(
        scrub_reply("\n".join(lines)),
        reply=response.content,
        problems=problems,
        expected=output.annotation,
        finish_reason=response.finish_reason,
        repairs=repairs,
    )


def _excerpt(text: str) -> str:
    if len(text) <= SHOWN:
        return text
    tail = SHOWN // 5
    return f"{text[: SHOWN - tail]} ... [{len(text) - SHOWN:,} characters] ... {text[-tail:]}"


class Again(NamedTuple):
    """The words in which a model is asked again: what comes before the account of what is wrong, and after it."""

    heading: str = "That reply cannot be used:"
    request: str = "Reply again, with the JSON object only."


AGAIN = Again()


def complaint(error: ReplyError, words: Again = AGAIN) -> str:
    """What to tell the model of a reply that was no value: a short account, without the reply itself."""
    lines = [words.heading]
    lines += [f"- {place}: {reason}" if place else f"- {reason}" for place, reason in error.problems[:LISTED]]
    if len(lines) == 1:
        lines.append(f"- {str(error).partition(': ')[2].partition(';')[0]}")
    return "\n".join(line for line in [*lines, words.request] if line)
