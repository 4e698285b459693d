"""The line at the end of a run that says what was asked, replayed and missed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from llm_strategy import Session
from pytest_llm_strategy import changed_answers

_SHOWN = 10
"""Causes of misses, and changing values, that are listed."""


def write(reporter: pytest.TerminalReporter, session: Session) -> None:
    """Write the account of a session, if it made any calls."""
    account = session.account
    line = _line(session)
    if line:
        reporter.write_line(f"model calls: {line}", **{"red" if account.missed else "green": True})
    if session.mode != "dry":
        for group in account.groups[:_SHOWN]:
            tests = len(group.tests)
            reporter.write_line(f"  missed in {tests} test{'s' * (tests > 1)}: {session.scrub(group.cause)}")
    refused = account.tokens.not_asked
    if refused:
        reporter.write_line(f"  {refused} call{'s were' if refused > 1 else ' was'} not asked", red=True)
    if account.repaired and reporter.verbosity >= 0:
        reporter.write_line(f"  {_repairs(account.repaired, account.repairs)}")
    for line in changed_answers.lines(session, reporter.verbosity):
        reporter.write_line(line)
    for note in account.notes:
        reporter.write_line(f"  {session.scrub(note)}")
    changing = account.changing_values
    if changing:
        told = "recorded prompts hold what differs from run to run, so that no recording will answer them"
        reporter.write_line(f"  {told}. {account.cure}:", yellow=True)
    for line in changing[:_SHOWN]:
        reporter.write_line(f"    {session.scrub(line)}")
    if len(changing) > _SHOWN:
        reporter.write_line(f"    and {len(changing) - _SHOWN} more")


def _repairs(replies: int, repairs: Mapping[str, int]) -> str:
    """What models send that is no clean reply: a prompt that says more, or `strict_replies`, may be wanted."""
    often_first = sorted(repairs.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{repair} ({number})" for repair, number in often_first)
    return f"{replies} {'reply' if replies == 1 else 'replies'} repaired: {named}"


def _line(session: Session) -> str:
    account = session.account
    if session.mode in ("new", "all", "live"):
        parts = [f"asked {account.asked}", f"reused {account.replayed}", f"copied {account.copied}"]
        if account.pruned:
            parts.append(f"removed {account.pruned} stale")
        if account.stale:
            # Somebody may still want to copy it: a test that did not run, or did not pass.
            parts.append(f"kept {account.stale} stale")
        tokens = account.tokens.asked
        if tokens.input_tokens or tokens.output_tokens:
            parts.append(f"{tokens.input_tokens:,} input and {tokens.output_tokens:,} output tokens")
        if account.missed:
            parts.append(f"{account.missed} missed")
        kinds = ("asked", "replayed", "copied", "missed", "pruned", "stale")
        worth_saying = any(getattr(account, kind) for kind in kinds)
        return ", ".join(parts) if worth_saying else ""
    missed = "would be asked" if session.mode == "dry" else "missed"
    counts = {"replayed": account.replayed, missed: account.missed, "stale": account.stale}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
