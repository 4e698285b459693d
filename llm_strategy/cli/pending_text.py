"""Pending calls for people: in lists, and one by one with their prompts and answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llm_strategy.cassette.answers import whole_reply
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import shown
from llm_strategy.cli.places import counted, printable
from llm_strategy.difference.hunks import WIDTH, visible
from llm_strategy.difference.prompt_text import read
from llm_strategy.difference.replies import ReplyDifference
from llm_strategy.errors import CassetteError
from llm_strategy.redaction import scrub, scrub_reply
from llm_strategy.review import Pending
from llm_strategy.transcript import message_text

_FEW = 8
"""Lines of an answer that are shown before anybody asks for the whole."""
_MARKS = ("+", "-")


def calls_in_tests(items: Sequence[Pending]) -> str:
    """As `17 calls in 9 tests`."""
    return f"{counted(len(items), 'call')} in {counted(len({item.test for item in items}), 'test')}"


def one_line(number: int, cause: str, items: Sequence[Pending]) -> str:
    return printable(f"{number}  {cause}: {calls_in_tests(items)}")


def listed(number: int, cause: str, items: Sequence[Pending]) -> Iterator[str]:
    """A cause and its calls, a line each."""
    yield one_line(number, cause, items)
    for item in items:
        yield printable(f"   {item.id}  {name(item)}")


def name(item: Pending) -> str:
    """A call in a line: whose it is, what asked, and what has become of the answer."""
    said = [item.test, item.entry.function or "a call", what_became(item)]
    if item.source == "left over":
        said.append(f"left over in {shown(item.entry.path)}")
    return scrub_reply(", ".join(said))


def what_became(item: Pending) -> str:
    """What the new answer makes of the old one, in a few words."""
    change = item.change
    return change.verdict or change.kind


def arguments(item: Pending) -> Iterator[str]:
    """What tells a call from others with the same prompt: its arguments, where it has some."""
    try:
        request = item.entry.request
    except CassetteError as error:
        yield str(error)
        return
    prompt = read(request.messages[-1].content) if request.messages else None
    if prompt is not None:
        yield from (_short(f"{argument} = {scrub(text)}") for argument, text in prompt.arguments.items())


def answer(item: Pending) -> Iterator[str]:
    """The old answer and the new one, and where they differ."""
    change = item.change
    if change.old is None or change.new is None:
        entry, mark = (change.new, "+") if change.old is None else (change.old, "-")
        yield from _few([f"{mark}{line}" for line in _reply(entry)])
        return
    old, new = _reply(change.old), _reply(change.new)
    if old == new:
        yield from _few([f" {line}" for line in old])
    elif len(old) <= _FEW and len(new) <= _FEW:
        yield from (f"-{_short(line)}" for line in old)
        yield from (f"+{_short(line)}" for line in new)
        yield from ReplyDifference(change.reply.fields).lines()
    else:
        yield from change.reply.lines()


def whole(item: Pending) -> Iterator[str]:
    """Everything about a call: both prompts and both answers."""
    for side, entry in (("old", item.change.old), ("new", item.change.new)):
        if entry is None:
            continue
        yield f"=== {side}: {shown(entry.path)}, key {entry.key[:12]}"
        try:
            for message in entry.request.messages:
                yield f"--- {message.role}"
                yield from _lines(scrub(message_text(message)))
        except CassetteError as error:
            yield str(error)
        yield "--- reply"
        yield from _reply(entry)


def changed_lines(diff: str) -> list[str]:
    """The lines of a diff that came or went, whatever stands around them."""
    return [line for line in diff.splitlines() if line.startswith(_MARKS)]


def _reply(entry: Entry | None) -> list[str]:
    return [] if entry is None else _lines(scrub_reply(whole_reply(entry.response)))


def _lines(text: str) -> list[str]:
    return [visible(line) for line in text.rstrip("\n").split("\n")]


def _short(text: str) -> str:
    line = visible(text.replace("\n", " "))
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _few(lines: Sequence[str]) -> Iterator[str]:
    yield from map(_short, lines[:_FEW])
    if len(lines) > _FEW:
        yield f" ... {len(lines) - _FEW} more lines (d shows them)"
