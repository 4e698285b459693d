"""What GitHub Actions shows of a run: annotations at the functions whose prompts changed, and the summary of a job.

Part of the plugin only where GITHUB_ACTIONS says that GitHub reads the log; `-p no:llm-strategy-github` leaves it out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from llm_strategy import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "llm-strategy-github"
_PER_STEP = 10
"""How many errors, and how many warnings, GitHub keeps of one step."""
_LONGEST_MESSAGE = 4_000
"""Characters of an annotation, which stands between the lines of a file."""
_DIFFERENT = ("value changed", "no longer parses")
"""What a program notices of an answer that was asked again."""
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What would colour, or end, a line of a log, and what no log can hold."""
_PAGE = 1024 * 1024
"""Bytes that the summary of a step may have; GitHub drops a larger one altogether."""


class Annotation(NamedTuple):
    """A remark at a line of a file; without a file, at the run as a whole."""

    title: str
    message: str
    file: str = ""
    line: int = 0


class GitHub:
    """Writes workflow commands into the log when all tests have run, and the page that GitHub shows below the job."""

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._config = config
        self._session = session

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The annotations: each is a line of its own, which the terminal reporter sees to."""
        session = self._session
        if session.idle:
            return
        remarks = {"error": self._missed(), "warning": self._changed()}
        for kind, found in remarks.items():
            for annotation in _bounded(list(found)):
                terminalreporter.write_line(command(kind, annotation))

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """The summary, when the account is complete."""
        result = yield
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if path and not self._session.idle:
            _append(Path(path), self._session, self._hint())
        return result

    def _missed(self) -> Iterator[Annotation]:
        """One for each cause, on the line of the function's docstring; a dry run misses nothing."""
        groups = self._session.account.groups if self._session.mode != "dry" else ()
        for group in groups:
            tests = _count(len(group.tests), "test")
            message = f"{group.cause}\n\nNo recording answers {_count(group.calls, 'call')} in {tests}."
            message += f" To record: {group.command}" if group.command else ""
            file = self._place(group.file)
            if group.file and not file:
                message += f"\n{group.file}:{group.line}"
            yield Annotation(f"No recording: {tests}", message, file, group.line or 0 if file else 0)

    def _changed(self) -> Iterator[Annotation]:
        """Answers that a program gets otherwise than before, one for each function and cause; values that change."""
        account = self._session.account
        alike: dict[tuple[object, ...], list[Any]] = {}
        for answer in account.changed:
            if answer.verdict in _DIFFERENT:
                alike.setdefault((answer.function, answer.verdict, answer.causes), []).append(answer)
        for answers in sorted(alike.values(), key=len, reverse=True):
            yield self._answers(answers)
        for line in account.changing_values:
            yield Annotation("A prompt that will never replay", f"{line}\n\n{account.cure}")

    def _answers(self, answers: Sequence[Any]) -> Annotation:
        """Stands at the cassette, which the same commit changes."""
        first = answers[0]
        tests = len({answer.test for answer in answers})
        causes = f" ({', '.join(first.causes)})" if first.causes else ""
        what = f"{first.verdict}: {_count(len(answers), 'answer')} of {first.function or 'a model'}"
        message = "\n".join([f"{what} in {_count(tests, 'test')}{causes}", "", f"{first.test}:", *first.lines])
        file = self._place(first.cassette)
        return Annotation(f"{_count(tests, 'test')}: {first.verdict}", message, file, 1 if file else 0)

    def _place(self, file: str | None) -> str:
        return place(file or "", self._config.invocation_params.dir, os.environ)

    def _hint(self) -> str:
        report = self._config.getoption("llm_report") or self._config.getini("llm_report")
        return f"All calls are in {Path(report).name}, which the workflow can keep as an artifact." if report else ""


def command(kind: str, annotation: Annotation) -> str:
    """A workflow command, as one line."""
    title, message, file, line = annotation
    properties: Mapping[str, str] = {"file": file, "line": str(line or ""), "title": title}
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    text = Session.scrub(message)
    text = text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " ..."
    return f"::{kind} {said}::{_data(text)}"


def _data(text: str) -> str:
    text = _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(Session.scrub(text)).replace(":", "%3A").replace(",", "%2C")


def place(file: str, folder: Path, environment: Mapping[str, str]) -> str:
    """A file as GitHub names it, which is relative to the root of the repository; empty where it lies outside."""
    if not file:
        return ""
    workspace = environment.get("GITHUB_WORKSPACE") or folder
    try:
        relative = os.path.relpath(os.path.realpath(folder / file), os.path.realpath(workspace))
    except ValueError:
        # Another drive of Windows.
        return ""
    return "" if relative.startswith(os.pardir) else relative.replace(os.sep, "/")


def _bounded(annotations: Sequence[Annotation]) -> Sequence[Annotation]:
    """As many as GitHub keeps; the last says how many there are besides."""
    more = len(annotations) - _PER_STEP
    if more <= 0:
        return annotations
    *first, last = annotations[:_PER_STEP]
    told = f"{last.message}\n\nand {more} more, which the summary of the job lists: GitHub shows {_PER_STEP} per step"
    return [*first, last._replace(message=told)]


def _append(path: Path, session: Session, hint: str) -> None:
    """Add the page to what other programs of this step have written, as far as there is room."""
    try:
        there = path.stat().st_size if path.exists() else 0
        with session.priced():
            page = session.account.page(mode=session.mode, room=_PAGE - there - 2, hint=hint)
        if page:
            with path.open("a", encoding="utf-8", errors="replace", newline="\n") as file:
                file.write(("\n\n" if there else "") + page)
    except OSError as error:
        # The tests have passed or failed by themselves.
        session.account.note(f"{path}: the summary of the job cannot be written ({error.strerror})")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
