"""What differs between the recording of a request and the request that is made now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import NamedTuple

from llm_strategy.canonical import canonical
from llm_strategy.difference.attachments import other_files, without_content
from llm_strategy.difference.hunks import Line, bounded, common_ends, unified, visible
from llm_strategy.difference.names import match_names, path_to_difference, same
from llm_strategy.difference.prompt_text import read
from llm_strategy.difference.prompts import argument, prompt_causes
from llm_strategy.difference.schemas import schema_causes
from llm_strategy.difference.wording import rewordings
from llm_strategy.redaction import scrub
from llm_strategy.transcript import compact, laid_out, schema_in, sections, tool_name
from llm_strategy.values import JSON, Message, Request, TextPart

NOTHING = "nothing that can be shown: it was recorded with other key rules; record again"
INSTRUCTIONS = "the words of this library (instructions)"
AGAIN = "the words of this library (asking again)"
OPENING = "You implement Python functions that have no body."
"""How this library's own instructions begin, in every version."""
COMPLAINT = "That reply cannot be used:"
"""And what it says of a reply that was no value."""
_MOST_CAUSES = 10
_LONGEST_CAUSE = 200
_LONGEST_VALUE = 60


class Difference(NamedTuple):
    """What has changed. `causes` are short phrases; `diff` is a unified diff of the transcripts."""

    causes: tuple[str, ...]
    diff: str


def compare(recorded: Request, now: Request) -> Difference:
    """Say what makes a request another one than that of a recording.

    Of a conversation only the part up to the first divergence is compared; what the model answered there decides what
    follows.
    """
    old, new = (without_content(Request.from_json(request.stored)) for request in (recorded, now))
    following, (old, new) = _up_to_divergence(old, new)
    causes = [*_field_causes(old, new), *_Conversations(old, new).causes()]
    shown = list(dict.fromkeys(_short(scrub(visible(cause)), _LONGEST_CAUSE) for cause in causes)) or [NOTHING]
    if len(shown) > _MOST_CAUSES:
        shown[_MOST_CAUSES - 1 :] = [f"{len(shown) - _MOST_CAUSES + 1} more"]
    lines = bounded(unified(list(_lines(old)), list(_lines(new))))
    if following:
        lines.append(f"({following} more message{'s' * (following > 1)} of the conversation not compared)")
    return Difference(tuple(shown), "\n".join(lines))


def compare_values(recorded: JSON, now: JSON, subject: str) -> Difference:
    """Say where two JSON values differ that `subject` names, in requests whose transcripts are equal."""
    path = path_to_difference(recorded, now)
    old, new = ([Line("", text) for text in scrub(laid_out(value)).split("\n")] for value in (recorded, now))
    return Difference((f"{subject} ({path})" if path else subject,), "\n".join(bounded(unified(old, new))))


def _lines(request: Request) -> Iterator[Line]:
    """The transcript, without secrets: shortened later on, they would not be recognised."""
    for number, section in enumerate(sections(request)):
        if number:
            yield Line(section.title, "")
        if section.title:
            yield from (Line(section.title, f"{section.title}:"), Line(section.title, ""))
        yield from (Line(section.title, text) for text in scrub(section.text).split("\n"))


def _up_to_divergence(old: Request, new: Request) -> tuple[int, tuple[Request, Request]]:
    """The requests without the messages that follow from a first difference, and how many these are."""
    before, after = _fingerprints(old.messages), _fingerprints(new.messages)
    start, _ = common_ends(before, after)
    cut = [replace(request, messages=request.messages[: _end(request.messages, start)]) for request in (old, new)]
    left_out = [len(request.messages) - len(part.messages) for request, part in zip((old, new), cut, strict=True)]
    return left_out[1] or left_out[0], (cut[0], cut[1])


def _fingerprints(messages: Sequence[Message]) -> list[str]:
    return [canonical(message.to_json()) for message in messages]


def _end(messages: Sequence[Message], start: int) -> int:
    """Where, after the first different message, a model's or tool's words come in."""
    answers = (at for at in range(start, len(messages)) if messages[at].role in ("assistant", "tool"))
    return max(next(answers, len(messages)), min(start + 1, len(messages)))


def _field_causes(old: Request, new: Request) -> Iterator[str]:
    if old.model != new.model:
        yield f"the model: {old.model or 'none'} -> {new.model or 'none'}"
    for name in sorted({**old.settings, **new.settings}):
        if name not in new.settings or name not in old.settings:
            yield f"the setting {name} was {'removed' if name in old.settings else 'added'}"
        elif not same(old.settings[name], new.settings[name]):
            yield f"the setting {name}: {_value(old.settings[name])} -> {_value(new.settings[name])}"
    yield from _tool_causes(_by_name(old.tools), _by_name(new.tools))


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _value(value: JSON) -> str:
    return _short(scrub(compact(value)), _LONGEST_VALUE)


def _by_name(tools: Sequence[JSON]) -> dict[str, JSON]:
    return {tool_name(tool): tool for tool in tools}


def _tool_causes(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> Iterator[str]:
    names = match_names(old, new, by_position=False)
    yield from (f"the tool {name} was removed" for name in [*names.removed, *names.renamed])
    yield from (f"the tool {name} was added" for name in [*names.added, *names.renamed.values()])
    kept = [name for name in new if name in old]
    for name in kept:
        if not same(old[name], new[name]):
            yield f"the tool {name} ({path_to_difference(old[name], new[name])})".removesuffix(" ()")
    if [name for name in old if name in new] != kept:
        yield "the order of the tools"


class _Conversations:
    """The messages of two requests, up to where they diverge."""

    def __init__(self, old: Request, new: Request) -> None:
        self._old = old
        self._new = new

    def causes(self) -> list[str]:
        old, new = self._old.messages, self._new.messages
        start, end = common_ends(_fingerprints(old), _fingerprints(new))
        causes: list[str] = []
        compared_schema = False
        for was, now in zip_longest(old[start : len(old) - end], new[start : len(new) - end]):
            prompt = _prompt_causes(self._old, self._new, was, now)
            compared_schema |= prompt is not None
            ended = end == 0 and start == min(len(old), len(new))
            causes += prompt or ([_continued(was)] if ended else self._message_causes(was, now))
        if not compared_schema:
            causes += schema_causes(self._old.output_schema, self._new.output_schema)
        if any(cause.startswith("the return type of") for cause in causes):
            # What a function that returns text is told follows from that.
            causes = [cause for cause in causes if cause != INSTRUCTIONS]
        return causes

    def _message_causes(self, old: Message | None, new: Message | None) -> list[str]:
        if old is None or new is None:
            return [f"a message was {'removed' if new is None else 'added'} ({(old or new or _NONE).role})"]
        if old.role != new.role:
            return [f"the role of a message: {old.role} -> {new.role}"]
        if old.content == new.content:
            return [_part_cause(old, new)]
        heads = schema_in(old, self._old.output_schema), schema_in(new, self._new.output_schema)
        if heads[0] is not None and heads[0] == heads[1]:
            return []
        texts = (_text(message) if head is None else head for message, head in zip((old, new), heads, strict=True))
        return _text_causes(new.role, *map(scrub, texts))


_NONE = Message("", ())


def _continued(recorded: Message | None) -> str:
    """Which of two conversations goes on where the other, equal so far, ends."""
    return (
        "the conversation is longer than the recorded one"
        if recorded is None
        else "the recorded conversation is longer"
    )


def _prompt_causes(old: Request, new: Request, was: Message | None, now: Message | None) -> list[str] | None:
    """What differs between two prompts of decorated functions; None for other messages."""
    if was is None or now is None:
        return None
    before, after = read(was.content), read(now.content)
    if before is None or after is None:
        return None
    causes = prompt_causes(before, after, old.output_schema, new.output_schema)
    files = [argument(name, after.definition) for name in other_files(before, after, was, now)]
    return causes + [cause for cause in files if not any(named.startswith(cause.rstrip(")")) for named in causes)]


def _part_cause(old: Message, new: Message) -> str:
    """What differs where the texts are equal."""
    for was, now in zip_longest(old.to_json()["parts"], new.to_json()["parts"]):
        if not same(was, now):
            part = now or was
            if "modality" in part:
                return f"the {part['modality']} in a message ({new.role})"
            kind: str = part["type"]
            return {"tool_call": "a tool call", "tool_call_response": "what a tool answered"}.get(kind, kind)
    return f"the parts of a message ({new.role})"


def _text(message: Message) -> str:
    return "\n".join(part.content for part in message.parts if isinstance(part, TextPart))


def _text_causes(role: str, old: str, new: str) -> list[str]:
    """The words that differ, in messages of no form that is known."""
    if old.startswith(OPENING) and new.startswith(OPENING):
        return [INSTRUCTIONS]
    if old.startswith(COMPLAINT) and new.startswith(COMPLAINT):
        return [AGAIN]
    title = f"the instructions ({role} message)" if role in ("system", "developer") else f"a message ({role})"
    return [f"{title}: {words}" for words in rewordings(old, new)] or [title]
