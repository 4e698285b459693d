"""What differs between the messages of two requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from llm_strategy.canonical import canonical
from llm_strategy.difference.attachments import other_files
from llm_strategy.difference.hunks import align, common_ends
from llm_strategy.difference.names import same
from llm_strategy.difference.prompt_text import read
from llm_strategy.difference.prompts import argument, prompt_causes
from llm_strategy.difference.schemas import schema_causes
from llm_strategy.difference.wording import rewordings
from llm_strategy.redaction import scrub
from llm_strategy.transcript import schema_in
from llm_strategy.values import Message, Request, TextPart, ToolCallPart

INSTRUCTIONS = "the words of this library (instructions)"
AGAIN = "the words of this library (asking again)"
OPENING = "You implement Python functions that have no body."
"""How this library's own instructions begin, in every version."""
COMPLAINT = "That reply cannot be used:"
"""And what it says of a reply that was no value."""


def up_to_divergence(old: Request, new: Request) -> tuple[int, tuple[Request, Request]]:
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


def rearrangement(old: Sequence[Message], new: Sequence[Message]) -> list[str]:
    """What has become of a conversation whose messages are as they were: more of them, fewer, or in another order.

    Nothing where a message itself has changed.
    """
    before, after = _fingerprints(old), _fingerprints(new)
    if len(before) != len(after) and before[: len(after)] == after[: len(before)]:
        longer = len(before) < len(after)
        return ["the conversation is longer than the recorded one" if longer else "the recorded conversation is longer"]
    changes = [change for change in align(before, after) if change.tag != "equal"]
    if Counter(before) == Counter(after):
        return ["the order of the messages"] if changes else []
    if {change.tag for change in changes} not in ({"insert"}, {"delete"}):
        return []
    sides = [(old[change.old_start : change.old_end], new[change.new_start : change.new_end]) for change in changes]
    return [_came_or_went(*side) for side in sides]


def _came_or_went(old: Sequence[Message], new: Sequence[Message]) -> str:
    count = f"{len(old or new)} messages were" if len(old or new) > 1 else "a message was"
    return f"{count} {'removed' if old else 'added'} ({', '.join(message.role for message in old or new)})"


def conversation_causes(old: Request, new: Request, rearranged: Sequence[str] = ()) -> list[str]:
    """Short phrases for what differs, up to where two requests diverge, in messages and schema."""
    causes = list(rearranged)
    compared_schema = False
    for was, now in () if rearranged else _pairs(old.messages, new.messages):
        prompt = _prompt_causes(old, new, was, now)
        compared_schema |= prompt is not None
        causes += prompt or _message_causes(old, new, was, now)
    if not compared_schema:
        causes += schema_causes(old.output_schema, new.output_schema)
    if any(cause.startswith("the return type of") for cause in causes):
        # What a function that returns text is told follows from that.
        causes = [cause for cause in causes if cause != INSTRUCTIONS]
    return causes


def _pairs(old: Sequence[Message], new: Sequence[Message]) -> Iterator[tuple[Message | None, Message | None]]:
    """The messages that differ, each with the one in its place, by their roles."""
    start, end = common_ends(_fingerprints(old), _fingerprints(new))
    before, after = old[start : len(old) - end], new[start : len(new) - end]
    for change in align([message.role for message in before], [message.role for message in after]):
        pair = before[change.old_start : change.old_end], after[change.new_start : change.new_end]
        yield from (both for both in zip_longest(*pair) if not _equal(*both))


def _equal(old: Message | None, new: Message | None) -> bool:
    return old is not None and new is not None and same(old.to_json(), new.to_json())


def _message_causes(of: Request, to: Request, old: Message | None, new: Message | None) -> list[str]:
    """What differs between two messages of no form that is known; `of` and `to` are their requests."""
    if old is None or new is None:
        return [_came_or_went([old] if old else [], [new] if new else [])]
    causes = [f"the role of a message: {old.role} -> {new.role}"] if old.role != new.role else []
    if Counter(map(canonical, old.to_json()["parts"])) == Counter(map(canonical, new.to_json()["parts"])):
        return causes or [f"the order of the parts of a message ({new.role})"]
    heads = schema_in(old, of.output_schema), schema_in(new, to.output_schema)
    texts = [_text(message) if head is None else head for message, head in zip((old, new), heads, strict=True)]
    if texts[0] != texts[1]:
        causes += _text_causes(new.role, *map(scrub, texts))
    causes += _part_causes(old, new, _called(to))
    # A schema that ends a text is compared as such.
    return causes if causes or heads[0] is not None else [f"the parts of a message ({new.role})"]


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


def _called(request: Request) -> dict[str | None, str]:
    """The names of the tools that a conversation calls, by the id of each call."""
    parts = (part for message in request.messages for part in message.parts)
    return {part.id: part.name for part in parts if isinstance(part, ToolCallPart)}


def _part_causes(old: Message, new: Message, called: Mapping[str | None, str]) -> Iterator[str]:
    """What differs beside the texts."""
    before, after = ([part for part in side.to_json()["parts"] if part["type"] != "text"] for side in (old, new))
    for was, now in zip_longest(before, after):
        if not same(was, now):
            part = now or was
            kind: str = part["type"]
            if kind == "tool_call":
                yield f"a call of the tool {part['name']}"
            elif kind == "tool_call_response":
                name = called.get(part["id"])
                yield f"what the tool {name} answered" if name else "what a tool answered"
            else:
                yield f"the {part['modality']} in a message ({new.role})" if "modality" in part else kind


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
