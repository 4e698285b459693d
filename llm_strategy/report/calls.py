"""The calls and misses of one scope as JSON, made where the scope was; no credential stands in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from llm_strategy.cassette.answers import reply_parts, whole_reply
from llm_strategy.cassette.child import of_children
from llm_strategy.cassette.miss import shown, shown_place
from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.chat_tree import ChatTree
from llm_strategy.errors import CassetteError, CassetteMiss
from llm_strategy.log import Call
from llm_strategy.redaction import conceal, each_text, scrubbing
from llm_strategy.report.trees import steps_of
from llm_strategy.transcript import laid_out
from llm_strategy.values import JSON, Message, Part, Request, Response, TextPart


@dataclass(frozen=True)
class _Scrub:
    """What replaces secrets: in prompts, in replies, and in what is said about them, where folders stay."""

    prompt: Callable[[str], str]
    reply: Callable[[str], str]

    @classmethod
    def now(cls) -> _Scrub:
        prompt, reply, _ = scrubbing()
        return cls(prompt, reply)


def of_scope(scope: CassetteScope) -> list[dict[str, JSON]]:
    """The calls of a scope and of the blocks in it, in request order, then the requests that no recording answered,
    then the steps of which observers were told.

    A call whose messages go on from those of an earlier one has that one's place in the list as its `parent`.
    """
    scrub = _Scrub.now()
    homes = dict(_homes(scope))
    found: list[tuple[Request | None, dict[str, JSON]]] = []
    for place, call in scope.calls.placed():
        home, at = homes.get((id(call.request), id(call.response)), (scope, place))
        found.append((call.request, _call(call, _state(home, at, call), home, scrub)))
    for call in of_children(scope):
        state = "replayed" if call.replayed else "recorded"
        found.append((call.request, {**_call(call, state, scope, scrub), "process": "child"}))
    for home in (scope, *_blocks(scope)):
        found += [(miss.request, _miss(miss, home, scrub)) for miss in home.misses]
    parents = _parents([request for request, _ in found])
    places = {id(request): place for place, (request, _) in enumerate(found)}
    return [
        *(
            data if parent is None else {**data, "parent": parent}
            for (_, data), parent in zip(found, parents, strict=True)
        ),
        *steps_of((scope, *_blocks(scope)), places),
    ]


def _blocks(scope: CassetteScope) -> Iterator[CassetteScope]:
    """The `use_cassette` blocks in a scope, and those in them."""
    for block in scope.blocks:
        yield block
        yield from _blocks(block)


def _homes(scope: CassetteScope) -> Iterator[tuple[tuple[int, int], tuple[CassetteScope, int]]]:
    """Of each call of a block: the block, and the call's place in its log. The scope around it has the call too."""
    for block in _blocks(scope):
        for place, call in block.calls.placed():
            yield (id(call.request), id(call.response)), (block, place)


def _state(home: CassetteScope, place: int, call: Call) -> str:
    used = home.usage.calls.get(place)
    if used is None:
        return "unrecorded"
    if not call.replayed:
        return "recorded"
    return "copied" if used in home.usage.recorded else "replayed"


# One call


def _call(call: Call, state: str, home: CassetteScope, scrub: _Scrub) -> dict[str, JSON]:
    response = call.response
    data = {
        "function": call.function,
        "state": state,
        "key": call.key,
        **_request(call.request, scrub),
        **each_text(_response(response), scrub.reply),
        "repairs": list(call.repairs),
        "seconds": call.seconds,
    }
    if state != "unrecorded":
        data |= {"occurrence": call.occurrence, "cassette": conceal(shown(home.path)), "line": _line(home, call)}
    return _filled(data)


def _filled(data: dict[str, JSON]) -> dict[str, JSON]:
    """Without what says nothing; a zero says something."""
    return {name: value for name, value in data.items() if value is not None and value is not False and value != []}


def _request(request: Request, scrub: _Scrub) -> dict[str, JSON]:
    data: dict[str, JSON] = each_text(request.to_json(), scrub.prompt)
    schema = data.pop("output_schema", None)
    tools, settings = data.pop("tools", ()), data.pop("settings", None)
    # As texts: a page shows them, and equal ones are kept once.
    laid = {"schema": schema and laid_out(schema), "settings": settings and laid_out(settings)}
    return {**data, "tools": list(map(laid_out, tools)), **laid}


def _response(response: Response) -> dict[str, JSON]:
    usage = response.usage
    return {
        "answer": Message("assistant", _answer(response)).to_json()["parts"],
        "finish_reason": response.finish_reason,
        "answered_by": response.model,
        "tokens": usage and [usage.input_tokens, usage.output_tokens],
        "pieces": len(response.pieces) or None,
        "closed_early": response.closed_early,
    }


def _answer(response: Response) -> Sequence[Part]:
    return reply_parts(response) or (TextPart(whole_reply(response)),)


def _line(home: CassetteScope, call: Call) -> int | None:
    """The line of a replayed call in its cassette; recording moves documents, so that it is looked up at the end."""
    if home.rules.mode != "replay":
        return None
    try:
        entry = home.file.find(call.key, call.occurrence, repeat_last=True)
    except (CassetteError, OSError):
        return None
    return None if entry is None else int(shown_place(entry).rpartition(":")[2])


# One miss


def _miss(miss: CassetteMiss, home: CassetteScope, scrub: _Scrub) -> dict[str, JSON]:
    asked = {} if miss.request is None else {"key": miss.request.key, **_filled(_request(miss.request, scrub))}
    told = {
        "text": str(miss),
        "causes": list(miss.causes),
        "diff": miss.diff,
        "nearest": miss.nearest,
        "file": miss.file,
        "line": miss.line,
        "command": miss.command,
    }
    known = each_text({name: value for name, value in told.items() if value}, conceal)
    return {
        **_filled({"function": miss.function}),
        "state": "missed",
        **asked,
        "cassette": conceal(shown(home.path)),
        "miss": known,
    }


# What goes on from what


def _parents(requests: Sequence[Request | None]) -> list[int | None]:
    """For each request, the last earlier one whose messages are the beginning of its own."""
    tree = ChatTree()
    ends: dict[ChatTree, int] = {}
    found: list[int | None] = []
    for at, request in enumerate(requests):
        path = tree.path(request.messages) if request is not None else []
        found.append(next((ends[node] for node in path[-2::-1] if node in ends), None))
        if path:
            ends[path[-1]] = at
    return found


def as_text(data: JSON) -> str:
    """JSON in ASCII: lone surrogates and whatever else a text holds cross every channel so."""
    return json.dumps(data, separators=(",", ":"))
