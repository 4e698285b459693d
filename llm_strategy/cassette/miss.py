"""What a miss says: what changed, against which recording, and the command that mends it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from llm_strategy.caller import caller
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.modes import ENVIRONMENT
from llm_strategy.cassette.source import docstring_place
from llm_strategy.cassette.store import open_file
from llm_strategy.context import Ask, CallSite
from llm_strategy.errors import CassetteError, CassetteMiss
from llm_strategy.redaction import conceal
from llm_strategy.wire.bodies import answer_pieces
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from llm_strategy.cassette.scope import CassetteScope

_RECORD = "--llm-record"


class Place(TypedDict):
    """Where in the program a change belongs."""

    file: str | None
    line: int | None


class _Reason(NamedTuple):
    """Why no recording answers: short phrases, the lines that tell it, and what the nearest recording says."""

    causes: tuple[str, ...]
    lines: Sequence[str]
    diff: str = ""
    nearest: str | None = None


def place(site: CallSite) -> Place:
    """That of the docstring which makes the prompt, or of the call that brings its own messages."""
    if site.given is not None:
        file, line = docstring_place(site.given[0].function)
        return Place(file=shown(file), line=line)
    calling = (site.file, site.line) if site.file else caller()
    return Place(file=calling[0] and shown(calling[0]), line=calling[1])


def explain(scope: CassetteScope, ask: Ask, occurrence: int) -> CassetteMiss:
    """The error for a request that a scope has no recording of."""
    name = ask.site.function or "a model"
    where = f" ({shown(ask.site.file)}:{ask.site.line})" if ask.site.file else ""
    head = [f"no recording answers this call of {name}{where}"]
    file, line = caller()
    if ask.site.function is not None and file is not None:
        head.append(f"made at {shown(file)}:{line}")
    reason = _reason(scope, ask, occurrence)
    torn = []
    if scope.rules.refusal is None and scope.file.torn:
        torn = ["", f"{shown(scope.path)}: the last document is torn and was passed over; it may have held this call"]
    text = "\n".join([*head, "", *reason.lines, *torn, "", *_mend(scope, ask, occurrence)])
    return CassetteMiss(
        conceal(text),
        request=ask.request,
        function=ask.site.function,
        causes=reason.causes,
        diff=conceal(reason.diff),
        nearest=reason.nearest,
        command="" if scope.rules.refusal is not None else scope.rules.command or "",
        **place(ask.site),
    )


def explain_end(scope: CassetteScope, ask: Ask, recorded: Entry | None) -> CassetteMiss:
    """The error for a stream that is read further than its recording goes."""
    name = ask.site.function or "a model"
    response = recorded.response if recorded else None
    count = (
        len(answer_pieces(response.http) if isinstance(response, HTTPResponse) else response.pieces) if response else 0
    )
    pieces = f"{count} piece{'s' * (count != 1)}"
    nearest = shown_place(recorded) if recorded else None
    # Answers over HTTP begin with an id of their own: the new one is none that goes on from the old one.
    mode = "all" if isinstance(ask.request, HTTPRequest) else "new"
    command = (scope.rules.command or "").replace(_RECORD, _RECORD + "=all" * (mode == "all"), 1)
    asking = command or f"{ENVIRONMENT}={mode}, or use_cassette(..., mode='{mode}')"
    text = (
        f"{name} is read further than its recording goes: when it was recorded, its caller stopped reading after "
        f"{pieces}{f' ({nearest})' if nearest else ''}\n\nTo ask {ask.request.model or 'the model'} again: {asking}"
    )
    return CassetteMiss(
        conceal(text),
        request=ask.request,
        function=ask.site.function,
        causes=("a stream is read further than it was recorded",),
        nearest=nearest,
        command=command,
        **place(ask.site),
    )


def explain_divergence(scope: CassetteScope, ask: Ask) -> CassetteMiss:
    """The error for a stream that was asked for again and is another one."""
    name = ask.site.function or "a model"
    again = (scope.rules.command or "").replace(f" {_RECORD}", "", 1)
    text = (
        f"{name} is read further than its recording went, so {ask.request.model or 'the model'} was asked again, and "
        "its answer begins otherwise than what had been read. The new answer is recorded: run this again"
        + f": {again}"
        * bool(again)
    )
    return CassetteMiss(
        text,
        request=ask.request,
        function=ask.site.function,
        causes=("a stream began otherwise",),
        command=again,
        **place(ask.site),
    )


def _reason(scope: CassetteScope, ask: Ask, occurrence: int) -> _Reason:
    if scope.rules.refusal is not None:
        return _Reason((scope.rules.refusal,), [scope.rules.refusal])
    path = shown(scope.path)
    recorded = scope.file.find(ask.request.key, 1)
    if recorded is not None:
        count = sum(entry.key == ask.request.key for entry in scope.file.entries)
        cause = "asked more often than recorded"
        held = "one is recorded" if count == 1 else f"{count} are recorded"
        said = f"{cause}: this is equal request number {occurrence}, and {held} ({shown_place(recorded)})."
        cure = 'To replay the last answer for all further ones: @pytest.mark.llm_cassette(repeat="last")'
        return _Reason((cause,), [said, cure] if scope.rules.command else [said], nearest=shown_place(recorded))
    elsewhere = scope.elsewhere(ask.request.key, occurrence)
    if elsewhere is not None:
        lines = [f"{path} lacks it; it is recorded by {_recorder(elsewhere)}."]
        return _Reason(("recorded in another cassette",), lines, nearest=shown_place(elsewhere))
    entries = scope.file.entries
    if not entries:
        what = "is empty" if scope.path.exists() else "does not exist"
        return _Reason(("nothing recorded yet",), [f"nothing is recorded here yet: {path} {what}."])
    return _nearest(scope, ask, entries)


def _nearest(scope: CassetteScope, ask: Ask, entries: Sequence[Entry]) -> _Reason:
    # Loaded here because a run without a miss, which is most runs, needs none of it.
    from llm_strategy.cassette.versions import suspected
    from llm_strategy.difference import compare, compare_values
    from llm_strategy.nearest import Candidate, find_nearest

    used = {entry for call in scope.usage.ordered() if (entry := scope.file.find(*call)) is not None}
    candidates = [Candidate(entry.function, entry.view, entry in used, entry.within) for entry in entries]
    at = find_nearest(ask.request, ask.site.function, candidates)
    if at is None:
        return _Reason(("a new call",), [f"{shown(scope.path)} holds nothing like it."])
    try:
        recorded = entries[at].request
    except CassetteError as error:
        return _Reason(("a damaged recording",), [str(error)])
    difference = compare(recorded, ask.request)
    if not difference.diff and isinstance(recorded, HTTPRequest) and isinstance(ask.request, HTTPRequest):
        difference = compare_values(recorded.identity, ask.request.identity, "the HTTP call")
    lines = [f"changed: {cause}" for cause in difference.causes]
    others = suspected(scope.file.header, difference.causes)
    unless = "if the types are as they were, this is the cause"
    lines += [f"changed: {other}: {unless} (to see: {other.trial})" for other in others]
    nearest, diff = shown_place(entries[at]), difference.diff.rstrip("\n")
    lines += [f"nearest recording: {nearest}", "", diff]
    return _Reason((*difference.causes, *map(str, others)), lines, diff, nearest)


def _recorder(entry: Entry) -> str:
    owner = open_file(entry.path).header.get("recorded_by")
    return f"{owner} ({shown_place(entry)})" if isinstance(owner, str) else shown_place(entry)


def _mend(scope: CassetteScope, ask: Ask, occurrence: int) -> list[str]:
    if scope.rules.refusal is not None:
        return []
    command = scope.rules.command or f"{ENVIRONMENT}=new, or use_cassette(..., mode='new')"
    if scope.elsewhere(ask.request.key, occurrence) is not None:
        return [f"To copy it here without asking a model: {command}"]
    model = f" {ask.request.model}" if ask.request.model else ""
    return [f"To ask{model or ' the model'} and keep the answer: {command}", *scope.advice]


def shown(path: str | Path) -> str:
    """A path as short as it can be written from here."""
    try:
        relative = os.path.relpath(path)
    except ValueError:
        # Another drive of Windows, where slashes are understood, too.
        relative = os.pardir
    return (str(path) if relative.startswith(os.pardir) else relative).replace(os.sep, "/")


def shown_place(entry: Entry) -> str:
    path, _, line = entry.place.rpartition(":")
    return f"{shown(path)}:{line}"
