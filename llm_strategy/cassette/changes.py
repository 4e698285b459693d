"""What has become of one recorded call in another cassette."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from llm_strategy.cassette.answers import beside, envelope, reply_text
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import shown_place
from llm_strategy.cassette.pairing import Pair, pairs
from llm_strategy.cassette.verdicts import Verdict, verdict
from llm_strategy.difference import compare, compare_values
from llm_strategy.difference.hunks import WIDTH, visible
from llm_strategy.difference.prompt_text import read
from llm_strategy.difference.replies import ReplyDifference, compare_fields, compare_replies
from llm_strategy.errors import CassetteError
from llm_strategy.redaction import scrub, scrub_reply
from llm_strategy.schema import Output
from llm_strategy.transcript import message_text
from llm_strategy.values import JSON, Request, Response
from llm_strategy.wire.envelope import HTTPRequest

Kind = Literal["added", "removed", "answer changed", "prompt changed", "equal"]
_UNSEEN = "(what differs must not be shown: a credential, or a folder that names a user)"
_INPUT = ("the argument", "the fields of", "the last message", "an earlier message", "a message", "the HTTP call")
"""How causes begin that are about what a call is given."""
_MOST_SHOWN = 6
"""Lines of a prompt, or of a reply, that tell which call was added or removed."""


@dataclass(frozen=True)
class Change:
    """A call that differs. `causes` and `prompt` say how its request does, `reply` how its answer does.

    `output` is the form of the reply, where the function that asks is at hand; `schema` the one that was asked for,
    where the request has been read.
    """

    kind: Kind
    old: Entry | None
    new: Entry | None
    causes: Sequence[str] = ()
    prompt: str = ""
    reply: ReplyDifference = field(default_factory=lambda: ReplyDifference(()))
    output: Output | None = field(default=None, repr=False, compare=False)
    schema: JSON = field(default=None, repr=False, compare=False)

    @cached_property
    def verdict(self) -> Verdict | None:
        """What the new answer makes of the old one; None where one of them is missing."""
        if self.old is None or self.new is None:
            return None
        schema = self.schema
        if self.output is None and self.kind != "prompt changed":
            # Of answers to equal requests the requests need not be sound.
            with suppress(CassetteError):
                schema = self.new.request.output_schema
        return verdict(self.old.response, self.new.response, output=self.output, schema=schema)

    @property
    def has_other_input(self) -> bool:
        """Whether it is asked about something else now, and so may well be another call than the recorded one."""
        return any(cause.startswith(_INPUT) for cause in self.causes)

    def lines(self) -> Iterator[str]:
        """The change for people."""
        places = " -> ".join(shown_place(entry) for entry in (self.old, self.new) if entry is not None)
        entry = self.new or self.old
        assert entry is not None
        yield scrub_reply(f"{self.kind}: {entry.function or 'a call'} ({places}), key {entry.key[:12]}")
        if self.kind in ("added", "removed"):
            mark = "+" if self.kind == "added" else "-"
            yield from (f"{mark} {line}" for line in _told(entry))
            return
        yield from (f"  changed: {cause}" for cause in self.causes)
        yield from self.prompt.splitlines()
        if self.kind == "prompt changed" and self.reply:
            yield from ("", "the answer:")
        yield from self.reply.lines()

    def to_json(self) -> dict[str, JSON]:
        entry = self.new or self.old
        assert entry is not None
        data: dict[str, JSON] = {"change": self.kind, "function": entry.function}
        data |= {side: _identity(entry) for side, entry in (("old", self.old), ("new", self.new)) if entry is not None}
        if self.verdict is not None:
            data["verdict"] = self.verdict
        if self.kind == "prompt changed":
            data["prompt"] = {"causes": list(self.causes), "diff": self.prompt}
        if self.reply:
            data["answer"] = {
                "fields": [place.to_json() for place in self.reply.fields],
                "diff": "\n".join(self.reply.diff),
            }
        return data


def changes(
    old: Sequence[Entry],
    new: Sequence[Entry],
    *,
    equal: bool = False,
    outputs: Mapping[str, Output] | None = None,
) -> list[Change]:
    """What differs between the recordings of two cassettes, and with `equal` also what does not.

    `outputs` are the forms of replies that are known in this process, by the keys of their requests now. Raises
    CassetteError for a damaged cassette.
    """
    found = (change(pair, (outputs or {}).get(pair.new.key) if pair.new else None) for pair in pairs(old, new))
    return [found_one for found_one in found if equal or found_one.kind != "equal"]


def change(pair: Pair, output: Output | None = None) -> Change:
    """What has become of one call; raises CassetteError for a damaged one."""
    old, new = pair
    if old is None or new is None:
        entry = new or old
        assert entry is not None
        # A damaged recording is no call.
        _ = entry.response
        return Change("removed" if new is None else "added", old, new)
    reply = _reply_difference(old.response, new.response)
    if old.key == new.key:
        return Change("answer changed" if reply else "equal", old, new, reply=reply, output=output)
    request = new.request
    causes, diff = _prompt_difference(old.request, request)
    return Change("prompt changed", old, new, causes, diff, reply, output, request.output_schema)


def _prompt_difference(old: Request, new: Request) -> tuple[Sequence[str], str]:
    found = compare(old, new)
    if not found.diff and isinstance(old, HTTPRequest) and isinstance(new, HTTPRequest):
        found = compare_values(old.identity, new.identity, "the HTTP call")
    # The sides are named above the diff.
    return found.causes, "\n".join(found.diff.split("\n")[2:])


def _reply_difference(old: Response, new: Response) -> ReplyDifference:
    if old == new:
        return ReplyDifference(())
    texts = reply_text(old), reply_text(new)
    content = compare_replies(*texts)
    # The body of an HTTP answer holds its content once more.
    said = tuple(map(scrub_reply, texts))
    fields = [place for place in compare_fields(beside(old), beside(new)) if (place.old, place.new) != said]
    if not content and not fields:
        fields = list(compare_fields(envelope(old), envelope(new)))
    return ReplyDifference([*content.fields, *fields], content.diff) or ReplyDifference((), [_UNSEEN])


def _told(entry: Entry) -> Iterator[str]:
    """A call in a few lines: what was asked, by its arguments where it has some, and what was answered."""
    message = entry.request.messages[-1] if entry.request.messages else None
    prompt = read(message.content) if message else None
    asked = message_text(message) if message else ""
    if prompt is not None:
        asked = "\n".join(f"{name} = {text}" for name, text in prompt.arguments.items())
    yield from _few(scrub(asked))
    yield from _few("-> " + scrub_reply(reply_text(entry.response)))


def _few(text: str) -> Iterator[str]:
    lines = [visible(line) for line in text.rstrip("\n").split("\n")] if text else []
    for line in lines[:_MOST_SHOWN]:
        yield line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
    if len(lines) > _MOST_SHOWN:
        yield f"... {len(lines) - _MOST_SHOWN} more lines"


def _identity(entry: Entry) -> dict[str, JSON]:
    return {"place": scrub_reply(shown_place(entry)), "key": entry.key, "occurrence": entry.occurrence}
