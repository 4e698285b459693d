"""What differs between the recording of a request and the request that is made now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llm_strategy.difference.attachments import without_content
from llm_strategy.difference.conversations import conversation_causes, rearrangement, up_to_divergence
from llm_strategy.difference.hunks import Line, bounded, unified, visible
from llm_strategy.difference.names import match_names, path_to_difference, same
from llm_strategy.redaction import scrub
from llm_strategy.transcript import compact, laid_out, sections, tool_name
from llm_strategy.values import JSON, Request

NOTHING = "nothing that can be shown: it was recorded with other key rules; record again"
MORE = "many other things"
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
    rearranged = rearrangement(old.messages, new.messages)
    following, (old, new) = up_to_divergence(old, new)
    causes = [*_field_causes(old, new), *conversation_causes(old, new, rearranged)]
    shown = list(dict.fromkeys(_short(scrub(visible(cause)), _LONGEST_CAUSE) for cause in causes)) or [NOTHING]
    if len(shown) > _MOST_CAUSES:
        # Without their number, which is another in other calls.
        shown[_MOST_CAUSES - 1 :] = [MORE]
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
