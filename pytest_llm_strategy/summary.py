"""The lines at the end of a run: what was asked, replayed and missed, what it cost, and what to do next.

`-q` leaves only what needs somebody's attention, `-v` says all there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from llm_strategy import Session
from pytest_llm_strategy import changed_answers

_SHOWN = 10
"""Causes of misses, and changing values, that are listed without `-v`."""
_RECORDING = ("new", "all", "live")


class Line(NamedTuple):
    """A line, and the colour that it has."""

    text: str
    colour: str | None = None


def write(reporter: pytest.TerminalReporter, session: Session) -> None:
    """Write the account of a session, if it made any calls."""
    with session.priced():
        found = list(lines(session, reporter.verbosity))
    for line in found:
        reporter.write_line(_shown(line.text), **({line.colour: True} if line.colour else {}))


def _shown(text: str) -> str:
    """A line as a terminal may have it: without credentials, and without what it would obey."""
    text = Session.scrub(text)
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    return character if character.isprintable() or character == "\t" else ascii(character)[1:-1]


def lines(session: Session, verbosity: int) -> Iterator[Line]:
    """The lines of a summary."""
    account = session.account
    first = _first_line(session)
    needs_attention = account.missed or session.mode in _RECORDING
    if first and (verbosity >= 0 or needs_attention):
        yield Line(f"model calls: {first}", "red" if account.missed else "green")
    if verbosity >= 0:
        yield from _costs(session, verbosity)
    yield from (Line(line) for line in changed_answers.lines(session, verbosity))
    if session.mode != "dry":
        yield from _missed(session, verbosity)
    if account.tokens.not_asked:
        yield Line(f"  {_count(account.tokens.not_asked, 'call')} not asked, to stay within --llm-budget", "red")
    if account.repaired and verbosity >= 0:
        yield Line(f"  {_repairs(account.repaired, account.repairs)}")
    for note in account.notes:
        yield Line(f"  {note}")
    yield from _changing(session, verbosity)


def _first_line(session: Session) -> str:
    account = session.account
    if session.mode not in _RECORDING:
        missed = "would be asked" if session.mode == "dry" else "missed"
        counts = {"replayed": account.replayed, missed: account.missed, "stale": account.stale}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    parts = [f"asked {account.asked}", f"reused {account.replayed}", f"copied {account.copied}"]
    if account.pruned:
        parts.append(f"removed {account.pruned} stale")
    if account.stale:
        # Somebody may still want to copy it: a test that did not run, or did not pass.
        parts.append(f"kept {account.stale} stale")
    asked = account.tokens.asked
    if asked.input_tokens or asked.output_tokens:
        parts.append(_tokens(asked))
    if account.missed:
        parts.append(f"{account.missed} missed")
    kinds = ("asked", "replayed", "copied", "missed", "pruned", "stale")
    return ", ".join(parts) if any(getattr(account, kind) for kind in kinds) else ""


# Money


def _costs(session: Session, verbosity: int) -> Iterator[Line]:
    """What was spent and what was not. Where no tokens are known there is nothing to say, but with -v."""
    tally = session.account.tokens
    if _is_worth_saying(tally.asked, verbosity):
        yield Line(f"  asking cost {tally.asked.cost}")
        yield from _by_model(tally.asked, verbosity)
    if _is_worth_saying(tally.saved, verbosity):
        yield Line(f"  replaying saved {_tokens(tally.saved)}: {tally.saved.cost}")
        yield from _by_model(tally.saved, verbosity)
    if _is_worth_saying(tally.wanted, verbosity):
        yield Line(f"  asking for each test's first would cost {tally.wanted.cost} at most")
        yield from _by_model(tally.wanted, verbosity)


def _is_worth_saying(count: Any, verbosity: int) -> bool:
    return bool(count.input_tokens or count.output_tokens or (count.calls and verbosity > 0))


def _by_model(count: Any, verbosity: int) -> Iterator[Line]:
    for model in count.by_model() if verbosity > 0 else ():
        tokens = model.tokens
        calls = f"{tokens.calls} call{'s' * (tokens.calls != 1)}"
        uncounted = f", {tokens.uncounted} of them without a count of tokens" if tokens.uncounted else ""
        yield Line(f"    {model.name}: {calls}{uncounted}, {_tokens(tokens)}, {model.cost}")


def _tokens(count: Any) -> str:
    return f"{count.input_tokens:,} input and {count.output_tokens:,} output tokens"


def _repairs(replies: int, repairs: Mapping[str, int]) -> str:
    """What models send that is no clean reply: a prompt that says more, or `strict_replies`, may be wanted."""
    often_first = sorted(repairs.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{repair} ({number})" for repair, number in often_first)
    return f"{replies} {'reply' if replies == 1 else 'replies'} repaired: {named}"


# Misses


def _missed(session: Session, verbosity: int) -> Iterator[Line]:
    """The causes of misses, and one command that records what they concern."""
    account = session.account
    groups = account.groups
    shown = _most(groups, verbosity)
    for group in shown:
        tests = len(group.tests)
        calls = f", {group.calls} calls" if group.calls > tests else ""
        place = f" ({group.file}:{group.line})" if group.file and verbosity > 0 else ""
        yield Line(f"  missed in {tests} test{'s' * (tests > 1)}{calls}: {group.cause}{place}")
        if verbosity > 0:
            yield from (Line(f"    {test}") for test in group.tests)
    if len(groups) > len(shown):
        yield Line(f"  and {len(groups) - len(shown)} more causes (-v shows them)")
    command = groups[0].command if len(groups) == 1 else account.command
    if command:
        yield Line(f"  to ask for what was missed: {command}")


def _changing(session: Session, verbosity: int) -> Iterator[Line]:
    """What stood in recorded prompts that the next run will not have."""
    account = session.account
    changing = account.changing_values
    if not changing:
        return
    told = "recorded prompts hold what differs from run to run, so that no recording will answer them"
    yield Line(f"  {told}. {account.cure}:", "yellow")
    shown = _most(changing, verbosity)
    yield from (Line(f"    {value}") for value in shown)
    if len(changing) > len(shown):
        yield Line(f"    and {len(changing) - len(shown)} more")


def _most(found: Sequence[Any], verbosity: int) -> Sequence[Any]:
    return found if verbosity > 0 else found[:_SHOWN]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{' was' if number == 1 else 's were'}"
